// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Small loops of system calls that people measure scaling with, in the manner of
 * will-it-scale's threads: page faults, mmap(), TLB flushes, futexes and context
 * switches. All are Linux' own calls, natively and from Dune mode: what it adds that
 * an EPT follows.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "suite.h"

#define FAULT_GROUP	4	/* pages of a page_fault */

/* ---- memory ---- */

static void page_fault(volatile char *first)
{
	for (int i = 0; i < FAULT_GROUP; i++)
		touch(first + i * PAGE);
	sys_madvise((void *)first, FAULT_GROUP * PAGE, MADV_DONTNEED);
}

/*
 * Not touched: what a mapping alone costs. At a place of the thread's own: where Linux
 * puts it, it becomes one mapping with those of other threads, or not, by chance.
 */
static void map_unmap(volatile char *first)
{
	sys_munmap((void *)sys_mmap_anon(suite_elsewhere(first), PAGE, 0), PAGE);
}

/* Written, so that the loss of the right needs a flush. */
static void make_writable(volatile char *page)
{
	sys_mprotect((void *)page, PAGE, PROT_READ | PROT_WRITE);
	touch(page);
}

static void tlb_flush(volatile char *page)
{
	sys_mprotect((void *)page, PAGE, PROT_READ);
}

/* ---- futex: nobody waits ---- */

static void futex(volatile char *page)
{
	sys3(SYS_futex, (long)page, FUTEX_WAKE_PRIVATE, 1);
}

/* ---- context switches: each thread and a partner on the same CPU ---- */

struct partner {
	pthread_t thread;
	int ask[2], answer[2];		/* pipes */
	enum mode mode;
};
static __thread struct partner partner;

static void *partner_main(void *arg)
{
	struct partner *p = arg;
	char c;

	if (p->mode == DUNE)
		guest_enter();
	while (sys3(SYS_read, p->ask[0], (long)&c, 1) == 1)
		MUST(sys3(SYS_write, p->answer[1], (long)&c, 1) == 1);
	if (p->mode == DUNE) {
		MUST(dune_inside());
		guest_leave();
	}
	return NULL;
}

static void begin_switching(int member)
{
	partner.mode = dune_inside() ? DUNE : NATIVE;
	MUST(pipe(partner.ask) == 0 && pipe(partner.answer) == 0);
	MUST(pthread_create(&partner.thread, NULL, partner_main, &partner) == 0);
}

static void end_switching(int member)
{
	close(partner.ask[1]);
	pthread_join(partner.thread, NULL);
	close(partner.ask[0]);
	close(partner.answer[0]);
	close(partner.answer[1]);
}

/* There and back. */
static void context_switch(volatile char *page)
{
	char c = 0;

	sys3(SYS_write, partner.ask[1], (long)&c, 1);
	sys3(SYS_read, partner.answer[0], (long)&c, 1);
}

/* ---- the table ---- */

static const struct suite_way way_page_fault = { .op = page_fault };
static const struct suite_way way_mmap = { .op = map_unmap };
static const struct suite_way way_tlb_flush = { .prepare = make_writable, .before = make_writable, .op = tlb_flush };
static const struct suite_way way_futex = { .prepare = touch, .before = touch, .op = futex };
static const struct suite_way way_switch = {
	.begin = begin_switching, .end = end_switching, .op = context_switch,
};
#define EVERYWHERE	(SUITE_IN(LOCAL) | SUITE_IN(NEIGHBOUR) | SUITE_IN(SHARED))

static const struct suite_protocol silent = { 0 };
/* The partner and back. */
static const struct suite_protocol switches = { .threads = 2 };
/* madvise() leaves the shootdown to Linux' own flush. */
static const struct suite_protocol rides = { .shootdowns = 1 };
/* mprotect(): what Linux does later is not sure to be a flush. */
static const struct suite_protocol kicks = { .shootdowns = 1, .ept_kicks = 1 };

static const struct suite_op ops[] = {
	{ "page_fault", BY_LINUX, EVERYWHERE, FAULT_GROUP, NOT_FLAT, SUITE_BOTH(way_page_fault),
	  &rides },
	{ "mmap", BY_LINUX, SUITE_IN(LOCAL), 1, FLAT_LEAST, SUITE_BOTH(way_mmap), &silent },
	{ "tlb_flush", BY_LINUX, SUITE_IN(LOCAL) | SUITE_IN(NEIGHBOUR), 1, NOT_FLAT,
	  SUITE_BOTH(way_tlb_flush), &kicks },
	{ "futex", "none", EVERYWHERE, 1, FLAT, SUITE_BOTH(way_futex), &silent },
	{ "context_switch", "none", SUITE_IN(LOCAL), 1, FLAT_LEAST, SUITE_BOTH(way_switch),
	  &switches },
};

int main(int argc, char **argv)
{
	return suite_main(argc, argv,
		"Small loops of system calls by threads, in the manner of will-it-scale: what\n"
		"an EPT that follows adds to them. Parts: OPERATION-BY-WHERE; page_fault, mmap,\n"
		"tlb_flush by linux; futex, context_switch by none; local, neighbour, shared,\n"
		"runs_near, runs_far.", ops, sizeof(ops) / sizeof(*ops));
}
