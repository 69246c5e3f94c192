// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A simulated CPU in guest: its TLB forgets nothing until it is told to, walks
 * from any upper entry that it has cached, sets accessed and dirty. Bits of
 * entries are looked at as hardware does, not as the core says.
 */
#include <sched.h>
#include <string.h>

#include "guest.h"

#define HW_PRESENT	1ull	/* in both formats, of leaves that are readable */
#define HW_WRITE	2ull
#define MAX_ACCESSES	150

_Thread_local struct cpu *this_cpu;

/* --- interrupts --- */

static bool irq_pending(const struct cpu *cpu)
{
	return plat_load(&cpu->irq_raised) != cpu->irq_handled;
}

static void handle_irqs(struct cpu *cpu)
{
	plat_store_release(&cpu->irq_handled, plat_load_acquire(&cpu->irq_raised));
}

/* Whoever waits takes interrupts; only called outside of the guest. */
void cpu_relax_hook(void)
{
	if (this_cpu)
		handle_irqs(this_cpu);
}

void cpu_kick_hook(const plat_cpumask_t *mask)
{
	u64 ticket[MAX_CPUS] = { 0 };

	plat_for_each_cpu(i, mask)
		if (&w.cpu[i] != this_cpu)
			ticket[i] = __atomic_add_fetch(&w.cpu[i].irq_raised, 1,
						       __ATOMIC_ACQ_REL);
	for (unsigned int i = 0; i < w.nr_cpus; i++)
		while (plat_load_acquire(&w.cpu[i].irq_handled) < ticket[i])
			plat_cpu_relax();
}

/* --- translation --- */

struct access {
	unsigned int unit, region, slot;
	u64 addr;
	bool write;
};

enum outcome { HIT, FAULT };

static struct tlb_leaf *tlb_entry(struct tlb *tlb, const struct access *a,
				  unsigned int level)
{
	switch (level) {
	case 1:
		return &tlb->page[a->unit];
	case 2:
		return &tlb->large[a->region];
	default:
		return &tlb->giant[a->slot];
	}
}

/* The hardware drops what it used for an access that faults. */
static enum outcome fault(struct cpu *cpu, const struct access *a)
{
	for (unsigned int level = 1; level < 4; level++)
		tlb_entry(&cpu->tlb, a, level)->valid = false;
	cpu->faults++;
	return FAULT;
}

