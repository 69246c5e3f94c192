// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The mapping of all vCPUs' pages, and whose a page is: a vCPU's that ends, while its
 * fd stays open, and the next one's with its id. What they counted is in the sums,
 * once. --rounds is the number of lives under fire.
 */
#include "test.h"
#include "rawvm.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define N	100		/* CPUIDs of a life */

static struct rawvm vm;
static struct rawvcpu vcpu;	/* of the main thread: id 0 */
static int stat_fd;
static const int rw = PROT_READ | PROT_WRITE;

/* ---- the mapping ---- */

static struct dune_vcpu_page *page_of(const void *pages, uint64_t id)
{
	return (struct dune_vcpu_page *)((char *)pages + id * DUNE_VCPU_PAGE_SIZE);
}

static void *map_pages(void)
{
	void *pages = mmap(NULL, DUNE_VCPU_PAGES_SIZE, rw, MAP_SHARED, vm.fd,
			   DUNE_MMAP_VCPU_PAGES);

	REQUIRE(pages != MAP_FAILED);
	return pages;
}

static void refuse(size_t size, int prot, int flags, uint64_t offset)
{
	void *p = mmap(NULL, size, prot, flags, vm.fd, offset);

	if (p == MAP_FAILED) {
		CHECK_EQ(errno, EINVAL);
		return;
	}
	FAIL("mmap(size %zu, prot %d, flags %d, offset 0x%lx) worked", size, prot, flags,
	     (unsigned long)offset);
	munmap(p, size);
}

static void mappings(void)
{
	static const uint64_t offsets[] = {
		DUNE_MMAP_VCPU_PAGES - 4096, DUNE_MMAP_VCPU_PAGES + 4096,
		DUNE_MMAP_VCPU_PAGES + DUNE_VCPU_PAGES_SIZE, 0x80000,
	};
	const size_t size = DUNE_VCPU_PAGES_SIZE;
	void *p;

	for (size_t i = 0; i < sizeof(offsets) / sizeof(*offsets); i++) {
		refuse(size, rw, MAP_SHARED, offsets[i]);
		refuse(4096, rw, MAP_SHARED, offsets[i]);
	}
	refuse(4096, rw, MAP_SHARED, DUNE_MMAP_VCPU_PAGES);
	refuse(size - 4096, rw, MAP_SHARED, DUNE_MMAP_VCPU_PAGES);
	refuse(size + 4096, rw, MAP_SHARED, DUNE_MMAP_VCPU_PAGES);
	refuse(size, rw, MAP_PRIVATE, DUNE_MMAP_VCPU_PAGES);
	refuse(size, PROT_READ, MAP_PRIVATE, DUNE_MMAP_VCPU_PAGES);
	refuse(size, rw | PROT_EXEC, MAP_SHARED, DUNE_MMAP_VCPU_PAGES);
	refuse(size, rw, MAP_SHARED, DUNE_MMAP_SLOT_TABLE);
	refuse(size, rw, MAP_SHARED, DUNE_MMAP_VM_PAGE);

	p = mmap(NULL, size, PROT_READ, MAP_SHARED, vm.fd, DUNE_MMAP_VCPU_PAGES);
	REQUIRE(p != MAP_FAILED);
	CHECK_EQ(page_of(p, 0)->id, 0);
	CHECK_EQ(mprotect(p, 4096, rw), 0);
	CHECK_EQ(mprotect(p, 4096, PROT_READ | PROT_EXEC), -1);
	CHECK(mremap(p, size, size + 4096, MREMAP_MAYMOVE) == MAP_FAILED);
	munmap(p, size);
}

static void same_page(void)
{
	struct dune_create_vcpu create = { .id = ~0ull };
	void *pages = map_pages();
	struct dune_vcpu_page *own;
	int fd = ioctl(vm.fd, DUNE_CREATE_VCPU, &create);

	REQUIRE(fd >= 0);
	CHECK_EQ(create.id, 1);
	own = mmap(NULL, DUNE_VCPU_PAGE_SIZE, rw, MAP_SHARED, fd, 0);
	REQUIRE(own != MAP_FAILED);
	CHECK_EQ(own->id, 1);
	CHECK_EQ(page_of(pages, 1)->id, 1);
	page_of(pages, 1)->user_sp = 0x1234;
	CHECK_EQ(own->user_sp, 0x1234);
	own->gdt[3] = 0x5678;
	CHECK_EQ(page_of(pages, 1)->gdt[3], 0x5678);
	CHECK_EQ(page_of(pages, 0)->id, 0);
	CHECK_EQ(page_of(pages, 0)->user_sp, 0);
	munmap(own, DUNE_VCPU_PAGE_SIZE);
	close(fd);
	/* It is the id's: still there, and as it was. */
	CHECK_EQ(page_of(pages, 1)->gdt[3], 0x5678);
	munmap(pages, DUNE_VCPU_PAGES_SIZE);
}

