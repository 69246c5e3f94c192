// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * No accessed or dirty bit is lost, and no CPU that has cached a leaf is
 * overlooked.
 *
 * Sums: CPUs set bits of leaves while their rights change and scans clear the
 * bits; each one that a CPU set is found once, by a scan or at the end.
 * Races: a CPU uses a leaf for the first time just when an operation changes it.
 * Tables: what was mapped into a table that somebody trims is mapped.
 * Sizes: what was set in a large leaf is set in all of the small ones; and
 * whoever looks finds something mapped while leaves are split and merged.
 */
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "guest.h"

#define PAGES		24u	/* few, so that they meet */
#define SETTERS		2
#define SCANNERS	2
#define ROUND_YIELDS	600u
#define SPLITS		40u
#define MERGES		40u
#define TRIMS		1000u

struct bits {
	u64 accessed, dirty;
};

static struct {
	struct pt pt;
	u64 *entry;		/* the table of level 1 */
	u64 *upper;		/* the entry of level 2 */
	struct bits set[SETTERS], found[SCANNERS];
	u32 stop;
	u32 at;			/* the page whose turn it is */
	bool used[PT_ENTRIES], flush[PT_ENTRIES], hit[PT_ENTRIES];
} b;

/* As hardware does; returns the bits that it found clear. */
static u64 set(u64 *entry, u64 bits)
{
	u64 value = plat_load_acquire(entry);

	while ((value & bits) != bits)
		if (plat_cas64(entry, &value, value | bits))
			return bits & ~value;
	return 0;
}

static void count_bits(struct bits *sum, u64 value)
{
	sum->accessed += (value & pt_x86.accessed_bit) != 0;
	sum->dirty += (value & pt_x86.dirty_bit) != 0;
}

static void *setter(void *arg)
{
	unsigned int me = (uintptr_t)arg;

	rnd_seed(me + 1);
	plat_test_chaos(50, me + 1);
	while (!plat_load_acquire(&b.stop)) {
		u64 bits = pt_x86.accessed_bit;

		if (rnd(3) == 0)
			bits |= pt_x86.dirty_bit;
		count_bits(&b.set[me], set(&b.entry[rnd(PAGES)], bits));
	}
	return NULL;
}

static void count_hit(void *arg, u64 addr, unsigned int level)
{
	(void)addr;
	(void)level;
	++*(u64 *)arg;
}

static void scan(struct bits *found, u64 addr)
{
	bool dirty = rnd(2);
	struct pt_scan op = {
		.range = { .addr = addr, .end = addr + PAGE },
		.what = dirty ? PT_SCAN_DIRTY : PT_SCAN_ACCESSED,
		.mode = PT_SCAN_CLEAR, .hit = count_hit,
		.arg = dirty ? &found->dirty : &found->accessed,
	};

	if (!dirty && rnd(2))
		found->accessed += pt_age(&b.pt, addr, addr + PAGE, PT_AGE_CLEAR);
	else
		pt_scan(&b.pt, &op);
}

static void *scanner(void *arg)
{
	unsigned int me = (uintptr_t)arg;

	rnd_seed(me + 77);
	plat_test_chaos(50, me + 77);
	plat_rcu_register();
	while (!plat_load_acquire(&b.stop))
		scan(&b.found[me], rnd(PAGES) * PAGE);
	plat_rcu_unregister();
	return arg;
}

static void protect(const struct pt_change *change, u64 addr, u64 end)
{
	struct gather gather = GATHER_INIT;
	struct pt_protect op = {
		.range = { .addr = addr, .end = end, .gather = &gather },
		.change = change,
	};
	enum pt_result result = PT_STALE;

	if (rnd(2)) {
		plat_rcu_lock();
		result = pt_protect_small(pt_find_table(&b.pt, addr, 2), addr,
					  end, change, &gather);
		plat_rcu_unlock();
	}
	if (result != PT_DONE && pt_protect(&b.pt, &op) != PT_DONE)
		fail("bits: protect");
}

