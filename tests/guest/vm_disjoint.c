// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Threads that map and unmap 2 MiB each, side by side or far apart: an operation
 * takes as many instructions as if the thread were alone, within 5 %.
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
#define BLOCKS	41u

/* Addresses that Linux gives to nobody. */
#define FAR	0x100000000000ul

static char *heap;

static struct {
	unsigned long step;	/* from one thread's address to the next one's */
	unsigned int flags;	/* DUNE_VM_... */
	unsigned int nr;
	unsigned int ready;
	uint64_t median[THREADS];
} run;

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void map_and_unmap(void *addr)
{
	CHECK_EQ(dune_vm_map(NULL, addr, MIB2, heap, RW, run.flags), 0);
	*(volatile char *)addr = 1;
	CHECK_EQ(dune_vm_unmap(NULL, addr, MIB2), 0);
}

/* The median: in some blocks the host has an interrupt, or a thread waits for RCU. */
static void work(int index, void *arg)
{
	void *addr = (void *)(FAR + index * run.step);
	uint64_t block[BLOCKS];

	pin_to(index);
	map_and_unmap(addr);
	__atomic_add_fetch(&run.ready, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&run.ready, __ATOMIC_SEQ_CST) < run.nr)
		;
	for (unsigned int b = 0; b < BLOCKS; b++) {
		uint64_t t0 = emucount_read(EMUCOUNT_SELF, EMU_INSN);

		for (unsigned int i = 0; i < BLOCK; i++)
			map_and_unmap(addr);
		block[b] = emucount_read(EMUCOUNT_SELF, EMU_INSN) - t0;
	}
	qsort(block, BLOCKS, sizeof(*block), compare);
	run.median[index] = block[BLOCKS / 2] / BLOCK;
}

/* The worst thread's median. */
static uint64_t measure(unsigned int nr)
{
	uint64_t worst = 0;

	run.nr = nr;
	run.ready = 0;
	run_threads(nr, work, NULL);
	for (unsigned int i = 0; i < nr; i++)
		if (run.median[i] > worst)
			worst = run.median[i];
	return worst;
}

static void judge(const char *what)
{
	uint64_t alone = measure(1), together = measure(THREADS);

	printf("      %s: %llu instructions alone, %llu with %u threads\n", what,
	       (unsigned long long)alone, (unsigned long long)together, THREADS);
	CHECK_IN(together, 1, alone + alone / 20);
}

static void same_gib(void)
{
	run.step = MIB2;
	run.flags = 0;
	judge("2 MiB as one page, in one GiB");
	run.flags = DUNE_VM_4K;
	judge("2 MiB in pages of 4 KiB, in one GiB");
}

static void a_gib_each(void)
{
	run.step = GIB;
	run.flags = 0;
	judge("2 MiB as one page, a GiB each");
	run.flags = DUNE_VM_4K;
	judge("2 MiB in pages of 4 KiB, a GiB each");
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
