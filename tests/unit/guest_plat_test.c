// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The core on the backend of libdune's guest side: an x86 page table in
 * arenas, guest physical addresses that are not pointers, one shootdown.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "pt.h"
#include "shootdown.h"

#define GPA_BASE	(512ull << 30)	/* where the arena is for the guest */

static char *arena;
static unsigned int next_page = 1;	/* the first one holds the owners */
static u64 live, objects, kicks;
static void *free_pages;

static void *page_alloc(void)
{
	void *page = free_pages;

	if (page)
		memcpy(&free_pages, page, sizeof(page));
	else if (next_page < PLAT_ARENA_SIZE >> PLAT_PAGE_SHIFT)
		page = arena + ((u64)next_page++ << PLAT_PAGE_SHIFT);
	if (!page)
		return NULL;
	__atomic_fetch_add(&live, 1, __ATOMIC_RELAXED);
	return memset(page, 0, 4096);
}

/* From the RCU thread as well; the test allocates nothing meanwhile. */
static void page_free(void *page)
{
	memcpy(page, &free_pages, sizeof(page));
	free_pages = page;
	__atomic_fetch_sub(&live, 1, __ATOMIC_RELAXED);
}

static void *object_alloc(size_t size)
{
	objects++;
	return calloc(1, size);
}

static void object_free(void *object)
{
	objects--;
	free(object);
}

static u64 pa(const void *page)
{
	return (u64)((const char *)page - arena) + GPA_BASE;
}

static void kick(const plat_cpumask_t *mask)
{
	kicks += mask->word[0];
}

static void warn(const char *msg)
{
	check_fail("%s", msg);
}

static void yield(void)
{
	sched_yield();
}

static void a_guest_page_table_lives_in_its_arena(void)
{
	struct pt_map_op op = {
		.addr = 0x7f0000001000, .cache = &(struct pt_cache){ 0 },
		.leaf = { 0x5000, 1, PT_R | PT_W, PT_MEM_WB, PT_YOUNG },
	};
	static struct sd_cpu lines[2];
	static plat_cpumask_t cpus;
	struct gather gather;
	unsigned int level;
	struct sd_vm vm;
	struct pt pt;

	CHECK_EQ(pt_init(&pt, &pt_x86), 0);
	CHECK_EQ(pt_root_pa(&pt), GPA_BASE + 4096);
	CHECK_EQ(pt_cache_fill(op.cache), 0);
	CHECK_EQ(pt_map(&pt, &op), PT_MAP_INSTALLED);
	CHECK_EQ(op.tables, 3);
	CHECK_EQ(pt_lookup(&pt, op.addr, &level), 1ull << 63 | 1ull << 54 | 0x5023);
	CHECK_EQ(pt.root->entry[(op.addr >> 39) & 511] & ~0xfffull,
		 GPA_BASE + 4 * 4096);
	CHECK(pt_table_of(pt_root_pa(&pt)) == pt.root);

	plat_cpumask_set(&cpus, 1);
	sd_vm_init(&vm, pt_root_pa(&pt), &cpus, lines);
	CHECK(sd_enter(&vm, &lines[1]) != 0);
	sd_entered(&lines[1]);
	sd_exit(&lines[1]);
	gather_init(&gather);
	CHECK_EQ(pt_zap(&pt, 0, ~0ull, &gather), PT_ZAP_DONE);
	CHECK_EQ(shootdown_run(&vm, &gather), 0);
	CHECK_EQ(kicks, 0);
	gather_release(&gather);
	plat_rcu_barrier();
	CHECK_EQ(live, 1);
	pt_destroy(&pt);
	CHECK_EQ(live, 0);
	CHECK_EQ(objects, 0);
}

int main(void)
{
	static u64 slot_hva[(GPA_BASE >> PLAT_SLOT_SHIFT) + 1];
	static const struct plat_guest_ops ops = {
		page_alloc, page_free, object_alloc, object_free, pa, slot_hva,
		kick, warn, yield,
	};

	arena = aligned_alloc(PLAT_ARENA_SIZE, PLAT_ARENA_SIZE);
	if (!arena)
		return 1;
	memset(arena, 0, PLAT_ARENA_SIZE);
	slot_hva[GPA_BASE >> PLAT_SLOT_SHIFT] = (uintptr_t)arena;
	plat_guest_init(&ops);
	plat_rcu_register();
	CASE(a_guest_page_table_lives_in_its_arena);
	plat_rcu_unregister();
	free(arena);
	return CHECK_EXIT();
}
