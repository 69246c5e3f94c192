// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The page-table engine: formats, installing, lookup; directed cases. */
#include <pthread.h>
#include <sched.h>

#include "pt_util.h"

static void entries_have_the_bits_of_the_manual(void)
{
	struct pt_leaf uc = { 0xfee00000, 1, PT_R | PT_W, PT_MEM_UC, PT_YOUNG };
	unsigned int level;
	struct pt pt;

	begin(&pt, &pt_ept_ad);
	map(&pt, 0, ram(0x5000, 1, PT_RWX));
	map(&pt, 4096, ram(0x6000, 1, PT_R | PT_X));
	map(&pt, 8192, old_ram(0x6000, 1, PT_R | PT_W));
	map(&pt, 2 * MIB, ram(4 * MIB, 2, PT_R));
	map(&pt, GIB, ram(8 * GIB, 3, PT_RWX));
	map(&pt, 5 * GIB, uc);
	CHECK_EQ(pt_lookup(&pt, 0xfff, &level), 0x5377);
	CHECK_EQ(level, 1);
	CHECK_EQ(pt_lookup(&pt, 4096, &level), 0x6175);
	CHECK_EQ(pt_lookup(&pt, 8192, &level), 0x6273);
	CHECK_EQ(pt_lookup(&pt, 4 * MIB - 1, &level), 0x4001f1);
	CHECK_EQ(level, 2);
	CHECK_EQ(pt_lookup(&pt, GIB + 12345, &level), 0x2000003f7);
	CHECK_EQ(level, 3);
	CHECK_EQ(pt_lookup(&pt, 5 * GIB, &level), 0xfee00303);
	CHECK_EQ(pt_lookup(&pt, 3 * 4096, &level), 0);
	CHECK_EQ(level, 1);
	CHECK_EQ(pt_lookup(&pt, TIB, &level), 0);
	CHECK_EQ(level, 4);
	CHECK_EQ(pt_lookup(&pt, 1ull << 48, &level), 0);
	CHECK_EQ(pt.root->entry[0] & 0xfff, 7);
	CHECK_EQ(pt_root_pa(&pt), plat_pa(pt.root->entry));
	destroy(&pt);

	begin(&pt, &pt_ept_plain);
	map(&pt, 0, ram(0x5000, 1, PT_RWX));
	CHECK_EQ(pt_lookup(&pt, 0, &level), 0x5077);
	destroy(&pt);
}

static void x86_entries_have_the_bits_of_the_manual(void)
{
	struct pt_leaf uc = { 0xfee00000, 1, PT_R | PT_W, PT_MEM_UC, PT_OLD };
	struct pt_leaf written = { 0x7000, 1, PT_RWX | PT_U, PT_MEM_WB, PT_DIRTY };
	const u64 nx = 1ull << 63, may = 1ull << 54, cow = 1ull << 53;
	unsigned int level;
	struct pt pt;

	begin(&pt, &pt_x86);
	map(&pt, 0, ram(0x5000, 1, PT_RWX));
	map(&pt, 4096, ram(0x6000, 1, PT_R));
	map(&pt, 8192, old_ram(0x6000, 1, PT_R | PT_X));
	map(&pt, 2 * MIB, ram(4 * MIB, 2, PT_R | PT_W));
	map(&pt, 5 * GIB, uc);
	map(&pt, 3 * 4096, written);
	map(&pt, 4 * 4096, ram(0x8000, 1, PT_R | PT_W | PT_COW));
	CHECK_EQ(pt_lookup(&pt, 0, &level), may | 0x5023);
	CHECK_EQ(pt_lookup(&pt, 4096, &level), nx | 0x6021);
	CHECK_EQ(pt_lookup(&pt, 8192, &level), 0x6001);
	CHECK_EQ(pt_lookup(&pt, 2 * MIB, &level), nx | may | 0x4000a3);
	CHECK_EQ(level, 2);
	CHECK_EQ(pt_lookup(&pt, 5 * GIB, &level), nx | may | 0xfee0001b);
	CHECK_EQ(pt_lookup(&pt, 3 * 4096, &level), may | 0x7067);
	CHECK_EQ(pt_lookup(&pt, 4 * 4096, &level), nx | may | cow | 0x8021);
	CHECK_EQ(pt.root->entry[0] & 0xfff, 0x27);
	destroy(&pt);
}

