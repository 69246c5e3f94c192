// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The mm's side: calls that change mappings below a guest, so that the mmu
 * notifier runs with memory failing around it. Whether the call succeeds or
 * not, the guest sees afterwards what Linux says.
 */
#include "fail_nth.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define MB2 (2ul << 20)
#define SIZE (2 * MB2)
#define BASE 0x100000000000ul
#define AT (BASE + 8192)	/* in the middle: the mapping is split */
#define MOVED (BASE + 4 * MB2)
#define VALUE 4711

static volatile uint64_t seen;

static void guest_read(void *arg)
{
	seen = *(volatile uint64_t *)arg;
	raw_vmcall(DUNE_HC_EXIT, 0);
}

static void guest_write(void *arg)
{
	*(volatile uint64_t *)arg = VALUE;
	raw_vmcall(DUNE_HC_EXIT, 0);
}

/* How an access of the guest ends: HYPERCALL, or FAULT where it is refused. */
static long access_of(void (*fn)(void *arg), uint64_t addr)
{
	rawvcpu_start(&vm, &vcpu, fn, (void *)addr);
	return rawvcpu_run(&vcpu, 0, 1000);
}

static void expect_value(uint64_t addr, uint64_t value)
{
	CHECK_EQ(access_of(guest_read, addr), DUNE_EXIT_HYPERCALL);
	CHECK_EQ(seen, value);
}

static void expect_refused(void (*fn)(void *arg), uint64_t addr)
{
	CHECK_EQ(access_of(fn, addr), DUNE_EXIT_FAULT);
	CHECK_EQ(vcpu.page->exit.addr, addr);
}

static void make_leaves(int advice)
{
	void *p = mmap((void *)BASE, SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	REQUIRE(p == (void *)BASE);
	madvise(p, SIZE, advice);
	vm_make();
	rawvm_map(&vm, (void *)&seen);
	/* Four neighbours: what is not touched below stays. */
	for (uint64_t a = BASE; a < BASE + 4 * 4096; a += 4096)
		REQUIRE(access_of(guest_write, a) == DUNE_EXIT_HYPERCALL);
}

static void small_leaves(void)
{
	make_leaves(MADV_NOHUGEPAGE);
}

static void huge_leaf(void)
{
	make_leaves(MADV_HUGEPAGE);
}

static void undo(long ret)
{
	expect_value(BASE, VALUE);
	vm_end();
	munmap((void *)BASE, SIZE + 4 * MB2);
	expect_alive(0, 0);
}

static long result(long ret)
{
	return ret < 0 ? -errno : ret;
}

static long run_munmap(void)
{
	return result(munmap((void *)AT, 4096));
}

static void check_munmap(long ret)
{
	if (ret < 0)
		expect_value(AT, VALUE);
	else
		expect_refused(guest_read, AT);
}

static long run_mprotect(void)
{
	return result(mprotect((void *)AT, 4096, PROT_READ));
}

static void check_mprotect(long ret)
{
	expect_value(AT, VALUE);
	if (ret < 0)
		CHECK_EQ(access_of(guest_write, AT), DUNE_EXIT_HYPERCALL);
	else
		expect_refused(guest_write, AT);
}

static long run_mremap(void)
{
	void *p = mremap((void *)AT, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED,
			 (void *)MOVED);

	return p == MAP_FAILED ? -errno : 0;
}

/*
 * Without memory to split the old mapping Linux moves the page and leaves an
 * empty place mapped.
 */
static void check_mremap(long ret)
{
	unsigned char vec;

	if (ret < 0) {
		expect_value(AT, VALUE);
		return;
	}
	if (mincore((void *)AT, 4096, &vec))
		expect_refused(guest_read, AT);
	else
		expect_value(AT, 0);
	expect_value(MOVED, VALUE);
}

static long run_dontneed(void)
{
	return result(madvise((void *)AT, 4096, MADV_DONTNEED));
}

static void check_dontneed(long ret)
{
	expect_value(AT, ret < 0 ? VALUE : 0);
}

/* Over what is there: the old page goes, a new one comes. */
static long run_map_over(void)
{
	void *p = mmap((void *)AT, 4096, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	return p == MAP_FAILED ? -errno : 0;
}

/* A failed one may have unmapped already: Linux says which. */
static void check_map_over(long ret)
{
	unsigned char vec;

	if (ret >= 0)
		expect_value(AT, 0);
	else if (mincore((void *)AT, 4096, &vec))
		expect_refused(guest_read, AT);
	else
		expect_value(AT, VALUE);
}

static long run_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return result(pid);
}

static void check_fork(long ret)
{
	int status;

	if (ret > 0) {
		CHECK_EQ(waitpid(ret, &status, 0), ret);
		CHECK_EQ(status, 0);
	}
	expect_value(AT, VALUE);
	CHECK_EQ(access_of(guest_write, AT), DUNE_EXIT_HYPERCALL);
}

const struct op mm_ops[] = {
	{ "munmap", small_leaves, run_munmap, check_munmap, undo, { ENOMEM }, 1 },
	{ "munmap in a huge page", huge_leaf, run_munmap, check_munmap, undo,
	  { ENOMEM }, 1 },
	{ "mprotect", small_leaves, run_mprotect, check_mprotect, undo,
	  { ENOMEM }, 1 },
	{ "mremap", small_leaves, run_mremap, check_mremap, undo, { ENOMEM }, 1 },
	{ "madvise(DONTNEED)", small_leaves, run_dontneed, check_dontneed, undo,
	  { ENOMEM }, 0 },
	{ "mmap over", small_leaves, run_map_over, check_map_over, undo,
	  { ENOMEM }, 1 },
	{ "fork", small_leaves, run_fork, check_fork, undo,
	  { ENOMEM, EAGAIN, EFAULT }, 10 },
};
const int nr_mm_ops = sizeof(mm_ops) / sizeof(*mm_ops);
