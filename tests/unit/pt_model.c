// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "pt_model.h"

#include <stdlib.h>
#include <string.h>

#define RIGHTS		0x7ull
#define UC_BITS		0x00ull
#define WB_BITS		0x70ull		/* type 6, ignore PAT */
#define MEMTYPE_BITS	0x78ull
#define LARGE_BIT	0x80ull
#define A_BIT		0x100ull
#define D_BIT		0x200ull
#define ADDR_BITS	0x000ffffffffff000ull

void model_init(struct model *m, bool ad)
{
	memset(m, 0, sizeof(*m));
	m->ad = ad;
	m->entry = calloc(MODEL_PAGES, sizeof(*m->entry));
	m->level = calloc(MODEL_PAGES, 1);
	m->tables = 1;
	if (!m->entry || !m->level)
		abort();
}

void model_fini(struct model *m)
{
	free(m->entry);
	free(m->level);
}

static u64 pages_of(unsigned int level)
{
	return 1ull << (9 * (level - 1));
}

/* The window starts on a GiB, so that page numbers align as addresses do. */
static u64 leaf_start(u64 page, unsigned int level)
{
	return page & ~(pages_of(level) - 1);
}

static void set_pages(struct model *m, u64 page, unsigned int level, u64 entry)
{
	u64 first = leaf_start(page, level);

	for (u64 i = first; i < first + pages_of(level); i++) {
		m->entry[i] = entry;
		m->level[i] = entry ? level : 0;
	}
}

static u64 make_entry(const struct model *m, const struct pt_leaf *leaf,
		      unsigned int rights)
{
	u64 entry = leaf->pa | rights;

	entry |= leaf->memtype == PT_MEM_WB ? WB_BITS : UC_BITS;
	if (leaf->level > 1)
		entry |= LARGE_BIT;
	if (m->ad)
		entry |= A_BIT | (rights & PT_W ? D_BIT : 0);
	return entry;
}

static void remove_leaf(struct model *m, u64 page, struct model_gather *g)
{
	unsigned int level = m->level[page];

	m->leaves[level]--;
	m->removed++;
	g->leaves++;
	set_pages(m, page, level, 0);
}

/* A table of this level covers 512 entries of it; level 3: 512 GiB. */
static unsigned char *table_at(struct model *m, u64 page, unsigned int level)
{
	u64 number = (page + (MODEL_BASE >> 12)) >> (9 * level);

	return &m->table[level - 1][number - (MODEL_BASE >> 12 >> (9 * level))];
}

static void remove_table(struct model *m, u64 page, unsigned int level,
			 struct model_gather *g)
{
	unsigned char *table = table_at(m, page, level);

	g->tables += *table;
	m->tables -= *table;
	*table = 0;
}

static void remove_tables(struct model *m, u64 first, unsigned int leaf_level,
			  struct model_gather *g)
{
	for (unsigned int level = 1; level < leaf_level; level++)
		for (u64 p = first; p < first + pages_of(leaf_level);
		     p += pages_of(level + 1))
			remove_table(m, p, level, g);
}

/* The window is shorter than what a table of level 3 covers. */
static void remove_covered_tables(struct model *m, u64 start, u64 end,
				  struct model_gather *g)
{
	for (unsigned int level = 1; level <= 2; level++) {
		u64 size = pages_of(level + 1) << 12;
		u64 addr = (start + size - 1) / size * size;

		for (; addr + size <= end; addr += size)
			remove_table(m, model_page(addr), level, g);
	}
}

static void add_tables(struct model *m, u64 page, unsigned int leaf_level)
{
	for (unsigned int level = leaf_level; level < PT_LEVELS; level++) {
		unsigned char *table = table_at(m, page, level);

		m->tables += !*table;
		*table = 1;
	}
}

/* Does the present leaf map, for this page, the memory that *leaf asks for? */
static bool same_memory(const struct model *m, u64 page,
			const struct pt_leaf *leaf)
{
	u64 have = (m->entry[page] & ADDR_BITS) +
		   ((page - leaf_start(page, m->level[page])) << 12);
	u64 want = leaf->pa + ((page - leaf_start(page, leaf->level)) << 12);
	u64 type = leaf->memtype == PT_MEM_WB ? WB_BITS : UC_BITS;

	return have == want && (m->entry[page] & MEMTYPE_BITS) == type;
}

enum pt_map_result model_map(struct model *m, u64 addr,
			     const struct pt_leaf *leaf, struct model_gather *g)
{
	enum pt_map_result result = PT_MAP_INSTALLED;
	u64 page = model_page(addr), first = leaf_start(page, leaf->level);
	unsigned int have = m->entry[page] & RIGHTS;
	u64 tables_before = g->tables, leaves_before = g->leaves;

	if (m->level[page] >= leaf->level && same_memory(m, page, leaf)) {
		if ((have & leaf->rights) == leaf->rights)
			return PT_MAP_SPURIOUS;
		if (m->level[page] == leaf->level) {
			u64 accessed = m->entry[page] & A_BIT;
			u64 entry = make_entry(m, leaf, have | leaf->rights);

			set_pages(m, page, leaf->level, entry | accessed);
			m->upgraded++;
			return PT_MAP_UPGRADED;
		}
	}
	for (u64 p = first; p < first + pages_of(leaf->level); p++)
		if (m->level[p])
			remove_leaf(m, p, g);
	remove_tables(m, first, leaf->level, g);
	if (g->tables != tables_before || g->leaves != leaves_before)
		result = PT_MAP_REPLACED;
	add_tables(m, page, leaf->level);
	set_pages(m, page, leaf->level, make_entry(m, leaf, leaf->rights));
	m->leaves[leaf->level]++;
	m->installed++;
	return result;
}

u64 model_zap(struct model *m, u64 start, u64 end, struct model_gather *g)
{
	u64 before = g->leaves;

	for (u64 addr = start; addr < end; addr = (addr & ~4095ull) + 4096)
		if (m->level[model_page(addr)])
			remove_leaf(m, model_page(addr), g);
	remove_covered_tables(m, start, end, g);
	return g->leaves - before;
}

int model_age(struct model *m, u64 start, u64 end, enum pt_age_mode mode)
{
	u64 seen = 0;

	for (u64 addr = start; addr < end; addr = (addr & ~4095ull) + 4096) {
		u64 page = model_page(addr), entry = m->entry[page];

		seen |= m->ad ? entry & A_BIT : entry;
		if (mode == PT_AGE_CLEAR && entry & A_BIT)
			set_pages(m, page, m->level[page], entry & ~A_BIT);
	}
	return seen != 0;
}

void model_touch(struct model *m, u64 addr)
{
	u64 page = model_page(addr), entry = m->entry[page];

	if (m->ad && entry && !(entry & A_BIT))
		set_pages(m, page, m->level[page], entry | A_BIT);
}
