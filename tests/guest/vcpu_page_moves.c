// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A thread that goes to another NUMA node has its vCPU page moved there: nothing that
 * anybody writes to it meanwhile is lost, whichever mapping they use, or make and give
 * up; a page that is in use elsewhere stays; nobody else's mappings are touched.
 * --rounds moves.
 */
#include "test.h"
#include "rawvm.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define N		20	/* CPUIDs of a run */
#define FOLLOW_MS	4	/* of the module, while this test runs */
#define TRIES		20	/* to move a page that stays */

/* Words of dune_vcpu_page.irr, which is user space's own. */
enum word { BY_OWN_MAPPING, BY_ALL_PAGES, BY_GUEST, BY_ALL };
#define BY_NEW_MAPPINGS	BY_OWN_MAPPING		/* another thread's */

static const char param[] = "/sys/module/dune/parameters/follow_ms";
static struct rawvm vm;
static struct rawvcpu vcpu;	/* the main thread's, who moves; id 0 */
static struct dune_vcpu_page *pages;	/* all of them */
static int stat_fd;
static int cpu_at[2], node_at[2];	/* two CPUs of different nodes */
static uint64_t runs;
static long follow_ms_before;

static void find_nodes(void)
{
	unsigned int node;

	for (int cpu = 0; cpu < nr_cpus(); cpu++) {
		pin_to(cpu);
		REQUIRE(getcpu(NULL, &node) == 0);
		if (cpu && (int)node == node_at[0])
			continue;
		cpu_at[cpu > 0] = cpu;
		node_at[cpu > 0] = node;
	}
	if (!cpu_at[1])
		SKIP("one NUMA node with CPUs (tools/vm/run --numa 2)");
	pin_to(cpu_at[0]);
}

static uint64_t stat_of(enum dune_vm_counter i)
{
	struct {
		struct dune_stat_header header;
		uint64_t vcpu[DUNE_NR_VCPU_COUNTERS], vm[DUNE_NR_VM_COUNTERS];
	} r;

	REQUIRE(read(stat_fd, &r, sizeof(r)) == sizeof(r));
	return r.vm[i];
}

/* The node where that of the main thread's vCPU is. */
static int node_of(enum dune_place_kind kind)
{
	struct dune_place out[8];
	struct dune_places req = { .places = (uintptr_t)out, .nr = 8 };

	REQUIRE(ioctl(stat_fd, DUNE_GET_PLACES, &req) == 0);
	for (uint32_t i = 0; i < req.nr; i++)
		if (out[i].kind == kind && out[i].vcpu == vcpu.page->id)
			return out[i].node;
	return -1;
}

static int node_of_page(void)
{
	return node_of(DUNE_PLACE_VCPU_PAGE);
}

static void guest_cpuids(void *arg)
{
	unsigned int a, b, c, d;

	for (;;) {
		for (int i = 0; i < N; i++)
			asm volatile("cpuid" : "=a" (a), "=b" (b), "=c" (c), "=d" (d)
				     : "0" (0), "2" (0));
		raw_vmcall(DUNE_HC_EXIT, 0);
	}
}

static void run_once(void)
{
	CHECK_EQ(rawvcpu_run(&vcpu, 0, 1000), DUNE_EXIT_HYPERCALL);
	runs++;
}

/* Go there and run until the page has come, which takes FOLLOW_MS. */
static bool follow_to(int where, int seconds)
{
	uint64_t end = deadline(seconds);

	pin_to(cpu_at[where]);
	do {
		run_once();
	} while (node_of_page() != node_at[where] && now_ns() < end);
	return node_of_page() == node_at[where];
}

/* It is tried and tried, and stays where it is. */
static void stays_at(int where)
{
	for (int i = 0; i < TRIES; i++) {
		usleep(FOLLOW_MS * 1000);
		run_once();
	}
	CHECK_EQ(node_of_page(), node_at[where]);
}

/* ---- contents ---- */

struct writer {
	struct dune_vcpu_page *page;
	enum word word;
	int cpu;
	uint64_t count;
};

static volatile int stopping;

static void add_to(struct dune_vcpu_page *page, enum word word)
{
	__atomic_add_fetch(&page->irr[word], 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&page->irr[BY_ALL], 1, __ATOMIC_SEQ_CST);
}

static void *writes(void *arg)
{
	struct writer *w = arg;

	pin_to(w->cpu);
	while (!stopping) {
		add_to(w->page, w->word);
		w->count++;
	}
	return NULL;
}

