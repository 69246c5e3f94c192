// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * [GT-1] begin of a run against [GT-2] vreq_post(): a vCPU runs on without
 * having seen a request, and the requester has seen it outside.
 */
#include "litmus.h"
#include "shootdown.c"
#include "vcpu_requests.h"

static struct pair {
	struct sd_vm vm;
	struct sd_cpu cpu;
	struct dune_vcpu_page page;
} pairs[LITMUS_BATCH] __attribute__((aligned(64)));

static void reset(unsigned int i)
{
	pairs[i].vm = (struct sd_vm){ .gen = 1 };
	pairs[i].cpu = (struct sd_cpu){ .seen = 1 };
	pairs[i].page.mode = 0;
	pairs[i].page.requests = 0;
}

static bool run(unsigned int i)
{
	struct pair *p = &pairs[i];

	vreq_run_begin(&p->page);
	sd_enter(&p->vm, &p->cpu);
	return !vreq_run_pending(&p->page);
}

static bool run_weak(unsigned int i)
{
	struct pair *p = &pairs[i];

	vreq_run_begin(&p->page);
	plat_store(&p->cpu.mode, SD_ENTERING);
	return !vreq_run_pending(&p->page);
}

static bool post(unsigned int i)
{
	return vreq_post(&pairs[i].page, DUNE_REQ_FLUSH) == VREQ_OUTSIDE;
}

/* x86 has no atomic OR that is no fence: a plain one in its place. */
static bool post_weak(unsigned int i)
{
	struct dune_vcpu_page *page = &pairs[i].page;

	plat_store_release(&page->requests,
			   plat_load(&page->requests) | DUNE_REQ_FLUSH);
	return !plat_load_acquire(&page->mode);
}

static const struct litmus litmus = {
	.name = "vreq_post_vs_run",
	.labels = "[GT-1] and [GT-2]",
	.weak_side = { "no [GT-1] in sd_enter()", "no [GT-2] in vreq_post()" },
	.reset = reset,
	.side = { run, post },
	.weak = { run_weak, post_weak },
};

int main(int argc, char **argv)
{
	return litmus_main(&litmus, argc, argv);
}
