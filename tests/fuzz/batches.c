// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The parent: a child process for each batch of cases, a watchdog on each case,
 * a look at the machine's health after each batch.
 */
#include "fuzz.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

#define CASE_LIMIT	30	/* seconds */
#define THOROUGH	16	/* batches */
#define KILL_ONE_IN	16	/* batches */
#define PROGRESS_NS	10000000000ull

uint64_t batches_children, batches_killed;

void batches_setup(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(shared != MAP_FAILED);
}

static void show(const struct plan *p, uint64_t i)
{
	static struct fuzz_case c;

	source_get(&p->source, i, &c);
	printf("the case, for --replay:\n");
	case_print(&c);
	fflush(stdout);
}

static bool failed(const struct plan *p, uint64_t from, uint64_t at,
		   const char *why)
{
	printf("%s, case %llu: FAILED: %s\n", p->name, (unsigned long long)at, why);
	if (!p->source.list)
		printf("again: --seed 0x%llx --first %llu --cases %llu --threads %d --only %s\n",
		       (unsigned long long)p->source.seed,
		       (unsigned long long)from,
		       (unsigned long long)(at + 1 - from), p->threads,
		       p->source.engines == 3 ? "all" :
		       p->source.engines == 1 ? "ioctl" : "guest");
	show(p, at);
	return false;
}

/* What a killed process leaves: it must go within the limit. */
static bool reap(pid_t pid, int *status)
{
	uint64_t end = deadline(CASE_LIMIT);
	const struct timespec ms = { 0, 1000000 };

	kill(pid, SIGKILL);
	while (now_ns() < end) {
		if (waitpid(pid, status, WNOHANG) == pid)
			return true;
		nanosleep(&ms, NULL);
	}
	return false;
}

enum wait_end { ENDED, KILLED, HUNG, IMMORTAL };

static enum wait_end wait_for_child(pid_t pid, uint64_t kill_at, int *status)
{
	const struct timespec ms = { 0, 2000000 };
	uint64_t seen = shared->next, end = deadline(CASE_LIMIT);

	while (waitpid(pid, status, WNOHANG) == 0) {
		nanosleep(&ms, NULL);
		if (shared->next >= kill_at)
			return reap(pid, status) ? KILLED : IMMORTAL;
		if (shared->next != seen) {
			seen = shared->next;
			end = deadline(CASE_LIMIT);
		} else if (now_ns() > end) {
			return reap(pid, status) ? HUNG : IMMORTAL;
		}
	}
	return ENDED;
}

/* One child; *next: where the following one begins. */
static bool run_child_at(const struct plan *p, uint64_t *next, uint64_t last,
			 uint64_t kill_at)
{
	uint64_t first = *next;
	enum wait_end how;
	int status = 0;
	pid_t pid;

	shared->next = first;
	shared->failed = 0;
	fflush(stdout);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0)
		child_main(&p->source, first, last, p->threads, health_vm_fd,
			   health_vcpu_fd);
	batches_children++;
	how = wait_for_child(pid, kill_at, &status);
	if (how == HUNG)
		return failed(p, first, shared->next, "no end");
	if (how == IMMORTAL)
		return failed(p, first, shared->next, "the process cannot be killed");
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_FAILED)
		return failed(p, first, shared->next, shared->why);
	if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_DONE) {
		*next = last;
		return true;
	}
	*next = shared->next < last ? shared->next + 1 : last;
	if (how == KILLED) {
		batches_killed++;
		return true;
	}
	if (WIFSIGNALED(status)) {
		/* SIGKILL is what a kernel oops leaves behind. */
		if (WTERMSIG(status) == SIGKILL)
			return failed(p, first, shared->next, "killed by the kernel");
		shared->signals[WTERMSIG(status)]++;
		return true;
	}
	if (WEXITSTATUS(status) == CHILD_RESTART)
		return true;
	return failed(p, first, shared->next, "the child's setup failed");
}

static void progress(const struct plan *p, uint64_t at, uint64_t *said)
{
	uint64_t now = now_ns();

	if (now - *said < PROGRESS_NS)
		return;
	*said = now;
	printf("  %s: %llu of %llu cases, %llu processes\n", p->name,
	       (unsigned long long)(at - p->first),
	       (unsigned long long)(p->last - p->first),
	       (unsigned long long)batches_children);
	fflush(stdout);
}

bool batches_run(const struct plan *p)
{
	struct rng r = { p->source.seed };
	uint64_t next = p->first, said = now_ns(), nr = 0;

	while (next < p->last) {
		uint64_t from = next, last = p->last, kill_at = ~0ull;

		if (last - next > p->batch)
			last = next + p->batch;
		if (!p->source.list && rng_one_in(&r, KILL_ONE_IN))
			kill_at = next + rng_below(&r, p->batch);
		while (next < last) {
			if (!run_child_at(p, &next, last, kill_at))
				return false;
			if (next > kill_at)
				kill_at = ~0ull;
		}
		if (!(nr++ % THOROUGH ? health_check() : health_check_all()))
			return failed(p, from, last - 1,
				      "the machine is not well after it, or one before");
		progress(p, next, &said);
	}
	return true;
}
