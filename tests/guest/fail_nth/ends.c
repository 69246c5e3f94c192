// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Threads and processes that end while their allocations fail, and libdune.
 * An end cannot fail; what counts is that nothing stays behind.
 */
#include "fail_nth.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define MAX_FAULTS	300
#define LIBRARY_FAULT	40	/* exit codes */
#define LIBRARY_DONE	41
#define LIBURCU_ABORTS	42

static volatile uint64_t word;
static int nth;

static void guest_count(void *arg)
{
	*(volatile uint64_t *)arg += 1;
	raw_vmcall(DUNE_HC_EXIT, 0);
}

static int arm_here(int n)
{
	int fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	REQUIRE(fd >= 0 && pwrite(fd, text, len, 0) == len);
	return fd;
}

/* What is left of n in a process that has ended and is not reaped yet. */
static int left_in(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fail-nth", pid);
	return read_number(path);
}

static void *thread_main(void *arg)
{
	struct rawvcpu *mine = arg;

	rawvcpu_create(&vm, mine);
	rawvcpu_start(&vm, mine, guest_count, (void *)&word);
	REQUIRE(rawvcpu_run(mine, 0, 1000) == DUNE_EXIT_HYPERCALL);
	arm_here(nth);
	return NULL;
}

/* Its vCPU goes with it, its fd with close(). */
static void thread_ends(void)
{
	struct dune_vm_page *page;
	struct rawvcpu left;
	pthread_t thread;

	vm_make();
	page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, vm.fd, DUNE_MMAP_VM_PAGE);
	REQUIRE(page != MAP_FAILED);
	for (nth = 1; nth <= 24; nth++) {
		REQUIRE(pthread_create(&thread, NULL, thread_main, &left) == 0);
		pthread_join(thread, NULL);
		for (int i = 0; i < 5000 && page->counters[DUNE_VM_vcpus] != 1; i++)
			usleep(1000);
		CHECK_EQ(page->counters[DUNE_VM_vcpus], 1);
		rawvcpu_destroy(&left);
		expect_alive(1, 1);
	}
	munmap(page, 4096);
	vm_end();
	expect_alive(0, 0);
}

static pid_t start_process(int n)
{
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (pid)
		return pid;
	vm_make();
	rawvcpu_start(&vm, &vcpu, guest_count, (void *)&word);
	if (rawvcpu_run(&vcpu, 0, 1000) != DUNE_EXIT_HYPERCALL)
		_exit(1);
	arm_here(n);
	_exit(0);
}

/* The vm's end is the exit's: notifier, tables, pages, vCPUs. */
static void process_ends(void)
{
	siginfo_t info;
	int n, status, left = 0;

	for (n = 1; n <= MAX_FAULTS && !left; n++) {
		pid_t pid = start_process(n);

		REQUIRE(waitid(P_PID, pid, &info, WEXITED | WNOWAIT) == 0);
		left = left_in(pid);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 0);
		expect_alive(0, 0);
	}
	CHECK(left > 0);
	printf("    %-26s %3d faults\n", "process exit", n - 2);
}

void ends(void)
{
	thread_ends();
	process_ends();
}

static bool may_fail_with(int err)
{
	return err == -ENOMEM || err == -EFAULT || err == -ENFILE ||
	       err == -EAGAIN || err == -EINTR || err == -EIO;
}

/*
 * liburcu-bp cannot say that there is no memory for a thread's reader: it aborts.
 * Nothing else may.
 */
static void on_abort(int sig)
{
	void *from[16];
	int nr = backtrace(from, 16);
	Dl_info info;

	(void)sig;
	for (int i = 0; i < nr; i++)
		if (dladdr(from[i], &info) && info.dli_fname &&
		    strstr(info.dli_fname, "liburcu-bp"))
			_exit(LIBURCU_ABORTS);
}

/* The library's calls: an errno, and then all is as before them. */
static void library_child(int n)
{
	char text[16] = "1";
	int fd, err, left;
	void *here;

	/* Its first call loads a library. */
	backtrace(&here, 1);
	signal(SIGABRT, on_abort);
	fd = arm_here(n);
	err = dune_init();
	if (!err)
		err = dune_enter();
	if (pread(fd, text, 15, 0) < 0)
		strcpy(text, "1");
	for (int i = 0; i < 3 && pwrite(fd, "0", 1, 0) != 1; i++)
		;
	left = atoi(text);
	if (err && (left || !may_fail_with(err))) {
		printf("libdune: %d (%s) with fault %d, left %d\n", err,
		       dune_why(), n, left);
		_exit(2);
	}
	if (err && (dune_init() || dune_enter())) {
		printf("libdune, after fault %d (%d): %s\n", n, err, dune_why());
		_exit(3);
	}
	if (getppid() <= 0 || dune_exit())
		_exit(4);
	_exit(left ? LIBRARY_DONE : LIBRARY_FAULT);
}

void library(void)
{
	int n, status = 0, faults = 0, aborts = 0;

	/* Many of its faults are in the same loop: each opt.rounds-th is enough. */
	for (n = 1; n <= 20000; n += opt.rounds) {
		pid_t pid;

		fflush(stdout);
		pid = fork();
		REQUIRE(pid >= 0);
		if (pid == 0)
			library_child(n);
		REQUIRE(waitpid(pid, &status, 0) == pid);
		status = WIFEXITED(status) ? WEXITSTATUS(status) : -status;
		if (status == LIBURCU_ABORTS)
			aborts++;
		else if (status == LIBRARY_FAULT)
			faults++;
		else
			break;
		expect_alive(0, 0);
	}
	if (!CHECK_EQ(status, LIBRARY_DONE))
		system("dmesg | grep -v FAULT_INJ | tail -n 5");
	CHECK(faults > 0);
	/* Registering allocates its own page, and what Linux needs to map it. */
	CHECK(aborts <= 16);
	printf("    %-26s %3d faults, of them %d tried; %d aborted in liburcu\n",
	       "dune_init, dune_enter", n, faults + aborts, aborts);
}
