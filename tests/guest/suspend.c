// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The machine goes to sleep and wakes up with threads in Dune mode: they go on
 * where they were. Linux' own test levels (/sys/power/pm_test, in kernels with
 * CONFIG_PM_DEBUG) go a part of the way each: freezer, devices, platform,
 * processors (the other CPUs are off), core (VMX is off on the last one too).
 */
#include "test.h"
#include "machine.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define PM_TEST "/sys/power/pm_test"
#define PM_STATE "/sys/power/state"
#define PM_DELAY "/sys/module/suspend/parameters/pm_test_delay"
#define MAX_THREADS 16

static struct worker {
	volatile long done;
	uint64_t sum;
	char pad[64];
} workers[MAX_THREADS];
static volatile int running, stop;
static int nap[2];

static void one_round(struct worker *w, pid_t tid)
{
	long *p = mmap(NULL, 16384, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	for (int i = 0; i < 4; i++)
		p[i * 512] = w->done;
	CHECK_EQ(p[0] + p[512] + p[1024] + p[1536], 4 * w->done);
	munmap(p, 16384);
	CHECK_EQ(syscall(SYS_gettid), tid);
	w->sum += w->done;
	w->done++;
	CHECK_EQ(w->sum, w->done * (w->done - 1) / 2);
}

static void worker_main(int index, void *arg)
{
	struct worker *w = &workers[index];
	pid_t tid = syscall(SYS_gettid);
	char c;

	if (index % 2)
		pin_to(index / 2 % nr_cpus());
	__atomic_add_fetch(&running, 1, __ATOMIC_RELEASE);
	/* The last one sleeps in a call over everything. */
	if (index == opt.threads - 1) {
		CHECK_EQ(read(nap[0], &c, 1), 1);
		CHECK_EQ(c, 'x');
		w->done++;
		return;
	}
	while (!stop)
		one_round(w, tid);
}

static void *workers_thread(void *unused)
{
	run_threads(opt.threads, worker_main, NULL);
	return NULL;
}

static void wait_for_progress(const char *when)
{
	uint64_t end = deadline(20);

	for (int i = 0; i < opt.threads - 1; i++) {
		long before = workers[i].done;

		while (workers[i].done < before + 3) {
			if (now_ns() > end) {
				FAIL("thread %d does not go on after %s", i,
				     when);
				return;
			}
			sched_yield();
		}
	}
}

static bool has_word(const char *path, const char *word)
{
	char text[256];

	return read_text(path, text, sizeof(text)) && strstr(text, word);
}

static void sleep_once(const char *state, const char *level)
{
	char when[64];
	long suspended = read_number("/sys/power/suspend_stats/success");

	if (!has_word(PM_STATE, state) || !has_word(PM_TEST, level)) {
		printf("    no %s with level %s here\n", state, level);
		return;
	}
	snprintf(when, sizeof(when), "%s, level %s", state, level);
	CHECK_EQ(write_text(PM_TEST, level), 0);
	CHECK_EQ(write_text(PM_STATE, state), 0);
	CHECK_EQ(read_number("/sys/power/suspend_stats/success"),
		 suspended + 1);
	for (int cpu = 0; cpu < nr_present_cpus(); cpu++)
		CHECK(cpu_is_online(cpu));
	if (!opt.native)
		check_vmxe(nr_cpus(), when);
	wait_for_progress(when);
	printf("    %s\n", when);
}

static void all_levels(void *unused)
{
	static const char *const levels[] = {
		"freezer", "devices", "platform", "processors", "core",
	};
	pthread_t thread;

	REQUIRE(pipe(nap) == 0);
	REQUIRE(pthread_create(&thread, NULL, workers_thread, NULL) == 0);
	REQUIRE(wait_for(&running, opt.threads, 20));
	for (long round = 0; round < opt.rounds; round++)
		for (int i = 0; i < 5; i++) {
			sleep_once("mem", levels[i]);
			if (round == 0 && i < 3)
				sleep_once("freeze", levels[i]);
		}
	stop = 1;
	CHECK_EQ(write(nap[1], "x", 1), 1);
	pthread_join(thread, NULL);
	CHECK_EQ(workers[opt.threads - 1].done, 1);
}

static void with_vcpus(void)
{
	CHECK_EQ(run_child(200, all_levels, NULL), 0);
	check_vmxe(0, "without a vm");
}

/* Nothing to switch back on; a vm made after the sleep works. */
static void without_vm(void)
{
	CHECK_EQ(write_text(PM_TEST, "core"), 0);
	CHECK_EQ(write_text(PM_STATE, "mem"), 0);
	check_vmxe(0, "after a sleep without a vm");
}

int main(int argc, char **argv)
{
	test_start_raw(argc, argv, (struct test_opts){
		.threads = 5, .rounds = 1 });
	if (opt.threads > MAX_THREADS)
		opt.threads = MAX_THREADS;
	if (access(PM_TEST, W_OK))
		SKIP("this kernel has no " PM_TEST " (CONFIG_PM_DEBUG)");
	write_text(PM_DELAY, "1");
	check_vmxe(0, "before");
	test_part("without_vm", without_vm);
	test_part("with_vcpus", with_vcpus);
	write_text(PM_TEST, "none");
	return test_end();
}
