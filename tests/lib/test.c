// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "test.h"

#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

/*
 * Limits are in seconds of a machine at full speed. The emulated clock runs
 * several times too fast for what the CPUs get done, so be generous.
 */
#define SECOND (8 * 1000000000ull)

struct test_opts opt;
static const char *test_name;

static void usage(int status)
{
	printf("usage: %s [--native] [--threads N] [--rounds N] [--seconds N] [--seed N] [--only PART] [--no-rseq] [--reissue] [--placement TEXT]\n",
	       test_name);
	exit(status);
}

static void without_rseq(char **argv)
{
	static const char tunable[] = "glibc.pthread.rseq=0";
	const char *old = getenv("GLIBC_TUNABLES");

	if (old && !strcmp(old, tunable))
		return;
	setenv("GLIBC_TUNABLES", tunable, 1);
	execv("/proc/self/exe", argv);
	REQUIRE(!"execv");
}

void test_start_raw(int argc, char **argv, struct test_opts defaults)
{
	static const struct option options[] = {
		{ "native", no_argument, NULL, 'n' },
		{ "threads", required_argument, NULL, 't' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "seconds", required_argument, NULL, 'd' },
		{ "seed", required_argument, NULL, 's' },
		{ "only", required_argument, NULL, 'o' },
		{ "no-rseq", no_argument, NULL, 'q' },
		{ "reissue", no_argument, NULL, 'i' },
		{ "placement", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	setvbuf(stdout, NULL, _IOLBF, 0);
	test_name = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
	opt = defaults;
	if (!opt.threads)
		opt.threads = 1;
	if (!opt.rounds)
		opt.rounds = 1;
	if (!opt.seconds)
		opt.seconds = 1;
	if (!opt.seed)
		opt.seed = (now_ns() ^ (uint64_t)getpid() << 40) | 1;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'n': opt.native = true; break;
		case 't': opt.threads = atoi(optarg); break;
		case 'r': opt.rounds = atol(optarg); break;
		case 'd': opt.seconds = atoi(optarg); break;
		case 's': opt.seed = strtoull(optarg, NULL, 0) | 1; break;
		case 'o': opt.only = optarg; break;
		case 'q': without_rseq(argv); break;
		case 'i': setenv("DUNE_SYSCALLS", "reissue", 1); break;
		case 'p': setenv("DUNE_NUMA", optarg, 1); break;
		case 'h': usage(0); break;
		default: usage(2);
		}
	}
	printf("%s: %s mode, %d threads, %ld rounds, seed %llu\n", test_name,
	       opt.native ? "native" : "Dune", opt.threads, opt.rounds,
	       (unsigned long long)opt.seed);
	if (!opt.native && access(DUNE_DEVICE_PATH, F_OK) != 0)
		SKIP("no " DUNE_DEVICE_PATH);
}

void test_start(int argc, char **argv, struct test_opts defaults)
{
	int err;

	test_start_raw(argc, argv, defaults);
	if (opt.native)
		return;
	err = dune_init();
	if (err) {
		printf("dune_init: %s: %s\n", strerror(-err), dune_why());
		exit(1);
	}
}

int test_end(void)
{
	printf("%s: %d checks, %d failed\n", test_name, check_count,
	       check_failures);
	fflush(stdout);
	return check_failures ? 1 : 0;
}

void test_part(const char *name, void (*fn)(void))
{
	uint64_t t0 = now_ns();
	int failures = check_failures;

	if (opt.only && strcmp(opt.only, name))
		return;
	fn();
	printf("  %-24s %s %llu ms\n", name,
	       check_failures == failures ? "ok" : "FAILED",
	       (unsigned long long)(now_ns() - t0) / 1000000);
}

void mode_enter(void)
{
	int err;

	if (opt.native)
		return;
	err = dune_enter();
	if (err) {
		printf("dune_enter: %s: %s\n", strerror(-err), dune_why());
		exit(1);
	}
	if (!dune_inside()) {
		printf("dune_enter() returned 0 outside Dune mode\n");
		exit(1);
	}
}

