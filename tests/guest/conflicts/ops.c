// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Operations of the module: exits, faults, a new vCPU. See conflicts.h. */
#include "test.h"

#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "conflicts.h"

static void hypercall(volatile char *place)
{
	unsigned long rax = DUNE_HC_NOP;

	asm volatile("vmcall" : "+a"(rax) : : "memory");
}

static uint64_t hypercalls(void)
{
	return vcpu_stat(DUNE_VCPU_hypercalls);
}

static void cpuid(volatile char *place)
{
	unsigned int a = 0, b, c = 0, d;

	asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
}

static uint64_t entries(void)
{
	return vcpu_stat(DUNE_VCPU_entries);
}

static void sys_getppid(volatile char *place)
{
	long rax = SYS_getppid;

	asm volatile("syscall" : "+a"(rax) : : "rcx", "r11", "memory");
}

static uint64_t fast_syscalls(void)
{
	return vcpu_stat(DUNE_VCPU_fast_syscalls);
}

/* None of those that the module makes itself: the thread makes it natively. */
static void sys_ioctl(volatile char *place)
{
	ioctl(-1, 0);
}

static uint64_t syscalls(void)
{
	return vcpu_stat(DUNE_VCPU_syscalls);
}

static void touch(volatile char *place)
{
	*place = 1;
}

static uint64_t ept_faults(void)
{
	return vcpu_stat(DUNE_VCPU_ept_faults);
}

void all_pages(char *area, uint64_t bytes)
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

static void close_vcpu(volatile char *place)
{
	if (new_fd < 0)
		FAIL("DUNE_CREATE_VCPU: %d", errno);
	close(new_fd);
}

const struct op module_ops[] = {
	/*
	 * First: the other side's vCPU is the younger one then, the neighbour
	 * in lists.
	 */
	{ "new_vcpu", new_vcpu, .after = close_vcpu, .done = syscalls,
	  .shares = OF_LINUX | OF_VM },
	{ "hypercall", hypercall, .done = hypercalls, .shares = STAYS_INSIDE },
	{ "cpuid", cpuid, .done = entries, .shares = STAYS_INSIDE },
	{ "getppid", sys_getppid, .done = fast_syscalls, .shares = STAYS_INSIDE },
	{ "reissue", sys_ioctl, .done = syscalls },
	/* The host has the page and the EPT its table. */
	{ "fault", touch, .step = PAGE, .populate = all_pages, .done = ept_faults },
	/* The host has the page, the EPT no table. */
	{ "table", touch, .step = 2 * MIB, .populate = page_of_each_table,
	  .done = ept_faults, .shares = MANY_BUCKETS },
	/* Nobody has the page: Linux' own fault is part of it. */
	{ "first_touch", touch, .step = PAGE, .done = ept_faults, .shares = OF_LINUX },
};
const int nr_module_ops = sizeof(module_ops) / sizeof(*module_ops);
