// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Threads on soft vCPUs change mappings of two roots and use them, at once; they
 * leave and enter the guest, poll, switch roots, die and are born.
 *
 *	vm_stress_test [--seconds N] [--threads N] [--seed N]
 *
 * A cell is a page of some size in a root. One thread changes it, and writes into
 * its state: that it is changing, then what it is. Who finds the same unchanging
 * state before and after an access knows what the access must have done: no call
 * is under way, so nobody may have an older translation.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "hw.h"
#include "soft.h"

#define PAGE		4096ull
#define MIB2		(2ull << 20)
#define GIB		(1ull << 30)
#define ALL		(DUNE_R | DUNE_W | DUNE_X | DUNE_U)

#define BASE		0x100000000000ull
#define NR_SMALL	48u	/* 4 KiB, side by side: one page table */
#define NR_LARGE	8u	/* 2 MiB, in one region */
#define NR_GIANT	3u
#define NR_CELLS	(NR_SMALL + NR_LARGE + NR_GIANT)
#define NR_ROOTS	2u
#define MAX_THREADS	16u

/* cell.state: a count, odd while it changes; else mem | rights above */
#define STATE_CHANGING	1ull
#define STATE_STEP	2ull
#define STATE_COUNT	0xfffffull
#define STATE_MAPPED	(1ull << 20)
#define STATE_PROT(s)	((s) >> 21 & 15)
#define STATE_MEM(s)	((s) >> 25)	/* variant: how far off the memory is */

struct cell {
	struct dune_root *root;
	uint64_t addr, len;
	uint64_t state;
} __attribute__((aligned(64)));

static struct cell cells[NR_ROOTS][NR_CELLS];
static struct dune_root *roots[NR_ROOTS];
static unsigned int nr_threads = 4;
static int seconds = 4;
static uint64_t first_seed = 1;
static volatile bool over;
static struct { uint64_t accesses, judged, changes, births, switches; } done;

static __thread uint64_t seed;
static __thread unsigned int active;	/* root */

static uint64_t rnd(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed >> 16) % n;
}

#define count(what)	__atomic_fetch_add(&done.what, 1, __ATOMIC_RELAXED)

static uint64_t mem_of(const struct cell *cell, uint64_t variant)
{
	return cell->addr + variant * 64 * GIB;
}

static uint64_t make_state(uint64_t old, bool mapped, uint64_t variant, unsigned int prot)
{
	return ((old + STATE_STEP) & STATE_COUNT) | (mapped ? STATE_MAPPED : 0) |
	       (uint64_t)prot << 21 | variant << 25;
}

/* --- using --- */

static bool may(uint64_t state, enum soft_access how)
{
	static const unsigned int right[] = {
		[SOFT_READ] = DUNE_R, [SOFT_WRITE] = DUNE_W, [SOFT_FETCH] = DUNE_X,
		[SOFT_USER_READ] = DUNE_R | DUNE_U,
	};

	return (state & STATE_MAPPED) && (STATE_PROT(state) & right[how]) == right[how];
}

static void judge(const struct cell *cell, uint64_t state, uint64_t addr,
		  enum soft_access how, uint64_t found)
{
	uint64_t mem = mem_of(cell, STATE_MEM(state)) + (addr - cell->addr);
	uint64_t wanted = may(state, how) ? soft_gpa((void *)mem) : SOFT_FAULT;

	count(judged);
	if (found != wanted)
		check_fail("access %d at %#llx finds %#llx, not %#llx (state %#llx)", how,
			   (unsigned long long)addr, (unsigned long long)found,
			   (unsigned long long)wanted, (unsigned long long)state);
}

static void use(void)
{
	struct cell *cell = &cells[active][rnd(NR_CELLS)];
	uint64_t addr = cell->addr + rnd(cell->len / PAGE) * PAGE + rnd(PAGE);
	enum soft_access how = rnd(SOFT_USER_READ + 1);
	uint64_t before, after, found;

	/* Pages that many use: only those are cached when they change. */
	if (cell->len > PAGE && rnd(4))
		addr = cell->addr + rnd(4) * PAGE;
	before = __atomic_load_n(&cell->state, __ATOMIC_ACQUIRE);
	found = soft_access(addr, how);
	after = __atomic_load_n(&cell->state, __ATOMIC_ACQUIRE);
	count(accesses);
	if (before == after && !(before & STATE_CHANGING))
		judge(cell, before, addr, how, found);
}

