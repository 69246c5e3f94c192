// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Re-issued system calls after which the guest runs at once, on Linux' way back
 * to user mode: that it happens, and that nobody can tell.
 */
#include "test.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <dirent.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS	300
#define PAGE	4096

static void counted(void)
{
	uint64_t runs, reentries, calls;

	if (opt.native)
		return;
	pin_to(0);
	mode_enter();
	for (int i = 0; i < 10; i++)
		getppid();
	runs = vcpu_stat(DUNE_VCPU_runs);
	reentries = vcpu_stat(DUNE_VCPU_reentries);
	calls = vcpu_stat(DUNE_VCPU_syscalls);
	for (int i = 0; i < CALLS; i++)
		syscall(SYS_getppid);
	runs = vcpu_stat(DUNE_VCPU_runs) - runs;
	reentries = vcpu_stat(DUNE_VCPU_reentries) - reentries;
	calls = vcpu_stat(DUNE_VCPU_syscalls) - calls;
	mode_exit();
	printf("    %llu calls: %llu DUNE_RUN, %llu re-entries\n",
	       (unsigned long long)calls, (unsigned long long)runs,
	       (unsigned long long)reentries);
	/* Reading the counters makes a few. */
	CHECK_IN(calls, CALLS, CALLS + 5);
	/* A tick that ends the run sends the thread through DUNE_RUN. */
	CHECK_IN(reentries, CALLS * 9 / 10, calls);
	CHECK_IN(runs, 0, CALLS / 10);
}

/* All six arguments, a result in memory, and what SYSCALL keeps. */
static void arguments(void)
{
	char path[] = "/tmp/reentry.XXXXXX", in[3][8], out[3][8];
	struct iovec iov[3];
	int fd;

	mode_enter();
	fd = mkstemp(path);
	REQUIRE(fd >= 0);
	for (int i = 0; i < CALLS; i++) {
		for (int j = 0; j < 3; j++) {
			snprintf(in[j], sizeof(in[j]), "%07d", i * 3 + j);
			iov[j] = (struct iovec){ in[j], sizeof(in[j]) };
		}
		CHECK_EQ(syscall(SYS_pwritev, fd, iov, 3, i * 24l, 0l), 24);
		for (int j = 0; j < 3; j++)
			iov[j].iov_base = out[j];
		memset(out, 0, sizeof(out));
		CHECK_EQ(syscall(SYS_preadv, fd, iov, 3, i * 24l, 0l), 24);
		CHECK_EQ(memcmp(in, out, sizeof(in)), 0);
	}
	CHECK_EQ(syscall(SYS_pwritev, fd, (void *)8, 1, 0l, 0l), -1);
	CHECK_EQ(errno, EFAULT);
	CHECK_EQ(syscall(5000), -1);
	CHECK_EQ(errno, ENOSYS);
	close(fd);
	unlink(path);
	mode_exit();
}

/* What the guest does next needs the kernel: the exit waits for DUNE_RUN. */
static void other_exits(void)
{
	unsigned char *mem = mmap(NULL, CALLS * PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned int a, b, c, d, a0, b0, c0, d0;
	long nop;

	REQUIRE(mem != MAP_FAILED);
	mode_enter();
	__cpuid(0, a0, b0, c0, d0);
	for (int i = 0; i < CALLS; i++) {
		CHECK_EQ(syscall(SYS_umask, 022), 022);
		switch (i % 4) {
		case 0:
			mem[i * PAGE] = i;	/* EPT violation */
			break;
		case 1:
			__cpuid(0, a, b, c, d);
			CHECK(a == a0 && b == b0 && c == c0 && d == d0);
			break;
		case 2:
			if (opt.native)
				break;
			nop = DUNE_HC_NOP;
			asm volatile("vmcall" : "+a" (nop) : : "memory");
			CHECK_EQ(nop, 0);
			break;
		default:
			spin(300000);		/* into an interrupt */
			break;
		}
	}
	for (int i = 0; i < CALLS; i++)
		CHECK_EQ(mem[i * PAGE], i % 4 ? 0 : (unsigned char)i);
	mode_exit();
	munmap(mem, CALLS * PAGE);
}

static uint64_t fs_base(void)
{
	uint64_t base;

	asm volatile("rdfsbase %0" : "=r"(base));
	return base;
}

/* No access to thread-local memory in between: raw calls. */
static long raw_call2(long nr, long a, void *b)
{
	long ret;

	asm volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b)
		     : "rcx", "r11", "memory");
	return ret;
}