/* Every present level against every new one; the same memory or other. */
static void every_pair_of_levels(void)
{
	for (unsigned int i = 0; i < 3 * 3 * 2 * 2; i++) {
		unsigned int old = i % 3 + 1, new = i / 3 % 3 + 1;
		bool other = i / 9 % 2, more = i / 18;
		u64 addr = 7 * GIB + 14 * MIB + 28 * KIB;
		u64 size = pt_level_size(new), old_size = pt_level_size(old);
		enum pt_map_result want = PT_MAP_CONFLICT;
		u64 before, after, tables;
		unsigned int level;
		struct pt pt;

		if (!other && !more && old >= new)
			want = PT_MAP_SPURIOUS;
		else if (!other && old == new)
			want = PT_MAP_UPGRADED;
		begin(&pt, &pt_ept_ad);
		CHECK_EQ(map(&pt, addr, ram(addr & ~(old_size - 1), old, PT_R)),
			 PT_MAP_INSTALLED);
		before = pt_lookup(&pt, addr, &level);
		tables = tables_of(&pt);
		CHECK_EQ(map(&pt, addr, ram((addr & ~(size - 1)) + other * 64 * GIB,
					    new, more ? PT_RWX : PT_R)), want);
		after = pt_lookup(&pt, addr, &level);
		CHECK_EQ(after, want == PT_MAP_UPGRADED ? before | 0x206 : before);
		CHECK_EQ(level, old);
		CHECK_EQ(tables_of(&pt), tables);

		/* What the caller does about a conflict. */
		zap(&pt, addr & ~(GIB - 1), (addr & ~(GIB - 1)) + GIB, 1, 3 - old);
		CHECK_EQ(map(&pt, addr, ram(addr & ~(size - 1), new, PT_R)),
			 PT_MAP_INSTALLED);
		destroy(&pt);
	}
}

static void an_upgrade_keeps_what_hardware_has_written(void)
{
	u64 *entry;
	struct pt pt;

	begin(&pt, &pt_ept_ad);
	map(&pt, 4096, old_ram(0x9000, 1, PT_R));
	entry = plat_va(pt_root_pa(&pt));
	for (unsigned int level = 4; level > 1; level--)
		entry = plat_va(entry[0] & ~0xfffull);
	CHECK_EQ(entry[1], 0x9071);
	CHECK_EQ(map(&pt, 4096, old_ram(0x9000, 1, PT_R | PT_X)),
		 PT_MAP_UPGRADED);
	CHECK_EQ(entry[1], 0x9075);	/* still never used */
	entry[1] |= 0x100;
	CHECK_EQ(map(&pt, 4096, old_ram(0x9000, 1, PT_R | PT_W)),
		 PT_MAP_UPGRADED);
	CHECK_EQ(entry[1], 0x9377);
	CHECK_EQ(pt_age(&pt, 0, 8192, PT_AGE_CLEAR), 1);
	CHECK_EQ(map(&pt, 4096, old_ram(0x9000, 1, PT_R)), PT_MAP_SPURIOUS);
	CHECK_EQ(entry[1], 0x9277 | 1ull << 52);
	destroy(&pt);
}

/* Another type of memory at the same address is not the same memory. */
static void the_memory_type_counts(void)
{
	struct pt_leaf uc = { 0x5000, 1, PT_R, PT_MEM_UC, PT_YOUNG };
	struct pt pt;

	begin(&pt, &pt_ept_ad);
	map(&pt, 0, ram(0x5000, 1, PT_R));
	CHECK_EQ(map(&pt, 0, uc), PT_MAP_CONFLICT);
	destroy(&pt);
}

