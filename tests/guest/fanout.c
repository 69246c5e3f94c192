// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Kicks by leaders (docs/shootdown.md): the module is loaded with nodes that the
 * machine does not have, CPUs 0 and 1 on one, 2 and 3 on the other. Who is called
 * and who is interrupted is counted exactly; then tests of coherence run so. The
 * module is loaded again at the end.
 */
#include "test.h"
#include "machine.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MODULE_FILE	"/lib/dune/dune.ko"	/* where the emulated machine has it */
#define PARAM_FANOUT	"/sys/module/dune/parameters/fanout"
#define NODES		"fake_nodes=0,0,1,1"
#define NR_SPINNERS	3
#define PAGE		4096

static volatile int ready, stop;

static int load(const char *params)
{
	uint64_t end = deadline(5);
	int err;

	while ((err = module_unload("dune")) == -EWOULDBLOCK && now_ns() < end)
		usleep(1000);
	CHECK_EQ(err, 0);
	return module_load(MODULE_FILE, params);
}

/* --- who is interrupted how --- */

struct counts {
	uint64_t kicks, leaders, forwarded;
};

static struct counts counts_now(void)
{
	return (struct counts){ vm_stat(DUNE_VM_kicks), vm_stat(DUNE_VM_leaders),
				vm_stat(DUNE_VM_forwarded) };
}

/* Its page cannot be read while it is protected: that is waited for. */
static void make_kick(volatile char *page)
{
	(void)*page;
	CHECK_EQ(mprotect((void *)page, PAGE, PROT_NONE), 0);
	CHECK_EQ(mprotect((void *)page, PAGE, PROT_READ | PROT_WRITE), 0);
}

static void flush(volatile char *page, struct counts *got)
{
	struct counts before;

	if (!wait_for(&ready, NR_SPINNERS, 20))
		return;
	before = counts_now();
	for (long i = 0; i < opt.rounds; i++)
		make_kick(page);
	*got = counts_now();
	got->kicks -= before.kicks;
	got->leaders -= before.leaders;
	got->forwarded -= before.forwarded;
}

static volatile char *page;
static struct counts got;

/* Thread 0 flushes on CPU 0, the others stay in guest. */
static void work(int index, void *unused)
{
	pin_to(index);
	if (index == 0) {
		flush(page, &got);
		stop = 1;
		return;
	}
	__atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
	while (!stop)
		spin(100);
}

/* A node of two: one leads, the other is left to it. */
static void by_leaders(void *unused)
{
	run_threads(NR_SPINNERS + 1, work, NULL);
	printf("%lu kicks, %lu leaders, %lu forwarded in %ld rounds\n",
	       got.kicks, got.leaders, got.forwarded, opt.rounds);
	CHECK(got.kicks <= NR_SPINNERS * (uint64_t)opt.rounds);
	CHECK(got.leaders <= (uint64_t)opt.rounds);
	CHECK_EQ(got.leaders, got.forwarded);
	/* A spinner may be outside, for a tick. */
	CHECK(got.kicks >= 2 * (uint64_t)opt.rounds);
	CHECK(got.leaders >= (uint64_t)opt.rounds / 2);
}

static void by_nobody(void *unused)
{
	run_threads(NR_SPINNERS + 1, work, NULL);
	CHECK(got.kicks >= 2 * (uint64_t)opt.rounds);
	CHECK_EQ(got.leaders, 0);
	CHECK_EQ(got.forwarded, 0);
}

static void count(const char *params, void (*fn)(void *))
{
	CHECK_EQ(load(params), 0);
	CHECK_EQ(run_child(60, fn, NULL), 0);
}

static void counted(void)
{
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(page != MAP_FAILED);
	count(NODES " fanout=1", by_leaders);
	count(NODES " fanout=3", by_leaders);
	count(NODES " fanout=4", by_nobody);
	count(NODES " fanout=0", by_nobody);
	count("fake_nodes=5,5,5,5 fanout=1", by_nobody);
	/* Each alone on its node. */
	count("fake_nodes=3,2,1,0 fanout=1", by_nobody);
	/* Changed later; and a CPU that went and came. */
	CHECK_EQ(write_text(PARAM_FANOUT, "1"), 0);
	CHECK_EQ(run_child(60, by_nobody, NULL), 0);
	CHECK_EQ(load(NODES " fanout=9"), 0);
	CHECK_EQ(write_text(PARAM_FANOUT, "2"), 0);
	CHECK_EQ(cpu_offline(3), 0);
	CHECK_EQ(cpu_online(3), 0);
	CHECK_EQ(run_child(60, by_leaders, NULL), 0);
}

static void parameters(void)
{
	CHECK_EQ(load("fake_nodes=0,x"), -EINVAL);
	CHECK_EQ(module_load(MODULE_FILE, "fanout=-1"), -EINVAL);
	CHECK_EQ(module_load(MODULE_FILE, ""), 0);
	CHECK_EQ(write_text(PARAM_FANOUT, "many"), -EINVAL);
}

/* --- tests of others --- */

static void run_with_leaders(const char *name, const char *const args[])
{
	static char path[PATH_MAX];
	const char *argv[8] = { path };
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);

	if (!CHECK(n > 0))
		return;
	path[n] = '\0';
	strcpy(strrchr(path, '/') + 1, name);
	for (int i = 0; args[i] && i < 6; i++)
		argv[i + 1] = args[i];
	CHECK_EQ(load(NODES " fanout=1"), 0);
	CHECK_EQ(run_program(argv), 0);
}

static void coherence(void)
{
	run_with_leaders("coherence", (const char *const[]){ "--threads", "8", NULL });
}

static void requests(void)
{
	run_with_leaders("requests", (const char *const[]){ "--threads", "8", NULL });
}

static void torture(void)
{
	run_with_leaders("torture", (const char *const[]){ "--seconds", "20", NULL });
}

int main(int argc, char **argv)
{
	test_start_raw(argc, argv, (struct test_opts){ .rounds = 200 });
	if (opt.native)
		SKIP("there is no native twin");
	if (geteuid() != 0 || access(MODULE_FILE, R_OK))
		SKIP("no " MODULE_FILE);
	if (nr_cpus() < 4)
		SKIP("fewer than 4 CPUs");
	test_part("parameters", parameters);
	test_part("counted", counted);
	test_part("coherence", coherence);
	test_part("requests", requests);
	test_part("torture", torture);
	CHECK_EQ(load(""), 0);
	return test_end();
}
