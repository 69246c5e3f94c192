// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "probe.h"

#include "test.h"

static __thread uint64_t faults, fault_addr;

/*
 * One instruction each that may fault, between two labels; the handler goes on at
 * probe_faulted with the error code. rdi: address, rsi: value.
 */
long probe_read_asm(const volatile void *p, uint64_t *value);
long probe_write_asm(volatile void *p, uint64_t value);
long probe_call_asm(void *fn);
extern const char probe_begin[], probe_end[], probe_faulted[], probe_called[];

asm(".text\n"
    "probe_begin:\n"
    "probe_read_asm:\n"
    "	mov	(%rdi), %rdx\n"
    "	mov	%rdx, (%rsi)\n"
    "	mov	$-1, %rax\n"
    "	ret\n"
    "probe_write_asm:\n"
    "	mov	%rsi, (%rdi)\n"
    "	mov	$-1, %rax\n"
    "	ret\n"
    "probe_call_asm:\n"
    "	push	%rbx\n"
    "	mov	%rsp, %rbx\n"
    "	call	*%rdi\n"
    "	pop	%rbx\n"
    "	mov	$-1, %rax\n"
    "	ret\n"
    /* The call's return address is on the stack, or is not: rbx knows. */
    "probe_called:\n"
    "	mov	%rbx, %rsp\n"
    "	pop	%rbx\n"
    "probe_faulted:\n"
    "	ret\n"
    "probe_end:\n");

static __thread void *callee;

static DUNE_TRAP_FAST_FN enum dune_trap_action on_fault(struct dune_trap *trap, void *arg)
{
	bool fetch = callee && trap->rip == (uint64_t)callee;

	if (!fetch && (trap->rip < (uint64_t)probe_begin || trap->rip >= (uint64_t)probe_end))
		return DUNE_TRAP_DELIVER;
	faults++;
	fault_addr = trap->fault_addr;
	trap->rax = trap->error_code;
	trap->rip = (uint64_t)(fetch ? probe_called : probe_faulted);
	return DUNE_TRAP_RESUME;
}

void probe_start(void)
{
	REQUIRE(dune_trap_register(DUNE_VECTOR_PF, on_fault, NULL, DUNE_TRAP_FAST) == 0);
}

int probe_read(const volatile void *p, uint64_t *value)
{
	uint64_t unused;

	return probe_read_asm(p, value ? value : &unused);
}

int probe_write(volatile void *p, uint64_t value)
{
	return probe_write_asm(p, value);
}

int probe_call(void *fn)
{
	int error;

	callee = fn;
	error = probe_call_asm(fn);
	callee = NULL;
	return error;
}

uint64_t probe_faults(void)
{
	return faults;
}

uint64_t probe_fault_addr(void)
{
	return fault_addr;
}
