// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A simulated CPU. Its TLB forgets nothing until it is told to, walks the
 * table's memory without a lock, starts at any upper entry that it has cached,
 * and sets accessed and dirty while others change the table. Whatever it is
 * about to use is checked first: is the memory still the one that it was when
 * the translation was cached, and may it still be used?
 */
#include <sched.h>
#include <string.h>
#include <time.h>

#include "glue.h"

#define MAX_ACCESSES	200
#define KICK_LIMIT_NS	20000000000ull

_Thread_local struct cpu *this_cpu;

static const unsigned int hot_index[NR_HOT] = { 0, 1, 2, 7, 255, 256, 510, 511 };

/* --- interrupts --- */

bool cpu_irq_pending(const struct cpu *cpu)
{
	return plat_load(&cpu->irq_raised) != cpu->irq_handled;
}

static void handle_irqs(struct cpu *cpu)
{
	u64 raised = plat_load_acquire(&cpu->irq_raised);

	kick_run_calls(cpu);
	plat_store_release(&cpu->irq_handled, raised);
}

/* Whoever waits takes interrupts; only called outside of the guest. */
void cpu_relax_hook(void)
{
	if (this_cpu)
		handle_irqs(this_cpu);
}

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000ull + (u64)t.tv_nsec;
}

/* --- what the shootdown claims --- */

void cpu_mark_bump_hook(u64 root_pa, const u64 *gen_p)
{
	u64 old = plat_load(&w.bumped), gen = plat_load(gen_p) + 1;

	(void)root_pa;
	while (old < gen && !plat_cas64(&w.bumped, &old, gen))
		;
}

static const struct replica *replica_of(u64 root_pa)
{
	struct replica *r;

	for_each_replica(r, &w.ept)
		if (root_pa == pt_root_pa(&r->pt))
			return r;
	fail("a root that is no table's");
}

/*
 * "No CPU can use what was removed from that table before the bump to gen": each
 * one is outside, or uses another, or has emptied its TLB since.
 */
void cpu_mark_done_hook(u64 root_pa, u64 gen)
{
	const struct replica *r = replica_of(root_pa);

	if (gen > plat_load_acquire(&r->sd.gen))
		fail("done with generation %llu, which was never bumped to", gen);
	for (unsigned int i = 0; i < w.nr_cpus; i++) {
		u64 using = plat_load(&w.cpu[i].using_gen);

		if (using != USING_NOTHING && using % MAX_NODES == r->index &&
		    using / MAX_NODES < gen)
			fail("cpu %u runs with its TLB of generation %llu, and %llu was said to be over",
			     i, using / MAX_NODES, gen);
	}
}

/* --- translation --- */

struct access {
	unsigned int region, hot, slot;
	u64 gpa;
	bool write;
};

enum outcome { HIT, VIOLATION };

static struct tlb *tlb_of(struct cpu *cpu)
{
	return &cpu->tlb[cpu->replica->index];
}

static struct tlb_leaf *tlb_entry(struct tlb *tlb, const struct access *a,
				  unsigned int level)
{
	switch (level) {
	case 1:
		return &tlb->page[a->region][a->hot];
	case 2:
		return &tlb->large[a->region];
	default:
		return &tlb->giant[a->slot];
	}
}

/* The hardware drops what it used for an access that faults. */
static enum outcome violation(struct cpu *cpu, const struct access *a)
{
	for (unsigned int level = 1; level < 4; level++)
		tlb_entry(tlb_of(cpu), a, level)->stamp = 0;
	return VIOLATION;
}

static void cache_leaf(struct cpu *cpu, const struct access *a, u64 entry,
		       unsigned int level)
{
	u64 pa = entry & HOST_PA & ~(pt_level_size(level) - 1);
	struct frame *frame = frame_of(pa);
	u64 want = frame_tag(frame->level, a->region, a->hot);

	if (frame->stamp == PLAT_TEST_POISON || frame->tag != want)
		fail("cpu %u finds a leaf of level %u of region %u page %u that leads to %s memory",
		     cpu->number, level, a->region, a->hot,
		     frame->stamp == PLAT_TEST_POISON ? "freed" : "another page's");
	*tlb_entry(tlb_of(cpu), a, level) = (struct tlb_leaf){
		.stamp = frame->stamp, .pa = pa, .write = a->write,
	};
}

/* Sets accessed, and dirty for a write; false: the entry has changed. */
static bool set_bits(const struct access *a, u64 *entry, u64 *value, bool leaf)
{
	const struct pt_geometry *geom = w.ept.first.pt.geom;
	u64 bits = geom->accessed_bit;

	if (leaf && a->write)
		bits |= geom->dirty_bit;
	if ((*value & bits) == bits)
		return true;
	if (!plat_cas64(entry, value, *value | bits))
		return false;
	*value |= bits;
	return true;
}

