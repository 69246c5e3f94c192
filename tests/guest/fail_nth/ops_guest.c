// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The guest's side: first entry, system calls made inside the kernel, EPT
 * faults of each kind. DUNE_RUN itself never fails for want of memory: the
 * access is refused (DUNE_EXIT_FAULT), and made again when there is some.
 */
#include "fail_nth.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#define MB2 (2ul << 20)
#define SIZE (2 * MB2)

struct rawvm vm;
struct rawvcpu vcpu;
static volatile char *memory;
static volatile uint64_t seen;
static int file = -1;

static void guest_nop(void *arg)
{
	*(volatile uint64_t *)arg += 1;
	raw_vmcall(DUNE_HC_EXIT, 0);
}

static void guest_read(void *arg)
{
	seen = *(volatile uint64_t *)arg + 1;
	raw_vmcall(DUNE_HC_EXIT, 0);
}

static void guest_write(void *arg)
{
	*(volatile uint64_t *)arg = 4711;
	raw_vmcall(DUNE_HC_EXIT, 0);
}

/* The page holds a RET. */
static void guest_execute(void *arg)
{
	((void (*)(void))arg)();
	seen = 1;
	raw_vmcall(DUNE_HC_EXIT, 0);
}

/* One call that copies from user memory: a fast one, if the kernel makes those. */
static void guest_pwrite(void *arg)
{
	uint64_t nr = 18;	/* pwrite64 */

	asm volatile("mov %4, %%r10; vmcall" : "+a"(nr)
		     : "D"((uint64_t)file), "S"(arg), "d"(8ul), "i"(0)
		     : "rcx", "r11", "r10", "memory");
	seen = nr;
	raw_vmcall(DUNE_HC_EXIT, 0);
}

void vm_make(void)
{
	rawvm_create(&vm);
	rawvcpu_create(&vm, &vcpu);
	rawvm_map(&vm, (void *)&seen);
	seen = 0;
}

void vm_end(void)
{
	rawvcpu_destroy(&vcpu);
	rawvm_destroy(&vm);
}

/* Until the guest ends; a refused access is repaired as libdune does it. */
static long run_to_end(void)
{
	long ret = DUNE_EXIT_RETRY;

	for (int i = 0; i < 2000; i++) {
		ret = raw_run(vcpu.fd, 0);
		if (ret == DUNE_EXIT_FAULT) {
			const struct dune_exit *e = &vcpu.page->exit;

			(void)*(volatile char *)e->addr;
			if (e->access & DUNE_ACCESS_WRITE)
				__atomic_fetch_add((char *)e->addr, 0,
						   __ATOMIC_RELAXED);
		} else if (ret != DUNE_EXIT_RETRY) {
			break;
		}
	}
	return ret;
}

long guest_call(void (*fn)(void *arg), void *arg)
{
	rawvcpu_start(&vm, &vcpu, fn, arg);
	return run_to_end();
}

static long ended(long ret)
{
	/* Anything else is none of this test's errnos. */
	return ret == DUNE_EXIT_HYPERCALL ? 0 : ret < 0 ? ret : -1000 - ret;
}

static void (*to_run)(void *arg);

static long run_guest(void)
{
	return ended(run_to_end());
}

static void start(void (*fn)(void *arg))
{
	vm_make();
	rawvcpu_start(&vm, &vcpu, fn, (void *)memory);
	to_run = fn;
}

static void map_memory(int flags, int fd, int prot)
{
	seen = 0;
	memory = mmap((void *)0x100000000000ul, SIZE, prot,
		      MAP_FIXED | flags, fd, 0);
	REQUIRE(memory != MAP_FAILED);
}

#define PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)
#define RWX (PROT_READ | PROT_WRITE | PROT_EXEC)

static void prepare_entry(void)
{
	map_memory(PRIVATE, -1, RWX);
	memory[0] = 1;
	start(guest_nop);
}

static void prepare_zero_page(void)
{
	map_memory(PRIVATE, -1, RWX);
	madvise((void *)memory, SIZE, MADV_NOHUGEPAGE);
	start(guest_read);
}