/* The signal that a child gets which reads, or writes, at p; 0: none. */
static int signal_at(volatile uint64_t *p, int writes)
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (writes)
			*p = 1;
		else
			(void)*p;
		_exit(0);
	}
	REQUIRE(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static sigjmp_buf caught;

static void on_signal(int sig)
{
	siglongjmp(caught, sig);
}

/* The same of this process. */
static int own_signal_at(volatile uint64_t *p)
{
	struct sigaction old[2], sa = { .sa_handler = on_signal };
	int sig;

	sigaction(SIGBUS, &sa, &old[0]);
	sigaction(SIGSEGV, &sa, &old[1]);
	sig = sigsetjmp(caught, 1);
	if (!sig)
		(void)*p;
	sigaction(SIGBUS, &old[0], NULL);
	sigaction(SIGSEGV, &old[1], NULL);
	return sig;
}

static void unused(void)
{
	volatile uint64_t *pages = map_pages();
	const size_t words = DUNE_VCPU_PAGE_SIZE / sizeof(*pages);

	CHECK_EQ(own_signal_at(pages), 0);
	CHECK_EQ(own_signal_at(pages + 500 * words), SIGBUS);
	CHECK_EQ(own_signal_at(pages + (DUNE_MAX_VCPUS - 1) * words), SIGBUS);
	/* Not inherited. */
	CHECK_EQ(signal_at(pages, 0), SIGSEGV);
	CHECK_EQ(signal_at(pages, 1), SIGSEGV);
	CHECK_EQ(signal_at(pages + 500 * words, 0), SIGSEGV);
	munmap((void *)pages, DUNE_VCPU_PAGES_SIZE);
}

/* ---- lives ---- */

static void guest_cpuids(void *arg)
{
	unsigned int a, b, c, d;

	for (int i = 0; i < N; i++)
		asm volatile("cpuid" : "=a" (a), "=b" (b), "=c" (c), "=d" (d)
			     : "0" (0), "2" (0));
	*(volatile int *)arg += 1;
	raw_vmcall(DUNE_HC_EXIT, 0);
}

static uint64_t cpuids(void)
{
	struct {
		struct dune_stat_header header;
		uint64_t vcpu[DUNE_NR_VCPU_COUNTERS], vm[DUNE_NR_VM_COUNTERS];
	} r;

	REQUIRE(read(stat_fd, &r, sizeof(r)) == sizeof(r));
	return r.vcpu[DUNE_VCPU_cpuid];
}

static uint64_t live(void)
{
	static struct dune_vm_page *page;

	if (!page)
		page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, vm.fd, DUNE_MMAP_VM_PAGE);
	REQUIRE(page != MAP_FAILED);
	return ((volatile struct dune_vm_page *)page)->counters[DUNE_VM_vcpus];
}

/* The module frees a dead thread's from a workqueue, soon after its exit. */
static void wait_live(uint64_t nr)
{
	uint64_t end = deadline(20);

	while (live() != nr && now_ns() < end)
		usleep(1000);
	CHECK_EQ(live(), nr);
}

struct life {
	uint32_t want_id;
	int fd;				/* stays open */
	struct rawvcpu vcpu;
};

static void *lives(void *arg)
{
	static __thread int count;
	struct life *life = arg;

	rawvcpu_create(&vm, &life->vcpu);
	life->fd = life->vcpu.fd;
	CHECK_EQ(life->vcpu.page->id, life->want_id);
	life->vcpu.page->gdt[0] = 0xabcd;
	life->vcpu.page->irr[3] = ~0ull;
	rawvcpu_start(&vm, &life->vcpu, guest_cpuids, &count);
	CHECK_EQ(rawvcpu_run(&life->vcpu, 0, 1000), DUNE_EXIT_HYPERCALL);
	CHECK_EQ(count, 1);
	CHECK_EQ(life->vcpu.page->counters[DUNE_VCPU_cpuid], N);
	return NULL;
}

static void live_and_die(struct life *life)
{
	uint64_t before = live();
	pthread_t thread;

	REQUIRE(pthread_create(&thread, NULL, lives, life) == 0);
	pthread_join(thread, NULL);
	wait_live(before);
}