/* One entry of a walk: what it holds, with accessed set; 0: not present. */
static u64 read_entry(struct cpu *cpu, const struct access *a, u64 *entry,
		      unsigned int level, bool *leaf)
{
	const struct pt_geometry *geom = w.ept.first.pt.geom;
	u64 value = plat_load_acquire(entry);

	do {
		if (value == PLAT_TEST_POISON)
			fail("cpu %u walks a freed table of level %u",
			     cpu->number, level);
		if (!(value & geom->present_mask))
			return 0;
		*leaf = level == 1 || (level < 4 && (value & geom->leaf_bit));
		if (*leaf && a->write && !(geom->rights(value) & PT_W))
			return 0;
	} while (!set_bits(a, entry, &value, *leaf));
	return value;
}

/* The table to start from: the root, or any that it remembers. */
static u64 *start_of_walk(struct cpu *cpu, const struct access *a,
			  unsigned int *level)
{
	const struct tlb *tlb = tlb_of(cpu);
	u64 *cached[5] = {
		[1] = tlb->pt[a->region], [2] = tlb->pd[a->slot],
		[3] = tlb->pdpt, [4] = cpu->replica->pt.root->entry,
	};

	*level = 1 + rnd(4);
	while (!cached[*level])
		++*level;
	return cached[*level];
}

static void cache_table(struct cpu *cpu, const struct access *a, u64 *table,
			unsigned int level)
{
	struct tlb *tlb = tlb_of(cpu);

	if (level == 1)
		tlb->pt[a->region] = table;
	else if (level == 2)
		tlb->pd[a->slot] = table;
	else
		tlb->pdpt = table;
}

static enum outcome walk(struct cpu *cpu, const struct access *a,
			 struct tlb_leaf **leaf_out)
{
	const struct pt_geometry *geom = w.ept.first.pt.geom;
	unsigned int level;
	u64 *table = start_of_walk(cpu, a, &level);

	cpu->walks++;
	for (;;) {
		unsigned int index = (a->gpa >> (12 + 9 * (level - 1))) & 511;
		bool leaf = false;
		u64 value;

		/* Ends the program when the table is freed. */
		plat_page_owner(plat_pa(table));
		value = read_entry(cpu, a, &table[index], level, &leaf);
		if (!value)
			return violation(cpu, a);
		if (leaf) {
			cache_leaf(cpu, a, value, level);
			*leaf_out = tlb_entry(tlb_of(cpu), a, level);
			return HIT;
		}
		table = plat_va(value & geom->addr_mask);
		cache_table(cpu, a, table, --level);
	}
}

/* Any translation that it has, whichever; now and then a walk. */
static enum outcome translate(struct cpu *cpu, const struct access *a,
			      struct tlb_leaf **leaf)
{
	unsigned int first = rnd(3);

	for (unsigned int i = 0; rnd(16) && i < 3; i++) {
		*leaf = tlb_entry(tlb_of(cpu), a, 1 + (first + i) % 3);
		if ((*leaf)->stamp && ((*leaf)->write || !a->write))
			return HIT;
	}
	return walk(cpu, a, leaf);
}

/* --- the use of a translation --- */

static void check_cell(struct cpu *cpu, const struct access *a,
		       const struct cell *cell)
{
	const struct written *mine = &cpu->written[a->region][a->hot];

	if (mine->content == cell->content &&
	    mine->value != cell->data[cpu->number])
		fail("cpu %u wrote %llu to region %u page %u and finds %llu: a write is lost",
		     cpu->number, mine->value, a->region, a->hot,
		     cell->data[cpu->number]);
}

static enum outcome access_memory(struct cpu *cpu, const struct access *a)
{
	u64 floor = plat_load_acquire(&w.region[a->region].floor[a->hot]);
	struct tlb_leaf *leaf = NULL;
	struct frame *frame;
	struct cell *cell;

	if (translate(cpu, a, &leaf) == VIOLATION)
		return VIOLATION;
	frame = frame_of(leaf->pa);
	if (frame->stamp != leaf->stamp)
		fail("cpu %u uses memory of region %u page %u after it was freed",
		     cpu->number, a->region, a->hot);
	if (leaf->stamp < floor)
		fail("cpu %u uses region %u page %u after its removal was complete",
		     cpu->number, a->region, a->hot);
	cell = frame_cell(frame, a->hot);
	check_cell(cpu, a, cell);
	if (a->write) {
		cell->data[cpu->number]++;
		cpu->written[a->region][a->hot] = (struct written){
			cell->content, cell->data[cpu->number] };
	}
	cpu->accesses++;
	return HIT;
}

/*
 * Anywhere; or, for a run that has a favourite, mostly there: it stays in the
 * guest with what it has cached, until an interrupt.
 */
static struct access random_access(unsigned int favourite)
{
	struct access a = {
		.region = rnd(NR_REGIONS), .hot = rnd(NR_HOT), .write = rnd(2),
	};
	u64 hva;

	if (favourite < NR_REGIONS) {
		a.region = favourite;
		a.hot = rnd(2);
		a.write = rnd(8) == 0;
	}
	hva = host_hva(a.region, a.hot);

	a.slot = hva >> SLOT_SHIFT;
	a.gpa = glue_gpa(hva);
	return a;
}

