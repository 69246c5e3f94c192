// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See fake_cpu.h. */
#include "fake_cpu.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../internal.h"

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH	59
#define PR_SYS_DISPATCH_ON		1
#endif

/* An LSTAR like a kernel's; 10 bytes before the end of a page on purpose. */
#define FAKE_LSTAR	0xffffffff81e00ff6ull

#define FAKE_SLOTS	101

struct fake fake;

static struct {
	int fd;
	pid_t pid;
	uint32_t *slot_table;
	struct dune_vm_page *page;
	uint32_t vcpus;
} vm = { .fd = -1 };

/* The calling thread's vCPU: what the module keeps outside the shared page. */
static __thread struct {
	int fd;
	struct dune_vcpu_page *page;
	bool in_guest;
	bool in_syscall;		/* DUNE_RUN's argument is a result */
	uint64_t rip, rsp, rflags;
	uint64_t cr3, idt, tss;
	greg_t host_r12, host_r14, host_r15, host_rip;
} vcpu;

/* Reached through --wrap: libdune's calls of libc. */
int __real_open(const char *path, int flags, ...);
int __real_ioctl(int fd, unsigned long cmd, ...);
void *__real_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
int __real_madvise(void *addr, size_t len, int advice);

/* True when this call is to fail. */
static bool fails(void)
{
	if (!fake.fail_nth || --fake.fail_nth)
		return false;
	errno = ENOMEM;
	return true;
}

void *__wrap_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return fails() ? MAP_FAILED : __real_mmap(addr, len, prot, flags, fd, offset);
}

int __wrap_madvise(void *addr, size_t len, int advice)
{
	/* The others only save memory. */
	if (advice == MADV_WIPEONFORK && fails())
		return -1;
	return __real_madvise(addr, len, advice);
}

static __thread char selector;	/* of syscall user dispatch: 1 blocks */
#define FLAG_TF	0x100

bool fake_in_guest(void)
{
	return vcpu.in_guest;
}

static uint64_t slot_of(uint64_t hva)
{
	uint32_t *entry = &vm.slot_table[hva >> DUNE_SLOT_SHIFT];

	/* Slots in an order that is not the addresses' order. */
	if (!*entry)
		*entry = DUNE_SLOT_VALID | (FAKE_SLOTS - 1 - fake.slots++);
	return (uint64_t)(*entry & ~DUNE_SLOT_VALID) << DUNE_SLOT_SHIFT;
}

int __wrap_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (!strcmp(path, DUNE_DEVICE_PATH)) {
		if (fails())
			return -1;
		if (fake.open_error) {
			errno = fake.open_error;
			return -1;
		}
		vm.fd = memfd_create("fake-dune", MFD_CLOEXEC);
		vm.pid = getpid();
		if (ftruncate(vm.fd, DUNE_MMAP_VCPU_PAGES + DUNE_VCPU_PAGES_SIZE))
			abort();
		if (vm.slot_table) {
			munmap(vm.slot_table, DUNE_SLOT_TABLE_SIZE);
			munmap(vm.page, PAGE_SIZE);
		}
		vm.slot_table = __real_mmap(NULL, DUNE_SLOT_TABLE_SIZE,
					    PROT_READ | PROT_WRITE, MAP_SHARED, vm.fd,
					    DUNE_MMAP_SLOT_TABLE);
		vm.page = __real_mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
				      vm.fd, DUNE_MMAP_VM_PAGE);
		fake.slots = 0;
		return vm.fd;
	}
	va_start(ap, flags);
	if (flags & O_CREAT)
		mode = va_arg(ap, mode_t);
	va_end(ap);
	return __real_open(path, flags, mode);
}

