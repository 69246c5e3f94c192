// SPDX-License-Identifier: GPL-2.0 OR MIT
/* One leaf for another, if it is still there. */
#include "pt_dismantle.h"
#include "pt_visit.h"

struct replace {
	struct pt_replace *op;
	u64 new;
	u64 history;
	enum pt_result result;
};

static bool loses_rights(const struct pt_geometry *geom, u64 old, u64 new)
{
	return (old ^ geom->perm_inverted) & ~(new ^ geom->perm_inverted) &
	       geom->perm_mask;
}

static void exchange_locked(const struct pt_geometry *geom, struct replace *r,
			    u64 *entry, u64 value)
{
	u64 kept = ((value ^ r->new) & ~(r->history | geom->rights_mask)) ?
		   0 : r->history;

	while (!plat_cas64(entry, &value, r->new | (value & kept)))
		;
	if (!kept || loses_rights(geom, value, r->new))
		gather_reduced(r->op->gather, pt_was_cached(geom, value));
}

static enum pt_result replace_visit(struct pt_visit *visit, void *arg)
{
	const struct pt_geometry *geom = visit->geom;
	struct replace *r = arg;
	struct pt_table *table = visit->table;
	u64 *entry = &table->entry[pt_index(visit->range->addr, table->level)];
	u64 value = plat_load(entry);

	visit->range->addr = visit->range->end;
	if (table->level != r->op->leaf.level || !pt_is_present(geom, value) ||
	    !pt_is_leaf(geom, value, table->level) ||
	    ((value ^ r->op->old) & ~r->history))
		return PT_STALE;
	exchange_locked(geom, r, entry, value);
	r->result = PT_DONE;
	return PT_DONE;
}

enum pt_result pt_replace(struct pt *pt, struct pt_replace *op)
{
	const struct pt_geometry *geom = pt->geom;
	struct pt_range range = {
		.addr = op->addr & ~4095ull, .end = (op->addr & ~4095ull) + 4096,
		.top = op->top,
	};
	struct replace r = {
		.op = op, .result = PT_STALE,
		.history = geom->accessed_bit | geom->dirty_bit | geom->aged_bit,
	};
	struct pt_visit visit = { .range = &range };

	if (!op->gather || op->addr >= PT_ADDR_END || op->leaf.level < 1 ||
	    op->leaf.level >= PT_LEVELS ||
	    (op->leaf.pa & (pt_level_size(op->leaf.level) - 1))) {
		plat_warn_once("pt_replace: bad leaf");
		return PT_INVALID;
	}
	r.new = geom->make_leaf(&op->leaf);
	pt_visit(pt, &visit, (struct pt_visit_how){ .lowest = op->leaf.level },
		 replace_visit, &r);
	return r.result;
}
