// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Flushes of guest translations. The emulator drops its TLB at every VM entry
 * and exit: so a vCPU that is not made to leave shows old translations, and an
 * INVVPID that is left out does not show but in its counters.
 */
#include "requests.h"

#include <sys/ioctl.h>
#include <sys/mman.h>

#include "emucount.h"

#define INVVPIDS 50

/* ---- a request is a flush, at the next entry, once ---- */

static void leaves(void *unused)
{
	for (;;)
		raw_vmcall(DUNE_HC_EXIT, 0);
}

static uint64_t invvpids(void)
{
	uint64_t sum = 0;

	for (int cpu = 0; cpu < nr_cpus(); cpu++)
		sum += emucount_read(cpu, EMU_INVVPID);
	return sum;
}

void flush_at_entry(void)
{
	bool counts = emucount_available();
	uint64_t before, executed;
	struct peer *p;

	peers_setup();
	p = peer_begin(0);
	peer_start(p, leaves);
	CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	before = peer_counter(p, DUNE_VCPU_guest_flushes);
	executed = counts ? invvpids() : 0;
	for (int i = 0; i < 10; i++)
		CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	CHECK_EQ(peer_counter(p, DUNE_VCPU_guest_flushes), before);
	if (counts)
		CHECK_EQ(invvpids(), executed);
	for (int i = 0; i < INVVPIDS; i++) {
		/*
		 * Bits that mean nothing stay and change nothing. A flush that
		 * polling has begun may not have been made.
		 */
		request(p, (i % 3 ? DUNE_REQ_FLUSH : DUNE_REQ_FLUSHING) |
			   (i & 1 ? ~DUNE_REQUESTS : 0));
		CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
		CHECK_EQ(p->vcpu.page->requests, i ? ~DUNE_REQUESTS : 0);
	}
	CHECK_EQ(peer_counter(p, DUNE_VCPU_guest_flushes), before + INVVPIDS);
	if (counts)
		CHECK_EQ(invvpids(), executed + INVVPIDS);
	CHECK_EQ(peer_counter(p, DUNE_VCPU_irqs), 0);
	peer_end(p);
	peers_teardown();
}

/* ---- what the guest does for its own translations needs no exit ---- */

#define CR4_PCIDE (1ul << 17)

static struct dune_info info;

static inline void invpcid(unsigned long type, uint64_t pcid, void *addr)
{
	struct { uint64_t pcid, addr; } desc = { pcid, (uint64_t)addr };

	asm volatile("invpcid %0, %1" : : "m"(desc), "r"(type) : "memory");
}

static void own_tlb(void *arg)
{
	struct peer *p = arg;
	uint64_t cr3, cr4;

	asm volatile("mov %%cr3, %0" : "=r"(cr3));
	asm volatile("mov %%cr4, %0" : "=r"(cr4));
	asm volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_PCIDE));
	for (;;) {
		uint64_t entries = peer_counter(p, DUNE_VCPU_entries);

		for (uint64_t pcid = 0; pcid < 10; pcid++) {
			asm volatile("mov %0, %%cr3" : : "r"(cr3 | pcid) : "memory");
			asm volatile("mov %0, %%cr3"
				     : : "r"(cr3 | pcid | 1ull << 63) : "memory");
			asm volatile("invlpg (%0)" : : "r"(p) : "memory");
			if (!(info.caps & DUNE_CAP_INVPCID))
				continue;
			invpcid(0, pcid, p);
			invpcid(1, pcid, NULL);
			invpcid(2, 0, NULL);
			invpcid(3, 0, NULL);
		}
		asm volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
		asm volatile("mov %0, %%cr4" : : "r"(cr4));
		/* This run's own entry is counted; an interrupt may come in. */
		p->got[0] = peer_counter(p, DUNE_VCPU_entries) - entries;
		raw_vmcall(DUNE_HC_EXIT, 0);
		asm volatile("mov %0, %%cr4" : : "r"(cr4 | CR4_PCIDE));
	}
}

void no_exits(void)
{
	struct peer *p;
	int clean = 0;

	peers_setup();
	REQUIRE(ioctl(vm.fd, DUNE_GET_INFO, &info) == 0);
	p = peer_begin(0);
	peer_start(p, own_tlb);
	for (int i = 0; i < 100; i++) {
		CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
		clean += p->got[0] == 0;
	}
	printf("    INVPCID %s, %d of 100 without an exit\n",
	       info.caps & DUNE_CAP_INVPCID ? "is there" : "is not there", clean);
	CHECK_IN(clean, 80, 100);
	peer_end(p);
	peers_teardown();
}

/* ---- no vCPU uses an old translation after the kick ---- */

#define WINDOW		((volatile uint64_t *)0x200000000000ul)
#define NR_PAGES	64
#define ROUNDS		3000
#define ROUNDS_MOVING	30000
#define PTE_TABLE	0x27ull
#define PTE_PAGE	0x67ull