static int create_vcpu(struct dune_create_vcpu *create)
{
	if (vcpu.page)
		munmap(vcpu.page, PAGE_SIZE);
	memset(&vcpu, 0, sizeof(vcpu));
	vcpu.fd = memfd_create("fake-vcpu", MFD_CLOEXEC);
	create->id = __atomic_fetch_add(&vm.vcpus, 1, __ATOMIC_RELAXED);
	vcpu.page = __real_mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vm.fd,
				DUNE_MMAP_VCPU_PAGES + create->id * PAGE_SIZE);
	memset(vcpu.page, 0, PAGE_SIZE);
	vcpu.page->id = create->id;
	return vcpu.fd;
}

int __wrap_ioctl(int fd, unsigned long cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (fd != vm.fd)
		return __real_ioctl(fd, cmd, arg);
	if (fails())
		return -1;
	if (vm.pid != getpid()) {
		errno = EPERM;
		return -1;
	}
	switch (cmd) {
	case DUNE_GET_INFO:
		*(struct dune_info *)arg = (struct dune_info) {
			.api_version = fake.api_version ? fake.api_version : DUNE_API_VERSION,
			.nr_slots = FAKE_SLOTS,
			.nr_vm_counters = DUNE_NR_VM_COUNTERS,
			.nr_vcpu_counters = DUNE_NR_VCPU_COUNTERS + 1,
		};
		return 0;
	case DUNE_CREATE_VM:
		((struct dune_create_vm *)arg)->syscall_entry = FAKE_LSTAR;
		return 0;
	case DUNE_CREATE_VCPU:
		return create_vcpu(arg);
	case DUNE_GET_SLOT: {
		struct dune_slot *slot = arg;

		slot->gpa = slot_of(slot->hva) | (slot->hva & (REGION_SIZE - 1));
		return 0;
	}
	}
	errno = ENOTTY;
	return -1;
}

static void gprs_load(greg_t *g, const struct dune_regs *r)
{
	g[REG_RAX] = r->rax;
	g[REG_RCX] = r->rcx;
	g[REG_RDX] = r->rdx;
	g[REG_RBX] = r->rbx;
	g[REG_RBP] = r->rbp;
	g[REG_RSI] = r->rsi;
	g[REG_RDI] = r->rdi;
	g[REG_R8] = r->r8;
	g[REG_R9] = r->r9;
	g[REG_R10] = r->r10;
	g[REG_R11] = r->r11;
	g[REG_R12] = r->r12;
	g[REG_R13] = r->r13;
	g[REG_R14] = r->r14;
	g[REG_R15] = r->r15;
}

static void gprs_save(const greg_t *g, struct dune_regs *r)
{
	r->rax = g[REG_RAX];
	r->rcx = g[REG_RCX];
	r->rdx = g[REG_RDX];
	r->rbx = g[REG_RBX];
	r->rbp = g[REG_RBP];
	r->rsi = g[REG_RSI];
	r->rdi = g[REG_RDI];
	r->r8 = g[REG_R8];
	r->r9 = g[REG_R9];
	r->r10 = g[REG_R10];
	r->r11 = g[REG_R11];
	r->r12 = g[REG_R12];
	r->r13 = g[REG_R13];
	r->r14 = g[REG_R14];
	r->r15 = g[REG_R15];
}

static void guest_enter(greg_t *g)
{
	vcpu.host_r12 = g[REG_R12];
	vcpu.host_r14 = g[REG_R14];
	vcpu.host_r15 = g[REG_R15];
	vcpu.host_rip = g[REG_RIP];
	gprs_load(g, &vcpu.page->regs);
	g[REG_RIP] = vcpu.rip;
	g[REG_RSP] = vcpu.rsp;
	g[REG_EFL] = vcpu.rflags;
	vcpu.in_guest = true;
}

/* VM exit: the guest's registers go where the module has them. */
static void guest_exit(const greg_t *g)
{
	gprs_save(g, &vcpu.page->regs);
	vcpu.rip = g[REG_RIP];
	vcpu.rsp = g[REG_RSP];
	vcpu.rflags = g[REG_EFL];
	vcpu.in_guest = false;
}