/* By mappings that it makes and gives up. */
static void *writes_and_maps(void *arg)
{
	struct writer *w = arg;
	struct dune_vcpu_page *p;

	pin_to(w->cpu);
	for (; !stopping; w->count += 3) {
		p = mmap(NULL, DUNE_VCPU_PAGES_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vm.fd,
			 DUNE_MMAP_VCPU_PAGES);
		REQUIRE(p != MAP_FAILED);
		add_to(p, w->word);
		CHECK_EQ(madvise(p, DUNE_VCPU_PAGE_SIZE, MADV_DONTNEED), 0);
		add_to(p, w->word);
		p = mremap(p, DUNE_VCPU_PAGES_SIZE, DUNE_VCPU_PAGES_SIZE, MREMAP_MAYMOVE);
		REQUIRE(p != MAP_FAILED);
		add_to(p, w->word);
		munmap(p, DUNE_VCPU_PAGES_SIZE);
		/* It is referred to all the time else, and never moves. */
		usleep(2000);
	}
	return NULL;
}

static void guest_writes(void *arg)
{
	struct writer *w = arg;

	for (;;) {
		for (int i = 0; i < 100; i++)
			add_to(w->page, w->word);
		w->count += 100;
		raw_vmcall(DUNE_HC_EXIT, 0);
	}
}

/* Another vCPU's thread, which writes in the guest. */
static void *writes_in_guest(void *arg)
{
	struct writer *w = arg;
	struct rawvcpu other;

	pin_to(w->cpu);
	rawvcpu_create(&vm, &other);
	rawvm_map(&vm, w->page);
	rawvcpu_start(&vm, &other, guest_writes, w);
	while (!stopping)
		CHECK_EQ(rawvcpu_run(&other, 0, 1000), DUNE_EXIT_HYPERCALL);
	rawvcpu_destroy(&other);
	return NULL;
}

static void check_cpu_desc(int where)
{
	uint64_t desc = vcpu.page->cpu_desc, limit = (desc & 0xffff) | (desc >> 32 & 0xf0000);

	CHECK_EQ(limit & 0xfff, (uint64_t)cpu_at[where]);
	CHECK_EQ(limit >> 12, (uint64_t)node_at[where]);
}

/* What is behind the struct is user space's own, too. */
static void check_rest(void)
{
	const uint8_t *page = (const uint8_t *)vcpu.page;
	int changed = 0;

	for (size_t i = sizeof(*vcpu.page); i < DUNE_VCPU_PAGE_SIZE; i++)
		changed += page[i] != 0x5a;
	CHECK_EQ(changed, 0);
}

static void contents(void)
{
	struct writer w[] = {
		{ vcpu.page, BY_OWN_MAPPING, cpu_at[0], 0 },
		{ pages, BY_ALL_PAGES, cpu_at[1], 0 },
		{ pages, BY_GUEST, nr_cpus() - 1, 0 },
		{ NULL, BY_NEW_MAPPINGS, cpu_at[0], 0 },
	};
	void *(*const fns[])(void *) = { writes, writes, writes_in_guest, writes_and_maps };
	uint64_t followed = stat_of(DUNE_VM_vcpu_pages_followed), sum = 0;
	pthread_t thread[4];

	stopping = 0;
	vcpu.page->gdt[3] = 0x1234567890abcdef;
	memset(vcpu.page + 1, 0x5a, DUNE_VCPU_PAGE_SIZE - sizeof(*vcpu.page));
	for (int i = 0; i < 4; i++)
		REQUIRE(pthread_create(&thread[i], NULL, fns[i], &w[i]) == 0);
	for (long n = 1; n <= opt.rounds; n++) {
		if (!follow_to(n & 1, 5)) {
			FAIL("move %ld: the page stays on node %d", n, node_of_page());
			break;
		}
		check_cpu_desc(n & 1);
		CHECK_EQ(vcpu.page->counters[DUNE_VCPU_cpuid], runs * N);
		check_rest();
	}
	stopping = 1;
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		CHECK(w[i].count > 0);
		sum += w[i].count;
	}
	CHECK_EQ(pages->irr[BY_OWN_MAPPING], w[0].count + w[3].count);
	CHECK_EQ(pages->irr[BY_ALL_PAGES], w[1].count);
	CHECK_EQ(pages->irr[BY_GUEST], w[2].count);
	CHECK_EQ(pages->irr[BY_ALL], sum);
	CHECK_EQ(pages->gdt[3], 0x1234567890abcdef);
	CHECK_EQ(pages->id, 0);
	followed = stat_of(DUNE_VM_vcpu_pages_followed) - followed;
	printf("    %lu moves of pages, %llu writes meanwhile\n", followed, pages->irr[BY_ALL]);
	CHECK(followed >= (uint64_t)opt.rounds);
	memset(pages->irr, 0, sizeof(pages->irr));
	CHECK(follow_to(0, 5));
}

/* ---- a page that something else refers to ---- */

