// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Runs a guest case and judges what DUNE_RUN returned. */
#include "fuzz.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool canonical(uint64_t addr)
{
	return (uint64_t)((int64_t)(addr << 16) >> 16) == addr;
}

/* Another thread writes the page: anything may be in it. */
static bool page_races(const struct guest_case *c)
{
	return c->racer == RACER_SCRIBBLE || c->racer == RACER_PAGE;
}

/* What the next DUNE_RUN must say about the page: 0 or an errno. */
static int expected(const struct guest_case *c)
{
	if (child.dead)
		return EIO;
	if (c->sync & ~(uint64_t)(DUNE_SYNC_REGS | DUNE_SYNC_SREGS | DUNE_SYNC_FAULT) ||
	    c->run_flags & ~(uint64_t)DUNE_RUN_FLAGS)
		return EINVAL;
	if (c->quantum_us && (c->quantum_us < DUNE_QUANTUM_MIN_US ||
			      c->quantum_us > DUNE_QUANTUM_MAX_US))
		return EINVAL;
	if (c->sync & DUNE_SYNC_SREGS &&
	    (!canonical(c->sreg[1]) || !canonical(c->sreg[2])))
		return EINVAL;
	return 0;
}

/*
 * Junk: the low bits, because others mean nothing; half of the vectors are.
 * Without it nothing is left over from the case before.
 */
static void fill_requests(struct dune_vcpu_page *page, struct rng *r, uint64_t seed)
{
	page->requests = seed ? rng_below(r, 8) : 0;
	page->notify_vector = !seed ? 0 : rng_one_in(r, 2) ? 32 + rng_below(r, 224) :
						     (uint32_t)rng_weird(r);
	child.interrupted = page->requests & DUNE_REQ_IRQ &&
			    page->notify_vector - 32 < 224;
}

static void fill_page(const struct guest_case *c)
{
	struct dune_vcpu_page *page = child.vcpu.page;
	uint64_t *words = (uint64_t *)page;
	struct rng r = { c->page_seed };

	if (c->page_seed)
		for (int i = 0; i < 64; i++)
			words[rng_below(&r, 512)] = rng_next(&r);
	fill_requests(page, &r, c->page_seed);
	memcpy(&page->regs, c->reg, sizeof(page->regs));
	memcpy(&page->sregs, c->sreg, sizeof(c->sreg) < sizeof(page->sregs) ?
				      sizeof(c->sreg) : sizeof(page->sregs));
	page->sync = c->sync;
	page->run_flags = c->run_flags;
	page->quantum_us = c->quantum_us;
	/* -1: behind the SYSCALL of raw_run(). */
	page->syscall_ip = c->syscall_ip;
	if (c->syscall_ip == ~0ull)
		page->syscall_ip =
			(uint64_t)memmem((void *)(uintptr_t)raw_run, 64, "\x0f\x05", 2) + 2;
}

static void fill_arena(const struct guest_case *c)
{
	arena_restore();
	arena_idt(c->idt, c->idt_seed);
	/* Random jumps end behind it, too: int3, not the last case's code. */
	memset((void *)(ARENA + ARENA_CODE), 0xcc, 4096);
	memcpy((void *)(ARENA + ARENA_CODE), c->code, c->code_len);
	for (uint32_t i = 0; i < c->nr_pokes; i++)
		*(uint64_t *)(ARENA + (c->poke[i].offset & (ARENA_SIZE - 8))) =
			c->poke[i].value;
}

/* A vCPU that died stays dead. */
static void judge_death(const struct guest_case *c, long kind)
{
	long ret = child_run(0);

	child.dead = true;
	if (ret != -EIO)
		fuzz_fail("a dead vCPU (kind %ld) ran: %ld", kind, ret);
	/*
	 * Who sets the state can make an entry fail; guest code alone cannot,
	 * and an exit that nobody knows is one the module should know.
	 */
	if (kind == DUNE_EXIT_UNKNOWN ||
	    (c->class != CLASS_STATE && c->class != CLASS_HUGE && !page_races(c)))
		fuzz_fail("guest code ended its vCPU: kind %ld, reason 0x%x, qualification 0x%llx",
			  kind, child.vcpu.page->exit.hw_reason,
			  (unsigned long long)child.vcpu.page->exit.qualification);
}

static void judge_end(const struct guest_case *c, long kind)
{
	const struct dune_vcpu_page *page = child.vcpu.page;
	uint64_t rdi = page->regs.rdi;

	if (c->racer != RACER_NONE || c->no_page || child.interrupted)
		return;
	shared->judged++;
	if (c->class == CLASS_HUGE && kind == DUNE_EXIT_FAULT &&
	    page->exit.addr != ~0ull)
		fuzz_fail("gpa 0x%llx, which no slot has, is at hva 0x%llx",
			  (unsigned long long)page->exit.gpa,
			  (unsigned long long)page->exit.addr);
	if (!c->want)
		return;
	if (kind == DUNE_EXIT_HYPERCALL && (rdi == c->want || rdi == c->want2)) {
		shared->proved++;
		return;
	}
	fuzz_fail("the guest ended with kind %ld, rdi 0x%llx, not 0x%llx", kind,
		  (unsigned long long)rdi, (unsigned long long)c->want);
}

/* Errors after the first run may be those of what a racer or guest wrote. */
static void judge_error(const struct guest_case *c, long ret, uint64_t run)
{
	int want = expected(c);

	if (page_races(c) || c->class == CLASS_VMCALL ||
	    (c->page_seed && run))
		return;		/* also what a native call returned */
	if (-ret != want)
		fuzz_fail("DUNE_RUN failed with errno %ld, want %d", -ret, want);
}

static bool ends(long ret)
{
	return ret == DUNE_EXIT_HYPERCALL || ret == DUNE_EXIT_CRASH;
}

static void run_all(const struct guest_case *c)
{
	struct dune_vcpu_page *page = child.vcpu.page;
	long ret;

	for (uint64_t run = 0; run < c->runs; run++) {
		if (c->no_page) {
			munmap(page, DUNE_VCPU_PAGE_SIZE);
			child_run(run);
			_exit(CHILD_RESTART);
		}
		ret = child_run(run);
		if (ret < 0) {
			judge_error(c, ret, run);
			return;
		}
		if (run == 0 && expected(c) && c->racer == RACER_NONE)
			fuzz_fail("DUNE_RUN accepted a page for errno %d: %ld",
				  expected(c), ret);
		if (ret == DUNE_EXIT_ENTRY_FAILED || ret == DUNE_EXIT_UNKNOWN) {
			/* Or what a native call returned. */
			if (page->exit.kind == ret)
				judge_death(c, ret);
			return;
		}
		if (ret > DUNE_EXIT_QUANTUM && c->class != CLASS_VMCALL &&
		    !page_races(c))
			fuzz_fail("DUNE_RUN returned %ld", ret);
		if (ends(ret)) {
			judge_end(c, ret);
			return;
		}
		if (c->class == CLASS_HUGE)
			judge_end(c, ret);
	}
	if (c->want && c->racer == RACER_NONE && !child.interrupted)
		fuzz_fail("no end after %llu runs, rip 0x%llx",
			  (unsigned long long)c->runs,
			  (unsigned long long)page->regs.rip);
}

void guest_run(const struct guest_case *c)
{
	shared->classes[c->class % NR_CLASSES]++;
	child.spoilt = c->spoils;
	fill_arena(c);
	fill_page(c);
	racer_start(c->racer, c->racer_seed);
	run_all(c);
}