void cpu_wait_for_kick(const struct cpu *cpu)
{
	u64 start = now_ns();

	if (plat_load(&w.sd_cpu[cpu->number].mode) != SD_EXITING)
		return;
	while (!cpu_irq_pending(cpu) && now_ns() - start < KICK_LIMIT_NS)
		sched_yield();
	if (!cpu_irq_pending(cpu))
		fail("cpu %u was asked to leave the guest and got no interrupt",
		     cpu->number);
}

/* Until an interrupt, a violation, or for as long as it likes. */
static enum outcome guest_run(struct cpu *cpu, struct access *a)
{
	unsigned int favourite = rnd(3 * NR_REGIONS);
	unsigned int most = rnd(2) ? MAX_ACCESSES : MAX_ACCESSES / 8;

	for (unsigned int i = rnd(most); i; i--) {
		*a = random_access(favourite);
		if (access_memory(cpu, a) == VIOLATION)
			return VIOLATION;
		if (cpu_irq_pending(cpu))
			return HIT;
	}
	cpu_wait_for_kick(cpu);
	return HIT;
}

/* --- the run loop --- */

/* vmx_flush_ept() */
static void flush_tlb(struct cpu *cpu)
{
	struct tlb *tlb = tlb_of(cpu);

	memset(tlb, 0, sizeof(*tlb));
	/* What was removed up to here cannot be cached any more. */
	tlb->gen = plat_load_acquire(&cpu->replica->sd.gen);
}

/* run_guest() and what follows it, for a vCPU that nobody else runs. */
static void run_vcpu(struct cpu *cpu, struct vcpu *vcpu)
{
	struct sd_cpu *sd = &w.sd_cpu[cpu->number];
	struct access a = { 0 };
	enum outcome outcome;
	u64 gen;

	replica_use(sd, cpu->replica);
	gen = sd_enter(&cpu->replica->sd, sd);
	if (gen) {
		flush_tlb(cpu);
		sd_flushed(sd, gen);
	}
	sd_entered(sd);
	/* Relaxed, or it would hide a release that the core forgot. */
	plat_store(&cpu->using_gen,
		   tlb_of(cpu)->gen * MAX_NODES + cpu->replica->index);
	outcome = guest_run(cpu, &a);
	plat_store(&cpu->using_gen, USING_NOTHING);
	cpu->kicked += sd_exit(sd) == SD_END_KICKED;
	cpu->runs++;
	handle_irqs(cpu);
	if (outcome == VIOLATION) {
		cpu->violations++;
		glue_fault(&cpu->replica->pt, &vcpu->tables, host_hva(a.region, a.hot),
			   a.write ? PT_R | PT_W : PT_R);
	}
}

/* Does something else for a while, perhaps with another mm loaded. */
static void stay_outside(struct cpu *cpu)
{
	bool leaves = rnd(4) == 0;

	if (leaves)
		plat_cpumask_del(&w.cpus, cpu->number);
	for (unsigned int i = rnd(20); i; i--)
		plat_cpu_relax();
	if (rnd(16) == 0)
		kick_move_cpus();
	if (leaves)
		plat_cpumask_set(&w.cpus, cpu->number);
}

/* As if its threads had gone to a CPU of another node, and this were that. */
static void change_node(struct cpu *cpu)
{
	struct replica *r = replicas_at(&w.ept, rnd(w.nr_nodes));

	cpu->moved += r != cpu->replica;
	cpu->replica = r;
}

static void run_some_vcpu(struct cpu *cpu)
{
	struct vcpu *vcpu = &w.vcpu[rnd(w.nr_vcpus)];
	u32 free = 0;

	if (!plat_cas32(&vcpu->taken, &free, 1)) {
		plat_cpu_relax();
		return;
	}
	run_vcpu(cpu, vcpu);
	plat_store_release(&vcpu->taken, 0);
}

void cpu_park(struct cpu *cpu)
{
	plat_cpumask_del(&w.cpus, cpu->number);
	__atomic_fetch_add(&w.nr_parked, 1, __ATOMIC_ACQ_REL);
	while (plat_load_acquire(&w.nr_parked) < w.nr_cpus)
		plat_cpu_relax();
	handle_irqs(cpu);
}

void *cpu_thread(void *arg)
{
	struct cpu *cpu = arg;

	this_cpu = cpu;
	rnd_seed(stamp_now() + 1000 + cpu->number);
	plat_test_chaos(w.chaos, rnd(1u << 30));
	plat_rcu_register();
	plat_cpumask_set(&w.cpus, cpu->number);
	while (!plat_load_acquire(&w.stop_cpus)) {
		handle_irqs(cpu);
		if (rnd(16) == 0)
			stay_outside(cpu);
		if (rnd(16) == 0)
			change_node(cpu);
		run_some_vcpu(cpu);
	}
	cpu_park(cpu);
	plat_rcu_unregister();
	return NULL;
}

u64 host_hva(unsigned int region, unsigned int hot)
{
	return w.region[region].hva + ((u64)hot_index[hot] << 12);
}
