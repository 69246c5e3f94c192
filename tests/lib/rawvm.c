// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "rawvm.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "check.h"

#define STACK_SIZE 65536
#define PTE_TABLE 0x27ull		/* present, writable, user, accessed */
#define PTE_1G 0xe7ull			/* and dirty, large */

static void *pages(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	REQUIRE(p != MAP_FAILED);
	return p;
}

/*
 * r12 holds the stack pointer over the call: with r14, r15 and rip it is what
 * a system call exit without DUNE_RUN_RECORD leaves alone.
 */
long raw_run(int fd, uint64_t result);
asm(".text\n"
    ".globl raw_run\n"
    ".type raw_run, @function\n"
    "raw_run:\n"
    "	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "	mov %rsp, %r12\n"
    "	mov %rsi, %rdx\n"
    "	mov $0xd510, %esi\n"	/* DUNE_RUN */
    "	mov $16, %eax\n"	/* SYS_ioctl */
    "	syscall\n"
    "	mov %r12, %rsp\n"
    "	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "	ret\n"
    ".size raw_run, . - raw_run\n");
_Static_assert(DUNE_RUN == 0xd510, "raw_run() has the number");

/* Offsets in struct rawlive: fd 0, sp 8, one_call 16. */
asm(".text\n"
    ".globl raw_live, raw_live_ip\n"
    ".type raw_live, @function\n"
    "raw_live:\n"
    "	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "	push %rsi\n"
    "	mov %rdi, %r12\n"
    "	mov %rsp, 8(%r12)\n"
    "	mov (%rsi), %r14\n"
    "1:	mov (%r12), %rdi\n"
    "	mov %r14, %rdx\n"
    "	mov $0xd510, %esi\n"	/* DUNE_RUN */
    "	mov $16, %eax\n"	/* SYS_ioctl */
    "	syscall\n"
    "	cmp $1, %rax\n"	/* DUNE_EXIT_RETRY */
    "	je 1b\n"
    "	test %rax, %rax\n"	/* DUNE_EXIT_SYSCALL */
    "	jnz 2f\n"
    "	mov %rbx, %rax\n"
    "	syscall\n"
    "raw_live_ip:\n"
    "	mov %rax, %r14\n"
    "	cmpq $0, 16(%r12)\n"
    "	je 1b\n"
    "	mov $1000, %eax\n"	/* RAWLIVE_CALLED */
    "2:	mov 8(%r12), %rsp\n"
    "	pop %rsi\n"
    "	mov %r14, (%rsi)\n"
    "	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "	ret\n"
    ".size raw_live, . - raw_live\n");
_Static_assert(DUNE_EXIT_RETRY == 1 && DUNE_EXIT_SYSCALL == 0 &&
	       RAWLIVE_CALLED == 1000, "raw_live() has the numbers");

long rawvcpu_run(struct rawvcpu *vcpu, uint64_t result, int limit)
{
	long ret;

	do {
		ret = raw_run(vcpu->fd, result);
	} while (ret == DUNE_EXIT_RETRY && --limit > 0);
	return ret;
}

void rawvm_create(struct rawvm *vm)
{
	struct dune_create_vm create = { 0 };

	memset(vm, 0, sizeof(*vm));
	vm->fd = open(DUNE_DEVICE_PATH, O_RDWR | O_CLOEXEC);
	REQUIRE(vm->fd >= 0);
	REQUIRE(ioctl(vm->fd, DUNE_CREATE_VM, &create) == 0);
	vm->syscall_entry = create.syscall_entry;
	vm->pml4 = pages(4096);
	for (int i = 0; i < 4; i++)
		vm->pdpt[i] = pages(4096);
	vm->cr3 = rawvm_gpa(vm, vm->pml4);
	REQUIRE(vm->cr3 != 0 || errno == 0);
}

uint64_t rawvm_gpa(struct rawvm *vm, const void *addr)
{
	struct dune_slot slot = { .hva = (uint64_t)addr };

	errno = 0;
	return ioctl(vm->fd, DUNE_GET_SLOT, &slot) ? 0 : slot.gpa;
}

void rawvm_map(struct rawvm *vm, const void *addr)
{
	uint64_t region = (uint64_t)addr >> DUNE_SLOT_SHIFT;
	int index = region >> 9, i;

	for (i = 0; i < 4; i++)
		if (vm->pml4[index] && vm->pdpt_index[i] == index)
			break;
	if (i == 4) {
		for (i = 0; i < 4 && vm->pdpt_index[i]; i++)
			;
		REQUIRE(i < 4);
		vm->pdpt_index[i] = index;
		vm->pml4[index] = rawvm_gpa(vm, vm->pdpt[i]) | PTE_TABLE;
		REQUIRE(errno == 0);
	}
	vm->pdpt[i][region & 511] =
		rawvm_gpa(vm, (void *)(region << DUNE_SLOT_SHIFT)) | PTE_1G;
	REQUIRE(errno == 0);
}

void rawvm_destroy(struct rawvm *vm)
{
	close(vm->fd);
	munmap(vm->pml4, 4096);
	for (int i = 0; i < 4; i++)
		munmap(vm->pdpt[i], 4096);
}

void rawvcpu_create(struct rawvm *vm, struct rawvcpu *vcpu)
{
	struct dune_create_vcpu create = { 0 };

	vcpu->fd = ioctl(vm->fd, DUNE_CREATE_VCPU, &create);
	REQUIRE(vcpu->fd >= 0);
	vcpu->page = mmap(NULL, DUNE_VCPU_PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_SHARED, vcpu->fd, 0);
	REQUIRE(vcpu->page != MAP_FAILED);
	vcpu->stack = pages(STACK_SIZE);
}

void rawvcpu_start(struct rawvm *vm, struct rawvcpu *vcpu, void (*fn)(void *),
		   void *arg)
{
	struct dune_vcpu_page *page = vcpu->page;
	uint64_t fs_base;

	asm volatile("mov %%fs:0, %0" : "=r"(fs_base));
	rawvm_map(vm, (void *)(uintptr_t)fn);
	rawvm_map(vm, vcpu->stack);
	rawvm_map(vm, &vm);
	rawvm_map(vm, arg);
	memset(&page->regs, 0, sizeof(page->regs));
	memset(&page->sregs, 0, sizeof(page->sregs));
	page->regs.rdi = (uint64_t)arg;
	page->regs.rip = (uint64_t)(uintptr_t)fn;
	/* As after a call: 8 off 16-byte alignment. */
	page->regs.rsp = (uint64_t)vcpu->stack + STACK_SIZE - 8;
	page->regs.rflags = 0x202;
	page->sregs.cr3 = vm->cr3;
	page->sregs.fs_base = fs_base;
	page->run_flags = DUNE_RUN_RECORD;
	page->sync = DUNE_SYNC_REGS | DUNE_SYNC_SREGS;
}

void rawvcpu_destroy(struct rawvcpu *vcpu)
{
	munmap(vcpu->page, DUNE_VCPU_PAGE_SIZE);
	munmap(vcpu->stack, STACK_SIZE);
	close(vcpu->fd);
}