static void map(struct pt_cache *cache, unsigned int level)
{
	struct pt_map_range op = {
		.range = { .addr = 0, .end = REGION_SIZE,
			   .cache = cache },
		.level = level, .rights = PT_R | PT_W, .age = PT_OLD,
	};

	if (pt_init(&b.pt, &pt_x86) || pt_cache_fill(cache) ||
	    pt_map_range(&b.pt, &op) != PT_DONE)
		fail("bits: map");
	b.upper = pt_find_table(&b.pt, 0, 2)->entry;
}

static void start(pthread_t *thread, unsigned int nr, void *(*fn)(void *))
{
	for (unsigned int i = 0; i < nr; i++)
		pthread_create(&thread[i], NULL, fn, (void *)(uintptr_t)i);
}

static void check_sums(void)
{
	struct bits all = { 0, 0 }, found = { 0, 0 };

	for (unsigned int i = 0; i < SETTERS; i++) {
		all.accessed += b.set[i].accessed;
		all.dirty += b.set[i].dirty;
	}
	for (unsigned int i = 0; i < SCANNERS; i++) {
		found.accessed += b.found[i].accessed;
		found.dirty += b.found[i].dirty;
	}
	for (unsigned int page = 0; page < PAGES; page++)
		count_bits(&found, b.entry[page]);
	if (all.accessed != found.accessed || all.dirty != found.dirty)
		fail("%llu accessed bits were set and %llu found, %llu dirty ones and %llu",
		     all.accessed, found.accessed, all.dirty, found.dirty);
}

static void rights_round(struct pt_cache *cache)
{
	pthread_t thread[SETTERS + SCANNERS];
	struct pt_change change[2];

	memset(&b, 0, sizeof(b));
	map(cache, 1);
	b.entry = pt_find_table(&b.pt, 0, 1)->entry;
	pt_change_init(&change[0], &pt_x86, PT_COW, PT_R);
	pt_change_init(&change[1], &pt_x86, PT_COW, PT_R | PT_W | PT_X);
	start(thread, SETTERS, setter);
	start(thread + SETTERS, SCANNERS, scanner);
	for (unsigned int i = 0; i < ROUND_YIELDS; i++) {
		unsigned int first = rnd(PAGES), nr = 1 + rnd(PAGES - first);

		protect(&change[rnd(2)], first * PAGE, (first + nr) * PAGE);
	}
	plat_store_release(&b.stop, 1);
	for (unsigned int i = 0; i < SETTERS + SCANNERS; i++)
		pthread_join(thread[i], NULL);
	check_sums();
	pt_destroy(&b.pt);
}

/* --- races --- */

enum race { RACE_SMALL, RACE_PROTECT, RACE_REPLACE, RACE_SCAN, NR_RACES };

/* Writes to each page in turn, if that is still allowed: read, then set. */
static void *first_user(void *arg)
{
	u64 bits = pt_x86.accessed_bit | pt_x86.dirty_bit;

	rnd_seed(stamp_now() + 5);
	for (unsigned int i = 0; i < PT_ENTRIES; i++) {
		u64 value;

		while (plat_load_acquire(&b.at) < i)
			;
		for (unsigned int n = rnd(30); n; n--)
			__asm__ volatile("");
		value = plat_load_acquire(&b.entry[i]);
		while ((value & 3) == 3 && !b.used[i])
			b.used[i] = plat_cas64(&b.entry[i], &value,
					       value | bits);
	}
	return arg;
}

static void race_replace(struct gather *gather, u64 addr)
{
	unsigned int level;
	struct pt_replace op = {
		.addr = addr, .old = pt_lookup(&b.pt, addr, &level),
		.leaf = { .pa = addr, .level = 1, .rights = PT_R,
			  .age = PT_OLD },
		.gather = gather,
	};

	if (pt_replace(&b.pt, &op) != PT_DONE)
		fail("bits: replace");
}