/* DUNE_RUN returns. Registers nobody promised anything about are garbage. */
static void run_returns(greg_t *g, long ret)
{
	static const int garbage[] = {
		REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI, REG_R8, REG_R9,
		REG_R10, REG_R11, REG_R13,
	};
	unsigned int i;

	for (i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++)
		g[garbage[i]] = 0xdead000000000000ll + i;
	g[REG_R12] = vcpu.host_r12;
	g[REG_R14] = vcpu.host_r14;
	g[REG_R15] = vcpu.host_r15;
	g[REG_RIP] = vcpu.host_rip;
	g[REG_RBP] = vcpu.page->regs.rbp;
	g[REG_RSP] = vcpu.rsp;
	g[REG_EFL] = 0x202;
	g[REG_RAX] = ret;
	vcpu.page->regs.rip = vcpu.rip;
	vcpu.page->regs.rsp = vcpu.rsp;
	vcpu.page->regs.rflags = vcpu.rflags;
}

static void run_ends(greg_t *g, unsigned int kind)
{
	vcpu.page->exit = (struct dune_exit) { .kind = kind, .hw_reason = 0x77 };
	run_returns(g, kind);
}

static void dune_run(greg_t *g)
{
	struct dune_vcpu_page *page = vcpu.page;

	fake.runs++;
	if (fake.run_error) {
		g[REG_RAX] = -fake.run_error;
		fake.run_error = 0;
		return;
	}
	if (vcpu.in_syscall)
		page->regs.rax = g[REG_RDX];
	vcpu.in_syscall = false;
	if (page->sync & DUNE_SYNC_REGS) {
		vcpu.rip = page->regs.rip;
		vcpu.rsp = page->regs.rsp;
		vcpu.rflags = page->regs.rflags;
	}
	if (page->sync & DUNE_SYNC_SREGS) {
		vcpu.cr3 = page->sregs.cr3;
		vcpu.idt = page->sregs.idt_base;
		vcpu.tss = page->sregs.tss_base;
	}
	page->sync = 0;
	vcpu.host_r12 = g[REG_R12];
	vcpu.host_r14 = g[REG_R14];
	vcpu.host_r15 = g[REG_R15];
	vcpu.host_rip = g[REG_RIP];
	if (fake.refused_addr) {
		run_ends(g, DUNE_EXIT_FAULT);
		page->exit.addr = fake.refused_addr;
		page->exit.access = DUNE_ACCESS_READ;
		if (fake.refused_changes) {
			vm.page->counters[DUNE_VM_notifier_calls]++;
			if (!--fake.refused_changes)
				fake.refused_addr = 0;
		}
	} else if (fake.end_kind) {
		unsigned int kind = fake.end_kind;

		fake.end_kind = 0;
		run_ends(g, kind);
	} else if (fake.retries) {
		fake.retries--;
		run_returns(g, DUNE_EXIT_RETRY);
		if (fake.retry_signal)
			syscall(SYS_tgkill, getpid(), gettid(), fake.retry_signal);
	} else {
		guest_enter(g);
	}
}

static uint64_t fork_frame(const struct dune_regs *r)
{
	struct dune_fork_frame *frame;
	uint64_t sp = r->rsp;

	if (r->rax != SYS_clone && r->rax != SYS_fork && r->rax != SYS_vfork)
		return 0;
	if (r->rax == SYS_clone && r->rsi)
		sp = r->rsi;
	frame = (struct dune_fork_frame *)(sp - 128) - 1;
	*frame = (struct dune_fork_frame) {
		r->rbx, r->rbp, r->r12, r->r13, r->r14, r->r15, r->rcx, r->r11, r->rip,
	};
	return (uint64_t)frame;
}

/* As the module does: uapi/dune.h, "packed". */
static void unpack(struct dune_regs *r)
{
	if (!(r->rax >> 33 & 1))
		return;
	if (r->r11 != r->rsp)
		abort();
	r->r11 = r->rax >> 32;
	r->rax = (uint32_t)r->rax;
	vcpu.rip = r->rcx;
}

