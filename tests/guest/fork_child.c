// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A child forked from Dune mode is a plain Linux process: it sees a copy of
 * the memory, leaves the parent's vm alone, and may dune_init() anew.
 */
#include "test.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { WORDS = 65536 };
static uint64_t *data;

static bool all(uint64_t value)
{
	for (int i = 0; i < WORDS; i++)
		if (data[i] != (value ^ i))
			return false;
	return true;
}

static void fill(uint64_t value)
{
	for (int i = 0; i < WORDS; i++)
		data[i] = value ^ i;
}

/* Depth-first: the child's child starts over at `generation`. */
static void child(int depth)
{
	int status = 0;
	pid_t pid;

generation:
	CHECK_EQ(dune_inside(), 0);
	CHECK(all(1));
	fill(2 + depth);
	child_init();
	mode_enter();
	CHECK_EQ(dune_inside(), !opt.native);
	CHECK(all(2 + depth));
	fill(1);
	CHECK(all(1));
	CHECK_EQ(syscall(SYS_getpid), getpid());
	fflush(stdout);
	pid = depth < 2 ? fork() : -1;
	if (pid == 0) {
		depth++;
		goto generation;
	}
	if (pid > 0) {
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 0);
		CHECK(all(1));
	}
	mode_exit();
	fflush(stdout);
	_exit(check_failures != 0);
}

static void generations(void)
{
	int status = -1;
	pid_t pid;

	mode_enter();
	fill(1);
	for (long i = 0; i < opt.rounds; i++) {
		fflush(stdout);
		pid = fork();
		if (pid == 0)
			child(0);
		/* The parent writes while the child copies. */
		fill(77 + i);
		CHECK(all(77 + i));
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 0);
		CHECK(all(77 + i));
		fill(1);
	}
	mode_exit();
}

static volatile int stop;

static void busy(int index, void *arg)
{
	uint64_t n = 0;
	volatile uint64_t *mine = data + WORDS + index * 8;

	while (!stop) {
		*mine = ++n;
		if (*mine != n) {
			FAIL("thread %d lost a write", index);
			break;
		}
	}
}

static void *busy_main(void *arg)
{
	run_threads(opt.threads, busy, NULL);
	return NULL;
}

static void plain_child(void *arg)
{
	/* Only the forking thread lives on; memory is writable and private. */
	memset(data + WORDS, 0xff, 4096);
	for (int i = 0; i < 512; i++)
		CHECK_EQ(data[WORDS + i], ~0ull);
}

/* Other threads keep writing in Dune mode while one forks. */
static void beside_threads(void)
{
	pthread_t thread;

	stop = 0;
	REQUIRE(pthread_create(&thread, NULL, busy_main, NULL) == 0);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(run_child(60, plain_child, NULL), 0);
	stop = 1;
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ .rounds = 5, .threads = 3 });
	data = mmap(NULL, WORDS * 8 + 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(data != MAP_FAILED);
	test_part("generations", generations);
	test_part("beside_threads", beside_threads);
	return test_end();
}
