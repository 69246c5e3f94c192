// SPDX-License-Identifier: GPL-2.0 OR MIT
/* One round: a world, its threads, and the balance when they have stopped. */
#include <string.h>

#include "guest.h"
#include "../run.h"

struct world w;
struct totals totals;

static void *thread_fn(void *arg)
{
	struct pt_cache cache = { 0 };

	rnd_seed((u64)(uintptr_t)arg);
	plat_test_chaos(w.chaos, rnd(1u << 30));
	plat_rcu_register();
	while (!plat_load_acquire(&w.stop_threads))
		op_random(&cache);
	pt_cache_drain(&cache);
	plat_rcu_unregister();
	return NULL;
}

/* --- the balance --- */

static u64 look_through(const u64 *entry, unsigned int level)
{
	const struct pt_geometry *geom = w.pt.geom;
	const struct pt_table *table = plat_page_owner(plat_pa(entry));
	u64 leaves = 0, tables = 1;

	for (unsigned int i = 0; i < PT_ENTRIES; i++) {
		if (!entry[i])
			continue;
		if (!(entry[i] & geom->present_mask))
			fail("an entry of level %u is left as 0x%llx", level,
			     entry[i]);
		if (level == 1 || (level < 4 && (entry[i] & geom->leaf_bit)))
			leaves++;
		else
			tables += look_through(plat_va(entry[i] &
						       geom->addr_mask),
					       level - 1);
	}
	if (table->dead || table->level != level || table->nr_leaves != leaves)
		fail("table of level %u: dead %d, level %u, %u leaves, in truth %llu",
		     level, table->dead, table->level, table->nr_leaves, leaves);
	return tables;
}

static u64 check_tables(void)
{
	u64 found = look_through(w.pt.root->entry, PT_LEVELS);
	u64 live;

	plat_test_grace_period();
	live = plat_test_live();
	if (live != found || live != plat_test_live_objects())
		fail("%llu table pages are allocated, %llu descriptors, %llu are reachable",
		     live, plat_test_live_objects(), found);
	return found;
}

/* Memory is in use by the page that it belongs to, and by nothing else. */
static void check_memory(void)
{
	u64 mapped = 0;

	for (unsigned int u = 0; u < NR_UNITS; u++) {
		u64 addr = w.unit[u].addr, entry;
		unsigned int level;
		struct pt_leaf leaf;

		entry = pt_lookup(&w.pt, addr, &level);
		if (!w.wild && (entry != 0) != w.unit[u].mapped)
			fail("unit %u is not as its last owner left it", u);
		if (!entry)
			continue;
		mapped++;
		pt_decode(w.pt.geom, entry, level, &leaf);
		addr = leaf.pa + (addr & (pt_level_size(level) - 1));
		if (!cell_at(addr, u)->used)
			fail("unit %u is mapped to memory that is free", u);
	}
	if (mapped != memory_used())
		fail("%llu pages are mapped, %llu of memory in use", mapped,
		     memory_used());
}

static void trim_all(void)
{
	struct gather gather = GATHER_INIT;
	struct pt_range range = { .addr = 0, .end = 1ull << 48,
				  .gather = &gather };

	pt_trim(&w.pt, &range);
	shootdown_run(&w.sd, &gather);
	gather_release(&gather);
}

static void check_end(void)
{
	struct pt_cache cache = { 0 };

	plat_test_fail_nth(0);
	check_tables();
	check_memory();
	op_unmap_all(&cache);
	pt_cache_drain(&cache);
	trim_all();
	if (check_tables() != 1)
		fail("tables are left of nothing");
	if (plat_test_warnings())
		fail("the core has warned");
	pt_destroy(&w.pt);
	plat_test_grace_period();
	if (plat_test_live() || plat_test_live_objects())
		fail("table pages are left after the end");
}

/* --- the round --- */

static u64 progress(void)
{
	u64 sum = plat_load(&w.ops);

	for (unsigned int i = 0; i < w.nr_cpus; i++)
		sum += plat_load(&w.cpu[i].irq_handled) +
		       plat_load(&w.sd_cpu[i].seen);
	return sum;
}

static void world_init(const struct round *round)
{
	static const struct plat_test_hooks hooks = {
		.relax = cpu_relax_hook, .kick = cpu_kick_hook,
	};

	memset(&w, 0, sizeof(w));
	w.nr_cpus = round->nr_cpus;
	w.nr_threads = round->nr_threads;
	w.wild = round->wild;
	w.chaos = round->chaos;
	for (unsigned int i = 0; i < MAX_CPUS; i++)
		w.cpu[i].number = i;
	plat_test_hooks(&hooks);
	plat_test_fail_nth(0);
	memory_init();
	units_init();
	if (pt_init(&w.pt, round->geom))
		fail("no memory");
	sd_vm_init(&w.sd, pt_root_pa(&w.pt), &w.cpus, w.sd_cpu);
	for (unsigned int i = 0; i < w.nr_cpus; i++)
		plat_cpumask_set(&w.cpus, i);
}

static void add_totals(void)
{
	stress_add((u64 *)&totals.counts, (u64 *)&w.counts,
		   sizeof(w.counts) / sizeof(u64));
	totals.ops += w.ops;
	for (unsigned int i = 0; i < w.nr_cpus; i++) {
		totals.runs += w.cpu[i].runs;
		totals.accesses += w.cpu[i].accesses;
		totals.walks += w.cpu[i].walks;
		totals.faults += w.cpu[i].faults;
		totals.kicked += w.cpu[i].kicked;
	}
}

void round_run(const struct round *round)
{
	const struct stress_threads threads = {
		.ms = round->ms, .progress = progress,
		.nr_cpus = round->nr_cpus, .cpu = cpu_thread,
		.cpus = w.cpu, .cpu_size = sizeof(w.cpu[0]),
		.nr_others = round->nr_threads, .other = thread_fn,
		.stop_others = &w.stop_threads, .stop_cpus = &w.stop_cpus,
	};

	world_init(round);
	rnd_seed(round->seed);
	stress_run(&threads);
	add_totals();
	check_end();
}
