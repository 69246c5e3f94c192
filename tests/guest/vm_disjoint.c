// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Threads that map 2 MiB each, side by side or far apart: that takes as many
 * instructions as if the thread were alone, within 5 %. Unmapping does so when
 * each has a GiB of its own; in one GiB they interrupt each other.
 */
#include "test.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "emucount.h"

#define MIB2	(2ul << 20)
#define GIB	(1ul << 30)
#define RW	(DUNE_R | DUNE_W)
#define THREADS	4u
#define BLOCK	16u	/* operations that are counted at once */
#define BLOCKS	21u

/* Addresses that Linux gives to nobody. */
#define FAR	0x100000000000ul

static char *heap;

static struct {
	unsigned long near, far;	/* from one thread to the next, to its own next */
	unsigned int flags;		/* DUNE_VM_... */
	unsigned int nr, arrived;
	uint64_t map[THREADS], both[THREADS];
} run;

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* In the guest: nobody leaves it for this. */
static void meet(unsigned int *times)
{
	unsigned int all = ++*times * run.nr;

	__atomic_add_fetch(&run.arrived, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&run.arrived, __ATOMIC_SEQ_CST) < all)
		;
}

static void map_block(int index, int *err)
{
	for (unsigned int i = 0; i < BLOCK; i++)
		*err |= dune_vm_map(NULL, (void *)(FAR + index * run.near + i * run.far), MIB2,
				    heap, RW, run.flags);
}

static void unmap_block(int index, int *err)
{
	for (unsigned int i = 0; i < BLOCK; i++) {
		char *p = (void *)(FAR + index * run.near + i * run.far);

		*(volatile char *)p = 1;
		*err |= dune_vm_unmap(NULL, p, MIB2);
	}
}

/* Medians: in some blocks Linux has an interrupt, or a thread waits for RCU. */
static void work(int index, void *arg)
{
	uint64_t map[BLOCKS], both[BLOCKS];
	unsigned int times = 0;
	int err = 0;

	pin_to(index);
	for (unsigned int b = 0; b < BLOCKS; b++) {
		uint64_t t0, t1;

		meet(&times);
		t0 = emucount_read(EMUCOUNT_SELF, EMU_INSN);
		map_block(index, &err);
		map[b] = emucount_read(EMUCOUNT_SELF, EMU_INSN) - t0;
		meet(&times);
		t1 = emucount_read(EMUCOUNT_SELF, EMU_INSN);
		unmap_block(index, &err);
		both[b] = map[b] + emucount_read(EMUCOUNT_SELF, EMU_INSN) - t1;
	}
	CHECK_EQ(err, 0);
	qsort(map, BLOCKS, sizeof(*map), compare);
	qsort(both, BLOCKS, sizeof(*both), compare);
	run.map[index] = map[BLOCKS / 2] / BLOCK;
	run.both[index] = both[BLOCKS / 2] / BLOCK;
}

static uint64_t worst(const uint64_t *median, unsigned int nr)
{
	uint64_t most = 0;

	for (unsigned int i = 0; i < nr; i++)
		if (median[i] > most)
			most = median[i];
	return most;
}

static void report(const char *what, uint64_t alone, uint64_t together, bool limit)
{
	printf("      %s: %llu instructions alone, %llu with %u threads\n", what,
	       (unsigned long long)alone, (unsigned long long)together, THREADS);
	if (limit)
		CHECK_IN(together, 1, alone + alone / 20);
}

static void measure(unsigned int nr)
{
	run.nr = nr;
	run.arrived = 0;
	run_threads(nr, work, NULL);
}

static void judge(unsigned int flags, const char *what)
{
	uint64_t map, both;
	char name[80];

	run.flags = flags;
	measure(1);
	map = run.map[0];
	both = run.both[0];
	measure(THREADS);
	snprintf(name, sizeof(name), "map 2 MiB %s", what);
	report(name, map, worst(run.map, THREADS), true);
	snprintf(name, sizeof(name), "map, write and unmap 2 MiB %s", what);
	report(name, both, worst(run.both, THREADS), run.near >= GIB);
}

static void same_gib(void)
{
	run.near = MIB2;
	run.far = THREADS * MIB2;
	judge(0, "as one page");
	judge(DUNE_VM_4K, "in pages of 4 KiB");
}

static void a_gib_each(void)
{
	run.near = GIB;
	run.far = MIB2;
	judge(0, "as one page");
	judge(DUNE_VM_4K, "in pages of 4 KiB");
}

int main(int argc, char **argv)
{
	char *p;

	test_start(argc, argv, (struct test_opts){ .rounds = 1 });
	if (opt.native)
		SKIP("there is nothing to measure natively");
	if (!emucount_available())
		SKIP("this machine does not count instructions");
	if (nr_cpus() < (int)THREADS)
		SKIP("needs 4 CPUs");
	p = mmap(NULL, 2 * MIB2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(p != MAP_FAILED);
	heap = (char *)(((uintptr_t)p + MIB2 - 1) & ~(MIB2 - 1));
	for (unsigned long i = 0; i < MIB2; i += 4096)
		heap[i] = 1;
	CHECK_EQ(dune_vm_unmap(NULL, (void *)FAR, THREADS * GIB), 0);
	test_part("same_gib", same_gib);
	test_part("a_gib_each", a_gib_each);
	return test_end();
}