static int is_zero_but_id(const struct dune_vcpu_page *page, uint32_t id)
{
	static uint8_t seen[DUNE_VCPU_PAGE_SIZE];

	memcpy(seen, page, sizeof(seen));
	if (((struct dune_vcpu_page *)seen)->id != id)
		return 0;
	((struct dune_vcpu_page *)seen)->id = 0;
	for (size_t i = 0; i < sizeof(seen); i++)
		if (seen[i])
			return 0;
	return 1;
}

/* A vCPU whose thread has ended, and the next one with its id. */
static void next_owner(void)
{
	struct dune_create_vcpu create = { 0 }, third = { 0 };
	struct life old = { .want_id = 1 };
	void *pages = map_pages(), *p;
	uint64_t before = cpuids();
	int fd, more;

	live_and_die(&old);
	CHECK_EQ(cpuids() - before, N);
	/* Of another thread, and of none: it never runs again. */
	CHECK_EQ(raw_run(old.fd, 0), -EPERM);
	/* Mapped, but not there: it is not made so any more. */
	CHECK_EQ(madvise(old.vcpu.page, DUNE_VCPU_PAGE_SIZE, MADV_DONTNEED), 0);
	CHECK_EQ(own_signal_at((uint64_t *)old.vcpu.page), SIGBUS);

	fd = ioctl(vm.fd, DUNE_CREATE_VCPU, &create);
	REQUIRE(fd >= 0);
	CHECK_EQ(create.id, 1);
	CHECK(is_zero_but_id(page_of(pages, 1), 1));
	CHECK_EQ(cpuids() - before, N);
	p = mmap(NULL, DUNE_VCPU_PAGE_SIZE, rw, MAP_SHARED, old.fd, 0);
	if (p != MAP_FAILED) {
		CHECK_EQ(own_signal_at(p), SIGBUS);
		munmap(p, DUNE_VCPU_PAGE_SIZE);
	}
	CHECK_EQ(raw_run(old.fd, 0), -EPERM);

	/* What the new one has counted is its own, and its id stays so. */
	page_of(pages, 1)->counters[DUNE_VCPU_cpuid] = 7;
	close(old.fd);
	CHECK_EQ(cpuids() - before, N + 7);
	CHECK_EQ(page_of(pages, 1)->counters[DUNE_VCPU_cpuid], 7);
	more = ioctl(vm.fd, DUNE_CREATE_VCPU, &third);
	REQUIRE(more >= 0);
	CHECK_EQ(third.id, 2);
	close(more);
	close(fd);
	CHECK_EQ(cpuids() - before, N + 7);
	munmap(old.vcpu.page, DUNE_VCPU_PAGE_SIZE);
	munmap(old.vcpu.stack, 65536);
	munmap(pages, DUNE_VCPU_PAGES_SIZE);
}

/* Many lives of one id, all their fds open to the end: each is counted once. */
static void many_owners(void)
{
	static struct life life[20];
	uint64_t before = cpuids();

	for (int i = 0; i < 20; i++) {
		life[i].want_id = 1;
		live_and_die(&life[i]);
		CHECK_EQ(cpuids() - before, (i + 1) * N);
	}
	for (int i = 0; i < 20; i++)
		rawvcpu_destroy(&life[i].vcpu);
	CHECK_EQ(cpuids() - before, 20 * N);
}

/* A result that cannot be written: no vCPU, no fd, no id. */
static void no_result(void)
{
	void *ro = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct dune_create_vcpu create = { 0 };
	uint64_t before = live();
	int fd, next;

	REQUIRE(ro != MAP_FAILED);
	fd = dup(0);
	close(fd);
	CHECK_ERRNO(ioctl(vm.fd, DUNE_CREATE_VCPU, ro), EFAULT);
	CHECK_EQ(live(), before);
	next = ioctl(vm.fd, DUNE_CREATE_VCPU, &create);
	CHECK_EQ(next, fd);
	CHECK_EQ(create.id, 1);
	close(next);
	munmap(ro, 4096);
}

/* ---- under fire: others write to all pages, at any time ---- */

static volatile int stopping;

static void *writes(void *pages)
{
	uint64_t seed = 88172645463325252ull;

	while (!stopping) {
		volatile uint64_t *page = (void *)page_of(pages, 1 + (seed >> 40 & 1));

		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		page[seed >> 32 & 511] = seed >> 8;
	}
	return NULL;
}

