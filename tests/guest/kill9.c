// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * SIGKILL at random moments: while a process creates its vm, enters with
 * several threads, faults, makes system calls, remaps, leaves. Afterwards
 * nothing of it is left: the module's reference count is what it was.
 */
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static volatile int *at_work;	/* shared with the first victim */

static void work(int index, void *arg)
{
	uint64_t seed = index + 1;

	__atomic_add_fetch(at_work, 1, __ATOMIC_RELEASE);
	for (;;) {
		char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		for (int i = 0; i < 16; i++)
			p[i * 4096] = 1;
		syscall(SYS_getppid);
		spin(rnd(&seed) % 2000);
		mprotect(p, 4096, PROT_READ);
		madvise(p + 8192, 4096, MADV_DONTNEED);
		if (index & 1) {
			mode_exit();
			mode_enter();
		}
		munmap(p, 65536);
	}
}

static void victim(void)
{
	child_init();
	run_threads(opt.threads, work, NULL);
	_exit(1);
}

int main(int argc, char **argv)
{
	uint64_t seed, longest = 0, begin, full = 0;
	long refs;

	test_start_raw(argc, argv, (struct test_opts){ .rounds = 60, .threads = 4 });
	seed = opt.seed;
	at_work = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(at_work != MAP_FAILED);
	refs = read_number("/sys/module/dune/refcnt");
	for (long i = 0; i < opt.rounds; i++) {
		uint64_t wait;
		int status = 0;
		pid_t pid;

		fflush(stdout);
		begin = now_ns();
		pid = fork();
		REQUIRE(pid >= 0);
		if (pid == 0)
			victim();
		if (i == 0) {
			/* Up to one and a half times what full work needs. */
			wait_for(at_work, opt.threads, 60);
			full = (now_ns() - begin) * 3 / 2;
		}
		wait = i ? full * (rnd(&seed) % 1000) / 1000 : 0;
		while (now_ns() - begin < wait)
			sched_yield();
		kill(pid, SIGKILL);
		begin = now_ns();
		REQUIRE(waitpid(pid, &status, 0) == pid);
		if (now_ns() - begin > longest)
			longest = now_ns() - begin;
		if (status != SIGKILL) {
			FAIL("round %ld: status 0x%x", i, status);
			break;
		}
		check_count++;
	}
	printf("    slowest death %llu ms\n", (unsigned long long)longest / 1000000);
	if (!opt.native) {
		uint64_t end = deadline(10);

		/* The last references may go a little later. */
		while (read_number("/sys/module/dune/refcnt") != refs &&
		       now_ns() < end)
			sched_yield();
		CHECK_EQ(read_number("/sys/module/dune/refcnt"), refs);
		CHECK_EQ(dune_init(), 0);
		mode_enter();
		CHECK_EQ(vm_stat(DUNE_VM_vcpus), 1);
		mode_exit();
	}
	return test_end();
}