static void vmcall(greg_t *g)
{
	struct dune_regs *r = &vcpu.page->regs, leave;

	g[REG_RIP] += 3;
	guest_exit(g);
	r->rsp = vcpu.rsp;
	r->rflags = vcpu.rflags;
	unpack(r);
	r->rip = vcpu.rip;
	switch (r->rax) {
	case DUNE_HC_LEAVE:
		r->rax = 0;
		leave = r->rdi ? *(struct dune_regs *)r->rdi : *r;
		gprs_load(g, &leave);
		g[REG_RIP] = leave.rip;
		g[REG_RSP] = leave.rsp;
		g[REG_EFL] = leave.rflags;
		return;
	case DUNE_HC_SLOT:
		r->rax = fake.slot_error ? (uint64_t)-fake.slot_error : slot_of(r->rdi);
		if (fake.retry_slot) {		/* a signal in the middle */
			fake.retry_slot = false;
			run_returns(g, DUNE_EXIT_RETRY);
			syscall(SYS_tgkill, getpid(), gettid(), fake.retry_signal);
			return;
		}
		g[REG_RAX] = r->rax;
		vcpu.in_guest = true;
		return;
	case DUNE_HC_NOP:
		g[REG_RAX] = 0;
		vcpu.in_guest = true;
		return;
	case DUNE_HC_EXIT:
		run_ends(g, DUNE_EXIT_HYPERCALL);
		return;
	}
	run_returns(g, DUNE_EXIT_SYSCALL);
	g[REG_RBX] = r->rax;
	g[REG_RDI] = r->rdi;
	g[REG_RSI] = r->rsi;
	g[REG_RDX] = r->rdx;
	g[REG_R10] = r->r10;
	g[REG_R8] = r->r8;
	g[REG_R9] = r->r9;
	g[REG_R13] = fork_frame(r);
	vcpu.in_syscall = true;
}

/* An exception as the CPU delivers it: gate, IST, frame. */
static void deliver(greg_t *g, unsigned int vector, bool has_error, uint64_t error)
{
	const uint64_t *gate = (const uint64_t *)vcpu.idt + 2 * vector;
	const struct dune_tss *tss = (const struct dune_tss *)vcpu.tss;
	unsigned int ist = gate[0] >> 32 & 7;
	uint64_t *sp = (uint64_t *)tss->ist[ist - 1];

	if (!ist || (uint64_t)sp & 15)
		abort();
	*--sp = DUNE_GUEST_DS;
	*--sp = g[REG_RSP];
	*--sp = g[REG_EFL];
	*--sp = DUNE_GUEST_CS;
	*--sp = g[REG_RIP];
	if (has_error)
		*--sp = error;
	g[REG_RSP] = (greg_t)sp;
	g[REG_RIP] = (gate[0] & 0xffff) | (gate[0] >> 32 & 0xffff0000) | gate[1] << 32;
}

/* Instructions that CPL 0 may execute. */
static bool privileged(greg_t *g)
{
	const uint8_t *code = (const uint8_t *)g[REG_RIP];
	static const int reg_of[8] = {
		REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	};

	if (code[0] == 0xfa || code[0] == 0xfb) {	/* cli, sti */
		g[REG_RIP]++;
		return true;
	}
	if (code[0] == 0x48 && code[1] == 0xcf) {	/* iretq */
		const uint64_t *frame = (const uint64_t *)g[REG_RSP];

		g[REG_RIP] = frame[0];
		g[REG_EFL] = frame[2];
		g[REG_RSP] = frame[3];
		return true;
	}
	if (code[0] == 0x0f && code[1] == 0x20 && (code[2] & 0xf8) == 0xd0) {
		g[reg_of[code[2] & 7]] = fake.cr2;	/* mov %cr2, reg */
		g[REG_RIP] += 3;
		return true;
	}
	return false;
}