/* --- changing --- */

static unsigned int some_prot(void)
{
	static const unsigned int prots[] = {
		0, DUNE_R, DUNE_R | DUNE_W, ALL, ALL & ~DUNE_U, DUNE_R | DUNE_X,
	};

	return prots[rnd(6)];
}

static void expect(int ret, int wanted, const char *what)
{
	if (ret != wanted)
		check_fail("%s: %d, not %d", what, ret, wanted);
}

static uint64_t sizes(struct cell *cell, uint64_t old)
{
	void *addr = (void *)cell->addr;

	if (rnd(2))
		expect(dune_vm_split(cell->root, addr, cell->len == GIB ? MIB2 : cell->len, PAGE),
		       0, "split");
	if (rnd(2))
		expect(dune_vm_merge(cell->root, addr, cell->len, cell->len == GIB ? GIB : MIB2),
		       0, "merge");
	return make_state(old, old & STATE_MAPPED, STATE_MEM(old), STATE_PROT(old));
}

static uint64_t remap(struct cell *cell, uint64_t old)
{
	uint64_t variant = rnd(3);
	unsigned int prot = some_prot();
	int ret;

	if (old & STATE_MAPPED) {
		expect(dune_vm_map(cell->root, (void *)cell->addr, cell->len, (void *)cell->addr,
				   ALL, 0), -EEXIST, "map over");
		expect(dune_vm_unmap(cell->root, (void *)cell->addr, cell->len), 0, "unmap");
		if (rnd(2))
			return make_state(old, false, 0, 0);
	}
	ret = dune_vm_map(cell->root, (void *)cell->addr, cell->len,
			  (void *)mem_of(cell, variant), prot,
			  cell->len < GIB && rnd(2) ? DUNE_VM_4K : 0);
	expect(ret, 0, "map");
	return make_state(old, true, variant, prot);
}

static uint64_t protect(struct cell *cell, uint64_t old)
{
	unsigned int prot = some_prot();

	expect(dune_vm_protect(cell->root, (void *)cell->addr, cell->len, prot), 0, "protect");
	return make_state(old, old & STATE_MAPPED, STATE_MEM(old), prot);
}

static void change_one(struct cell *cell, uint64_t *next)
{
	uint64_t old = cell->state;

	__atomic_store_n(&cell->state, old | STATE_CHANGING, __ATOMIC_SEQ_CST);
	switch (rnd(4)) {
	case 0:
		*next = remap(cell, old);
		break;
	case 1:
		*next = sizes(cell, old);
		break;
	default:
		*next = protect(cell, old);
	}
	count(changes);
}

static struct cell *my_cell(unsigned int self)
{
	unsigned int i;

	do
		i = rnd(NR_CELLS);
	while (i % nr_threads != self);
	return &cells[rnd(NR_ROOTS)][i];
}

static void change(unsigned int self)
{
	struct cell *batch[3];
	uint64_t next[3];
	unsigned int n = rnd(4) ? 1 : 3, i, j;

	if (n > 1)
		expect(dune_vm_batch_begin(), 0, "batch");
	for (i = 0; i < n; i++) {
		batch[i] = my_cell(self);
		for (j = 0; j < i; j++)
			if (batch[j] == batch[i])
				break;
		if (j < i)
			break;
		change_one(batch[i], &next[i]);
	}
	if (n > 1)
		expect(dune_vm_batch_end(), 0, "batch end");
	for (j = 0; j < i; j++)
		__atomic_store_n(&batch[j]->state, next[j], __ATOMIC_RELEASE);
}

/* --- living --- */

static void switch_root(void)
{
	unsigned int next = rnd(NR_ROOTS);

	expect(dune_root_switch(roots[next]), 0, "switch");
	active = next;
	count(switches);
}

