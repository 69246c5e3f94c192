// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The child: runs its cases one after the other and survives what it can.
 * A guest may leave Dune mode with any registers, so signal handlers first put
 * right what C code needs: flags, FS base, vector state. What they cannot put
 * right ends the child, and the parent goes on with the next case.
 */
#include "fuzz.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

#define TICK_US		10000
#define LOST_TICKS	20
#define CASES_A_VCPU	64

struct child child;
struct shared *shared;
static sigjmp_buf jump;
static volatile sig_atomic_t in_case;
static pid_t main_tid;
static uint64_t fs_base;

void fuzz_fail(const char *fmt, ...)
{
	va_list ap;

	if (!__atomic_exchange_n(&shared->failed, 1, __ATOMIC_ACQ_REL)) {
		va_start(ap, fmt);
		vsnprintf(shared->why, sizeof(shared->why), fmt, ap);
		va_end(ap);
	}
	_exit(CHILD_FAILED);
}

/* No function call, no TLS: both may be broken. */
static inline __attribute__((always_inline)) void repair_thread(void)
{
	static const uint32_t mxcsr = 0x1f80;
	long ret = SYS_arch_prctl;

	asm volatile("pushf; andl $~0x44500, (%%rsp); popf; cld" : : : "cc", "memory");
	/* Code that has left may load selectors, with which DUNE_RUN is refused. */
	asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%gs" : : "r"(0) : "memory");
	asm volatile("syscall" : "+a"(ret)
		     : "D"(0x1002 /* ARCH_SET_FS */), "S"(fs_base)
		     : "rcx", "r11", "memory");
	asm volatile("fninit; ldmxcsr %0" : : "m"(mxcsr));
}

static void on_fault(int sig)
{
	if (syscall(SYS_gettid) != main_tid)
		_exit(CHILD_RESTART);
	repair_thread();
	shared->signals[sig]++;
	if (!in_case)
		_exit(CHILD_RESTART);
	siglongjmp(jump, 1);
}

/*
 * Code that has left Dune mode may go on for ever, as nothing takes it back: it is
 * given up when it is found in the arena again and again. A run that does not end
 * is not: there no tick comes, or it comes in child_run().
 */
static bool is_lost(uintptr_t rip)
{
	static uint64_t looping;
	static int ticks;

	if (rip - ARENA >= ARENA_SIZE)
		return false;
	if (looping != shared->next)
		ticks = 0;
	looping = shared->next;
	return in_case && ++ticks > LOST_TICKS;
}

/* First of all it ends a run. */
static void on_tick(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	(void)info;
	if (syscall(SYS_gettid) == main_tid && is_lost(uc->uc_mcontext.gregs[REG_RIP]))
		on_fault(sig);
}

static void setup_signals(void)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP,
				      SIGSYS, SIGXFSZ, SIGPIPE };
	struct sigaction sa = { .sa_flags = SA_ONSTACK | SA_NODEFER };
	struct itimerval tick = { { 0, TICK_US }, { 0, TICK_US } };
	stack_t stack = { .ss_size = 1 << 16 };

	/* A page of its own at each end: the guest's rsp is not to be trusted. */
	stack.ss_sp = mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(stack.ss_sp != MAP_FAILED);
	REQUIRE(sigaltstack(&stack, NULL) == 0);
	sa.sa_handler = on_fault;
	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++)
		REQUIRE(sigaction(faults[i], &sa, NULL) == 0);
	sa.sa_sigaction = on_tick;
	sa.sa_flags |= SA_SIGINFO;
	REQUIRE(sigaction(SIGALRM, &sa, NULL) == 0);
	setitimer(ITIMER_REAL, &tick, NULL);
}

long child_run(uint64_t arg)
{
	long ret = raw_run(child.vcpu.fd, arg);

	repair_thread();
	if (ret >= 0 && ret < 8)
		shared->kinds[ret]++;
	else if (ret < 0 && ret > -NR_ERRNOS)
		shared->errnos[-ret]++;
	return ret;
}

void child_fresh_vcpu(void)
{
	if (child.vcpu.page)
		munmap(child.vcpu.page, DUNE_VCPU_PAGE_SIZE);
	if (child.vcpu.fd > 0)
		close(child.vcpu.fd);
	child.vcpu.fd = ioctl(child.fds[FD_VM], DUNE_CREATE_VCPU,
			      &(struct dune_create_vcpu){ 0 });
	if (child.vcpu.fd < 0)
		_exit(CHILD_RESTART);	/* a case took the vm or the fds */
	child.vcpu.page = mmap(NULL, DUNE_VCPU_PAGE_SIZE, PROT_READ | PROT_WRITE,
			       MAP_SHARED, child.vcpu.fd, 0);
	if (child.vcpu.page == MAP_FAILED)
		_exit(CHILD_RESTART);
	child.fds[FD_VCPU] = child.vcpu.fd;
	child.dead = false;
	child.spoilt = false;
	child.vcpu_cases = 0;
	shared->vcpus++;
}

/* Slot 0 is the arena's: guest physical addresses in cases are constants. */
void child_open_vm(void)
{
	struct dune_slot slot = { .hva = ARENA };
	struct dune_create_vm create = { 0 };
	int fd = open(DUNE_DEVICE_PATH, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		fuzz_fail("open: %m");
	if (ioctl(fd, DUNE_CREATE_VM, &create))
		fuzz_fail("DUNE_CREATE_VM in a process without a vm: %m");
	if (ioctl(fd, DUNE_GET_SLOT, &slot) || slot.gpa)
		fuzz_fail("the first slot is at gpa 0x%llx",
			  (unsigned long long)slot.gpa);
	child.fds[FD_VM] = fd;
}

/* The output is the parent's: a guest's write() must not land there. */
static void leave_parent(void)
{
	struct rlimit memory = { 600ul << 20, 600ul << 20 };
	struct rlimit none = { 0, 0 };
	int null = open("/dev/null", O_RDWR);

	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	setrlimit(RLIMIT_AS, &memory);
	setrlimit(RLIMIT_CORE, &none);
	setrlimit(RLIMIT_FSIZE, &none);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void run_case(const struct fuzz_case *c)
{
	if (sigsetjmp(jump, 0)) {
		/* Left Dune mode somewhere wild, or lost its memory. */
		child.dirty = true;
		child.spoilt = true;
		racer_stop();
		return;
	}
	in_case = 1;
	if (c->engine == ENGINE_GUEST)
		guest_run(&c->guest);
	else
		ioctl_run(&c->ioctl);
	racer_stop();
}

void child_main(const struct source *s, uint64_t first, uint64_t last,
		int threads, int foreign_vm, int foreign_vcpu)
{
	static struct fuzz_case c;

	asm volatile("mov %%fs:0, %0" : "=r"(fs_base));
	main_tid = syscall(SYS_gettid);
	memset(child.fds, -1, sizeof(child.fds));
	leave_parent();
	arena_setup();
	child_open_vm();
	child_fresh_vcpu();
	racer_setup(threads);
	ioctl_setup(foreign_vm, foreign_vcpu);
	setup_signals();
	for (uint64_t i = first; i < last && !shared->stop; i++) {
		shared->next = i;
		source_get(s, i, &c);
		if (child.dead || child.spoilt ||
		    child.vcpu_cases++ >= CASES_A_VCPU)
			child_fresh_vcpu();
		run_case(&c);
		in_case = 0;
	}
	if (!shared->stop)
		shared->next = last;
	_exit(CHILD_DONE);
}
