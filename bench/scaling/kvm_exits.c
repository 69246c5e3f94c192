// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The same ways out of a guest with KVM, in the same boot: a guest of one page
 * of code in 64-bit mode that counts by itself, because the emulator's counters
 * can be read there without an exit.
 *
 * Guest memory is 2 MiB at 0, mapped one to one by one large page.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "exits.h"

/* Guest physical addresses. */
#define PML4		0x1000
#define PDPT		0x2000
#define PD		0x3000
#define CODE		0x10000
#define BEFORE		0x20000		/* EMU_NR counters */
#define AFTER		0x30000
#define COST		0x40000
#define STACK		0x80000

#define PORT_DONE	0xe1		/* one repetition is over */
#define PORT_CALL	0xe2		/* getppid, please */

#define STR(x) #x
#define XSTR(x) STR(x)

/* All counters of this CPU, to the guest physical address "to". */
#define COUNT(to)						\
	"mov $" XSTR(to) ", %edi\n"				\
	"xor %esi, %esi\n"					\
	"1: mov %esi, %ecx\n"					\
	"or $0xd0e0ff00, %ecx\n"	/* EMUCOUNT_RDPMC, SELF */ \
	"rdpmc\n"						\
	"mov %eax, (%rdi,%rsi,8)\n"				\
	"mov %edx, 4(%rdi,%rsi,8)\n"				\
	"inc %esi\n"						\
	"cmp $160, %esi\n"		/* EMU_NR */		\
	"jne 1b\n"

/* Instructions so far, in eax: counter 0. */
#define READ_INSN						\
	"mov $0xd0e0ff00, %ecx\n"				\
	"rdpmc\n"

/* One repetition after the other; each ends in user mode. */
#define PROGRAM(name, op)					\
	asm(".pushsection .rodata\n"				\
	    "code_" #name ":\n"					\
	    "2:\n" COUNT(BEFORE) READ_INSN			\
	    "mov %eax, %r8d\n"					\
	    op							\
	    READ_INSN						\
	    "sub %r8d, %eax\n"					\
	    "mov %eax, " XSTR(COST) "\n"			\
	    COUNT(AFTER)					\
	    "out %al, $" XSTR(PORT_DONE) "\n"			\
	    "jmp 2b\n"						\
	    "code_" #name "_end:\n"				\
	    ".popsection\n");					\
	extern const char code_##name[], code_##name##_end[]

_Static_assert(EMU_NR == 160 && EMU_INSN == 0, "the programs say so in numbers");
_Static_assert((EMUCOUNT_RDPMC | EMUCOUNT_SELF << 8) == 0xd0e0ff00, "");

PROGRAM(nothing, "");
/* KVM knows no such call: -ENOSYS, from the kernel. */
PROGRAM(hypercall, "mov $0x7fff, %eax\n" "vmcall\n");
PROGRAM(cpuid, "xor %eax, %eax\n" "xor %ecx, %ecx\n" "cpuid\n");
PROGRAM(getppid, "out %al, $" XSTR(PORT_CALL) "\n");

static struct guest {
	int kvm, vm, vcpu;
	char *memory;
	struct kvm_run *run;
} guest;

static void make_memory(struct guest *g)
{
	struct kvm_userspace_memory_region region = {
		.memory_size = 2 * MIB,
	};
	enum { PRESENT_RW = 3, LARGE = 0x80 };

	g->memory = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(g->memory != MAP_FAILED);
	*(uint64_t *)(g->memory + PML4) = PDPT | PRESENT_RW;
	*(uint64_t *)(g->memory + PDPT) = PD | PRESENT_RW;
	*(uint64_t *)(g->memory + PD) = PRESENT_RW | LARGE;
	region.userspace_addr = (uintptr_t)g->memory;
	MUST(ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &region) == 0);
}

/* As any virtual machine gets it: what CPUID costs depends on it. */
static void give_cpuid(struct guest *g)
{
	enum { MAX = 128 };
	struct kvm_cpuid2 *cpuid;

	cpuid = calloc(1, sizeof(*cpuid) + MAX * sizeof(cpuid->entries[0]));
	MUST(cpuid);
	cpuid->nent = MAX;
	MUST(ioctl(g->kvm, KVM_GET_SUPPORTED_CPUID, cpuid) == 0);
	MUST(ioctl(g->vcpu, KVM_SET_CPUID2, cpuid) == 0);
	free(cpuid);
}

