// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Which pages of a heap were written? What the answer costs, every sixteenth page
 * being dirty, and what it costs the writers: dune_vm_scan(), which clears as it
 * looks; Linux' soft-dirty bits; write protection by userfaultfd, whose signals are
 * the answer. In plain Linux the heap does not run meanwhile either.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "limits.h"

#define HEAP		((char *)0x200000000000)
#define GROUP		512ul		/* costs are of so many pages */
#define DIRTY_EACH	16ul		/* one of so many is written */
#define SOFT_DIRTY	(1ull << 55)	/* in /proc/self/pagemap */

/* Instructions: a write that nothing traps. */
#define WRITE_MOST	20

enum by { BY_DUNE, BY_SOFT_DIRTY, BY_UFFD, NR_BY };

static const int sizes[] = { 2, 16, 128, 512 };	/* MiB */
#define NR_SIZES	(sizeof(sizes) / sizeof(*sizes))
#define BIG		512		/* minutes in an emulator: --only asks for it */

struct job {
	enum by by;
	int mib;
};

static unsigned long nr_pages;
static unsigned long found;	/* dirty pages, by the last operation */

static size_t heap_size(void)
{
	return nr_pages * PAGE;
}

static char *page(unsigned long i)
{
	return HEAP + i * PAGE;
}

static void dirty_some(void *arg, int rep)
{
	for (unsigned long i = rep % DIRTY_EACH; i < nr_pages; i += DIRTY_EACH)
		touch(page(i));
}

static void op_nothing(void *arg, int rep)
{
}

/* ---- Dune ---- */

static uint64_t bitmap[BIG * MIB / PAGE / 64];

static void dune_scan(void *arg, int rep)
{
	found = dune_vm_scan(NULL, HEAP, heap_size(), DUNE_SCAN_DIRTY | DUNE_SCAN_CLEAR, bitmap);
}

static void dune_begin(void)
{
	dune_on();
	guest_enter();
	MUST(dune_vm_split(NULL, HEAP, heap_size(), DUNE_PAGE_4K) == 0);
}

/* ---- soft-dirty ---- */

static int pagemap, clear_refs;

static void soft_dirty_begin(void)
{
	pagemap = open("/proc/self/pagemap", O_RDONLY);
	clear_refs = open("/proc/self/clear_refs", O_WRONLY);
	MUST(pagemap >= 0 && clear_refs >= 0);
}

static void soft_dirty_scan(void *arg, int rep)
{
	static uint64_t entry[4096];
	unsigned long at = (uintptr_t)HEAP / PAGE, end = at + nr_pages;
	long n;

	found = 0;
	for (; at < end; at += n) {
		n = end - at < 4096 ? end - at : 4096;
		MUST(pread(pagemap, entry, n * 8, at * 8) == n * 8);
		for (long i = 0; i < n; i++) {
			if (!(entry[i] & SOFT_DIRTY))
				continue;
			bitmap[found / 64] |= 1ull << found % 64;
			found++;
		}
	}
	MUST(write(clear_refs, "4", 1) == 1);
}

/* ---- userfaultfd ---- */

static int uffd = -1;
static volatile unsigned long signals;

static void write_protect(void *start, size_t size, uint64_t mode)
{
	struct uffdio_writeprotect wp = {
		.range = { (uintptr_t)start, size }, .mode = mode,
	};

	if (ioctl(uffd, UFFDIO_WRITEPROTECT, &wp))
		_exit(1);
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	uintptr_t addr = (uintptr_t)info->si_addr & ~(PAGE - 1);
	unsigned long i = (addr - (uintptr_t)HEAP) / PAGE;

	bitmap[i / 64] |= 1ull << i % 64;
	signals++;
	write_protect((void *)addr, PAGE, 0);
}

static void uffd_begin(void)
{
	struct uffdio_api api = {
		.api = UFFD_API, .features = UFFD_FEATURE_SIGBUS | UFFD_FEATURE_PAGEFAULT_FLAG_WP,
	};
	struct uffdio_register reg = {
		.range = { (uintptr_t)HEAP, heap_size() }, .mode = UFFDIO_REGISTER_MODE_WP,
	};
	struct sigaction sa = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api)) {
		printf("note: no write protection by userfaultfd here\n");
		uffd = -1;
		return;
	}
	MUST(ioctl(uffd, UFFDIO_REGISTER, &reg) == 0);
	MUST(sigaction(SIGBUS, &sa, NULL) == 0);
}

static void uffd_scan(void *arg, int rep)
{
	found = signals;
	signals = 0;
	write_protect(HEAP, heap_size(), UFFDIO_WRITEPROTECT_MODE_WP);
}

/* ---- all ---- */