static void race_op(enum race race, const struct pt_change *change,
		    struct gather *gather, unsigned int page)
{
	u64 addr = page * PAGE, hits = 0;
	struct pt_range range = { .addr = addr, .end = addr + PAGE,
				  .gather = gather };
	struct pt_protect protect = { .range = range, .change = change };
	struct pt_scan scan = {
		.range = range, .what = PT_SCAN_ACCESSED,
		.mode = PT_SCAN_CLEAR, .hit = count_hit, .arg = &hits,
	};

	switch (race) {
	case RACE_SMALL:
		pt_protect_small(pt_find_table(&b.pt, 0, 2), addr, addr + PAGE,
				 change, gather);
		break;
	case RACE_PROTECT:
		pt_protect(&b.pt, &protect);
		break;
	case RACE_REPLACE:
		race_replace(gather, addr);
		break;
	default:
		pt_scan(&b.pt, &scan);
		b.hit[page] = hits;
	}
}

static void check_race(enum race race, unsigned int page)
{
	u64 value = b.entry[page];

	if (!b.used[page])
		return;
	if (!(value & pt_x86.dirty_bit))
		fail("a dirty bit is lost in race %u", race);
	if (!(value & pt_x86.accessed_bit) && !b.hit[page])
		fail("an accessed bit is lost in race %u", race);
	if (race != RACE_SCAN && !b.flush[page])
		fail("a leaf was cached, and race %u needs no flush", race);
}

static void race_round(struct pt_cache *cache, enum race race)
{
	struct pt_change change;
	pthread_t thread;

	memset(&b, 0, sizeof(b));
	map(cache, 1);
	b.entry = pt_find_table(&b.pt, 0, 1)->entry;
	pt_change_init(&change, &pt_x86, PT_COW, PT_R);
	pthread_create(&thread, NULL, first_user, NULL);
	for (unsigned int i = 0; i < PT_ENTRIES; i++) {
		struct gather gather = GATHER_INIT;

		plat_store_release(&b.at, i);
		for (unsigned int n = rnd(60); n; n--)
			__asm__ volatile("");
		plat_rcu_lock();
		race_op(race, &change, &gather, i);
		plat_rcu_unlock();
		b.flush[i] = gather_needs_flush(&gather);
	}
	pthread_join(thread, NULL);
	for (unsigned int i = 0; i < PT_ENTRIES; i++)
		check_race(race, i);
	pt_destroy(&b.pt);
}

/* --- sizes --- */

static u64 look_at_upper(void)
{
	u64 value = plat_load_acquire(b.upper);

	if (!(value & 1))
		fail("nothing is mapped while the size of a leaf changes");
	return value;
}

/* Sets bits of the large leaf, until that is one no more. */
static void *large_setter(void *arg)
{
	unsigned int me = (uintptr_t)arg;
	u64 value, bits = me ? pt_x86.accessed_bit : pt_x86.dirty_bit;

	rnd_seed(stamp_now() + me);
	plat_test_chaos(20, rnd(1u << 30));
	for (unsigned int i = rnd(200); i; i--)
		look_at_upper();
	value = look_at_upper();
	while (value & pt_x86.leaf_bit)
		if (plat_cas64(b.upper, &value, value | bits)) {
			count_bits(&b.set[me], bits);
			break;
		}
	return NULL;
}

static void check_small(void)
{
	for (unsigned int i = 0; i < PT_ENTRIES; i++) {
		struct bits small = { 0, 0 };

		count_bits(&small, b.entry[i]);
		if (small.dirty != b.set[0].dirty ||
		    small.accessed != b.set[1].accessed)
			fail("a bit of a large leaf is lost in its split");
	}
}

static void split_round(struct pt_cache *cache)
{
	struct pt_range range = { .addr = 0, .end = PAGE, .cache = cache };
	pthread_t thread[SETTERS];

	memset(&b, 0, sizeof(b));
	map(cache, 2);
	start(thread, SETTERS, large_setter);
	for (unsigned int i = rnd(3); i; i--)
		plat_cpu_relax();
	if (pt_cache_fill(cache) || pt_split(&b.pt, &range, 1) != PT_DONE)
		fail("bits: split");
	for (unsigned int i = 0; i < SETTERS; i++)
		pthread_join(thread[i], NULL);
	b.entry = pt_find_table(&b.pt, 0, 1)->entry;
	check_small();
	pt_destroy(&b.pt);
}

