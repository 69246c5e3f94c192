// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See soft.h. */
#include "soft.h"

#include <stdio.h>
#include <stdlib.h>
#include <numa.h>
#include <sys/mman.h>

#include "hw.h"
#include "setup.h"
#include "vcpu_requests.h"

#define TLB_ENTRIES	4096u
#define UPPER_ENTRIES	512u
#define NR_SLOTS	1024u

#define ENTRY_P		(1ull << 0)
#define ENTRY_W		(1ull << 1)
#define ENTRY_U		(1ull << 2)
#define ENTRY_A		(1ull << 5)
#define ENTRY_D		(1ull << 6)
#define ENTRY_PS	(1ull << 7)
#define ENTRY_NX	(1ull << 63)
#define ENTRY_ADDR	0x000ffffffffff000ull

struct cached {
	uint64_t tag;		/* address of the page or table's range | PCID; 0: none */
	uint64_t value;		/* entry: rights and physical address */
};

struct soft {
	struct dune_thread t;
	struct dune_vcpu_page *page;
	uint64_t cr3;
	bool guest, irqs_off;
	uint32_t kicked;
	uint32_t ends;		/* its page goes after a grace period: callers are under RCU */
	struct cached tlb[TLB_ENTRIES];
	/* By level: an entry of level 3 leads to a PD, one of 2 to a PT. */
	struct cached upper[4][UPPER_ENTRIES];
};

struct soft_counts soft_counts;
void (*volatile soft_before_cr3)(void);

static __thread struct soft *me;
static struct soft *softs[DUNE_MAX_VCPUS];
static char ids_lock;
static uint32_t slot_table[DUNE_NR_REGIONS];
static uint32_t nr_slots, max_slots = NR_SLOTS;
static char slots_lock;
static uint64_t fail_left;
static bool fail_done;

#define count(what)	__atomic_fetch_add(&soft_counts.what, 1, __ATOMIC_RELAXED)

