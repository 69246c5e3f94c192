// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * [VM-1] active_leave() against [VM-2] active_after_post(): a vCPU loads a root's
 * CR3 without having seen a request, and its requester sees it use another one.
 */
#include "litmus.h"
#include "fences.h"

static struct pair {
	struct dune_vcpu_page page;
	u64 active __attribute__((aligned(64)));
} pairs[LITMUS_BATCH] __attribute__((aligned(64)));

static void reset(unsigned int i)
{
	pairs[i].page.requests = 0;
	pairs[i].page.mode = 1;
	pairs[i].active = 0;
}

static bool sees_no_request(unsigned int i)
{
	return !plat_load(&pairs[i].page.requests);
}

static bool is_elsewhere(unsigned int i)
{
	return active_after_post(&pairs[i].active) != ACTIVE_ANY;
}

static bool leave(unsigned int i)
{
	active_leave(&pairs[i].active);
	return sees_no_request(i);
}

static bool leave_weak(unsigned int i)
{
	plat_store(&pairs[i].active, ACTIVE_ANY);
	return sees_no_request(i);
}

static bool post(unsigned int i)
{
	vreq_post(&pairs[i].page, DUNE_REQ_FLUSH);
	return is_elsewhere(i);
}

/* x86 has no atomic OR that is no fence: a plain one in its place. */
static bool post_weak(unsigned int i)
{
	u32 *requests = &pairs[i].page.requests;

	plat_store(requests, plat_load(requests) | DUNE_REQ_FLUSH);
	return is_elsewhere(i);
}

static const struct litmus litmus = {
	.name = "vm_switch_vs_post",
	.labels = "[VM-1] and [VM-2]",
	.weak_side = { "no [VM-1] in active_leave()",
		       "no fence before [VM-2] in vreq_post()" },
	.reset = reset,
	.side = { leave, post },
	.weak = { leave_weak, post_weak },
};

int main(int argc, char **argv)
{
	return litmus_main(&litmus, argc, argv);
}
