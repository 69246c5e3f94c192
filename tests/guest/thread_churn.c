// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Many threads come, run in Dune mode and go: nothing grows. Looked at: the
 * process's fds and mappings, the vm's vCPU count, EPT tables, unreclaimable
 * slab and vmalloc of the kernel, the module's references after the end.
 */
#include "test.h"

#include <dirent.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

static volatile int alive;

static void job(int index, void *arg)
{
	__atomic_add_fetch(&alive, 1, __ATOMIC_RELAXED);
	syscall(SYS_getppid);
	if (index & 1)
		mode_exit();	/* odd ones leave first, even ones die inside */
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	REQUIRE(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int count_lines(const char *path)
{
	FILE *f = fopen(path, "r");
	int n = 0, c;

	REQUIRE(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

/* A field of /proc/meminfo in kB. */
static long meminfo(const char *name)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128];
	long kb = 0;

	REQUIRE(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ':')
			kb = atol(line + strlen(name) + 1);
	fclose(f);
	return kb;
}

static void *thread_main(void *arg)
{
	mode_enter();
	job((int)(long)arg, NULL);
	return NULL;
}

static void wave(void)
{
	pthread_t t[64];

	for (int i = 0; i < opt.threads; i++)
		REQUIRE(pthread_create(&t[i], NULL, thread_main,
				       (void *)(long)i) == 0);
	for (int i = 0; i < opt.threads; i++)
		REQUIRE(pthread_join(t[i], NULL) == 0);
}

/* The last references of a thread go shortly after pthread_join() returns. */
static void settle(uint64_t vcpus)
{
	uint64_t end = deadline(10);

	while (vm_stat(DUNE_VM_vcpus) > vcpus && now_ns() < end)
		syscall(SYS_sched_yield);
	CHECK_EQ(vm_stat(DUNE_VM_vcpus), vcpus);
}

/* KASAN keeps what was freed for a while: up to 1/32 of memory. */
static long quarantine_kb(void)
{
	struct utsname name;

	REQUIRE(uname(&name) == 0);
	return strstr(name.release, "debug") ? meminfo("MemTotal") / 32 : 0;
}

static void churn(void)
{
	long slab, available, created, grown, lost;
	uint64_t vcpus = vm_stat(DUNE_VM_vcpus), tables;
	long waves = opt.rounds / opt.threads, threads = waves * opt.threads;
	int fds, maps;

	/* Caches fill during the first waves. */
	for (int i = 0; i < 20; i++)
		wave();
	settle(vcpus);
	fds = count_fds();
	maps = count_lines("/proc/self/maps");
	slab = meminfo("SUnreclaim");
	available = available_kb();
	tables = vm_stat(DUNE_VM_ept_tables);
	created = vm_stat(DUNE_VM_vcpus_created);
	alive = 0;
	for (long i = 0; i < waves; i++) {
		wave();
		if (waves >= 10 && i % (waves / 10) == 0)
			printf("    %ld threads\n", i * opt.threads);
	}
	settle(vcpus);
	CHECK_EQ(alive, threads);
	if (!opt.native)
		CHECK_EQ(vm_stat(DUNE_VM_vcpus_created) - created, threads);
	CHECK_EQ(count_fds(), fds);
	/* Some vCPU pages wait for the next grace period: ORPHANS_MAX in libdune. */
	CHECK_IN(count_lines("/proc/self/maps"), 0, maps + 4 + 16);
	CHECK_IN(vm_stat(DUNE_VM_ept_tables), 0, tables + 8);
	grown = meminfo("SUnreclaim") - slab;
	lost = available - available_kb();
	printf("    kernel kB grown: slab %ld, all memory %ld\n", grown, lost);
	if (opt.native || threads < 1000)
		return;
	/* Less than half a kilobyte of slab and half a page a thread. */
	CHECK_IN(grown, -1000000, 2000 + threads / 2 + quarantine_kb());
	CHECK_IN(lost, -1000000, 6000 + threads * 2 + quarantine_kb());
}

static void in_child(void *arg)
{
	churn();
}

static void wave_in_child(void *arg)
{
	wave();
}

/* Free memory over processes: each uses the vm and goes. */
#define PROCESSES 80
#define ATTEMPTS 4

/* kB of memory that so many processes took and did not give back. */
static long processes_take(void)
{
	long available = available_kb(), slab = meminfo("SUnreclaim");

	for (int i = 0; i < PROCESSES; i++)
		CHECK_EQ(run_child(60, wave_in_child, NULL), 0);
	available -= available_kb();
	slab = meminfo("SUnreclaim") - slab;
	printf("    %d processes took %ld kB, %ld kB of slab\n", PROCESSES,
	       available, slab);
	return available > slab ? available : slab;
}

static void process_waves(void)
{
	struct utsname u;
	bool exact = !uname(&u) && !strstr(u.release, "debug");
	long took = 0;

	/*
	 * A vm that stays takes 25 kB at least, every time; caches fill once.
	 * KASAN keeps what is freed for a while.
	 */
	for (int i = 0; i < ATTEMPTS; i++) {
		took = processes_take();
		if (took < PROCESSES * 12 || opt.native || !exact)
			return;
	}
	FAIL("every %d processes take some %ld kB", PROCESSES, took);
}

int main(int argc, char **argv)
{
	long refs;

	test_start_raw(argc, argv, (struct test_opts){ .rounds = 2000, .threads = 4 });
	REQUIRE(opt.threads <= 64);
	refs = read_number("/sys/module/dune/refcnt");
	CHECK_EQ(run_child(3000, in_child, NULL), 0);
	test_part("process_waves", process_waves);
	if (!opt.native)
		CHECK_EQ(read_number("/sys/module/dune/refcnt"), refs);
	return test_end();
}
