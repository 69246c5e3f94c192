// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Every MSR is denied that is not known to be the guest's own: all indices of
 * the bitmap and some beyond, read and written, from the guest's ring 0.
 */
#include "test.h"
#include "rawidt.h"

#include <stdio.h>

/* Passed through: part of the VMCS, or the thread's own on both sides. */
static const uint32_t passed[] = { 0xc0000100, 0xc0000101, 0xc0000102 };
/* Emulated, reading only: TSC, EFER. */
static const uint32_t read_only[] = { 0x10, 0xc0000080 };
static const uint32_t beyond[] = { 0x2000, 0x40000000, 0xbfffffff, 0xc0002000, ~0u };

enum { NO_FAULT, FAULT };

static struct rawidt tables;
static char stack[16384] __attribute__((aligned(16)));
volatile uint64_t msr_faults;	/* #GPs of the guest */
static uint32_t wrong_read[8], wrong_write[8];
static unsigned int nr_wrong_read, nr_wrong_write, nr_tried;

/* RDMSR and WRMSR have two bytes. */
asm(".globl msr_fault\n"
    "msr_fault: add $8, %rsp\n"
    "	addq $2, (%rsp)\n"
    "	incq msr_faults(%rip)\n"
    "	iretq\n");
extern char msr_fault[];

static bool in(uint32_t msr, const uint32_t *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == msr)
			return true;
	return false;
}
#define IN(msr, list) in(msr, list, sizeof(list) / sizeof(*list))

/* ---- guest code ---- */

static int try_read(uint32_t msr, uint64_t *value)
{
	uint64_t before = msr_faults;
	uint32_t lo = 0, hi = 0;

	asm volatile("rdmsr" : "+a"(lo), "+d"(hi) : "c"(msr) : "memory");
	*value = (uint64_t)hi << 32 | lo;
	return msr_faults == before ? NO_FAULT : FAULT;
}

static int try_write(uint32_t msr, uint64_t value)
{
	uint64_t before = msr_faults;

	asm volatile("wrmsr" : : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)),
		     "c"(msr) : "memory");
	return msr_faults == before ? NO_FAULT : FAULT;
}

static void try(uint32_t msr)
{
	int readable = IN(msr, passed) || IN(msr, read_only) ? NO_FAULT : FAULT;
	int writable = IN(msr, passed) ? NO_FAULT : FAULT;
	uint64_t value;

	nr_tried++;
	if (try_read(msr, &value) != readable && nr_wrong_read < 8)
		wrong_read[nr_wrong_read++] = msr;
	/* What is the guest's keeps its value; the others get what they lack. */
	if (try_write(msr, value) != writable && nr_wrong_write < 8)
		wrong_write[nr_wrong_write++] = msr;
}

static void try_all(void *unused)
{
	for (uint32_t i = 0; i < 0x2000; i++) {
		try(i);
		try(0xc0000000 + i);
	}
	for (size_t i = 0; i < sizeof(beyond) / sizeof(*beyond); i++)
		try(beyond[i]);
	raw_vmcall(DUNE_HC_EXIT, 0);
}

/* ---- outside ---- */

static void denied(void)
{
	struct rawvcpu vcpu;
	struct rawvm vm;
	uint64_t exits;
	long kind;

	rawvm_create(&vm);
	rawvcpu_create(&vm, &vcpu);
	rawidt_build(&tables, stack + sizeof(stack));
	rawidt_gate(&tables, 13, msr_fault);
	rawvcpu_start(&vm, &vcpu, try_all, &tables);
	rawidt_use(&tables, &vm, &vcpu);
	kind = rawvcpu_run(&vcpu, 0, 100000);
	exits = vcpu.page->counters[DUNE_VCPU_msr];
	printf("%u MSRs, %lu exits, %lu #GP\n", nr_tried, exits, msr_faults);
	CHECK_EQ(kind, DUNE_EXIT_HYPERCALL);
	CHECK_EQ(nr_tried, 2 * 0x2000 + 5);
	CHECK_EQ(exits, 2 * (nr_tried - 3));
	CHECK_EQ(msr_faults, 2 * (nr_tried - 3) - 2);
	for (unsigned int i = 0; i < nr_wrong_read; i++)
		FAIL("RDMSR of %#x", wrong_read[i]);
	for (unsigned int i = 0; i < nr_wrong_write; i++)
		FAIL("WRMSR of %#x", wrong_write[i]);
	rawvcpu_destroy(&vcpu);
	rawvm_destroy(&vm);
}

int main(int argc, char **argv)
{
	test_start_raw(argc, argv, (struct test_opts){ 0 });
	if (opt.native)
		SKIP("there is no native twin");
	test_part("denied", denied);
	return test_end();
}