static uint64_t *pages;		/* NR_PAGES, each begins with its round */
static uint64_t page_gpa;	/* of the first; they are in one slot */
static volatile uint64_t *pte;	/* of the window */
static volatile uint64_t round_now, readers_over;
static volatile uint64_t stale, looks, rounds;

static void *zeroed(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	REQUIRE(p != MAP_FAILED);
	return p;
}

/* The window is the one page below tables of its own. */
static void map_window(void)
{
	uint64_t *table = zeroed(3 * 4096);
	uint64_t gpa = rawvm_gpa(&vm, table), at = (uint64_t)WINDOW;

	REQUIRE((gpa >> 30) == rawvm_gpa(&vm, table + 3 * 512 - 1) >> 30);
	vm.pml4[at >> 39] = gpa | PTE_TABLE;
	table[at >> 30 & 511] = (gpa + 4096) | PTE_TABLE;
	table[512 + (at >> 21 & 511)] = (gpa + 8192) | PTE_TABLE;
	pte = &table[1024 + (at >> 12 & 511)];
	pages = zeroed(NR_PAGES * 4096);
	page_gpa = rawvm_gpa(&vm, pages);
	REQUIRE((page_gpa >> 30) ==
		rawvm_gpa(&vm, pages + NR_PAGES * 512 - 1) >> 30);
	*pte = page_gpa | PTE_PAGE;
	rawvm_map(&vm, table);
	rawvm_map(&vm, pages);
}

static void reads_window(void *arg)
{
	uint64_t now, seen;

	while (!readers_over) {
		now = __atomic_load_n(&round_now, __ATOMIC_ACQUIRE);
		seen = *WINDOW;
		looks++;
		if (seen < now)
			stale++;
	}
	raw_vmcall(DUNE_HC_EXIT, 0);
}

static void remaps_window(void *arg)
{
	struct peer *p = arg, *reader = &peers[1];

	for (uint64_t n = 1; n <= rounds; n++) {
		uint64_t i = n % NR_PAGES;

		pages[i * 512] = n;
		*pte = (page_gpa + i * 4096) | PTE_PAGE;
		request(reader, DUNE_REQ_FLUSH);
		if (in_guest(reader))
			kick(p, reader);
		__atomic_store_n(&round_now, n, __ATOMIC_RELEASE);
		relax(20);
	}
	raw_vmcall(DUNE_HC_EXIT, 0);
}

static void *reader(void *index)
{
	struct peer *p = peer_begin((long)index);

	peer_start(p, reads_window);
	CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	CHECK(peer_counter(p, DUNE_VCPU_guest_flushes) > 0);
	CHECK_EQ(p->vcpu.page->requests, 0);
	printf("    reader: %llu flushes, %llu kicked, %llu moves\n",
	       (unsigned long long)peer_counter(p, DUNE_VCPU_guest_flushes),
	       (unsigned long long)peer_counter(p, DUNE_VCPU_kicked),
	       (unsigned long long)peer_counter(p, DUNE_VCPU_migrated));
	peer_end(p);
	return NULL;
}

static volatile int mover_over;

static void *mover(void *arg)
{
	pthread_t thread = peer_pthread(1);

	while (!mover_over) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(rnd(arg) % nr_cpus(), &set);
		pthread_setaffinity_np(thread, sizeof(set), &set);
		usleep(50);
	}
	return NULL;
}

static void remap(bool moving)
{
	uint64_t seed = opt.seed;
	pthread_t thread;
	struct peer *p;

	round_now = readers_over = stale = looks = 0;
	mover_over = 0;
	rounds = moving ? ROUNDS_MOVING : ROUNDS;
	peers_setup();
	map_window();
	p = peer_begin(0);
	peer_start(p, remaps_window);
	peer_thread(1, reader);
	while (!looks)
		sched_yield();
	if (moving)
		REQUIRE(pthread_create(&thread, NULL, mover, &seed) == 0);
	CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	mover_over = 1;
	if (moving)
		pthread_join(thread, NULL);
	readers_over = 1;
	peer_join(1);
	printf("    %llu looks, %llu of them stale; %llu kick calls, %llu kicks\n",
	       (unsigned long long)looks, (unsigned long long)stale,
	       (unsigned long long)peer_counter(p, DUNE_VCPU_kick_calls),
	       (unsigned long long)peer_counter(p, DUNE_VCPU_kicks_sent));
	CHECK_EQ(stale, 0);
	CHECK_EQ(round_now, rounds);
	CHECK(looks > 1000);
	CHECK(peer_counter(p, DUNE_VCPU_kicks_sent) > 0 || nr_cpus() < 2);
	CHECK(peer_counter(p, DUNE_VCPU_kicks_sent) <=
	      peer_counter(p, DUNE_VCPU_kick_calls));
	peer_end(p);
	peers_teardown();
}

void no_stale_access(void)
{
	remap(false);
	remap(true);
}