void mode_exit(void)
{
	if (!opt.native)
		CHECK_EQ(dune_exit(), 0);
}

void mode_abandon(void)
{
	if (!opt.native)
		dune_exit();
}

void mode_reenter(void)
{
	if (!opt.native && !dune_inside())
		mode_enter();
}

struct thread_job {
	pthread_t thread;
	thread_fn fn;
	void *arg;
	int index;
};

static void *thread_main(void *arg)
{
	struct thread_job *job = arg;

	mode_enter();
	job->fn(job->index, job->arg);
	if (!opt.native && CHECK(dune_inside()))
		mode_exit();
	return NULL;
}

void run_threads(int n, thread_fn fn, void *arg)
{
	struct thread_job *jobs = calloc(n, sizeof(*jobs));

	REQUIRE(jobs);
	for (int i = 0; i < n; i++) {
		jobs[i].fn = fn;
		jobs[i].arg = arg;
		jobs[i].index = i;
		errno = pthread_create(&jobs[i].thread, NULL, thread_main,
				       &jobs[i]);
		REQUIRE(errno == 0);
	}
	for (int i = 0; i < n; i++)
		pthread_join(jobs[i].thread, NULL);
	free(jobs);
}

void child_init(void)
{
	int err;

	check_failures = 0;
	check_count = 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (opt.native)
		return;
	err = dune_init();
	if (err) {
		printf("dune_init in a child: %s: %s\n", strerror(-err),
		       dune_why());
		fflush(stdout);
		_exit(1);
	}
}

int run_child(int limit, void (*fn)(void *), void *arg)
{
	uint64_t end = deadline(limit);
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		child_init();
		fn(arg);
		fflush(stdout);
		_exit(check_failures ? 1 : 0);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		struct timespec ms = { 0, 1000000 };

		if (now_ns() > end) {
			FAIL("child %d still runs after %d s", pid, limit);
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			break;
		}
		nanosleep(&ms, NULL);
	}
	return status;
}

uint64_t vm_stat(enum dune_vm_counter i)
{
	struct dune_stats stats;

	if (opt.native)
		return 0;
	memset(&stats, 0, sizeof(stats));
	CHECK_EQ(dune_stats(&stats), 0);
	return stats.vm[i];
}

uint64_t vcpu_stat(enum dune_vcpu_counter i)
{
	struct dune_stats stats;

	if (opt.native)
		return 0;
	memset(&stats, 0, sizeof(stats));
	CHECK_EQ(dune_stats(&stats), 0);
	return stats.vcpu[i];
}

uint64_t rnd(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

uint64_t deadline(int seconds)
{
	return now_ns() + seconds * SECOND;
}

void spin(unsigned long n)
{
	for (unsigned long i = 0; i < n / 2; i++)
		asm volatile("");
}

bool wait_for(volatile int *p, int value, int limit)
{
	uint64_t end = deadline(limit);

	while (__atomic_load_n(p, __ATOMIC_ACQUIRE) != value) {
		if (now_ns() > end) {
			FAIL("waited %d s for %d, it is %d", limit, value, *p);
			return false;
		}
		sched_yield();
	}
	return true;
}

long read_number(const char *path)
{
	FILE *f = fopen(path, "r");
	long value;

	if (!f)
		return -1;
	if (fscanf(f, "%ld", &value) != 1)
		value = -1;
	fclose(f);
	return value;
}

void write_number(const char *path, long value)
{
	FILE *f = fopen(path, "w");

	REQUIRE(f);
	REQUIRE(fprintf(f, "%ld", value) > 0);
	REQUIRE(fclose(f) == 0);
}

long available_kb(void)
{
	FILE *f = fopen("/proc/zoneinfo", "r");
	char line[256];
	long pages = 0, kb = 0, n;

	REQUIRE(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " count: %ld", &n) == 1)
			pages += n;
	fclose(f);
	f = fopen("/proc/meminfo", "r");
	REQUIRE(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %ld", &n) == 1)
			kb = n;
	fclose(f);
	return kb + pages * 4;
}

int nr_cpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

void pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
}
