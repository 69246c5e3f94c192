// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Two processes with several threads each in Dune mode, all kinds of work at
 * once, beside a load: stress-ng where there is one, else busy processes of
 * our own. Every thread checks its own results.
 */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static volatile int stop;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t locked_a, locked_b;

static void memory_work(uint64_t *seed)
{
	size_t n = (1 + rnd(seed) % 32) * 4096;
	uint64_t salt = rnd(seed);
	uint64_t *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (!CHECK(p != MAP_FAILED))
		return;
	for (size_t i = 0; i < n / 8; i += 8)
		p[i] = i ^ salt;
	madvise(p, 4096, MADV_DONTNEED);
	mprotect(p, n, PROT_READ);
	for (size_t i = 0; i < n / 8; i += 8)
		if (p[i] != (i < 512 ? 0 : i ^ salt)) {
			FAIL("word %zu of %zu is wrong", i, n / 8);
			break;
		}
	munmap(p, n);
}

static void pipe_work(uint64_t *seed)
{
	char out[4096], in[4096];
	int fd[2];

	if (!CHECK_EQ(pipe(fd), 0))
		return;
	memset(out, (int)rnd(seed), sizeof(out));
	CHECK_EQ(write(fd[1], out, sizeof(out)), sizeof(out));
	CHECK_EQ(read(fd[0], in, sizeof(in)), sizeof(in));
	CHECK_EQ(memcmp(in, out, sizeof(in)), 0);
	close(fd[0]);
	close(fd[1]);
}

static void heap_work(uint64_t *seed)
{
	char *p[16];

	for (int i = 0; i < 16; i++) {
		p[i] = malloc(1 + rnd(seed) % 20000);
		p[i][0] = i;
	}
	for (int i = 0; i < 16; i++) {
		CHECK_EQ(p[i][0], i);
		free(p[i]);
	}
}

static void lock_work(void)
{
	pthread_mutex_lock(&lock);
	CHECK_EQ(locked_a, locked_b);
	locked_a++;
	spin(100);
	locked_b++;
	pthread_mutex_unlock(&lock);
}

static void migrate_work(uint64_t *seed)
{
	pin_to(rnd(seed) % nr_cpus());
	CHECK_EQ(syscall(SYS_getpid), getpid());
}

static void fork_work(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(3);
	if (CHECK(pid > 0)) {
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 3 << 8);
	}
}

static void worker(int index, void *arg)
{
	uint64_t seed = opt.seed * (index + 17) + getpid();
	double x = 1 + index, want = x;

	for (long i = 0; i < opt.rounds && !stop; i++) {
		x = x * 3 / 3;
		switch (rnd(&seed) % 12) {
		case 0: case 1: case 2: memory_work(&seed); break;
		case 3: case 4: pipe_work(&seed); break;
		case 5: case 6: heap_work(&seed); break;
		case 7: case 8: lock_work(); break;
		case 9: migrate_work(&seed); break;
		case 10: spin(20000); break;
		case 11:
			if (rnd(&seed) % 8 == 0)
				fork_work();
			else if (!opt.native) {
				mode_exit();
				mode_enter();
			}
			break;
		}
		if (check_failures > 100)
			break;
	}
	CHECK(x > want - 0.001 && x < want + 0.001);
}

static void process(void *arg)
{
	run_threads(opt.threads, worker, NULL);
	CHECK_EQ(locked_a, locked_b);
}

static pid_t start(void (*fn)(void))
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, 0);
		fn();
		_exit(1);
	}
	setpgid(pid, pid);
	return pid;
}

static void own_load(void)
{
	for (;;) {
		char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p != MAP_FAILED) {
			memset(p, 1, 1 << 20);
			munmap(p, 1 << 20);
		}
		spin(100000);
	}
}

static void stress_ng(void)
{
	int null = open("/dev/null", O_WRONLY);

	dup2(null, 1);
	dup2(null, 2);
	execlp("stress-ng", "stress-ng", "--cpu", "1", "--vm", "1",
	       "--vm-bytes", "16M", "--switch", "1", "--timer", "1", NULL);
	own_load();
}

int main(int argc, char **argv)
{
	pid_t load, other;
	int status = -1;

	test_start_raw(argc, argv, (struct test_opts){ .rounds = 200, .threads = 4 });
	load = start(stress_ng);
	other = fork();
	REQUIRE(other >= 0);
	if (other == 0) {
		child_init();
		process(NULL);
		fflush(stdout);
		_exit(check_failures != 0);
	}
	CHECK_EQ(run_child(600, process, NULL), 0);
	CHECK_EQ(waitpid(other, &status, 0), other);
	CHECK_EQ(status, 0);
	kill(-load, SIGKILL);
	waitpid(load, NULL, 0);
	return test_end();
}