static void *watcher(void *arg)
{
	while (!plat_load_acquire(&b.stop))
		look_at_upper();
	return arg;
}

static void merge_rounds(struct pt_cache *cache)
{
	pthread_t thread;

	memset(&b, 0, sizeof(b));
	map(cache, 2);
	pthread_create(&thread, NULL, watcher, NULL);
	for (unsigned int i = 0; i < MERGES; i++) {
		struct gather gather = GATHER_INIT;
		struct pt_range range = { .end = PAGE, .cache = cache };
		struct pt_merge merge = {
			.range = { .end = REGION_SIZE, .gather = &gather },
			.level = 2,
		};

		if (pt_cache_fill(cache) ||
		    pt_split(&b.pt, &range, 1) != PT_DONE ||
		    pt_merge(&b.pt, &merge) != PT_DONE || merge.merged != 1)
			fail("bits: merge");
		gather_flushed(&gather);
		gather_release(&gather);
	}
	plat_store_release(&b.stop, 1);
	pthread_join(thread, NULL);
	pt_destroy(&b.pt);
}

/* --- tables --- */

static void *trimmer(void *arg)
{
	rnd_seed(stamp_now() + 9);
	plat_test_chaos(20, rnd(1u << 30));
	plat_rcu_register();
	while (!plat_load_acquire(&b.stop)) {
		struct gather gather = GATHER_INIT;
		struct pt_range range = { .end = 1ull << 48, .gather = &gather };

		pt_trim(&b.pt, &range);
		gather_flushed(&gather);
		gather_release(&gather);
	}
	plat_rcu_unregister();
	return arg;
}

/* What was mapped is there, whatever was empty just before. */
static void trim_rounds(struct pt_cache *cache)
{
	pthread_t thread;

	memset(&b, 0, sizeof(b));
	if (pt_init(&b.pt, &pt_x86))
		fail("bits: trim");
	pthread_create(&thread, NULL, trimmer, NULL);
	for (unsigned int i = 0; i < TRIMS; i++) {
		struct gather gather = GATHER_INIT;
		struct pt_range range = { .end = PAGE, .cache = cache,
					  .gather = &gather };
		struct pt_map_range map = { .range = range, .level = 1,
					    .rights = PT_R };
		struct pt_unmap unmap = { .range = range };
		unsigned int level;

		/* Time for the trimmer to get to the table above. */
		for (u64 n = rnd(4000); n; n--)
			__asm__ volatile("");
		while (pt_map_range(&b.pt, &map) == PT_NEED_TABLES)
			if (pt_cache_fill(cache))
				fail("bits: trim");
		if (!pt_lookup(&b.pt, 0, &level))
			fail("a table was trimmed while a leaf came into it");
		pt_unmap(&b.pt, &unmap);
		gather_flushed(&gather);
	}
	plat_store_release(&b.stop, 1);
	pthread_join(thread, NULL);
	pt_destroy(&b.pt);
}

void bits_run(unsigned int ms, u64 seed)
{
	struct timespec begin, now;
	struct pt_cache cache = { 0 };

	rnd_seed(seed);
	plat_test_chaos(8, seed);	/* a change is rare */
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		rights_round(&cache);
		for (unsigned int i = 0; i < SPLITS; i++)
			split_round(&cache);
		for (unsigned int i = 0; i < NR_RACES; i++)
			race_round(&cache, i);
		merge_rounds(&cache);
		trim_rounds(&cache);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - begin.tv_sec) * 1000 +
		 (now.tv_nsec - begin.tv_nsec) / 1000000 < (long)ms);
	plat_test_chaos(0, 0);
	pt_cache_drain(&cache);
	plat_test_grace_period();
}
