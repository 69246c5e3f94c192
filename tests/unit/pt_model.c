// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "pt_model.h"

#include <stdlib.h>
#include <string.h>

#define LARGE_BIT	0x80ull
#define ADDR_BITS	0x000ffffffffff000ull
#define AGED_BIT	(1ull << 52)
#define MAY_WRITE	(1ull << 54)

/* The bits of a format, as its manual has them. */
static const struct format {
	u64 read, write, exec, no_exec;		/* what allows; what forbids */
	u64 wb, uc, memtype;
	u64 accessed, dirty, aged;
	bool writable_is_dirty;
} formats[] = {
	[MODEL_EPT_AD] = { 1, 2, 4, 0, 0x70, 0, 0x78,
			   0x100, 0x200, AGED_BIT, true },
	[MODEL_EPT_PLAIN] = { 1, 2, 4, 0, 0x70, 0, 0x78, 0, 0, 0, false },
	[MODEL_X86] = { 1, 2 | MAY_WRITE, 0, 1ull << 63, 0, 0x18, 0x18,
			0x20, 0x40, AGED_BIT, false },
};

static const struct format *format_of(const struct model *m)
{
	return &formats[m->format];
}

void model_init(struct model *m, enum model_format format)
{
	memset(m, 0, sizeof(*m));
	m->format = format;
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
	const struct format *f = format_of(m);
	u64 entry = leaf->pa;

	entry |= rights & PT_R || f->no_exec ? f->read : 0;
	entry |= rights & PT_W ? f->write : 0;
	entry |= rights & PT_X ? f->exec : f->no_exec;
	entry |= leaf->memtype == PT_MEM_WB ? f->wb : f->uc;
	if (leaf->level > 1)
		entry |= LARGE_BIT;
	if (leaf->age == PT_YOUNG)
		entry |= f->accessed;
	if (f->writable_is_dirty && rights & PT_W)
		entry |= f->dirty;
	return entry;
}

static unsigned int rights_of(const struct model *m, u64 entry)
{
	const struct format *f = format_of(m);
	unsigned int rights = 0;

	if (!entry)
		return 0;
	rights |= entry & f->read ? PT_R : 0;
	rights |= entry & f->write ? PT_W : 0;
	if (f->no_exec ? !(entry & f->no_exec) : (entry & f->exec) != 0)
		rights |= PT_X;
	return rights;
}

static void remove_leaf(struct model *m, u64 page, struct model_gather *g)
{
	const struct format *f = format_of(m);
	unsigned int level = m->level[page];

	g->leaves[level]++;
	if (!f->accessed || m->entry[page] & (f->accessed | f->aged))
		g->cached = true;
	set_pages(m, page, level, 0);
}

/* A table of this level covers 512 entries of it; level 3: 512 GiB. */
static unsigned char *table_at(struct model *m, u64 page, unsigned int level)
{
	u64 number = (page + (MODEL_BASE >> 12)) >> (9 * level);

	return &m->table[level - 1][number - (MODEL_BASE >> 12 >> (9 * level))];
}

/* The window is shorter than what a table of level 3 covers. */
static void remove_covered_tables(struct model *m, u64 start, u64 end,
				  struct model_gather *g)
{
	for (unsigned int level = 1; level <= 2; level++) {
		u64 size = pages_of(level + 1) << 12;
		u64 addr = (start + size - 1) / size * size;

		for (; addr + size <= end; addr += size) {
			unsigned char *table = table_at(m, model_page(addr), level);

			g->tables += *table;
			m->tables -= *table;
			*table = 0;
		}
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
	const struct format *f = format_of(m);
	u64 have = (m->entry[page] & ADDR_BITS) +
		   ((page - leaf_start(page, m->level[page])) << 12);
	u64 want = leaf->pa + ((page - leaf_start(page, leaf->level)) << 12);
	u64 type = leaf->memtype == PT_MEM_WB ? f->wb : f->uc;

	return have == want && (m->entry[page] & f->memtype) == type;
}

static enum pt_map_result map_present(struct model *m, u64 page,
				      const struct pt_leaf *leaf)
{
	const struct format *f = format_of(m);
	unsigned int have = rights_of(m, m->entry[page]);
	u64 history = m->entry[page] & (f->accessed | f->aged | f->dirty);

	if (m->level[page] < leaf->level || !same_memory(m, page, leaf))
		return PT_MAP_CONFLICT;
	if ((have & leaf->rights) == leaf->rights)
		return PT_MAP_SPURIOUS;
	if (m->level[page] != leaf->level)
		return PT_MAP_CONFLICT;
	set_pages(m, page, leaf->level,
		  make_entry(m, leaf, have | leaf->rights) | history);
	return PT_MAP_UPGRADED;
}

enum pt_map_result model_map(struct model *m, u64 addr,
			     const struct pt_leaf *leaf)
{
	u64 page = model_page(addr);

	if (m->level[page])
		return map_present(m, page, leaf);
	/* A finer table is in the way, whatever it holds. */
	if (leaf->level > 1 && *table_at(m, page, leaf->level - 1))
		return PT_MAP_CONFLICT;
	add_tables(m, page, leaf->level);
	set_pages(m, page, leaf->level, make_entry(m, leaf, leaf->rights));
	return PT_MAP_INSTALLED;
}

/* The start of the first 1 GiB leaf that sticks out of the range, or end. */
static u64 widen_at(const struct model *m, u64 start, u64 end)
{
	const u64 gib = 1ull << 30;

	for (u64 addr = start & ~(gib - 1); addr < end; addr += gib)
		if (m->level[model_page(addr)] == 3 &&
		    (addr < start || addr + gib > end))
			return addr < start ? start : addr;
	return end;
}

enum pt_zap_result model_zap(struct model *m, u64 start, u64 end,
			     struct model_gather *g)
{
	u64 stop = widen_at(m, start, end);

	for (u64 addr = start; addr < stop; addr = (addr & ~4095ull) + 4096)
		if (m->level[model_page(addr)])
			remove_leaf(m, model_page(addr), g);
	remove_covered_tables(m, start, stop, g);
	return stop < end ? PT_ZAP_WIDEN : PT_ZAP_DONE;
}

int model_age(struct model *m, u64 start, u64 end, enum pt_age_mode mode)
{
	const struct format *f = format_of(m);
	u64 seen = 0;

	for (u64 addr = start; addr < end; addr = (addr & ~4095ull) + 4096) {
		u64 page = model_page(addr), entry = m->entry[page];

		seen |= f->accessed ? entry & f->accessed : entry;
		if (mode == PT_AGE_CLEAR && entry & f->accessed)
			set_pages(m, page, m->level[page],
				  (entry & ~f->accessed) | f->aged);
	}
	return seen != 0;
}

void model_touch(struct model *m, u64 addr)
{
	u64 page = model_page(addr), entry = m->entry[page];

	if (entry && !(entry & format_of(m)->accessed))
		set_pages(m, page, m->level[page],
			  entry | format_of(m)->accessed);
}