static void __attribute__((optimize("no-stack-protector"))) thread_pointer(void)
{
	static char area[PAGE];
	uint64_t mine, seen = 0, native = 0;
	long err1 = 0, err2 = 0, err3 = 0;

	mode_enter();
	mine = fs_base();
	for (int i = 0; i < CALLS; i++) {
		/* Set by the guest, seen by Linux. */
		asm volatile("wrfsbase %0" : : "r"(area));
		err1 |= raw_call2(SYS_arch_prctl, ARCH_GET_FS, &seen);
		/* Set by Linux, seen by the guest. */
		err2 |= raw_call2(SYS_arch_prctl, ARCH_SET_FS, area + 64);
		native = fs_base();
		err3 |= raw_call2(SYS_arch_prctl, ARCH_SET_FS, (void *)mine);
		if (seen != (uint64_t)area || native != (uint64_t)area + 64)
			break;
	}
	mode_exit();
	CHECK_EQ(err1 | err2 | err3, 0);
	CHECK_EQ(seen, (uint64_t)area);
	CHECK_EQ(native, (uint64_t)area + 64);
	CHECK_EQ(fs_base(), mine);
}

static volatile long handled;

static void on_signal(int sig)
{
	handled++;
	syscall(SYS_umask, 022);
}

static pthread_t target;
static volatile int stop;

static void *sender(void *unused)
{
	pin_to(nr_cpus() - 1);
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
		pthread_kill(target, SIGUSR1);
		spin(20000);
	}
	return NULL;
}

/* Between the end of a call and the guest's next one, anywhere. */
static void signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	uint64_t state = opt.seed, sum = 0, want = 0;
	pthread_t thread;

	sigaction(SIGUSR1, &sa, NULL);
	target = pthread_self();
	pin_to(0);
	stop = 0;
	handled = 0;
	REQUIRE(pthread_create(&thread, NULL, sender, NULL) == 0);
	mode_enter();
	for (int i = 0; i < CALLS * 10; i++) {
		uint64_t x = rnd(&state);

		want += x;
		sum += x;
		CHECK_EQ(syscall(SYS_umask, 022), 022);
		asm volatile("" : "+r"(sum));
	}
	mode_exit();
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	signal(SIGUSR1, SIG_DFL);
	CHECK_EQ(sum, want);
	CHECK(handled > 10);
}

/* A signal during a call that is made further down the stack than the last. */
static void __attribute__((noinline)) signal_deep(void)
{
	volatile unsigned char live[16384];

	for (size_t i = 0; i < sizeof(live); i++)
		live[i] = i;
	syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1);
	for (size_t i = 0; i < sizeof(live); i++)
		if (live[i] != (unsigned char)i) {
			CHECK_EQ(live[i], (unsigned char)i);
			break;
		}
}

static void deep_stack(void)
{
	signal(SIGUSR1, on_signal);
	handled = 0;
	mode_enter();
	for (int i = 0; i < 20; i++) {
		for (int j = 0; j < 6; j++)
			syscall(SYS_umask, 022);
		signal_deep();
	}
	mode_exit();
	CHECK_EQ(handled, 20);
	signal(SIGUSR1, SIG_DFL);
}

static int ping[2], pong[2];

/* Threads that wake each other on one CPU: it is another's return mostly. */
static void turns(int index, void *unused)
{
	int from = index ? ping[0] : pong[0], to = index ? pong[1] : ping[1];
	char byte;

	pin_to(0);
	for (int i = 0; i < CALLS; i++) {
		if (!index) {
			byte = i;
			CHECK_EQ(write(to, &byte, 1), 1);
		}
		CHECK_EQ(read(from, &byte, 1), 1);
		CHECK_EQ((unsigned char)byte, (unsigned char)i);
		if (index)
			CHECK_EQ(write(to, &byte, 1), 1);
	}
}

