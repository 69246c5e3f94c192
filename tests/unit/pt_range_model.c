// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "pt_range_model.h"

#include <stdlib.h>

static u64 pages_of(unsigned int level)
{
	return 1ull << (9 * (level - 1));
}

struct model_page *model_new(void)
{
	struct model_page *m = calloc(MODEL_PAGES, sizeof(*m));

	if (!m)
		abort();
	return m;
}

u64 model_entry(const struct model_page *m, u64 addr)
{
	const struct model_page *page = &m[model_number(addr)];
	u64 entry;

	if (!page->level)
		return 0;
	entry = page->pa & ~((pages_of(page->level) << 12) - 1);
	entry |= page->rights & PT_R ? 1 : 1ull << 8;
	if (page->rights & PT_W)
		entry |= 1ull << 54 | (page->rights & PT_COW ? 0 : 2);
	entry |= page->rights & PT_U ? 4 : 0;
	entry |= page->rights & PT_X ? 0 : 1ull << 63;
	entry |= page->rights & PT_COW ? 1ull << 53 : 0;
	entry |= page->accessed ? 1 << 5 : 0;
	entry |= page->dirty ? 1 << 6 : 0;
	entry |= page->aged ? 1ull << 52 : 0;
	return entry | (page->level > 1 ? 1 << 7 : 0);
}

/* The first page of the leaf or block of this level that page i is in. */
static u64 first_of(u64 i, unsigned int level)
{
	return i & ~(pages_of(level) - 1);
}

/* Every page of a leaf has the same level and bits, so each can be split alone. */
static void set_level(struct model_page *m, u64 first, unsigned int of,
		      unsigned int level)
{
	for (u64 i = first; i < first + pages_of(of); i++)
		m[i].level = level;
}

/* Until no leaf sticks out of [from, to) at this place, or is of this level. */
static void split_at(struct model_page *m, u64 i, u64 from, u64 to,
		     unsigned int lowest)
{
	while (m[i].level > lowest) {
		unsigned int level = m[i].level;
		u64 first = first_of(i, level);

		if (first >= from && first + pages_of(level) <= to)
			return;
		set_level(m, first, level, level - 1);
	}
}

static void split_ends(struct model_page *m, u64 start, u64 end)
{
	u64 from = model_number(start), to = model_number(end);

	split_at(m, from, from, to, 1);
	split_at(m, to - 1, from, to, 1);
}

/* The level of the leaf that goes to page i of a range that ends at to. */
static unsigned int fitting_level(u64 i, u64 to, u64 delta, unsigned int level)
{
	while (level > 1 && (first_of(i, level) != i ||
			     i + pages_of(level) > to ||
			     (delta & ((pages_of(level) << 12) - 1))))
		level--;
	return level;
}

void model_map(struct model_page *m, u64 start, u64 end, u64 delta,
	       unsigned int level, unsigned int rights, enum pt_age age,
	       struct model_result *result)
{
	u64 from = model_number(start), to = model_number(end);

	for (u64 i = from; i < to; i++)
		result->refused |= m[i].level != 0;
	for (u64 i = from; i < to && !result->refused;) {
		unsigned int l = fitting_level(i, to, delta, level);
		u64 next = i + pages_of(l);

		for (; i < next; i++)
			m[i] = (struct model_page){
				.pa = MODEL_BASE + (i << 12) + delta,
				.level = l,
				.rights = rights & PT_RWX ? rights | PT_R : rights,
				.accessed = age != PT_OLD,
				.dirty = age == PT_DIRTY,
			};
	}
}

static unsigned int effective(unsigned int rights)
{
	/* What is not present keeps what it says of other rights. */
	return rights & PT_COW ? rights & ~(PT_W | PT_COW) : rights;
}

static bool may_be_cached(const struct model_page *page)
{
	return page->accessed || page->aged;
}

