// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Two processes in Dune mode at once. One leaves in every possible way (close
 * of its fds, exit, SIGKILL); the other goes on undisturbed.
 */
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

struct shared {
	volatile int up, go, laps;
};
static struct shared *shared;

enum ending { BY_EXIT, BY_CLOSE, BY_KILL, BY_EXIT_INSIDE, NR_ENDINGS };

static void neighbour_thread(int index, void *arg)
{
	__atomic_add_fetch(&shared->up, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&shared->go, __ATOMIC_ACQUIRE)) {
		spin(1000);
		syscall(SYS_getppid);
	}
	if (*(enum ending *)arg == BY_EXIT_INSIDE)
		syscall(SYS_exit_group, 0);
	if (*(enum ending *)arg == BY_KILL)
		for (;;)
			spin(1000);
}

static void neighbour(enum ending how)
{
	child_init();
	run_threads(opt.threads, neighbour_thread, &how);
	if (how == BY_CLOSE && !opt.native) {
		close(dune_vcpu_fd());
		close(dune_vm_fd());
		for (int fd = 3; fd < 100; fd++)
			close(fd);
	}
	_exit(0);
}

static bool check_own_memory(uint64_t *data, size_t n, uint64_t salt)
{
	for (size_t i = 0; i < n; i++)
		if (data[i] != (i ^ salt))
			return false;
	return true;
}

static void survive(enum ending how, long round)
{
	enum { N = 32768 };
	uint64_t salt = round * 0x9e3779b97f4a7c15ull;
	uint64_t *data = mmap(NULL, N * 8, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status = -1;
	pid_t pid;

	REQUIRE(data != MAP_FAILED);
	shared->up = 0;
	shared->go = 0;
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		neighbour(how);
	REQUIRE(pid > 0);
	mode_enter();
	wait_for(&shared->up, opt.threads, 60);
	for (size_t i = 0; i < N; i++)
		data[i] = i ^ salt;
	__atomic_store_n(&shared->go, 1, __ATOMIC_RELEASE);
	if (how == BY_KILL)
		kill(pid, SIGKILL);
	/* Keep working in Dune mode while the other goes away. */
	while (waitpid(pid, &status, WNOHANG) == 0)
		if (!CHECK(check_own_memory(data, N, salt)))
			break;
	CHECK_EQ(status, how == BY_KILL ? SIGKILL : 0);
	CHECK(check_own_memory(data, N, salt));
	CHECK_EQ(syscall(SYS_getpid), getpid());
	CHECK_EQ(madvise(data, N * 8, MADV_DONTNEED), 0);
	CHECK_EQ(data[5], 0);
	mode_exit();
	munmap(data, N * 8);
}

static void endings(void)
{
	for (long i = 0; i < opt.rounds; i++)
		for (int how = 0; how < NR_ENDINGS; how++)
			survive(how, i);
	CHECK(opt.native || vm_stat(DUNE_VM_vcpus) >= 1);
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ .rounds = 4, .threads = 2 });
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(shared != MAP_FAILED);
	test_part("endings", endings);
	return test_end();
}
