/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Soft vCPUs: each thread has one, with a TLB and caches of upper entries that
 * forget nothing until they are told to, tagged by PCID; and the module's part of
 * requests and kicks. An access walks from CR3 and takes soft page faults, which
 * libdune fills, as the #PF handler would.
 */
#ifndef UNIT_VM_SOFT_H
#define UNIT_VM_SOFT_H

#include "dune.h"
#include "vm.h"

/* An address in the 512 GiB that all views have in common. */
#define SOFT_PROGRAM	0x180000000000ull

/* Once, before the first thread. seed: of delays. */
void soft_init(uint32_t caps);
/* The calling thread gets a vCPU, and gives it back; outside of the guest. */
void soft_begin(void);
void soft_end(void);
void soft_enter(void);
void soft_leave(void);
/* Leaves and enters, if somebody has asked for that; any soft access does. */
void soft_exit(void);

enum soft_access { SOFT_READ, SOFT_WRITE, SOFT_FETCH, SOFT_USER_READ };

/*
 * The guest physical address that an access finds; SOFT_FAULT: a page fault that
 * is not libdune's.
 */
#define SOFT_FAULT	(~0ull)
uint64_t soft_access(uint64_t addr, enum soft_access how);
/* Stores value where addr leads to, if an access may; false: SOFT_FAULT. */
static inline bool soft_write(uint64_t addr, uint64_t value)
{
	uint64_t gpa = soft_access(addr, SOFT_WRITE);

	if (gpa == SOFT_FAULT)
		return false;
	/* No soft call between finding a page and using it. */
	__atomic_store_n((uint64_t *)plat_va(gpa), value, __ATOMIC_RELAXED);
	return true;
}
/* An access by the tables alone, without any TLB and without filling. */
uint64_t soft_walk(uint64_t cr3, uint64_t addr, enum soft_access how);

/* Guest physical address that memory at this address has, if it has one. */
uint64_t soft_gpa(const void *mem);

/* The nth allocation from now on fails; 0: none. */
void soft_fail_nth(uint64_t nth);
bool soft_failed(void);
/* No more slots than that. */
void soft_limit_slots(uint32_t nr);

struct dune_thread *soft_self(void);
/* Called by a thread that is about to change CR3; NULL: nobody. */
extern void (*volatile soft_before_cr3)(void);

/* The machine has SOFT_NODES; this thread is on that one from now on. */
#define SOFT_NODES	2u
void soft_on_node(unsigned int node);

/* What was counted, of all threads. */
struct soft_counts {
	uint64_t kicks;		/* vCPUs that were made to leave */
	uint64_t kick_calls;
	uint64_t flushes;	/* at the begin of a run, as requested */
	uint64_t fills;
	uint64_t spurious;
	uint64_t copied;	/* write faults that were resolved */
	uint64_t invlpg, cr3;
	uint64_t ended_runs, notified;	/* for interrupts */
};
extern struct soft_counts soft_counts;

#endif /* UNIT_VM_SOFT_H */
