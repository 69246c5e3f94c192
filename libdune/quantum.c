// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Preemption for schedulers in user space: after a quantum of time in Dune
 * mode a function of the program gets the interrupted registers.
 */
#include <errno.h>

#include "internal.h"

int dune_set_quantum(uint32_t us, dune_quantum_fn fn, void *arg)
{
	struct dune_thread *t = dune_thread_current();

	if (!t || (us && (us < DUNE_QUANTUM_MIN_US || us > DUNE_QUANTUM_MAX_US)))
		return -EINVAL;
	if (us && !(dune_vm.caps & DUNE_CAP_QUANTUM))
		return -EOPNOTSUPP;
	/* Between these stores a quantum of before may end: not with half. */
	__atomic_store_n(&t->quantum_fn, NULL, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	t->quantum_arg = arg;
	__atomic_store_n(&t->page->quantum_us, us, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(&t->quantum_fn, fn, __ATOMIC_RELAXED);
	/* The module looks when DUNE_RUN is called: make that happen. */
	if (dune_in_guest())
		dune_vmcall(DUNE_HC_EXIT, 0);
	return 0;
}

/* On the host stack, vector registers saved; the thread's page is its guest. */
void dune_quantum_call(void *thread)
{
	struct dune_thread *t = thread;
	struct dune_regs *regs = &t->page->regs;
	uint64_t rip = regs->rip, rsp = regs->rsp, rflags = regs->rflags;
	dune_quantum_fn fn = __atomic_load_n(&t->quantum_fn, __ATOMIC_RELAXED);

	if (!fn)
		return;
	fn(regs, t->quantum_arg);
	if (regs->rip != rip || regs->rsp != rsp || regs->rflags != rflags)
		t->page->sync |= DUNE_SYNC_REGS;
}