static void poll_a_while(void)
{
	dune_vm_poll_begin();
	for (uint64_t i = rnd(40); i; i--) {
		use();
		if (rnd(3) == 0)
			dune_vm_poll();
	}
	if (rnd(4) == 0)
		hw_yield();
	dune_vm_poll_end();
}

static void outside(unsigned int self)
{
	soft_leave();
	if (rnd(2))
		sched_yield();
	if (rnd(2))
		change(self);
	soft_enter();
}

static void reborn(void)
{
	expect(dune_root_switch(NULL), 0, "switch");
	soft_leave();
	soft_end();
	soft_begin();
	soft_enter();
	active = 0;
	count(births);
}

static void *live(void *arg)
{
	unsigned int self = (uintptr_t)arg;

	seed = (first_seed * 1000 + self + 1) * 0x9e3779b97f4a7c15ull;
	active = 0;
	soft_begin();
	soft_enter();
	while (!over && !check_failed()) {
		uint64_t what = rnd(400);

		if (what < 40)
			change(self);
		else if (what < 44)
			switch_root();
		else if (what < 48)
			poll_a_while();
		else if (what < 54)
			outside(self);
		else if (what == 54)
			reborn();
		else
			use();
	}
	soft_leave();
	soft_end();
	return NULL;
}

/* Every second cell is in the PDPT that views have in common. */
static void cells_init(unsigned int r)
{
	for (unsigned int i = 0; i < NR_CELLS; i++) {
		struct cell *cell = &cells[r][i];
		uint64_t base = i % 2 ? SOFT_PROGRAM : BASE;

		cell->root = roots[r];
		if (i < NR_SMALL) {
			cell->len = PAGE;
			cell->addr = base + 7 * MIB2 + i * PAGE;
		} else if (i < NR_SMALL + NR_LARGE) {
			cell->len = MIB2;
			cell->addr = base + GIB + (i - NR_SMALL) * MIB2;
		} else {
			cell->len = GIB;
			cell->addr = base + (3 + i - NR_SMALL - NR_LARGE) * GIB;
		}
		cell->state = make_state(0, true, 0, ALL);
	}
}

static void on_alarm(int sig)
{
	(void)sig;
	if (write(1, "FAIL: a thread waits for ever\n", 30)) {}
	_exit(1);
}

static void nobody_has_an_old_translation(void)
{
	pthread_t threads[MAX_THREADS];

	signal(SIGALRM, on_alarm);
	alarm(60 + seconds * 4);
	for (unsigned int i = 0; i < nr_threads; i++)
		pthread_create(&threads[i], NULL, live, (void *)(uintptr_t)i);
	for (int i = 0; i < seconds * 10 && !check_failed(); i++)
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	over = true;
	for (unsigned int i = 0; i < nr_threads; i++)
		pthread_join(threads[i], NULL);
	CHECK(done.judged > 1000);
}

static void options(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--seconds"))
			seconds = atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--threads"))
			nr_threads = atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--seed"))
			first_seed = atoll(argv[i + 1]);
	}
	if (nr_threads < 1 || nr_threads > MAX_THREADS)
		exit(2);
}

int main(int argc, char **argv)
{
	options(argc, argv);
	soft_init(first_seed % 2 ? DUNE_CAP_INVPCID : 0);
	soft_begin();
	roots[0] = dune_root_default();
	if (dune_root_create(&roots[1]))
		return 1;
	for (unsigned int r = 0; r < NR_ROOTS; r++)
		cells_init(r);
	CASE(nobody_has_an_old_translation);
	printf("# seed %llu: %llu accesses, %llu judged, %llu changes, %llu births, %llu switches, %llu kicks, %llu flushes, %llu fills, %llu spurious\n",
	       (unsigned long long)first_seed, (unsigned long long)done.accesses,
	       (unsigned long long)done.judged, (unsigned long long)done.changes,
	       (unsigned long long)done.births, (unsigned long long)done.switches,
	       (unsigned long long)soft_counts.kicks, (unsigned long long)soft_counts.flushes,
	       (unsigned long long)soft_counts.fills, (unsigned long long)soft_counts.spurious);
	CHECK_EQ(dune_root_free(roots[1]), 0);
	soft_end();
	return CHECK_EXIT();
}
