// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * [GT-3] vreq_poll_end() against [GT-4] vreq_post(): a vCPU stops to poll
 * without having seen a request, and the requester waits for it to poll.
 */
#include "litmus.h"
#include "vcpu_requests.h"

static struct dune_vcpu_page pages[LITMUS_BATCH] __attribute__((aligned(64)));

static void reset(unsigned int i)
{
	pages[i].mode = 1;
	pages[i].polling = 1;
	pages[i].requests = 0;
}

static bool poll_end(unsigned int i)
{
	vreq_poll_end(&pages[i]);
	return !vreq_take_flush(&pages[i]);
}

static bool poll_end_weak(unsigned int i)
{
	plat_store(&pages[i].polling, 0);
	return !vreq_take_flush(&pages[i]);
}

static bool post(unsigned int i)
{
	return vreq_post(&pages[i], DUNE_REQ_FLUSH) == VREQ_POLLS;
}

/* x86 has no atomic OR that is no fence: a plain one in its place. */
static bool post_weak(unsigned int i)
{
	struct dune_vcpu_page *page = &pages[i];

	plat_store_release(&page->requests,
			   plat_load(&page->requests) | DUNE_REQ_FLUSH);
	return plat_load_acquire(&page->mode) && plat_load(&page->polling);
}

static const struct litmus litmus = {
	.name = "vreq_post_vs_poll_end",
	.labels = "[GT-3] and [GT-4]",
	.weak_side = { "no [GT-3] in vreq_poll_end()",
		       "no [GT-4] in vreq_post()" },
	.reset = reset,
	.side = { poll_end, post },
	.weak = { poll_end_weak, post_weak },
};

int main(int argc, char **argv)
{
	return litmus_main(&litmus, argc, argv);
}