static void prepare_write(void)
{
	map_memory(PRIVATE, -1, RWX);
	madvise((void *)memory, SIZE, MADV_NOHUGEPAGE);
	start(guest_write);
}

static void prepare_huge(void)
{
	map_memory(PRIVATE, -1, RWX);
	madvise((void *)memory, SIZE, MADV_HUGEPAGE);
	start(guest_write);
}

static void prepare_cow(void)
{
	map_memory(PRIVATE, -1, RWX);
	madvise((void *)memory, SIZE, MADV_NOHUGEPAGE);
	start(guest_read);
	REQUIRE(run_to_end() == DUNE_EXIT_HYPERCALL);	/* the zero page is there */
	rawvcpu_start(&vm, &vcpu, guest_write, (void *)memory);
}

static void prepare_file(void)
{
	file = memfd_create("fail_nth", MFD_CLOEXEC);
	REQUIRE(file >= 0 && ftruncate(file, SIZE) == 0);
	map_memory(MAP_SHARED, file, RWX);
	start(guest_write);
}

static void prepare_file_private(void)
{
	static const uint64_t word = 1;

	file = memfd_create("fail_nth", MFD_CLOEXEC);
	REQUIRE(file >= 0 && ftruncate(file, SIZE) == 0);
	REQUIRE(pwrite(file, &word, 8, 0) == 8);
	map_memory(MAP_PRIVATE, file, RWX);
	start(guest_write);
}

static void prepare_execute(void)
{
	map_memory(PRIVATE, -1, RWX);
	madvise((void *)memory, SIZE, MADV_NOHUGEPAGE);
	memory[0] = (char)0xc3;
	start(guest_execute);
}

static void prepare_call(void)
{
	file = memfd_create("fail_nth", MFD_CLOEXEC);
	REQUIRE(file >= 0);
	map_memory(PRIVATE, -1, RWX);
	start(guest_pwrite);
	vcpu.page->run_flags = 0;
	vcpu.page->syscall_ip =
		(uint64_t)memmem((void *)(uintptr_t)raw_run, 64, "\x0f\x05", 2) + 2;
}

/* Made inside the kernel, or, where that is off, by this loop. */
static long run_call(void)
{
	long ret = run_to_end();

	if (ret == DUNE_EXIT_SYSCALL) {
		seen = -ENOSYS;
		return 0;
	}
	if (ended(ret))
		return ended(ret);
	return (long)seen < 0 ? (long)seen : 0;
}

static void check_read(long ret)
{
	if (ret >= 0)
		CHECK_EQ(seen, 1);
}

static void check_write(long ret)
{
	if (ret >= 0)
		CHECK_EQ(*(volatile uint64_t *)memory, 4711);
}

static void undo(long ret)
{
	vm_end();
	munmap((void *)memory, SIZE);
	if (file >= 0)
		close(file);
	file = -1;
	expect_alive(0, 0);
}

const struct op guest_ops[] = {
	{ "first entry", prepare_entry, run_guest, NULL, undo, { 0 }, 3 },
	{ "fault: read, zero page", prepare_zero_page, run_guest, check_read,
	  undo, { 0 }, 4 },
	{ "fault: write", prepare_write, run_guest, check_write, undo, { 0 }, 4 },
	{ "fault: write, huge page", prepare_huge, run_guest, check_write, undo,
	  { 0 }, 4 },
	{ "fault: copy on write", prepare_cow, run_guest, check_write, undo,
	  { 0 }, 1 },
	{ "fault: shared file", prepare_file, run_guest, check_write, undo,
	  { 0 }, 4 },
	{ "fault: private file", prepare_file_private, run_guest, check_write,
	  undo, { 0 }, 4 },
	{ "fault: execute", prepare_execute, run_guest, check_read, undo,
	  { 0 }, 3 },
	{ "system call", prepare_call, run_call, NULL, undo,
	  { EFAULT, ENOMEM, ENOSPC }, 3 },
};
const int nr_guest_ops = sizeof(guest_ops) / sizeof(*guest_ops);