static void *lives_under_fire(void *unused)
{
	struct dune_create_vcpu create = { 0 };
	int fd = ioctl(vm.fd, DUNE_CREATE_VCPU, &create);

	REQUIRE(fd >= 0);
	CHECK_IN(create.id, 1, 2);
	if (create.id == 1)
		close(fd);
	return (void *)(uintptr_t)(create.id == 1 ? 0 : fd);
}

static void fire(void)
{
	void *pages = map_pages(), *fds[2];
	struct dune_create_vcpu create = { 0 };
	pthread_t writer, thread[2];
	int first[2];

	/* Now these pages are there. */
	for (int i = 0; i < 2; i++)
		first[i] = ioctl(vm.fd, DUNE_CREATE_VCPU, &create);
	close(first[0]);
	close(first[1]);
	stopping = 0;
	REQUIRE(pthread_create(&writer, NULL, writes, pages) == 0);
	for (long n = 0; n < opt.rounds; n++) {
		for (int i = 0; i < 2; i++)
			REQUIRE(!pthread_create(&thread[i], NULL, lives_under_fire, NULL));
		for (int i = 0; i < 2; i++)
			pthread_join(thread[i], &fds[i]);
		wait_live(1);
		for (int i = 0; i < 2; i++)
			if (fds[i])
				close((uintptr_t)fds[i]);
	}
	stopping = 1;
	pthread_join(writer, NULL);
	munmap(pages, DUNE_VCPU_PAGES_SIZE);
}

/* ---- nodes ---- */

static int node_of_page(uint64_t id)
{
	static struct dune_place out[256];
	struct dune_places req = { .places = (uintptr_t)out, .nr = 256 };

	REQUIRE(ioctl(stat_fd, DUNE_GET_PLACES, &req) == 0);
	for (uint32_t i = 0; i < req.nr; i++)
		if (out[i].kind == DUNE_PLACE_VCPU_PAGE && out[i].vcpu == id)
			return out[i].node;
	return -1;
}

/* The id of a vCPU that is made on this CPU, and its fd. */
static uint64_t make_at(int cpu, int *fd)
{
	struct dune_create_vcpu create = { 0 };
	unsigned int node;

	pin_to(cpu);
	REQUIRE(getcpu(NULL, &node) == 0);
	*fd = ioctl(vm.fd, DUNE_CREATE_VCPU, &create);
	REQUIRE(*fd >= 0);
	CHECK_EQ(node_of_page(create.id), (int)node);
	return create.id;
}

/* Each node's threads have the pages that were made there. */
static void nodes(void)
{
	unsigned int first, last;
	uint64_t here, there;
	int fd[2];

	pin_to(nr_cpus() - 1);
	getcpu(NULL, &last);
	pin_to(0);
	getcpu(NULL, &first);
	if (first == last)
		return;
	here = make_at(0, &fd[0]);
	there = make_at(nr_cpus() - 1, &fd[1]);
	CHECK(there != here);
	close(fd[0]);
	close(fd[1]);
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(make_at(nr_cpus() - 1, &fd[1]), there);
		CHECK_EQ(make_at(0, &fd[0]), here);
		close(fd[i & 1]);
		close(fd[!(i & 1)]);
	}
	/* Two on the far node, though an id with a page of this one is free. */
	CHECK_EQ(make_at(nr_cpus() - 1, &fd[0]), there);
	CHECK(make_at(nr_cpus() - 1, &fd[1]) != here);
	close(fd[0]);
	close(fd[1]);
	pin_to(0);
}

int main(int argc, char **argv)
{
	struct dune_stat_open req = { .scope = DUNE_STAT_PROCESS, .pid = getpid() };

	test_start_raw(argc, argv, (struct test_opts){ .rounds = 200 });
	if (opt.native)
		SKIP("there is no native twin of the ABI");
	rawvm_create(&vm);
	rawvcpu_create(&vm, &vcpu);
	stat_fd = ioctl(vm.fd, DUNE_STAT_OPEN, &req);
	REQUIRE(stat_fd >= 0);
	test_part("mappings", mappings);
	test_part("same_page", same_page);
	test_part("unused", unused);
	test_part("no_result", no_result);
	test_part("next_owner", next_owner);
	test_part("many_owners", many_owners);
	test_part("fire", fire);
	test_part("nodes", nodes);
	CHECK_EQ(live(), 1);
	rawvcpu_destroy(&vcpu);
	rawvm_destroy(&vm);
	return test_end();
}
