// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Antagonists that move pages, or change how they are mapped, and leave the
 * contents alone. They claim nothing and announce nothing: verifiers must not
 * notice them.
 */
#include "torture.h"
#include "test.h"

#include <fcntl.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define KSM	"/sys/kernel/mm/ksm/"
#define CGROUP	"/sys/fs/cgroup/dune-torture"

bool may_turn_knobs(void)
{
	const char *engine = getenv("DUNE_ENGINE");

	return engine && strcmp(engine, "native");
}

bool write_knob(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, value, strlen(value)) == (ssize_t)strlen(value);
	close(fd);
	return ok;
}

static const char *lacks_file(const char *path, const char *what)
{
	if (!may_turn_knobs())
		return "not on a machine of others";
	return access(path, W_OK) ? what : NULL;
}

/* Up to 64 pages anywhere in an area, and where they begin. */
static size_t some_pages(struct antagonist *a, char **start)
{
	const struct area *area = &areas[rnd(&a->seed) % NR_AREAS];
	unsigned int first = rnd(&a->seed) % area->nr_pages;
	unsigned int n = 1 + rnd(&a->seed) % 64;

	if (n > area->nr_pages - first)
		n = area->nr_pages - first;
	*start = area->base + first * PAGE;
	return n * PAGE;
}

/* Fails on what has holes or is not mapped just now: that is no failure. */
static bool advise_some(struct antagonist *a, int advice)
{
	char *start;
	size_t size = some_pages(a, &start);

	return madvise(start, size, advice) == 0;
}

static bool cold(struct antagonist *a)
{
	return advise_some(a, MADV_COLD);
}

static bool pageout(struct antagonist *a)
{
	return advise_some(a, MADV_PAGEOUT);
}

static bool collapse(struct antagonist *a)
{
	const struct area *area = &areas[1];
	char *start = area->base + (rnd(&a->seed) & 1) * HUGE;

	/* Not while another antagonist has a hole in it. */
	for (int tries = 0; tries < 5; tries++) {
		if (madvise(start, HUGE, MADV_COLLAPSE) == 0)
			return true;
		spin(10000);
	}
	return false;
}

static const char *lacks_collapse(void)
{
	char *p = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *huge = (char *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));
	int err;

	REQUIRE(p != MAP_FAILED);
	*(volatile char *)huge = 1;
	err = madvise(huge, HUGE, MADV_COLLAPSE) ? errno : 0;
	munmap(p, 2 * HUGE);
	return err == EINVAL ? "this kernel has no MADV_COLLAPSE" : NULL;
}

static bool compact(struct antagonist *a)
{
	return write_knob("/proc/sys/vm/compact_memory", "1");
}

static const char *lacks_compact(void)
{
	return lacks_file("/proc/sys/vm/compact_memory", "no compaction");
}

/* All pages of the process become read-only, and take a fault each. */
static bool soft_dirty(struct antagonist *a)
{
	return write_knob("/proc/self/clear_refs", "4");
}

static const char *lacks_soft_dirty(void)
{
	return write_knob("/proc/self/clear_refs", "4") ? NULL :
							  "no soft-dirty bits";
}

/* ---- memory pressure ---- */

static bool reclaim(struct antagonist *a)
{
	return write_knob(CGROUP "/memory.reclaim", "256K");
}

static const char *lacks_reclaim(void)
{
	return lacks_file(CGROUP "/memory.reclaim", "no memory.reclaim");
}

