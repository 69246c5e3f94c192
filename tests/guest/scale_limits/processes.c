// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Many processes, each with a vm; see scale.h. */
#include "test.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "scale.h"

#define PROCESSES 64

/* Shared by all. */
static struct meeting {
	volatile int arrived, go;
} *meeting;

/* A vm and a vCPU of its own, memory of its own, all at the same time. */
static void live(int index)
{
	static uint64_t mine[1024];
	uint64_t sum = 0;

	child_init();
	mode_enter();
	__atomic_add_fetch(&meeting->arrived, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&meeting->go, __ATOMIC_ACQUIRE))
		usleep(1000);
	for (int i = 0; i < 1024; i++)
		mine[i] = (uint64_t)index << 32 | i;
	spin(20000);
	for (int i = 0; i < 1024; i++)
		sum += mine[i] == ((uint64_t)index << 32 | i);
	CHECK_EQ(sum, 1024);
	CHECK_EQ(syscall(SYS_getpid), getpid());
	if (!opt.native)
		CHECK_EQ(vm_stat(DUNE_VM_vcpus), 1);
	if (index & 1)
		mode_exit();
	fflush(stdout);
	_exit(check_failures ? 1 : 0);
}

void processes_at_once(void)
{
	long refs = read_number("/sys/module/dune/refcnt");
	struct memory before, took;
	pid_t pid[PROCESSES];
	int status;

	meeting = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(meeting != MAP_FAILED);
	memset(meeting, 0, sizeof(*meeting));
	before = memory_now();
	fflush(stdout);
	for (int i = 0; i < PROCESSES; i++) {
		pid[i] = fork();
		REQUIRE(pid[i] >= 0);
		if (!pid[i])
			live(i);
	}
	while (__atomic_load_n(&meeting->arrived, __ATOMIC_ACQUIRE) < PROCESSES)
		usleep(1000);
	took = memory_since(&before);
	__atomic_store_n(&meeting->go, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < PROCESSES; i++) {
		REQUIRE(waitpid(pid[i], &status, 0) == pid[i]);
		CHECK_EQ(status, 0);
	}
	printf("    %d processes with a vm each at once, %ld kB each\n", PROCESSES,
	       took.all_kb / PROCESSES);
	if (!opt.native)
		CHECK_EQ(read_number("/sys/module/dune/refcnt"), refs);
}
