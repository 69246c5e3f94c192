/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What of a process is on which node. */
#ifndef DUNE_TOPO_SUMMARY_H
#define DUNE_TOPO_SUMMARY_H

#include "machine.h"
#include "places.h"
#include "process.h"

#define EPT_LEVELS	4

/* What was found out; process is all 0 when only the machine was asked for. */
struct view {
	struct machine machine;
	pid_t pid;		/* 0: none */
	struct threads threads;
	struct memory memory;
	struct places places;
};

/* Of one node. */
struct use {
	unsigned int threads, running;
	unsigned int vcpu_pages, vmcss;
	unsigned int tables[EPT_LEVELS + 1];	/* by level; [0]: all */
	unsigned int near, far;	/* pages whose user is on that node, or elsewhere */
	uint64_t memory_bytes;
};

/* One thread's pages. Nodes are Linux' numbers or NO_NODE. */
struct vcpu {
	unsigned int id;
	int vmcs_node, page_node, user_node;
};

struct summary {
	struct use *nodes;	/* as machine.nodes, and one more: no node of these */
	struct use all;
	struct vcpu *vcpus;	/* by id */
	unsigned int nr_vcpus, nr_replicas;
};

/* False: no memory. The arrays are freed by summary_free(). */
bool summary_make(const struct view *v, struct summary *s);
void summary_free(struct summary *s);

/*
 * Linux' number of the node where the user of a page is: that of the replica,
 * or of the thread that has the page or linked the table. NO_NODE: not known.
 */
int summary_user_node(const struct summary *s, const struct dune_place *place);

/* Tables of a level on the node of that number, in one replica. */
unsigned int summary_tables(const struct view *v, int node, unsigned int level,
			    unsigned int replica);

/* Nothing is there. */
bool use_is_empty(const struct use *use);

/* Near in percent of near and far; -1: neither. Rounded down: 100 is all. */
int use_local_percent(const struct use *use);

#endif /* DUNE_TOPO_SUMMARY_H */