static void two_threads(void)
{
	REQUIRE(pipe(ping) == 0 && pipe(pong) == 0);
	run_threads(2, turns, NULL);
	for (int i = 0; i < 2; i++) {
		close(ping[i]);
		close(pong[i]);
	}
}

/* The thread comes back on another CPU than it left. */
static void moving(void)
{
	cpu_set_t set;

	mode_enter();
	for (int i = 0; i < CALLS; i++) {
		CPU_ZERO(&set);
		CPU_SET(i % nr_cpus(), &set);
		CHECK_EQ(syscall(SYS_sched_setaffinity, 0, sizeof(set), &set), 0);
		CHECK_EQ(sched_getcpu(), i % nr_cpus());
	}
	mode_exit();
}

#define DEPTH 20
#define FRAMES 100

static volatile int frames_seen;

/* How often the return address that the recursion has is in the backtrace. */
static void on_backtrace(int sig)
{
	void *frame[FRAMES];
	int n = backtrace(frame, FRAMES), most = 0;

	for (int i = 0; i < n; i++) {
		int same = 0;

		for (int j = 0; j < n; j++)
			same += frame[j] == frame[i];
		most = same > most ? same : most;
	}
	frames_seen = most;
}

/* Other frames than those of the calls before. */
static void __attribute__((noinline, noipa)) pause_deep(int depth)
{
	volatile char frame[300];

	frame[0] = depth;
	if (depth) {
		pause_deep(depth - 1);
	} else {
		__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
		pause();
	}
	frame[1] = frame[0];
}

static void *pauses(void *unused)
{
	mode_enter();
	for (int i = 0; i < 10; i++)
		syscall(SYS_umask, 022);
	pause_deep(DEPTH);
	mode_exit();
	return NULL;
}

/* The unwinder finds the guest's frames from the page: not those of a call before. */
static void unwound(void)
{
	void *frame[1];

	backtrace(frame, 1);	/* loads what it needs */
	signal(SIGUSR2, on_backtrace);
	for (int i = 0; i < 5; i++) {
		pthread_t thread;

		stop = 0;
		frames_seen = 0;
		REQUIRE(pthread_create(&thread, NULL, pauses, NULL) == 0);
		wait_for(&stop, 1, 30);
		usleep(20000);
		CHECK_EQ(pthread_kill(thread, SIGUSR2), 0);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		CHECK_EQ(frames_seen, DEPTH);
	}
}

static void close_vcpus(void)
{
	char path[64], name[64];

	for (int fd = 3; fd < 64; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, name, sizeof(name) - 1);
		name[n > 0 ? n : 0] = '\0';
		if (strstr(name, "dune-vcpu"))
			close(fd);
	}
}

static void *calls_for_ever(void *unused)
{
	pin_to(nr_cpus() - 1);
	mode_enter();
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (;;)
		syscall(SYS_umask, 022);
	return NULL;
}

/* The fds go while a thread is on its way: its process may end, no more. */
static void close_child(void *rounds)
{
	pthread_t thread;

	stop = 0;
	REQUIRE(pthread_create(&thread, NULL, calls_for_ever, NULL) == 0);
	wait_for(&stop, 1, 30);
	spin(1000 + (*(int *)rounds) * 777);
	close_vcpus();
	spin(100000);
	_exit(0);
}

static void closed(void)
{
	int null = open("/dev/null", O_WRONLY), err = dup(2);

	if (opt.native)
		return;
	dup2(null, 2);	/* libdune says what happened */
	for (int i = 0; i < 15; i++) {
		int status = run_child(60, close_child, &i);

		CHECK(WIFEXITED(status) || WIFSIGNALED(status));
	}
	dup2(err, 2);
	close(err);
	close(null);
}

int main(int argc, char **argv)
{
	setenv("DUNE_SYSCALLS", "reissue", 1);
	test_start(argc, argv, (struct test_opts){ 0 });
	test_part("counted", counted);
	test_part("arguments", arguments);
	test_part("other_exits", other_exits);
	test_part("thread_pointer", thread_pointer);
	test_part("signals", signals);
	test_part("deep_stack", deep_stack);
	test_part("two_threads", two_threads);
	test_part("moving", moving);
	test_part("unwound", unwound);
	test_part("closed", closed);
	return test_end();
}