static void lock(char *l)
{
	while (__atomic_test_and_set(l, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void unlock(char *l)
{
	__atomic_clear(l, __ATOMIC_RELEASE);
}

/* What setup.c has of the rest of libdune. */
void dune_why_set(const char *fmt, ...)
{
	printf("FAIL: libdune warns: %s\n", fmt);
	abort();
}

struct dune_thread *soft_self(void)
{
	return &me->t;
}

/* --- slots, failing allocations --- */

uint32_t hw_slot_entry(uint64_t region)
{
	return __atomic_load_n(&slot_table[region], __ATOMIC_ACQUIRE);
}

/* In an order that is not the addresses' order. */
long hw_slot(uint64_t addr)
{
	uint32_t *entry = &slot_table[addr >> 30];
	long ret;

	lock(&slots_lock);
	if (!*entry && nr_slots < max_slots)
		__atomic_store_n(entry, DUNE_SLOT_VALID | (nr_slots++ * 7919 % NR_SLOTS),
				 __ATOMIC_RELEASE);
	ret = *entry ? (long)(*entry & ~DUNE_SLOT_VALID) << 30 : -ENOSPC;
	unlock(&slots_lock);
	return ret;
}

void soft_limit_slots(uint32_t nr)
{
	max_slots = nr_slots + nr;
}

uint64_t soft_gpa(const void *mem)
{
	uint64_t addr = (uint64_t)mem;

	return ((uint64_t)(hw_slot_entry(addr >> 30) & ~DUNE_SLOT_VALID) << 30) |
	       (addr & ((1ull << 30) - 1));
}

void soft_fail_nth(uint64_t nth)
{
	fail_left = nth;
	fail_done = false;
}

bool soft_failed(void)
{
	return fail_done;
}

bool hw_out_of_memory(void)
{
	if (!fail_left || --fail_left)
		return false;
	fail_done = true;
	return true;
}

static __thread unsigned int my_node;

void soft_on_node(unsigned int node)
{
	my_node = node;
}

unsigned int hw_cpu_node(void)
{
	return my_node;
}

/* libnuma's */
int numa_available(void)
{
	return 0;
}

int numa_max_node(void)
{
	return SOFT_NODES - 1;
}

/* --- caches --- */

static struct cached *tlb_slot(uint64_t page, uint64_t pcid)
{
	return &me->tlb[((page ^ pcid * 0x9e37) * 0x9e3779b97f4a7c15ull) >> 52];
}

static struct cached *upper_slot(unsigned int level, uint64_t addr, uint64_t pcid)
{
	uint64_t range = addr >> (12 + 9 * (level - 1));

	return &me->upper[level][(range ^ pcid) % UPPER_ENTRIES];
}

static uint64_t upper_tag(unsigned int level, uint64_t addr, uint64_t pcid)
{
	return (addr >> (12 + 9 * (level - 1)) << 13) | pcid << 1 | 1;
}

static uint64_t page_tag(uint64_t addr, uint64_t pcid)
{
	return (addr >> 12 << 13) | pcid << 1 | 1;
}

static void forget_pcid(uint64_t pcid)
{
	for (unsigned int i = 0; i < TLB_ENTRIES; i++)
		if ((me->tlb[i].tag >> 1 & 0xfff) == pcid)
			me->tlb[i].tag = 0;
	for (unsigned int level = 2; level < 4; level++)
		for (unsigned int i = 0; i < UPPER_ENTRIES; i++)
			if ((me->upper[level][i].tag >> 1 & 0xfff) == pcid)
				me->upper[level][i].tag = 0;
}

static void forget_all(void)
{
	memset(me->tlb, 0, sizeof(me->tlb));
	memset(me->upper, 0, sizeof(me->upper));
}

void hw_invlpg(uint64_t addr)
{
	uint64_t pcid = me->cr3 & 0xfff;

	count(invlpg);
	/* Upper entries of this PCID all go, as on a CPU; of the page its own. */
	tlb_slot(addr >> 12, pcid)->tag = 0;
	memset(me->upper, 0, sizeof(me->upper));
}

void hw_set_cr3(uint64_t cr3)
{
	void (*before)(void) = soft_before_cr3;

	if (before)
		before();
	count(cr3);
	me->cr3 = cr3 & ~HW_CR3_NOFLUSH;
	if (!(cr3 & HW_CR3_NOFLUSH))
		forget_pcid(cr3 & 0xfff);
}

void hw_invpcid_all(void)
{
	forget_all();
}

bool hw_has_pcid(void)
{
	return true;
}

/* --- runs --- */

static void run_begin(void)
{
	uint32_t taken;

	vreq_run_begin(me->page);
	plat_full_mb();		/* that of sd_enter() */
	taken = vreq_run_take(me->page);
	if (taken & VREQ_FLUSHES) {
		count(flushes);
		forget_all();
	}
	me->guest = true;
}

static void run_end(void)
{
	me->guest = false;
	vreq_run_end(me->page);
	__atomic_store_n(&me->kicked, 0, __ATOMIC_RELEASE);
}

void soft_exit(void)
{
	if (me->guest && __atomic_load_n(&me->kicked, __ATOMIC_ACQUIRE)) {
		run_end();
		run_begin();
	}
}

void soft_enter(void)
{
	run_begin();
}

void soft_leave(void)
{
	run_end();
}

static void kick_one(uint32_t id)
{
	struct soft *soft = __atomic_load_n(&softs[id], __ATOMIC_ACQUIRE);

	if (!soft || soft == me || __atomic_load_n(&soft->ends, __ATOMIC_ACQUIRE) ||
	    !__atomic_load_n(&soft->page->mode, __ATOMIC_ACQUIRE))
		return;
	count(kicks);
	__atomic_store_n(&soft->kicked, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&soft->kicked, __ATOMIC_ACQUIRE) &&
	       __atomic_load_n(&soft->page->mode, __ATOMIC_ACQUIRE))
		sched_yield();
}

/* A hypercall that ends the run. */
bool hw_kick(const struct dune_kick *kick)
{
	struct dune_kick copy = *kick;

	count(kick_calls);
	run_end();
	for (uint32_t i = 0; i < DUNE_MAX_VCPUS / 64; i++)
		for (; copy.ids[i]; copy.ids[i] &= copy.ids[i] - 1)
			kick_one(i * 64 + __builtin_ctzll(copy.ids[i]));
	run_begin();
	return true;
}

void hw_end_run(const struct dune_kick *kick)
{
	count(ended_runs);
	hw_kick(kick);
}

void hw_notify(void)
{
	count(notified);
}

bool hw_interrupt_all(void)
{
	for (uint32_t id = 0; id < DUNE_MAX_VCPUS; id++)
		kick_one(id);
	return true;
}

void hw_call(void (*fn)(void *), void *arg)
{
	bool guest = me && me->guest;

	if (guest)
		run_end();
	fn(arg);
	if (guest)
		run_begin();
}

/* --- threads --- */

bool hw_in_guest(void)
{
	return me && me->guest;
}

struct vm_local *hw_local(void)
{
	return &me->t.vm;
}

struct vm_local *hw_local_plain(void)
{
	return me ? &me->t.vm : NULL;
}

uint64_t hw_irq_save(void)
{
	bool was_off = me->irqs_off;

	me->irqs_off = true;
	return !was_off;
}

void hw_irq_restore(uint64_t flags)
{
	if (flags)
		me->irqs_off = false;
}

static uint32_t id_take(struct soft *soft)
{
	uint32_t id = 0;

	lock(&ids_lock);
	while (softs[id])
		id++;
	__atomic_store_n(&softs[id], soft, __ATOMIC_RELEASE);
	unlock(&ids_lock);
	return id;
}

static void *map(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

/* Never freed: a flusher may look at a vCPU that is gone. */
void soft_begin(void)
{
	struct soft *soft = map(sizeof(*soft));

	soft->page = map(DUNE_VCPU_PAGE_SIZE);
	me = soft;
	soft->page->id = id_take(soft);
	if (vcpu_begin(&soft->t.vm, soft->page))
		abort();
	soft->cr3 = soft->t.vm.view->cr3;
}

/* As libdune does: off the members, then the module frees the id. */
void soft_end(void)
{
	uint32_t id = me->page->id;

	__atomic_store_n(&me->ends, 1, __ATOMIC_SEQ_CST);
	vcpu_end(&me->t.vm);
	me = NULL;
	__atomic_store_n(&softs[id], NULL, __ATOMIC_RELEASE);
}

void soft_init(uint32_t caps)
{
	const struct vm_setup setup = {
		.caps = caps, .nr_slots = NR_SLOTS,
		.syscall_entry = 0xffffffff81e00ff6, .syscall_target = 0x1234,
		.program = SOFT_PROGRAM,
	};

	if (paging_init(&setup)) {
		printf("FAIL: paging_init\n");
		exit(1);
	}
}

/* --- accesses --- */

static bool allowed(uint64_t entry, enum soft_access how)
{
	switch (how) {
	case SOFT_WRITE:
		return entry & ENTRY_W;
	case SOFT_FETCH:
		return !(entry & ENTRY_NX);
	case SOFT_USER_READ:
		return entry & ENTRY_U;
	default:
		return true;
	}
}

static uint64_t error_code(uint64_t entry, enum soft_access how)
{
	static const uint64_t bits[] = {
		[SOFT_WRITE] = DUNE_PF_WRITE, [SOFT_FETCH] = DUNE_PF_FETCH,
		[SOFT_USER_READ] = DUNE_PF_USER,
	};

	return bits[how] | (entry & ENTRY_P);
}

static uint64_t pa_of(uint64_t entry, unsigned int level, uint64_t addr)
{
	uint64_t inside = (1ull << (12 + 9 * (level - 1))) - 1;

	return (entry & ENTRY_ADDR & ~inside) | (addr & inside);
}

static uint64_t *entry_at(uint64_t table_pa, unsigned int level, uint64_t addr)
{
	uint64_t *table = plat_va(table_pa & ENTRY_ADDR);

	return &table[addr >> (12 + 9 * (level - 1)) & 511];
}

uint64_t soft_walk(uint64_t cr3, uint64_t addr, enum soft_access how)
{
	uint64_t entry = cr3;

	for (unsigned int level = 4; level; level--) {
		entry = __atomic_load_n(entry_at(entry, level, addr), __ATOMIC_ACQUIRE);
		if (!(entry & ENTRY_P) || !allowed(entry, how))
			return SOFT_FAULT;
		if (level == 1 || (entry & ENTRY_PS))
			return pa_of(entry, level, addr);
	}
	return SOFT_FAULT;
}

/* Where a walk may begin: at the lowest table that is remembered. */
static uint64_t walk_start(uint64_t addr, unsigned int *level)
{
	uint64_t pcid = me->cr3 & 0xfff;

	for (*level = 1; *level < 3; ++*level) {
		struct cached *c = upper_slot(*level + 1, addr, pcid);

		if (c->tag == upper_tag(*level + 1, addr, pcid))
			return c->value;
	}
	*level = 4;
	return me->cr3;
}

/* 0: a fault, with *error. Else the physical address + 1. */
static uint64_t walk(uint64_t addr, enum soft_access how, uint64_t *error)
{
	uint64_t pcid = me->cr3 & 0xfff, table, entry, set, *p;
	unsigned int level;

	table = walk_start(addr, &level);
	for (;; level--) {
		p = entry_at(table, level, addr);
		entry = __atomic_load_n(p, __ATOMIC_ACQUIRE);
		if (!(entry & ENTRY_P) || !allowed(entry, how)) {
			*error = error_code(entry, how);
			return 0;
		}
		if (level == 1 || (entry & ENTRY_PS))
			break;
		table = entry;
		if (level < 4)
			*upper_slot(level, addr, pcid) =
				(struct cached){ upper_tag(level, addr, pcid), entry };
	}
	set = entry | ENTRY_A | (how == SOFT_WRITE ? ENTRY_D : 0);
	while (set != entry &&
	       !__atomic_compare_exchange_n(p, &entry, set, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_ACQUIRE)) {
		/* Changed meanwhile: as if it had never been looked at. */
		if (!(entry & ENTRY_P) || !allowed(entry, how)) {
			*error = error_code(entry, how);
			return 0;
		}
		set = entry | ENTRY_A | (how == SOFT_WRITE ? ENTRY_D : 0);
	}
	*tlb_slot(addr >> 12, pcid) = (struct cached){
		page_tag(addr, pcid),
		(set & ~ENTRY_ADDR) | (pa_of(set, level, addr) & ENTRY_ADDR),
	};
	return (pa_of(set, level, addr) & ~0xfffull) + (addr & 0xfff) + 1;
}

/* Does the TLB have it, with enough rights, and dirty for a write? */
static uint64_t cached_access(uint64_t addr, enum soft_access how, bool *refused)
{
	struct cached *c = tlb_slot(addr >> 12, me->cr3 & 0xfff);

	*refused = false;
	if (c->tag != page_tag(addr, me->cr3 & 0xfff))
		return 0;
	if (!allowed(c->value, how)) {
		/* A page fault drops what caused it. */
		*refused = true;
		c->tag = 0;
		return 0;
	}
	if (how == SOFT_WRITE && !(c->value & ENTRY_D))
		return 0;
	return (c->value & ENTRY_ADDR) + (addr & 0xfff) + 1;
}

static bool page_fault(uint64_t addr, uint64_t error)
{
	uint64_t pcid = me->cr3 & 0xfff;

	/* It makes the CPU forget what led to it. */
	tlb_slot(addr >> 12, pcid)->tag = 0;
	upper_slot(2, addr, pcid)->tag = 0;
	upper_slot(3, addr, pcid)->tag = 0;
	if (!(error & DUNE_PF_PRESENT) && dune_vm_fill(&me->t, addr, error)) {
		count(fills);
		return true;
	}
	if ((error & DUNE_PF_PRESENT) && (error & DUNE_PF_WRITE) && dune_vm_cow_used &&
	    dune_vm_cow(&me->t, addr, error)) {
		count(copied);
		return true;
	}
	if (!dune_vm_spurious(&me->t, addr, error))
		return false;
	count(spurious);
	return true;
}

uint64_t soft_access(uint64_t addr, enum soft_access how)
{
	uint64_t found, error;
	bool refused;

	for (;;) {
		soft_exit();
		found = cached_access(addr, how, &refused);
		if (!found && refused) {
			error = error_code(ENTRY_P, how);
		} else {
			if (!found)
				found = walk(addr, how, &error);
			if (found)
				return found - 1;
		}
		if (!page_fault(addr, error))
			return SOFT_FAULT;
	}
}
