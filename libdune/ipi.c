// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The receiving side of dune_ipi.h. The module injects DUNE_VECTOR_IPI for any
 * number of pending vectors, or the thread polls; here they are taken one by one.
 * Code of kind "guest" (internal.h): the handlers of the vectors are called from
 * the one of DUNE_VECTOR_IPI, on its stack.
 */
#include "ipi.h"
#include "op.h"
#include "trap.h"
#include "vcpus.h"

static inline void irqs_on(void)
{
	asm volatile("sti" : : : "memory");
}

static inline void irqs_off(void)
{
	asm volatile("cli" : : : "memory");
}

/* Interrupts come on for those of a higher class, and are off at the end. */
static void run_handler(struct dune_thread *t, struct dune_trap *f, unsigned int vector)
{
	struct trap_handler h = trap_handler_of(&dune_traps[vector]);

	t->ipi.counts.taken++;
	if (!h.fn) {
		t->ipi.counts.unhandled++;
		return;
	}
	f->vector = vector;
	if (t->ipi.service.depth < DUNE_IPI_NESTING)
		irqs_on();
	if (h.flags & DUNE_TRAP_FAST)
		h.fn(f, h.arg);
	else
		dune_trap_call_full(f, h.arg, h.fn);
	f->xsave = NULL;
	/* The child of a fork() in it, for instance: CLI would fault. */
	if (dune_in_guest())
		irqs_off();
}

/*
 * A handler has left interrupts off in the frame, and something is pending: the
 * module is asked again, and injects when they come on.
 */
static void ask_again(struct dune_thread *t)
{
	if (ipi_highest(t->vm.irr->word) == IPI_NONE)
		return;
	__atomic_fetch_or(&t->page->requests, DUNE_REQ_IRQ, __ATOMIC_SEQ_CST);
	hw_end_run(&t->vm.kick);
}

enum dune_trap_action dune_ipi_notify(struct dune_trap *f, void *arg)
{
	struct dune_thread *t = dune_thread_at(f);
	int vector;

	(void)arg;
	/* INT by code that has interrupts off: not this way. */
	if (!(f->rflags & FLAG_IF))
		return DUNE_TRAP_RESUME;
	t->ipi.counts.notified++;
	while ((vector = ipi_take(&t->ipi.service, t->vm.irr->word)) != IPI_NONE) {
		run_handler(t, f, vector);
		/* What is left is for dune_ipi_thread_enters(). */
		if (!dune_in_guest())
			return DUNE_TRAP_RESUME;
		ipi_end(&t->ipi.service, vector);
		if (!(f->rflags & FLAG_IF)) {
			ask_again(t);
			break;
		}
	}
	return DUNE_TRAP_RESUME;
}

int dune_ipi_disable(void)
{
	if (!hw_in_guest())
		return -EINVAL;
	return hw_irq_save() ? 1 : 0;
}

int dune_ipi_enable(void)
{
	int on;

	if (!hw_in_guest())
		return -EINVAL;
	on = hw_irq_save() ? 1 : 0;
	irqs_on();
	return on;
}