/* Sets accessed, and dirty for a write; false: the entry has changed. */
static bool set_bits(const struct access *a, u64 *entry, u64 *value, bool leaf)
{
	const struct pt_geometry *geom = w.pt.geom;
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

/* One entry of a walk: what it holds, with accessed set; 0: a fault. */
static u64 read_entry(struct cpu *cpu, const struct access *a, u64 *entry,
		      unsigned int level, bool *leaf)
{
	const struct pt_geometry *geom = w.pt.geom;
	u64 value = plat_load_acquire(entry);

	do {
		if (value == PLAT_TEST_POISON)
			fail("cpu %u walks a freed table of level %u",
			     cpu->number, level);
		if (!(value & HW_PRESENT))
			return 0;
		*leaf = level == 1 || (level < 4 && (value & geom->leaf_bit));
		if (a->write && !(value & HW_WRITE))
			return 0;
	} while (!set_bits(a, entry, &value, *leaf));
	return value;
}

/* The table to start from: the root, or any that it remembers. */
static u64 *start_of_walk(struct cpu *cpu, const struct access *a,
			  unsigned int *level)
{
	u64 *cached[5] = {
		[1] = cpu->tlb.pt[a->region], [2] = cpu->tlb.pd[a->slot],
		[3] = cpu->tlb.pdpt[a->slot], [4] = w.pt.root->entry,
	};

	*level = 1 + rnd(4);
	while (!cached[*level])
		++*level;
	return cached[*level];
}

static void cache_table(struct cpu *cpu, const struct access *a, u64 *table,
			unsigned int level)
{
	if (level == 1)
		cpu->tlb.pt[a->region] = table;
	else if (level == 2)
		cpu->tlb.pd[a->slot] = table;
	else
		cpu->tlb.pdpt[a->slot] = table;
}

static enum outcome walk(struct cpu *cpu, const struct access *a,
			 struct tlb_leaf **leaf_out)
{
	const struct pt_geometry *geom = w.pt.geom;
	unsigned int level;
	u64 *table = start_of_walk(cpu, a, &level);

	cpu->walks++;
	for (;;) {
		unsigned int index = (a->addr >> (12 + 9 * (level - 1))) & 511;
		bool leaf = false;
		u64 value;

		/* Ends the program when the table is freed. */
		plat_page_owner(plat_pa(table));
		value = read_entry(cpu, a, &table[index], level, &leaf);
		if (!value)
			return fault(cpu, a);
		if (leaf) {
			*leaf_out = tlb_entry(&cpu->tlb, a, level);
			**leaf_out = (struct tlb_leaf){
				.valid = true, .write = a->write,
				.pa = value & geom->addr_mask &
				      ~(pt_level_size(level) - 1),
				.born = stamp_now(),
			};
			return HIT;
		}
		table = plat_va(value & geom->addr_mask);
		cache_table(cpu, a, table, --level);
	}
}

/* Any translation that it has, whichever; now and then a walk. */
static enum outcome translate(struct cpu *cpu, const struct access *a, u64 *pa,
			      u64 *born)
{
	unsigned int first = rnd(3), level = 0;
	struct tlb_leaf *leaf = NULL;

	for (unsigned int i = 0; rnd(16) && i < 3 && !level; i++) {
		leaf = tlb_entry(&cpu->tlb, a, 1 + (first + i) % 3);
		if (leaf->valid && (leaf->write || !a->write))
			level = 1 + (first + i) % 3;
	}
	if (!level) {
		if (walk(cpu, a, &leaf) == FAULT)
			return FAULT;
		level = leaf == &cpu->tlb.page[a->unit] ? 1 :
			leaf == &cpu->tlb.large[a->region] ? 2 : 3;
	}
	*pa = leaf->pa + (a->addr & (pt_level_size(level) - 1));
	*born = leaf->born;
	return HIT;
}

/* --- the use of a translation --- */

static void check_cell(struct cpu *cpu, const struct access *a,
		       const struct cell *cell)
{
	const struct written *mine = &cpu->written[a->unit];

	if (mine->content == cell->content &&
	    mine->value != cell->data[cpu->number])
		fail("cpu %u wrote %llu to unit %u and finds %llu: a write is lost",
		     cpu->number, mine->value, a->unit,
		     cell->data[cpu->number]);
}

static void use(struct cpu *cpu, const struct access *a, struct cell *cell)
{
	check_cell(cpu, a, cell);
	if (!a->write)
		return;
	cell->data[cpu->number]++;
	cpu->written[a->unit] = (struct written){
		cell->content, cell->data[cpu->number] };
	__atomic_fetch_add(&cell->version, 1, __ATOMIC_RELAXED);
}

static enum outcome access_memory(struct cpu *cpu, const struct access *a)
{
	struct unit *unit = &w.unit[a->unit];
	u64 state = plat_load_acquire(&unit->state), pa, born;
	struct cell *cell;

	if (translate(cpu, a, &pa, &born) == FAULT)
		return FAULT;
	cell = cell_at(pa, a->unit);
	if (cell->stamp == PLAT_TEST_POISON || cell->stamp > born)
		fail("cpu %u uses memory of unit %u after it was freed",
		     cpu->number, a->unit);
	use(cpu, a, cell);
	/* Did that hold for all of the access? */
	if (plat_load_acquire(&unit->state) == state) {
		if (state & NO_READ)
			fail("cpu %u uses unit %u after that was over",
			     cpu->number, a->unit);
		if (a->write && (state & NO_WRITE))
			fail("cpu %u writes to unit %u after that was over",
			     cpu->number, a->unit);
	}
	cpu->accesses++;
	return HIT;
}

/* Anywhere, or mostly in a favourite region, with what it has cached. */
static struct access random_access(unsigned int favourite)
{
	struct access a = { .unit = rnd(NR_UNITS), .write = rnd(2) };

	if (favourite < NR_REGIONS)
		a.unit = 1 + favourite * NR_HOT + rnd(3);
	a.region = a.unit == 0 ? NR_REGIONS : a.unit == NR_UNITS - 1 ?
		   NR_REGIONS + 1 : (a.unit - 1) / NR_HOT;
	a.addr = w.unit[a.unit].addr;
	a.slot = a.addr >= BASE + SLOT_SIZE;
	return a;
}

/* Until an interrupt, or for as long as it likes. */
static void guest_run(struct cpu *cpu)
{
	unsigned int favourite = rnd(3 * NR_REGIONS);

	for (unsigned int i = rnd(MAX_ACCESSES); i; i--) {
		struct access a = random_access(favourite);

		access_memory(cpu, &a);
		if (irq_pending(cpu))
			return;
	}
	while (plat_load(&w.sd_cpu[cpu->number].mode) == SD_EXITING &&
	       !irq_pending(cpu))
		sched_yield();
}

static void run(struct cpu *cpu)
{
	struct sd_cpu *sd = &w.sd_cpu[cpu->number];
	u64 gen = sd_enter(&w.sd, sd);

	if (gen) {
		memset(&cpu->tlb, 0, sizeof(cpu->tlb));
		sd_flushed(sd, gen);
	}
	sd_entered(sd);
	guest_run(cpu);
	cpu->kicked += sd_exit(sd) == SD_END_KICKED;
	cpu->runs++;
	handle_irqs(cpu);
}

void *cpu_thread(void *arg)
{
	struct pt_cache cache = { 0 };
	struct cpu *cpu = arg;

	this_cpu = cpu;
	rnd_seed(stamp_now() + 1000 + cpu->number);
	plat_test_chaos(w.chaos, rnd(1u << 30));
	plat_rcu_register();
	while (!plat_load_acquire(&w.stop_cpus)) {
		handle_irqs(cpu);
		/* The program's threads run on these CPUs. */
		if (rnd(8) == 0 && !plat_load_acquire(&w.stop_threads))
			op_random(&cache);
		run(cpu);
	}
	/* Others may still wait for this CPU's interrupts. */
	__atomic_fetch_add(&w.nr_parked, 1, __ATOMIC_ACQ_REL);
	while (plat_load_acquire(&w.nr_parked) < w.nr_cpus)
		plat_cpu_relax();
	handle_irqs(cpu);
	pt_cache_drain(&cache);
	plat_rcu_unregister();
	return NULL;
}