static void enter_long_mode(struct guest *g)
{
	struct kvm_segment code = {
		.limit = 0xffffffff, .selector = 8, .type = 11, .present = 1,
		.s = 1, .l = 1, .g = 1,
	};
	struct kvm_segment data = {
		.limit = 0xffffffff, .selector = 16, .type = 3, .present = 1,
		.s = 1, .db = 1, .g = 1,
	};
	struct kvm_sregs sregs;

	MUST(ioctl(g->vcpu, KVM_GET_SREGS, &sregs) == 0);
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr3 = PML4;
	sregs.cr4 = 1 << 5;			/* PAE */
	sregs.cr0 = 1u << 31 | 1 << 16 | 0x31;	/* PG, WP, NE, ET, PE */
	sregs.efer = 1 << 10 | 1 << 8;		/* LMA, LME */
	MUST(ioctl(g->vcpu, KVM_SET_SREGS, &sregs) == 0);
}

/* NULL, or why there is no guest. */
static const char *guest_create(struct guest *g)
{
	int size;

	g->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (g->kvm < 0)
		return "no /dev/kvm";
	g->vm = ioctl(g->kvm, KVM_CREATE_VM, 0);
	if (g->vm < 0)
		return errno == EBUSY ? "VT-x is in use" : "KVM_CREATE_VM fails";
	make_memory(g);
	g->vcpu = ioctl(g->vm, KVM_CREATE_VCPU, 0);
	MUST(g->vcpu >= 0);
	size = ioctl(g->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	g->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu, 0);
	MUST(size > 0 && g->run != MAP_FAILED);
	give_cpuid(g);
	enter_long_mode(g);
	return NULL;
}

static void load_program(struct guest *g, const char *code, const char *end)
{
	struct kvm_regs regs = { .rip = CODE, .rsp = STACK, .rflags = 0x202 };

	memcpy(g->memory + CODE, code, end - code);
	MUST(ioctl(g->vcpu, KVM_SET_REGS, &regs) == 0);
}

/* One repetition, and what it asks of user mode in the middle. */
static uint64_t one_repetition(void *arg, uint64_t before[NR_EVENTS],
			       uint64_t after[NR_EVENTS])
{
	struct guest *g = arg;

	for (;;) {
		MUST(sys3(SYS_ioctl, g->vcpu, KVM_RUN, 0) == 0);
		MUST(g->run->exit_reason == KVM_EXIT_IO);
		if (g->run->io.port == PORT_DONE)
			break;
		MUST(g->run->io.port == PORT_CALL);
		sys3(SYS_getppid, 0, 0, 0);
	}
	memset(before, 0, NR_EVENTS * sizeof(*before));
	memset(after, 0, NR_EVENTS * sizeof(*after));
	memcpy(before + EVENTS_SELF, g->memory + BEFORE, EMU_NR * sizeof(*before));
	memcpy(after + EVENTS_SELF, g->memory + AFTER, EMU_NR * sizeof(*after));
	before[EVENTS_SELF + EMU_INSN] = after[EVENTS_SELF + EMU_INSN] = 0;
	return *(uint32_t *)(g->memory + COST);
}

static void row(const char *op, const char *code, const char *end)
{
	struct label label = exits_label(op, BY_KVM);

	load_program(&guest, code, end);
	result_print(measure_samples(&label, options.reps, one_repetition, &guest));
}

/* Loaded here means unloaded here: some kernels let it hold VT-x when idle. */
enum loaded { WAS_THERE, LOADED_HERE };

static enum loaded load_kvm(void)
{
	if (access("/dev/kvm", F_OK) == 0)
		return WAS_THERE;
	return system("modprobe kvm_intel 2>/dev/null") ? WAS_THERE : LOADED_HERE;
}

static void guest_destroy(struct guest *g)
{
	munmap(g->run, ioctl(g->kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
	close(g->vcpu);
	close(g->vm);
}

void kvm_exits(const void *unused)
{
	enum loaded loaded = load_kvm();
	const char *why = have_emucount ? guest_create(&guest) :
			  "only the emulator's counters can be read in its guest";

	if (why) {
		printf("kvm: skipped: %s\n", why);
	} else {
		row("nothing", code_nothing, code_nothing_end);
		row("hypercall", code_hypercall, code_hypercall_end);
		row("cpuid", code_cpuid, code_cpuid_end);
		row("getppid", code_getppid, code_getppid_end);
		guest_destroy(&guest);
	}
	close(guest.kvm);
	if (loaded == LOADED_HERE && system("modprobe -r kvm_intel"))
		printf("kvm: kvm_intel stays loaded\n");
}
