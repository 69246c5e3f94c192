/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * One call of dune_vm.h: its thread, its interrupts, its RCU section, its flush.
 *
 *   vm_op_begin()		may fail; nothing is done yet
 *     inval_begin()		from here on others know of it (smp/inval.h)
 *       ... engine, regions ...
 *     op_finish()		flush what has to be, or leave it to the batch
 *   vm_op_end()
 */
#ifndef DUNE_VM_OP_H
#define DUNE_VM_OP_H

#include "hw.h"
#include "vm.h"

struct vm_op {
	struct dune_root *root;
	struct vm_local *local;
	bool guest;
	u64 irq;
	struct gather gather;
};

/* Frees that wait for one grace period, at the end of the operation after that. */
#define RETIRED_MAX	64u

#pragma GCC visibility push(hidden)

/* The calling thread's, either mode, after dune_init(). NULL: no memory. */
struct vm_local *vm_local_find(int *err);
/* The same inside of an operation. */
struct vm_local *vm_local_here(void);
int vm_op_begin_plain(struct vm_op *op);
/* batch.c: the thread ends, in plain mode: so do its batches. Before its views go. */
void batch_end_all(struct vm_local *local);
/* The thread ends; it finds *local until this returns. */
void vm_local_end(struct vm_local *local);
/* The thread gets a vCPU: *local takes over what it has. */
void vm_plain_adopt(struct vm_local *local);
/* A thread without a vCPU ends. */
void vm_plain_end(void);

/*
 * rcu.c: a grace period inside of an operation, which is suspended for it: locks
 * are not held, and handlers may run. -EBUSY: the program is in a read section.
 */
int op_synchronize(struct vm_op *op);
void rcu_reclaim(struct vm_local *local);
void rcu_end(struct vm_local *local);
void rcu_forget(void);
void rcu_before_fork(void);
void rcu_after_fork(void);

#pragma GCC visibility pop

static inline void vm_quick_off(struct vm_local *local)
{
	local->quick = NULL;
	local->walk_base = WALK_NOWHERE;
}

/* After a change of what it depends on. */
static inline void vm_quick_update(struct vm_local *local)
{
	if (!local->reader || local->batch.depth) {
		vm_quick_off(local);
		return;
	}
	local->quick = local->view->root;
	local->walk_base = local->quick->walk_base;
}

/* root NULL: the default one. */
static inline int vm_op_begin(struct vm_op *op, struct dune_root *root)
{
	op->root = root ? root : vm_state.base;
	op->guest = hw_in_guest();
	op->irq = 0;
	gather_init(&op->gather);
	if (op->guest) {
		op->irq = hw_irq_save();
		op->local = hw_local();
	} else {
		int err = vm_op_begin_plain(op);

		if (err)
			return err;
	}
	dune_rcu_lock();
	return 0;
}

static inline void vm_op_end(struct vm_op *op)
{
	dune_rcu_unlock();
	if (op->guest)
		hw_irq_restore(op->irq);
	if (op->local->nr_retired >= RETIRED_MAX)
		rcu_reclaim(op->local);
}

/* [start, end) of a root: 0, -EINVAL or -ERANGE. */
static inline int vm_check_range(u64 start, u64 len)
{
	if (__builtin_expect(((start | len) & (PAGE_SIZE - 1)) || !len, 0))
		return -EINVAL;
	if (__builtin_expect(start >= USER_END || len > USER_END - start, 0))
		return -ERANGE;
	return 0;
}

static inline bool vm_one_region(u64 start, u64 end)
{
	return ((start ^ (end - 1)) >> REGION_SHIFT) == 0;
}

/* DUNE_R | ... : writing and executing need reading. */
static inline bool vm_rights_valid(unsigned int prot)
{
	return prot < 16 && (0xaaabu >> prot & 1);
}

#endif /* DUNE_VM_OP_H */
