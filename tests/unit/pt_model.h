/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Reference model of a page table: the entry expected for every 4 KiB page of
 * a window, flat. Slow, simple, and written without the engine's code: entry
 * bits are spelled out again.
 */
#ifndef UNIT_PT_MODEL_H
#define UNIT_PT_MODEL_H

#include "pt.h"

/* Three GiB across a 512 GiB boundary: all four levels have a seam in it. */
#define MODEL_BASE	((512ull << 30) - (1ull << 30))
#define MODEL_GIB	3u
#define MODEL_PAGES	(MODEL_GIB << 18)
#define MODEL_END	(MODEL_BASE + ((u64)MODEL_GIB << 30))

enum model_format { MODEL_EPT_AD, MODEL_EPT_PLAIN, MODEL_X86 };

struct model {
	enum model_format format;
	u64 *entry;		/* [MODEL_PAGES]: expected entry, 0: none */
	unsigned char *level;	/* [MODEL_PAGES]: its level */
	unsigned char table[3][MODEL_PAGES >> 9];	/* [level-1][index] */
	u64 tables;		/* the root included */
};

/* What one zap is expected to have removed. */
struct model_gather {
	u64 leaves[4], tables;
	bool cached;		/* a CPU may have cached one of the leaves */
};

void model_init(struct model *m, enum model_format format);
void model_fini(struct model *m);
enum pt_map_result model_map(struct model *m, u64 addr,
			     const struct pt_leaf *leaf);
enum pt_zap_result model_zap(struct model *m, u64 start, u64 end,
			     struct model_gather *g);
int model_age(struct model *m, u64 start, u64 end, enum pt_age_mode mode);
/* The guest reads addr. */
void model_touch(struct model *m, u64 addr);

static inline u64 model_page(u64 addr)
{
	return (addr - MODEL_BASE) >> 12;
}

#endif /* UNIT_PT_MODEL_H */