static const struct way {
	const char *name;
	void (*begin)(void);
	step_fn scan;
} ways[NR_BY] = {
	[BY_DUNE] = { "dune_vm_scan", dune_begin, dune_scan },
	[BY_SOFT_DIRTY] = { "soft-dirty", soft_dirty_begin, soft_dirty_scan },
	[BY_UFFD] = { "userfaultfd", uffd_begin, uffd_scan },
};

static void write_one(void *arg, int rep)
{
	touch(page(rep % nr_pages));
}

static void scan_before_write(void *arg, int rep)
{
	const struct job *j = arg;

	ways[j->by].scan(NULL, rep);
}

static struct label label_of(const char *op, const struct job *j)
{
	struct label label = { .mode = j->by == BY_DUNE ? DUNE : NATIVE, .vcpus = 1 };

	strcpy(label.op, op);
	snprintf(label.state, sizeof(label.state), "%dM", j->mib);
	strcpy(label.who, ways[j->by].name);
	strcpy(label.caller, j->by == BY_DUNE ? "guest" : "plain");
	return label;
}

static void run(const void *arg)
{
	struct job j = *(const struct job *)arg;
	struct label label = label_of("scan", &j);
	int reps = j.mib > 16 ? 5 : j.mib > 2 ? 20 : options.reps;

	nr_pages = j.mib * MIB / PAGE;
	map_area_at(HEAP, heap_size());
	for (unsigned long i = 0; i < nr_pages; i++)
		touch(page(i));
	ways[j.by].begin();
	if (j.by == BY_UFFD && uffd < 0)
		return;
	for (unsigned long i = 0; i < nr_pages; i++)
		touch(page(i));
	label.pages = GROUP;
	label.ops = nr_pages / GROUP;
	result_print(measure(&label, reps, dirty_some, ways[j.by].scan, &j));
	MUST(found == nr_pages / DIRTY_EACH);
	if (j.mib == sizes[0]) {
		label = label_of("write", &j);
		label.pages = 1;
		result_print(measure(&label, options.reps, scan_before_write, write_one, &j));
		label = label_of("nothing", &j);
		label.pages = 1;
		result_print(measure(&label, options.reps, op_nothing, op_nothing, &j));
	}
	if (j.by == BY_DUNE) {
		MUST(dune_inside());
		guest_leave();
	}
}

/* ---- limits ---- */

static const struct result *find(const char *op, enum by by, int mib)
{
	struct label like = label_of(op, &(struct job){ by, mib });

	return result_find(&like);
}

/* No budget but this: that it pays, and disturbs nobody. */
static void limit_scan(int mib)
{
	const struct result *r = find("scan", BY_DUNE, mib);
	const struct result *native = find("scan", BY_SOFT_DIRTY, mib);
	char what[80];

	if (!r || !native)
		return;
	snprintf(what, sizeof(what), "scan of %d MiB, 512 pages, against soft-dirty / 4", mib);
	limit(what, r->median, native->median / 4.0, native->median);
	limit_exact_of(what, "vCPUs kicked", vcpus_counter(r, DUNE_VCPU_kicks_sent), 0);
}

static void limits(void)
{
	const struct result *r = find("write", BY_DUNE, sizes[0]);
	const struct result *nothing = find("nothing", BY_DUNE, sizes[0]);
	const struct result *native = find("write", BY_SOFT_DIRTY, sizes[0]);

	const struct result *large = find("scan", BY_DUNE, 128), *small = find("scan", BY_DUNE, 2);

	for (size_t i = 0; i < NR_SIZES; i++)
		limit_scan(sizes[i]);
	if (small && large)
		limit("scan of 2 MiB, against 512 pages of a large one", small->median,
		      large->median * 1.2, -1);
	if (r && nothing && native)
		limit("first write after a scan", (double)r->median - nothing->median, WRITE_MOST,
		      native->median);
}

int main(int argc, char **argv)
{
	char part[40];

	bench_start(argc, argv,
		    "Cost of finding the pages that were written, of 512 pages, and of the\n"
		    "first write to a page afterwards. Parts: WAY-2, WAY-16, WAY-128, and only\n"
		    "when asked for, WAY-512 (MiB); dune_vm_scan, soft-dirty, userfaultfd.");
	results_init();
	for (size_t s = 0; s < NR_SIZES; s++)
		for (enum by by = 0; by < NR_BY; by++) {
			snprintf(part, sizeof(part), "%s-%d", ways[by].name, sizes[s]);
			if (sizes[s] == BIG && (!options.only || !strstr(part, options.only)))
				continue;
			if (wanted(part) && (by != BY_DUNE || !options.native_only))
				in_child(run, &(struct job){ by, sizes[s] });
		}
	limits();
	return limits_end();
}