static void pinned(void)
{
	struct iovec page = { .iov_base = vcpu.page, .iov_len = DUNE_VCPU_PAGE_SIZE };
	static struct dune_vcpu_page seen;
	int fds[2];

	REQUIRE(pipe(fds) == 0);
	REQUIRE(vmsplice(fds[1], &page, 1, 0) == (ssize_t)DUNE_VCPU_PAGE_SIZE);
	pin_to(cpu_at[1]);
	stays_at(0);
	CHECK_EQ(node_of(DUNE_PLACE_VMCS), node_at[1]);
	/* What could leave comes home, too; and once more. */
	pin_to(cpu_at[0]);
	stays_at(0);
	CHECK_EQ(node_of(DUNE_PLACE_VMCS), node_at[0]);
	pin_to(cpu_at[1]);
	stays_at(0);
	CHECK_EQ(node_of(DUNE_PLACE_VMCS), node_at[1]);
	vcpu.page->irr[BY_OWN_MAPPING] = 0x1111;
	REQUIRE(read(fds[0], &seen, sizeof(seen)) == (ssize_t)sizeof(seen));
	/* A pipe has the page itself: what is written now is seen there. */
	CHECK_EQ(seen.irr[BY_OWN_MAPPING], 0x1111);
	close(fds[0]);
	close(fds[1]);
	CHECK(follow_to(1, 5));
	CHECK_EQ(vcpu.page->irr[BY_OWN_MAPPING], 0x1111);
	CHECK_EQ(pages->irr[BY_OWN_MAPPING], 0x1111);
	vcpu.page->irr[BY_OWN_MAPPING] = 0;
	CHECK(follow_to(0, 5));
}

/* ---- other processes ---- */

static bool is_present(const void *p)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry = 0;

	REQUIRE(fd >= 0);
	REQUIRE(pread(fd, &entry, 8, (uintptr_t)p / 4096 * 8) == 8);
	close(fd);
	return entry >> 63;
}

static void child_looks(const int *ask, const int *tell)
{
	struct rawvcpu own;
	struct rawvm mine;
	char c = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	check_failures = 0;
	rawvm_create(&mine);
	rawvcpu_create(&mine, &own);
	CHECK_EQ(own.page->id, 0);
	CHECK(is_present(own.page));
	CHECK(write(tell[1], &c, 1) == 1);
	CHECK(read(ask[0], &c, 1) == 1);
	CHECK(is_present(own.page));
	_exit(check_failures ? 1 : 0);
}

static void others_keep_theirs(void)
{
	int ask[2], tell[2], status = -1;
	char c = 0;
	pid_t pid;

	REQUIRE(pipe(ask) == 0 && pipe(tell) == 0);
	fflush(stdout);
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid)
		child_looks(ask, tell);
	REQUIRE(read(tell[0], &c, 1) == 1);
	for (int n = 1; n <= 4; n++)
		CHECK(follow_to(n & 1, 5));
	REQUIRE(write(ask[1], &c, 1) == 1);
	REQUIRE(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
	for (int i = 0; i < 2; i++) {
		close(ask[i]);
		close(tell[i]);
	}
}

/* ---- 0 ms ---- */

static void never(void)
{
	write_number(param, 0);
	pin_to(cpu_at[1]);
	stays_at(0);
	write_number(param, FOLLOW_MS);
	CHECK(follow_to(1, 5));
	CHECK(follow_to(0, 5));
}

static void set_back(void)
{
	write_number(param, follow_ms_before);
}

int main(int argc, char **argv)
{
	struct dune_stat_open req = { .scope = DUNE_STAT_PROCESS, .pid = getpid() };
	static int unused;

	test_start_raw(argc, argv, (struct test_opts){ .rounds = 40 });
	if (opt.native)
		SKIP("there is no native twin of the ABI");
	find_nodes();
	follow_ms_before = read_number(param);
	atexit(set_back);
	write_number(param, FOLLOW_MS);
	rawvm_create(&vm);
	rawvcpu_create(&vm, &vcpu);
	pages = mmap(NULL, DUNE_VCPU_PAGES_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vm.fd,
		     DUNE_MMAP_VCPU_PAGES);
	REQUIRE(pages != MAP_FAILED);
	stat_fd = ioctl(vm.fd, DUNE_STAT_OPEN, &req);
	REQUIRE(stat_fd >= 0);
	rawvcpu_start(&vm, &vcpu, guest_cpuids, &unused);
	run_once();
	CHECK_EQ(node_of_page(), node_at[0]);
	test_part("contents", contents);
	test_part("pinned", pinned);
	test_part("others_keep_theirs", others_keep_theirs);
	test_part("never", never);
	rawvcpu_destroy(&vcpu);
	rawvm_destroy(&vm);
	return test_end();
}
