// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The operations: see conflicts.h. */
#include "test.h"

#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "conflicts.h"

#define PAGE 4096ul
#define MIB (1ul << 20)

static void hypercall(volatile char *place)
{
	unsigned long rax = DUNE_HC_NOP;

	asm volatile("vmcall" : "+a"(rax) : : "memory");
}

static void cpuid(volatile char *place)
{
	unsigned int a = 0, b, c = 0, d;

	asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
}

static void sys_getppid(volatile char *place)
{
	long rax = SYS_getppid;

	asm volatile("syscall" : "+a"(rax) : : "rcx", "r11", "memory");
}

/* None of those that the module makes itself: the thread makes it natively. */
static void sys_ioctl(volatile char *place)
{
	ioctl(-1, 0);
}

static void touch(volatile char *place)
{
	*place = 1;
}

/* Pages that the host has, writable and dirty. */
static void all_pages(char *area, uint64_t bytes)
{
	for (uint64_t i = 0; i < bytes; i += PAGE)
		area[i] = 1;
}

static void page_of_each_table(char *area, uint64_t bytes)
{
	for (uint64_t i = 0; i < bytes; i += 2 * MIB)
		area[i] = 1;
}

/* What a new thread does to the others. */
static __thread int new_fd;

static void new_vcpu(volatile char *place)
{
	struct dune_create_vcpu req = { .flags = 0 };

	new_fd = ioctl(dune_vm_fd(), DUNE_CREATE_VCPU, &req);
}

static void close_vcpu(void)
{
	if (new_fd < 0)
		FAIL("DUNE_CREATE_VCPU: %d", errno);
	close(new_fd);
}

const struct op ops[] = {
	/*
	 * First: the other side's vCPU is the younger one then, the neighbour
	 * in lists.
	 */
	{ "new_vcpu", new_vcpu, .after = close_vcpu, .counter = DUNE_VCPU_syscalls,
	  .in_linux = true, .of_vm = true },
	{ "hypercall", hypercall, .counter = DUNE_VCPU_hypercalls },
	{ "cpuid", cpuid, .counter = DUNE_VCPU_entries },
	{ "getppid", sys_getppid, .counter = DUNE_VCPU_fast_syscalls },
	{ "reissue", sys_ioctl, .counter = DUNE_VCPU_syscalls },
	/* The host has the page and the EPT its table. */
	{ "fault", touch, .step = PAGE, .populate = all_pages,
	  .counter = DUNE_VCPU_ept_faults },
	/* The host has the page, the EPT no table. */
	{ "table", touch, .step = 2 * MIB, .populate = page_of_each_table,
	  .counter = DUNE_VCPU_ept_faults },
	/* Nobody has the page: Linux' own fault is part of it. */
	{ "first_touch", touch, .step = PAGE, .counter = DUNE_VCPU_ept_faults,
	  .in_linux = true },
};
const int nr_ops = sizeof(ops) / sizeof(*ops);

const struct op *op_named(const char *name)
{
	for (int i = 0; i < nr_ops; i++)
		if (!strcmp(ops[i].name, name))
			return &ops[i];
	return NULL;
}
