// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * No accessed or dirty bit is lost. CPUs set the bits of leaves, one thread
 * ages them, another one raises their rights. Each accessed bit that a CPU set
 * is found once: by the aging, or at the end. Nobody clears a dirty bit, so
 * each is set once.
 */
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "stress.h"

#define PAGES		32u	/* few, so that they meet */
#define SETTERS		2
#define AGERS		2
#define ROUND_YIELDS	2000u

static struct {
	struct pt pt;
	u64 *entry;		/* the table of level 1 */
	u64 set[SETTERS], aged[AGERS];	/* accessed bits */
	u32 dirtied[SETTERS][PAGES];	/* dirty bits that were clear */
	u32 stop;
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

static void *setter(void *arg)
{
	unsigned int me = (uintptr_t)arg;
	const struct pt_geometry *geom = b.pt.geom;

	rnd_seed(me + 1);
	plat_test_chaos(50, me + 1);
	while (!plat_load_acquire(&b.stop)) {
		unsigned int page = rnd(PAGES);
		u64 bits = geom->accessed_bit, new;

		if (rnd(4) == 0)
			bits |= geom->dirty_bit;
		new = set(&b.entry[page], bits);
		b.set[me] += (new & geom->accessed_bit) != 0;
		b.dirtied[me][page] += (new & geom->dirty_bit) != 0;
	}
	return NULL;
}

static void *ager(void *arg)
{
	unsigned int me = (uintptr_t)arg;

	rnd_seed(me + 77);
	plat_test_chaos(50, me + 77);
	plat_rcu_register();
	while (!plat_load_acquire(&b.stop)) {
		u64 addr = rnd(PAGES) << 12;

		b.aged[me] += pt_age(&b.pt, addr, addr + 4096, PT_AGE_CLEAR);
	}
	plat_rcu_unregister();
	return arg;
}

static void map(struct pt_cache *cache, unsigned int page, unsigned int rights)
{
	struct pt_map_op op = {
		.addr = (u64)page << 12, .cache = cache,
		.leaf = { (u64)page << 12, 1, rights, PT_MEM_WB, PT_OLD },
	};

	if (pt_cache_fill(cache))
		fail("no memory");
	pt_map(&b.pt, &op);
}

static void check_bits(void)
{
	const struct pt_geometry *geom = b.pt.geom;
	u64 set = 0, left = 0, aged = 0, dirtied;

	for (unsigned int i = 0; i < SETTERS; i++)
		set += b.set[i];
	for (unsigned int i = 0; i < AGERS; i++)
		aged += b.aged[i];
	for (unsigned int page = 0; page < PAGES; page++) {
		u64 value = b.entry[page];

		left += (value & geom->accessed_bit) != 0;
		dirtied = 0;
		for (unsigned int i = 0; i < SETTERS; i++)
			dirtied += b.dirtied[i][page];
		if (dirtied != ((value & geom->dirty_bit) != 0))
			fail("the dirty bit of page %u was set %llu times",
			     page, dirtied);
	}
	if (set != aged + left)
		fail("%llu accessed bits were set, %llu were found", set,
		     aged + left);
}

static void one_round(struct pt_cache *cache)
{
	pthread_t thread[SETTERS + AGERS];
	unsigned int level;

	memset(&b, 0, sizeof(b));
	if (pt_init(&b.pt, &pt_x86))
		fail("no memory");
	for (unsigned int page = 0; page < PAGES; page++)
		map(cache, page, PT_R);
	b.entry = b.pt.root->entry;
	for (level = PT_LEVELS; level > 1; level--)
		b.entry = plat_va(b.entry[0] & b.pt.geom->addr_mask);
	for (unsigned int i = 0; i < SETTERS; i++)
		pthread_create(&thread[i], NULL, setter, (void *)(uintptr_t)i);
	for (unsigned int i = 0; i < AGERS; i++)
		pthread_create(&thread[SETTERS + i], NULL, ager,
			       (void *)(uintptr_t)i);
	for (unsigned int i = 0; i < ROUND_YIELDS; i++) {
		if (i % 16 == 0 && i / 16 < 2 * PAGES)
			map(cache, i / 32, i / 16 % 2 ? PT_RWX : PT_R | PT_W);
		plat_cpu_relax();
	}
	plat_store_release(&b.stop, 1);
	for (unsigned int i = 0; i < SETTERS + AGERS; i++)
		pthread_join(thread[i], NULL);
	check_bits();
	pt_destroy(&b.pt);
}

void bits_run(unsigned int ms, u64 seed)
{
	struct timespec start, now;
	struct pt_cache cache = { 0 };

	rnd_seed(seed);
	plat_test_chaos(8, seed);	/* an upgrade is rare */
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		one_round(&cache);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - start.tv_sec) * 1000 +
		 (now.tv_nsec - start.tv_nsec) / 1000000 < (long)ms);
	plat_test_chaos(0, 0);
	pt_cache_drain(&cache);
	plat_test_grace_period();
}
