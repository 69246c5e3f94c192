/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What the tests of range operations have in common. */
#ifndef UNIT_PT_RANGE_UTIL_H
#define UNIT_PT_RANGE_UTIL_H

#include "pt_range.h"
#include "pt_util.h"

#define PAGE		4096ull
#define X86_A		(1ull << 5)
#define X86_D		(1ull << 6)
#define X86_LARGE	(1ull << 7)
#define X86_AGED	(1ull << 52)
#define X86_COW		(1ull << 53)
#define X86_MAY		(1ull << 54)
#define X86_NX		(1ull << 63)
/* A leaf with PT_R | PT_W, and with PT_R, never used. */
#define X86_RW		(3ull | X86_MAY | X86_NX)
#define X86_RO		(1ull | X86_NX)

static inline struct pt_range range_of(u64 addr, u64 end, struct gather *gather)
{
	return (struct pt_range){
		.addr = addr, .end = end, .cache = &cache, .gather = gather,
	};
}

/* The leaf or hole at addr, as hardware finds it. */
static inline u64 *raw_entry(const struct pt *pt, u64 addr, unsigned int *level)
{
	u64 *table = pt->root->entry;

	for (*level = PT_LEVELS; ; --*level) {
		u64 *entry = &table[(addr >> (12 + 9 * (*level - 1))) & 511];

		if (!(*entry & pt->geom->present_mask) || *level == 1 ||
		    (*level < 4 && (*entry & pt->geom->leaf_bit)))
			return entry;
		table = plat_va(*entry & pt->geom->addr_mask);
	}
}

static inline u64 entry_at(const struct pt *pt, u64 addr)
{
	unsigned int level;

	return *raw_entry(pt, addr, &level);
}

static inline unsigned int level_at(const struct pt *pt, u64 addr)
{
	unsigned int level;

	raw_entry(pt, addr, &level);
	return level;
}

/* Hardware reads or writes addr. */
static inline void use(const struct pt *pt, u64 addr, u64 bits)
{
	unsigned int level;

	*raw_entry(pt, addr, &level) |= bits;
}

/* Runs until done; the cache is filled whenever it runs out. */
#define run_to_end(call) ({						\
	enum pt_result result_;						\
	while ((result_ = (call)) == PT_NEED_TABLES)			\
		CHECK_EQ(pt_cache_fill(&cache), 0);			\
	result_; })

static inline void map_at(struct pt *pt, u64 addr, u64 len, u64 pa,
			  unsigned int level, unsigned int rights,
			  enum pt_age age)
{
	struct pt_map_range op = {
		.range = range_of(addr, addr + len, NULL), .delta = pa - addr,
		.level = level, .rights = rights, .age = age,
	};

	CHECK_EQ(run_to_end(pt_map_range(pt, &op)), PT_DONE);
	CHECK_EQ(op.range.addr, addr + len);
}

#endif /* UNIT_PT_RANGE_UTIL_H */
