// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A buffer pool that replaces pages at random: a frame's page loses its address, the
 * frame gets another page's address, and is written to. By mremap(), natively and from
 * the guest, and in Dune mode by the program's page tables. A pool for each thread, or
 * one that all share; in the same order in each run.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "suite.h"

#define FRAMES		16
#define PAGES		64		/* that take turns in them */
#define MAX_POOLS	16
#define TAKEN		(-1)		/* its page is being replaced */

static struct pool {
	volatile char *base;		/* team_page(0) of who uses it */
	int page_of[FRAMES];		/* TAKEN or the page in this frame */
	char in_pool[PAGES];		/* or on its way there, or from there */
} pools[MAX_POOLS] __attribute__((aligned(4096)));
static pthread_mutex_t joining = PTHREAD_MUTEX_INITIALIZER;

/* Of the calling thread: its pool, its order, and what it replaces next. */
static __thread struct pool *pool;
static __thread uint32_t seed;
static __thread int frame, old_page, new_page;

static uint32_t next_random(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (uint64_t)seed * below >> 32;
}

/* In front are the frames; behind them those whose other ones the pages have. */
static char *address(int page)
{
	return suite_elsewhere(team_page(FRAMES + page));
}

/* ---- ways to give a frame an address ---- */

static void linux_fill(int frame, int page)
{
	char *at = address(page);

	MUST(sys_mmap_anon(at, PAGE, MAP_FIXED_NOREPLACE) == (long)at);
	touch(at);
}

static void linux_replace(volatile char *unused)
{
	char *at = address(new_page);

	MUST(mremap(address(old_page), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at);
	touch(at);
}

static void dune_fill(int frame, int page)
{
	char *at = address(page);

	MUST(dune_vm_map(NULL, at, PAGE, (void *)team_page(frame), DUNE_R | DUNE_W,
			 DUNE_VM_4K) == 0);
	touch(at);
}

static void dune_replace(volatile char *unused)
{
	dune_vm_unmap(NULL, address(old_page), PAGE);
	dune_fill(frame, new_page);
}

/* ---- the pool ---- */

/* Who comes first fills it. With SHARED all have the same pages. */
static void join_pool(int member, void (*fill)(int frame, int page))
{
	volatile char *base = team_page(0);
	struct pool *p = pools;

	pthread_mutex_lock(&joining);
	while (p->base && p->base != base)
		p++;
	MUST(p < pools + MAX_POOLS);
	/* Apart, all have the same order: they do the same work. */
	seed = p->base ? member : 1234;
	for (int i = 0; !p->base && i < FRAMES; i++) {
		fill(i, i);
		p->page_of[i] = i;
		p->in_pool[i] = 1;
	}
	p->base = base;
	pool = p;
	pthread_mutex_unlock(&joining);
}

static void join_linux_pool(int member)
{
	join_pool(member, linux_fill);
}

static void join_dune_pool(int member)
{
	join_pool(member, dune_fill);
}

/* What the last operation has replaced is there for all again; choose anew. */
static void choose(volatile char *unused)
{
	if (new_page != old_page) {
		__atomic_store_n(&pool->in_pool[old_page], 0, __ATOMIC_RELEASE);
		__atomic_store_n(&pool->page_of[frame], new_page, __ATOMIC_RELEASE);
	}
	do {
		frame = next_random(FRAMES);
		old_page = __atomic_exchange_n(&pool->page_of[frame], TAKEN, __ATOMIC_ACQ_REL);
	} while (old_page == TAKEN);
	do {
		new_page = next_random(PAGES);
	} while (__atomic_exchange_n(&pool->in_pool[new_page], 1, __ATOMIC_ACQ_REL));
	/* Of the area, prepared anew for each round: there, in both levels. */
	touch(team_page(frame));
}

static const struct suite_way by_linux = {
	.begin = join_linux_pool, .before = choose, .op = linux_replace,
};
static const struct suite_way by_dune = {
	.setup = suite_clear_elsewhere, .begin = join_dune_pool, .before = choose,
	.op = dune_replace, .near = suite_near_elsewhere,
};

/* mremap() frees nothing after its flush, but others use the page at once. */
static const struct suite_protocol moved = { .shootdowns = 1, .ept_kicks = 1 };
/* dune_vm_unmap() tells the others; dune_vm_map() adds, and tells nobody. */
static const struct suite_protocol replaced = { .guest_kicks = 1 };

static const struct suite_op ops[] = {
	{ "replace", BY_LINUX, SUITE_IN(LOCAL) | SUITE_IN(NEIGHBOUR) | SUITE_IN(SHARED), 1,
	  NOT_FLAT, SUITE_BOTH(by_linux), &moved },
	{ "replace", BY_DUNE, SUITE_IN(APART) | SUITE_IN(NEIGHBOUR) | SUITE_IN(SHARED), 1,
	  FLAT, { [NATIVE] = &by_linux, [DUNE] = &by_dune }, &replaced },
};

int main(int argc, char **argv)
{
	return suite_main(argc, argv,
		"A buffer pool's random page replacement by threads: by mremap() and by the\n"
		"program's own page tables. Parts: replace-BY-WHERE; linux, dune; apart, local,\n"
		"neighbour, shared (one pool), runs_near, runs_far.", ops,
		sizeof(ops) / sizeof(*ops));
}