static void cgroup_setup(void)
{
	char pid[16];

	write_knob("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	if (mkdir(CGROUP, 0755) && errno != EEXIST)
		return;
	snprintf(pid, sizeof(pid), "%d", getpid());
	write_knob(CGROUP "/cgroup.procs", pid);
}

/* ---- swap, on compressed memory ---- */

static void run_program(const char *a, const char *b)
{
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, 1);
		dup2(null, 2);
		execlp(a, a, b, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

static void swap_setup(void)
{
	if (access("/sys/block/zram0", F_OK))
		run_program("modprobe", "zram");
	if (!write_knob("/sys/block/zram0/disksize", "64M"))
		return;
	run_program("mkswap", "/dev/zram0");
	if (swapon("/dev/zram0", 0))
		printf("  swapon: %s\n", strerror(errno));
}

static long swap_used(void)
{
	char line[256];
	long size = 0, used = 0;
	FILE *f = fopen("/proc/swaps", "r");

	if (!f)
		return -1;
	if (!fgets(line, sizeof(line), f) || !fgets(line, sizeof(line), f) ||
	    sscanf(line, "%*s %*s %ld %ld", &size, &used) != 2)
		used = -1;
	fclose(f);
	return used;
}

/* ---- KSM ---- */

/* Sharing is undone now and then, so that it happens again. */
static bool ksm(struct antagonist *a)
{
	bool shared = read_number(KSM "pages_sharing") > 0;

	if (shared && rnd(&a->seed) % 4 == 0)
		write_knob(KSM "run", "2");
	write_knob(KSM "run", "1");
	return shared;
}

static const char *lacks_ksm(void)
{
	return lacks_file(KSM "run", "no KSM");
}

static void ksm_setup(void)
{
	write_knob(KSM "sleep_millisecs", "20");
	write_knob(KSM "pages_to_scan", "64");
}

/* ---- NUMA ---- */

static const char *lacks_nodes(void)
{
	if (access("/sys/devices/system/node/node1", F_OK))
		return "only one NUMA node";
	return NULL;
}

/* A whole area: mremap() takes no block that lies in two mappings. */
static bool bind_pages(struct antagonist *a)
{
	const struct area *area = &areas[rnd(&a->seed) % NR_AREAS];
	unsigned long mask = 1ul << (rnd(&a->seed) & 1);
	bool bind = rnd(&a->seed) & 1;

	return syscall(SYS_mbind, area->base, area->nr_pages * PAGE,
		       bind ? MPOL_BIND : MPOL_DEFAULT, bind ? &mask : NULL,
		       bind ? 8 * sizeof(mask) : 0, MPOL_MF_MOVE) == 0;
}

static bool move_pages(struct antagonist *a)
{
	int node[64], status[64];
	void *page[64];
	char *start;
	unsigned long n = some_pages(a, &start) / PAGE;

	for (unsigned long i = 0; i < n; i++) {
		page[i] = start + i * PAGE;
		node[i] = rnd(&a->seed) & 1;
	}
	return syscall(SYS_move_pages, 0, n, page, node, status,
		       MPOL_MF_MOVE) == 0;
}

static bool migrate_pages(struct antagonist *a)
{
	unsigned long from = 1ul << (rnd(&a->seed) & 1), to = 3 - from;

	return syscall(SYS_migrate_pages, 0, 8 * sizeof(from), &from, &to) >= 0;
}

/* ---- before and after ---- */

void move_setup(void)
{
	if (!may_turn_knobs())
		return;
	cgroup_setup();
	swap_setup();
	ksm_setup();
	if (!lacks_nodes())
		write_knob("/proc/sys/kernel/numa_balancing", "1");
	printf("  swap: %s\n", swap_used() < 0 ? "none" : "on zram");
}

void move_finish(void)
{
	if (!may_turn_knobs())
		return;
	write_knob(KSM "run", "2");
	write_knob(KSM "run", "0");
	if (swap_used() >= 0) {
		printf("  swap: %ld kB used at the end\n", swap_used());
		swapoff("/dev/zram0");
	}
}

struct act move_acts[] = {
	{ "collapse", collapse, lacks_collapse, .one_in = 2 },
	{ "cold", cold, NULL, .one_in = 2 },
	{ "pageout", pageout, NULL, .one_in = 1 },
	{ "compact", compact, lacks_compact, .one_in = 8 },
	{ "soft_dirty", soft_dirty, lacks_soft_dirty, .one_in = 4 },
	{ "reclaim", reclaim, lacks_reclaim, .one_in = 2 },
	{ "ksm", ksm, lacks_ksm, .one_in = 2 },
	{ "mbind", bind_pages, lacks_nodes, .one_in = 1 },
	{ "move_pages", move_pages, lacks_nodes, .one_in = 1 },
	{ "migrate_pages", migrate_pages, lacks_nodes, .one_in = 4 },
	{ .name = NULL },
};
