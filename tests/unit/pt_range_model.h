/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Reference model of a guest page table: what is expected of every 4 KiB page
 * of a window, flat. Slow, simple, and written without the engine's code.
 */
#ifndef UNIT_PT_RANGE_MODEL_H
#define UNIT_PT_RANGE_MODEL_H

#include "pt_range.h"

/* Two GiB across a 512 GiB boundary. */
#define MODEL_BASE	((512ull << 30) - (1ull << 30))
#define MODEL_PAGES	(2u << 18)
#define MODEL_END	(MODEL_BASE + ((u64)MODEL_PAGES << 12))

struct model_page {
	u64 pa;				/* of this page */
	unsigned char level;		/* of the leaf; 0: not mapped */
	unsigned char rights;
	bool accessed, dirty, aged;
};

/* What an operation is expected to have done. */
struct model_result {
	u64 changed, reduced, holes, pages, merged;
	bool flush;
	bool refused;
};

struct model_page *model_new(void);
static inline u64 model_number(u64 addr)
{
	return (addr - MODEL_BASE) >> 12;
}

/* The entry of pt_x86 that maps addr; 0: none. */
u64 model_entry(const struct model_page *m, u64 addr);
void model_map(struct model_page *m, u64 start, u64 end, u64 delta,
	       unsigned int level, unsigned int rights, enum pt_age age,
	       struct model_result *result);
void model_protect(struct model_page *m, u64 start, u64 end, unsigned int keep,
		   unsigned int set, struct model_result *result);
void model_unmap(struct model_page *m, u64 start, u64 end,
		 struct model_result *result);
void model_split(struct model_page *m, u64 start, u64 end, unsigned int level);
void model_merge(struct model_page *m, u64 start, u64 end, unsigned int level,
		 struct model_result *result);
/* hits: one byte a page, from the first one of the range on. */
void model_scan(struct model_page *m, u64 start, u64 end, unsigned int what,
		enum pt_scan_mode mode, unsigned char *hits,
		struct model_result *result);
/* The guest accesses addr, if it may: with PT_R, and PT_W for a write. */
void model_use(struct model_page *m, u64 addr, unsigned int rights);

#endif /* UNIT_PT_RANGE_MODEL_H */