static void die(int sig)
{
	signal(sig, SIG_DFL);
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t *g = uc->uc_mcontext.gregs;
	const uint8_t *code = (const uint8_t *)g[REG_RIP];

	if (!vcpu.in_guest) {
		if (fake.on_native_fault)
			fake.on_native_fault(sig, info, uc);
		else
			die(sig);
		return;
	}
	if (sig == SIGILL && !memcmp(code, "\x0f\x0b\x90", 3)) {
		vmcall(g);
	} else if (sig == SIGILL && !memcmp(code, "\x0f\xff", 2)) {
		unsigned int vector = fake.inject_vector;

		fake.inject_vector = 0;
		if (vector)
			deliver(g, vector, vector == 14, fake.inject_error);
		else
			g[REG_RIP] += 2;
	} else if (sig == SIGILL) {
		deliver(g, 6, false, 0);
	} else if (sig == SIGSEGV && g[REG_TRAPNO] == 14) {

		guest_exit(g);
		run_ends(g, DUNE_EXIT_FAULT);
		vcpu.page->exit.addr = (uint64_t)info->si_addr;
		vcpu.page->exit.access = g[REG_ERR] & 2 ? DUNE_ACCESS_WRITE : DUNE_ACCESS_READ;
	} else if (!privileged(g)) {
		die(sig);
	}
}

static void on_syscall(int sig, siginfo_t *info, void *context)
{
	greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
	long nr = info->si_syscall, ret;

	(void)sig;
	if (nr == SYS_ioctl && g[REG_RSI] == DUNE_RUN && vcpu.page &&
	    g[REG_RDI] == vcpu.fd && vm.pid == getpid()) {
		dune_run(g);
		return;
	}
	if (nr == SYS_ioctl && g[REG_RDI] == vm.fd) {
		ret = __wrap_ioctl(vm.fd, g[REG_RSI], (void *)g[REG_RDX]);
		g[REG_RAX] = ret == -1 ? -errno : ret;
		return;
	}
	if (nr == SYS_rt_sigaction && fake.signals_default && !g[REG_RSI]) {
		memset((void *)g[REG_RDX], 0, 32);
		g[REG_RAX] = 0;
		return;
	}
	if (nr == SYS_clone) {
		/* A child with a new stack must come out of this very SYSCALL. */
		selector = 0;
		g[REG_EFL] |= FLAG_TF;
		g[REG_RIP] -= 2;
		g[REG_RAX] = nr;
		return;
	}
	/* Natively, from libc's own SYSCALL. A child goes on here, too. */
	ret = syscall(nr, g[REG_RDI], g[REG_RSI], g[REG_RDX], g[REG_R10], g[REG_R8],
		      g[REG_R9]);
	g[REG_RAX] = ret == -1 ? -errno : ret;
}

/* One instruction later. */
static void on_step(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~FLAG_TF;
	selector = 1;
}

static int find_libc(struct dl_phdr_info *info, size_t size, void *range)
{
	uint64_t libc = (uint64_t)dlsym(RTLD_DEFAULT, "getppid");
	uint64_t *r = range;
	int i;

	(void)size;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uint64_t start = info->dlpi_addr + p->p_vaddr;

		if (p->p_type == PT_LOAD && libc >= start && libc < start + p->p_memsz) {
			r[0] = start;
			r[1] = p->p_memsz;
			return 1;
		}
	}
	return 0;
}

bool fake_attach_thread(void)
{
	uint64_t libc[2] = { 0, 0 };
	stack_t stack = { .ss_size = 1 << 18 };

	stack.ss_sp = __real_mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sigaltstack(&stack, NULL))
		return false;
	dl_iterate_phdr(find_libc, libc);
	selector = 1;				/* block */
	return libc[0] && !prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON,
				 libc[0], libc[1], &selector);
}

bool fake_attach(void)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_ONSTACK };

	/* Other signals wait for the context that the handler returns to. */
	sigfillset(&sa.sa_mask);
	sa.sa_sigaction = on_fault;
	sigaction(SIGILL, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sa.sa_sigaction = on_syscall;
	sigaction(SIGSYS, &sa, NULL);
	sa.sa_sigaction = on_step;
	sigaction(SIGTRAP, &sa, NULL);
	return fake_attach_thread();
}