void model_protect(struct model_page *m, u64 start, u64 end, unsigned int keep,
		   unsigned int set, struct model_result *result)
{
	u64 from = model_number(start), to = model_number(end);

	/* Only what changes is split. */
	for (unsigned int n = 0; n < 2; n++) {
		u64 i = n ? to - 1 : from;

		if (((m[i].rights & keep) | set) != m[i].rights)
			split_at(m, i, from, to, 1);
	}
	for (u64 i = from; i < to; i++) {
		unsigned int old = m[i].rights, new = (old & keep) | set;

		if (!m[i].level) {
			result->holes++;
			continue;
		}
		if (old == new)
			continue;
		m[i].rights = new;
		result->changed++;
		if (!(effective(old) & ~effective(new)))
			continue;
		result->reduced++;
		result->flush |= may_be_cached(&m[i]);
	}
}

void model_unmap(struct model_page *m, u64 start, u64 end,
		 struct model_result *result)
{
	split_ends(m, start, end);
	for (u64 i = model_number(start); i < model_number(end); i++) {
		result->pages += m[i].level != 0;
		result->flush |= m[i].level && may_be_cached(&m[i]);
		m[i] = (struct model_page){ 0 };
	}
}

void model_split(struct model_page *m, u64 start, u64 end, unsigned int level)
{
	for (u64 i = model_number(start); i < model_number(end); i++)
		split_at(m, i, i, i, level);
}

static bool can_merge(const struct model_page *m, u64 first, unsigned int level)
{
	const struct model_page *a = &m[first];

	if (a->level != level - 1 || (a->pa & ((pages_of(level) << 12) - 1)))
		return false;
	for (u64 i = 1; i < pages_of(level); i++)
		if (a[i].level != a->level || a[i].rights != a->rights ||
		    a[i].pa != a->pa + (i << 12))
			return false;
	return true;
}

static void merge(struct model_page *m, u64 first, unsigned int level)
{
	bool accessed = false;
	bool dirty = (m[first].rights & (PT_W | PT_COW)) == PT_W;

	for (u64 i = first; i < first + pages_of(level); i++) {
		accessed |= m[i].accessed;
		dirty |= m[i].dirty;
	}
	for (u64 i = first; i < first + pages_of(level); i++) {
		m[i].accessed = accessed;
		m[i].dirty = dirty;
		m[i].aged = true;
		m[i].level = level;
	}
}

void model_merge(struct model_page *m, u64 start, u64 end, unsigned int level,
		 struct model_result *result)
{
	u64 step = pages_of(level);
	u64 i = first_of(model_number(start) + step - 1, level);

	for (; i + step <= model_number(end); i += step) {
		if (!can_merge(m, i, level))
			continue;
		merge(m, i, level);
		result->merged++;
		result->flush = true;
	}
}

void model_scan(struct model_page *m, u64 start, u64 end, unsigned int what,
		enum pt_scan_mode mode, unsigned char *hits,
		struct model_result *result)
{
	u64 from = model_number(start), to = model_number(end);

	for (u64 i = from; i < to; i++) {
		struct model_page *page = &m[i];
		bool accessed = page->accessed && (what & PT_SCAN_ACCESSED);
		bool dirty = page->dirty && (what & PT_SCAN_DIRTY);
		u64 first;

		hits[i - from] = page->level && (accessed || dirty);
		result->pages += hits[i - from];
		if (!hits[i - from] || mode == PT_SCAN_TEST)
			continue;
		first = first_of(i, page->level);
		if (first < from || first + pages_of(page->level) > to)
			continue;
		result->flush = true;
		page->aged |= accessed;
		page->accessed &= !accessed;
		page->dirty &= !dirty;
	}
}

void model_use(struct model_page *m, u64 addr, unsigned int rights)
{
	bool write = rights & PT_W;
	u64 i = model_number(addr);
	unsigned int level = m[i].level;

	if (!level || !(m[i].rights & PT_R) ||
	    (write && (m[i].rights & (PT_W | PT_COW)) != PT_W))
		return;
	for (u64 p = first_of(i, level); p < first_of(i, level) + pages_of(level);
	     p++) {
		m[p].accessed = true;
		m[p].dirty |= write;
	}
}