static void map_refuses_what_breaks_its_contract(void)
{
	struct pt_leaf bad[] = {
		ram(0, 0, PT_R), ram(0, 4, PT_R), ram(0, 1, 0),
		ram(4096, 2, PT_R), ram(2 * MIB, 3, PT_R), ram(1, 1, PT_R),
	};
	struct pt_map_op op = { .leaf = ram(0, 1, PT_R), .cache = &cache };
	struct pt pt;

	begin(&pt, &pt_ept_ad);
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		map(&pt, 0, bad[i]);
		CHECK_EQ(plat_test_warnings(), 1);
	}
	map(&pt, 1ull << 48, ram(0, 1, PT_R));
	CHECK_EQ(plat_test_warnings(), 1);
	pt_cache_drain(&cache);
	pt_map(&pt, &op);
	CHECK_EQ(plat_test_warnings(), 1);
	CHECK_EQ(tables_of(&pt), 1);
	destroy(&pt);
}

/* --- walks that begin anew; the relax hook runs between two of them --- */

static struct {
	struct pt *pt;
	struct gather gather;
	unsigned int calls;
	u64 *frozen;
} again;

static void zap_everything(void)
{
	again.calls++;
	pt_zap(again.pt, 0, ~0ull, &again.gather);
}

static void thaw(void)
{
	again.calls++;
	plat_store(again.frozen, 0);
}

/* The table that will be linked last has a FROZEN entry for address 0. */
static struct pt_map_op map_into_frozen(struct pt *pt)
{
	struct pt_map_op op = { .leaf = ram(0, 1, PT_R), .cache = &cache };

	begin(pt, &pt_ept_ad);
	CHECK_EQ(pt_cache_fill(&cache), 0);
	again.pt = pt;
	again.calls = 0;
	gather_init(&again.gather);
	again.frozen = cache.tables->next->next->entry;
	*again.frozen = FROZEN;
	return op;
}

static void a_frozen_entry_is_waited_for(void)
{
	struct plat_test_hooks hooks = { .relax = thaw }, none = { 0 };
	struct pt_map_op op;
	unsigned int level;
	struct pt pt;

	op = map_into_frozen(&pt);
	plat_test_hooks(&hooks);
	CHECK_EQ(pt_map(&pt, &op), PT_MAP_INSTALLED);
	plat_test_hooks(&none);
	CHECK_EQ(again.calls, 1);
	CHECK_EQ(op.restarts, 1);
	CHECK_EQ(op.tables, 3);
	CHECK_EQ(cache.nr, 0);
	CHECK(pt_lookup(&pt, 0, &level) != 0);
	destroy(&pt);
}

static void restarts_that_use_up_the_cache_end_in_stale(void)
{
	struct plat_test_hooks hooks = { .relax = zap_everything }, none = { 0 };
	struct pt_map_op op;
	struct pt pt;

	op = map_into_frozen(&pt);
	plat_test_hooks(&hooks);
	CHECK_EQ(pt_map(&pt, &op), PT_MAP_STALE);
	plat_test_hooks(&none);
	CHECK_EQ(op.restarts, 1);
	CHECK_EQ(op.tables, 3);
	CHECK_EQ(again.gather.nr_tables, 3);
	CHECK_EQ(tables_of(&pt), 1);
	finish(&again.gather);
	CHECK_EQ(map(&pt, 0, ram(0, 1, PT_R)), PT_MAP_INSTALLED);
	destroy(&pt);
}

/* --- invalidations --- */

