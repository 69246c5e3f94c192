// SPDX-License-Identifier: GPL-2.0 OR MIT
/* One round: a world, its threads, and the balance when they have stopped. */
#include <string.h>

#include "glue.h"
#include "run.h"
#include "stress.h"

struct world w;
struct totals totals;

static void *mm_thread(void *arg)
{
	struct pt_cache cache = { 0 };

	rnd_seed((u64)(uintptr_t)arg);
	plat_test_chaos(w.chaos, rnd(1u << 30));
	plat_rcu_register();
	while (!plat_load_acquire(&w.stop_mm)) {
		op_random(&cache);
		__atomic_fetch_add(&w.ops, 1, __ATOMIC_RELAXED);
	}
	pt_cache_drain(&cache);
	plat_rcu_unregister();
	return NULL;
}

/* --- the balance --- */

struct found {
	u64 tables, leaves[4];
};

static void look_through(const u64 *entry, unsigned int level,
			 struct found *found)
{
	const struct pt_geometry *geom = w.ept.first.pt.geom;
	const struct pt_table *table = plat_page_owner(plat_pa(entry));
	u64 leaves = 0;

	for (unsigned int i = 0; i < PT_ENTRIES; i++) {
		if (!entry[i])
			continue;
		if (!(entry[i] & geom->present_mask))
			fail("an entry of level %u is left as 0x%llx", level,
			     entry[i]);
		if (level == 1 || (entry[i] & geom->leaf_bit))
			leaves++;
		else
			look_through(plat_va(entry[i] & geom->addr_mask),
				     level - 1, found);
	}
	if (table->dead || table->level != level || table->nr_leaves != leaves)
		fail("table of level %u: dead %d, level %u, %u leaves, in truth %llu",
		     level, table->dead, table->level, table->nr_leaves, leaves);
	found->tables++;
	if (level < 4)
		found->leaves[level] += leaves;
}

static void check_books(void)
{
	struct found found = { 0 };
	struct replica *r;
	u64 live;

	for_each_replica(r, &w.ept)
		look_through(r->pt.root->entry, PT_LEVELS, &found);
	live = plat_test_live();
	if (live != found.tables || live != plat_test_live_objects())
		fail("%llu table pages are allocated, %llu descriptors, %llu are reachable",
		     live, plat_test_live_objects(), found.tables);
	if (w.counts.tables + w.nr_nodes != found.tables)
		fail("%llu tables counted, %llu found",
		     w.counts.tables + w.nr_nodes, found.tables);
	for (unsigned int level = 1; level < 4; level++)
		if (w.counts.leaves[level] != found.leaves[level])
			fail("level %u: %llu leaves counted, %llu found", level,
			     w.counts.leaves[level], found.leaves[level]);
}

/* What a table maps, the host maps: the same memory, no fewer rights. */
static void check_mirror(const struct pt *pt)
{
	for (unsigned int i = 0; i < NR_REGIONS * NR_HOT; i++) {
		u64 hva = host_hva(i / NR_HOT, i % NR_HOT);
		unsigned int level;
		u64 entry = pt_lookup(pt, glue_gpa(hva), &level);
		struct pt_leaf leaf = { 0 };
		u64 offset;

		if (!entry)
			continue;
		if (host_leaf(hva, PT_R, &leaf) ||
		    (pt->geom->rights(entry) & ~leaf.rights))
			fail("the EPT maps 0x%llx, the host does not", hva);
		offset = hva & (pt_level_size(level) - 1);
		if ((entry & HOST_PA & ~(pt_level_size(level) - 1)) + offset !=
		    leaf.pa + (hva & (pt_level_size(leaf.level) - 1)))
			fail("the EPT maps other memory at 0x%llx than the host",
			     hva);
	}
}

static void check_quiet(void)
{
	u64 active = inval_active(w.inval.global.word);

	for (unsigned int i = 0; i < INVAL_NR_BUCKETS; i++)
		active += inval_active(w.inval.bucket[i].word);
	if (active)
		fail("%llu invalidations are still in progress", active);
	for (unsigned int i = 0; i < w.nr_cpus; i++)
		if (w.sd_cpu[i].mode != SD_OUTSIDE)
			fail("cpu %u is still in guest", i);
	if (plat_test_warnings())
		fail("the core has warned");
}

static void check_end(void)
{
	struct replica *r;

	for (unsigned int i = 0; i < w.nr_vcpus; i++)
		pt_cache_drain(&w.vcpu[i].tables);
	plat_test_grace_period();
	check_quiet();
	check_books();
	for_each_replica(r, &w.ept)
		check_mirror(&r->pt);
	op_unmap_all();
	plat_test_grace_period();
	check_books();
	for (unsigned int level = 1; level < 4; level++)
		if (w.counts.leaves[level])
			fail("leaves of level %u are left of nothing", level);
	if (mm_used_frames())
		fail("%llu pieces of host memory leaked", mm_used_frames());
	for_each_replica(r, &w.ept)
		pt_destroy(&r->pt);
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

static void replica_init(struct replica *r, const struct pt_geometry *geom)
{
	if (pt_init(&r->pt, geom))
		fail("no memory");
	sd_vm_init(&r->sd, pt_root_pa(&r->pt), &w.cpus, w.sd_cpu);
}

static void ept_init(const struct pt_geometry *geom)
{
	replica_init(&w.ept.first, geom);
	for (unsigned int i = 0; i + 1 < w.nr_nodes; i++) {
		w.more[i] = &w.other[i];
		replica_init(w.more[i], geom);
	}
	if (w.nr_nodes > 1)
		replicas_join(&w.ept, w.more, w.nr_nodes - 1);
	for (unsigned int i = 0; i < MAX_CPUS; i++)
		w.cpu[i].replica = replicas_at(&w.ept, i % w.nr_nodes);
}

static void world_init(const struct round *round)
{
	static const struct plat_test_hooks hooks = {
		.relax = cpu_relax_hook, .kick = kick_hook,
		.multicast = kick_multicast_hook, .call = kick_call_hook,
		.mark_bump = cpu_mark_bump_hook,
		.mark_done = cpu_mark_done_hook,
	}, none;

	plat_test_hooks(&none);
	memset(&w, 0, sizeof(w));
	w.nr_cpus = round->nr_cpus;
	w.nr_nodes = round->nr_nodes;
	w.nr_vcpus = round->nr_vcpus;
	w.nr_mm = round->nr_mm;
	w.chaos = round->chaos;
	w.bumped = 1;
	for (unsigned int i = 0; i < MAX_CPUS; i++) {
		w.cpu[i].number = i;
		w.cpu[i].using_gen = USING_NOTHING;
	}
	kick_world_init();
	mm_init();
	ept_init(round->geom);
	plat_test_hooks(&hooks);
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
		totals.violations += w.cpu[i].violations;
		totals.kicked += w.cpu[i].kicked;
		totals.moved += w.cpu[i].moved;
	}
}

void round_run(const struct round *round)
{
	const struct stress_threads threads = {
		.ms = round->ms, .progress = progress,
		.nr_cpus = round->nr_cpus, .cpu = cpu_thread,
		.cpus = w.cpu, .cpu_size = sizeof(w.cpu[0]),
		.nr_others = round->nr_mm, .other = mm_thread,
		.stop_others = &w.stop_mm, .stop_cpus = &w.stop_cpus,
	};

	rnd_seed(round->seed);
	world_init(round);
	stress_run(&threads);
	add_totals();
	check_end();
	mm_fini();
}
