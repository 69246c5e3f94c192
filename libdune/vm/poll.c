// SPDX-License-Identifier: GPL-2.0 OR MIT
/* A thread that looks at requests itself: dune_vm_poll_begin(), _poll(), _end(). */
#include "flush.h"
#include "vcpu_requests.h"

int dune_vm_poll_begin(void)
{
	if (!hw_in_guest())
		return -EINVAL;
	vreq_poll_begin(hw_local()->page);
	return 0;
}

int dune_vm_poll(void)
{
	struct vm_local *local;
	u64 irq;
	int served;

	if (!hw_in_guest())
		return -EINVAL;
	local = hw_local();
	if (!(plat_load(&local->page->requests) & (DUNE_REQ_FLUSH | DUNE_REQ_IRQ)))
		return 0;
	/* A handler that switches the root between the take and the flush. */
	irq = hw_irq_save();
	served = flush_serve(local);
	hw_irq_restore(irq);
	/* With interrupts off it stays requested. */
	if (irq && plat_load(&local->page->polling) && vreq_take_irq(local->page)) {
		hw_notify();
		served = 1;
	}
	return served;
}

int dune_vm_poll_end(void)
{
	struct vm_local *local;
	u64 irq;

	if (!hw_in_guest())
		return -EINVAL;
	local = hw_local();
	irq = hw_irq_save();
	vreq_poll_end(local->page);
	/* Whoever saw it polling waits for this. */
	flush_serve_polling(local);
	/* Or has not kicked it: the module injects, when interrupts come on. */
	if (plat_load(&local->page->requests) & DUNE_REQ_IRQ)
		hw_end_run(&local->kick);
	hw_irq_restore(irq);
	return 0;
}