static void nothing_is_installed_after_an_invalidation(void)
{
	static struct inval inval;
	struct pt_map_op op = { .leaf = ram(0, 1, PT_R), .inval = &inval };
	unsigned int level;
	struct pt pt;

	begin(&pt, &pt_ept_ad);
	CHECK(inval_snap(&inval, 0, &op.snap));
	inval_begin(&inval, 0, 4096);
	CHECK_EQ(map_op(&pt, &op), PT_MAP_STALE);
	inval_end(&inval, 0, 4096);
	CHECK_EQ(map_op(&pt, &op), PT_MAP_STALE);
	CHECK_EQ(pt_lookup(&pt, 0, &level), 0);
	CHECK_EQ(tables_of(&pt), 4);	/* linked and left */
	CHECK(inval_snap(&inval, 0, &op.snap));
	CHECK_EQ(map_op(&pt, &op), PT_MAP_INSTALLED);
	op.leaf.rights = PT_R | PT_W;
	inval_begin(&inval, 0, ~0ull);
	inval_end(&inval, 0, ~0ull);
	CHECK_EQ(map_op(&pt, &op), PT_MAP_STALE);
	CHECK(!(pt_lookup(&pt, 0, &level) & PT_W));
	destroy(&pt);
}

/* --- a lock that somebody holds --- */

static struct {
	struct pt_table *table;
	u32 state;		/* 1: held, 2: waited for */
} holder;

static void *hold_lock(void *unused)
{
	plat_lock(&holder.table->lock, 1);
	plat_store_release(&holder.state, 1);
	/* Not plat_cpu_relax(): that is what the other thread is known by. */
	while (plat_load_acquire(&holder.state) != 2)
		sched_yield();
	plat_unlock(&holder.table->lock);
	return unused;
}

static void lock_is_waited_for(void)
{
	u32 held = 1;

	plat_cas32(&holder.state, &held, 2);
}

static void contention_is_counted(void)
{
	struct plat_test_hooks hooks = { .relax = lock_is_waited_for };
	struct plat_test_hooks none = { 0 };
	struct pt_map_op op = { .addr = 4096, .leaf = ram(4096, 1, PT_R) };
	pthread_t thread;
	unsigned int level;
	struct pt pt;
	u64 *entry;

	begin(&pt, &pt_ept_ad);
	map(&pt, 0, ram(0, 1, PT_R));
	entry = pt.root->entry;
	for (level = 4; level > 1; level--)
		entry = plat_va(entry[0] & ~0xfffull);
	holder.table = plat_page_owner(plat_pa(entry));
	holder.state = 0;
	pthread_create(&thread, NULL, hold_lock, NULL);
	while (plat_load_acquire(&holder.state) != 1)
		plat_cpu_relax();
	plat_test_hooks(&hooks);
	CHECK_EQ(map_op(&pt, &op), PT_MAP_INSTALLED);
	pthread_join(thread, NULL);
	plat_test_hooks(&none);
	CHECK_EQ(op.contended, 1);
	destroy(&pt);
}

/* --- a table that goes while a fault waits for its lock --- */

static struct {
	struct pt pt;
	struct gather gather;
	struct pt_map_op op;
	enum pt_map_result result;
	u32 mapper_waits, zapper_waits, zapped;
} going;

static _Thread_local bool is_mapper;

/* The mapper waits until the table is dead; others just say that they wait. */
static void going_relax(void)
{
	if (!is_mapper) {
		plat_store_release(&going.zapper_waits, 1);
		return;
	}
	plat_store_release(&going.mapper_waits, 1);
	while (!plat_load_acquire(&going.zapped))
		sched_yield();
}

static void *going_map(void *unused)
{
	is_mapper = true;
	plat_rcu_register();
	going.result = pt_map(&going.pt, &going.op);
	plat_rcu_unregister();
	return unused;
}

static void *going_zap(void *unused)
{
	plat_rcu_register();
	pt_zap(&going.pt, 0, 2 * MIB, &going.gather);
	plat_store_release(&going.zapped, 1);
	plat_rcu_unregister();
	return unused;
}

static void wait_for(const u32 *flag)
{
	while (!plat_load_acquire(flag))
		sched_yield();
}

