/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VMREADs and VMWRITEs, by the exit that made them necessary: only in a build
 * with DEBUG_VMCS=1, nothing otherwise. In debugfs: dune/vmcs.
 *
 * What belongs to an exit: all from its VMREAD of the reason to the next exit
 * of the same VMCS, the next entry included. What comes after a VMPTRLD, up to
 * the next exit, has a row of its own: after a move, or another vCPU's turn,
 * it serves the change and not an exit.
 */
#ifndef KMOD_VMX_VMCS_STATS_H
#define KMOD_VMX_VMCS_STATS_H

#include <linux/types.h>

#ifdef DUNE_DEBUG_VMCS

#include <linux/percpu.h>
#include <linux/preempt.h>

enum {
	VMCS_STATS_OTHER = 80,	/* reasons are 0 to 79; larger ones here */
	VMCS_STATS_LOAD,	/* its exits are VMPTRLDs */
	VMCS_STATS_ROWS
};

/* Its CPU only; a reader may see the middle of an exit. */
struct vmcs_stats {
	u32 row;
	struct {
		u64 exits, reads, writes;
	} rows[VMCS_STATS_ROWS];
};
DECLARE_PER_CPU(struct vmcs_stats, vmcs_stats);

/* Any context in which a VMCS may be used, so preemption may be on. */
static __always_inline void vmcs_stats_read(void)
{
	struct vmcs_stats *s;

	preempt_disable_notrace();
	s = this_cpu_ptr(&vmcs_stats);
	s->rows[s->row].reads++;
	preempt_enable_notrace();
}

static __always_inline void vmcs_stats_write(void)
{
	struct vmcs_stats *s;

	preempt_disable_notrace();
	s = this_cpu_ptr(&vmcs_stats);
	s->rows[s->row].writes++;
	preempt_enable_notrace();
}

static __always_inline void vmcs_stats_begin(u32 row)
{
	struct vmcs_stats *s;

	preempt_disable_notrace();
	s = this_cpu_ptr(&vmcs_stats);
	s->row = row;
	s->rows[row].exits++;
	preempt_enable_notrace();
}

/* The VMREAD that gave the reason is counted here. */
static __always_inline void vmcs_stats_exit(u32 reason)
{
	u32 basic = reason & 0xffff;

	vmcs_stats_begin(basic < VMCS_STATS_OTHER ? basic : VMCS_STATS_OTHER);
	vmcs_stats_read();
}

static __always_inline void vmcs_stats_load(void)
{
	vmcs_stats_begin(VMCS_STATS_LOAD);
}

/* Process context; without debugfs there is nothing to read, and no error. */
int vmcs_stats_setup(void);
void vmcs_stats_teardown(void);

#else /* !DUNE_DEBUG_VMCS */

static __always_inline void vmcs_stats_read(void) { }
static __always_inline void vmcs_stats_write(void) { }
static __always_inline void vmcs_stats_exit(u32 reason) { }
static __always_inline void vmcs_stats_load(void) { }
static inline int vmcs_stats_setup(void)
{
	return 0;
}
static inline void vmcs_stats_teardown(void) { }

#endif /* DUNE_DEBUG_VMCS */
#endif /* KMOD_VMX_VMCS_STATS_H */