static void no_leaf_is_lost_in_a_table_that_goes(void)
{
	struct plat_test_hooks hooks = { .relax = going_relax };
	struct plat_test_hooks none = { 0 };
	struct pt_table *table;
	pthread_t mapper, zapper;
	unsigned int level;

	gather_init(&going.gather);
	begin(&going.pt, &pt_ept_ad);
	map(&going.pt, 0, ram(0, 1, PT_R));
	CHECK_EQ(pt_cache_fill(&cache), 0);
	going.op = (struct pt_map_op){
		.addr = 4096, .leaf = ram(4096, 1, PT_R), .cache = &cache,
	};
	table = going.pt.root;
	for (level = 4; level > 1; level--)
		table = plat_page_owner(table->entry[0] & ~0xfffull);
	plat_test_hooks(&hooks);
	plat_lock(&table->lock, 1);
	pthread_create(&mapper, NULL, going_map, NULL);
	wait_for(&going.mapper_waits);
	pthread_create(&zapper, NULL, going_zap, NULL);
	wait_for(&going.zapper_waits);
	/* Unlinked and dead at once: who has the lock or finds it dead relies on that. */
	CHECK(pt_lookup(&going.pt, 0, &level) != 0);
	CHECK_EQ(level, 1);
	CHECK(!table->dead);
	plat_unlock(&table->lock);
	pthread_join(zapper, NULL);
	pthread_join(mapper, NULL);
	plat_test_hooks(&none);

	CHECK_EQ(going.result, PT_MAP_INSTALLED);
	CHECK_EQ(going.op.restarts, 1);
	CHECK_EQ(going.gather.leaves[1], 1);
	CHECK(pt_lookup(&going.pt, 4096, &level) != 0);
	check_tables(&going.pt, &going.gather);
	finish(&going.gather);
	destroy(&going.pt);
}

/* --- memory --- */

/* Each allocation of an operation fails once: nothing leaked, nothing half. */
static void failed_allocations_leave_nothing_behind(void)
{
	struct pt pt;
	u64 nth = 0;
	int err;

	do {
		plat_test_fail_nth(++nth);
		err = pt_init(&pt, &pt_ept_ad);
		CHECK_EQ(err, plat_test_failed() ? -ENOMEM : 0);
		CHECK_EQ(plat_test_live(), !err);
		CHECK_EQ(plat_test_live_objects(), !err);
		if (err)
			pt_destroy(&pt);
	} while (err && nth < 10);
	CHECK_EQ(nth, 3);

	nth = 0;
	do {
		plat_test_fail_nth(++nth);
		err = pt_cache_fill(&cache);
		CHECK_EQ(err, plat_test_failed() ? -ENOMEM : 0);
		CHECK_EQ(cache.nr, (nth - 1) / 2);
		CHECK_EQ(plat_test_live(), 1 + cache.nr);
		CHECK_EQ(plat_test_live_objects(), 1 + cache.nr);
		pt_cache_drain(&cache);
	} while (err && nth < 20);
	CHECK_EQ(nth, 2 * PT_CACHE_MAX + 1);

	/* What it got stays, and the rest can be asked for later. */
	plat_test_fail_nth(4);
	CHECK_EQ(pt_cache_fill(&cache), -ENOMEM);
	plat_test_fail_nth(0);
	CHECK_EQ(cache.nr, 1);
	CHECK_EQ(map(&pt, 0, ram(0, 1, PT_R)), PT_MAP_INSTALLED);
	destroy(&pt);
}

int main(void)
{
	plat_rcu_register();
	CASE(entries_have_the_bits_of_the_manual);
	CASE(x86_entries_have_the_bits_of_the_manual);
	CASE(every_pair_of_levels);
	CASE(an_upgrade_keeps_what_hardware_has_written);
	CASE(the_memory_type_counts);
	CASE(map_refuses_what_breaks_its_contract);
	CASE(a_frozen_entry_is_waited_for);
	CASE(restarts_that_use_up_the_cache_end_in_stale);
	CASE(nothing_is_installed_after_an_invalidation);
	CASE(contention_is_counted);
	CASE(no_leaf_is_lost_in_a_table_that_goes);
	CASE(failed_allocations_leave_nothing_behind);
	plat_rcu_unregister();
	return CHECK_EXIT();
}
