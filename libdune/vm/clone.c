// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * dune_root_clone(). Every leaf of the original gets PT_COW, but for what is
 * shared; flush: from then on nobody writes without a page fault, which waits for
 * cow_lock. Then the clone gets a leaf for each that has PT_COW. One without it
 * was mapped meanwhile: not in the snapshot.
 */
#include "copy.h"
#include "cow.h"
#include "pt_entry.h"
#include "range.h"
#include "root.h"
#include "share.h"
#include "space.h"

#define RUNS		32u
#define SPANS_SIZE	(SHARE_LIST_MAX * sizeof(struct vm_span))

_Static_assert(SPANS_SIZE <= BLOCK_SIZE, "one block");

/* Leaves side by side that differ in nothing but where. */
struct clone_run {
	u64 addr, end;
	u64 value;		/* of the first */
	unsigned int level;
};

struct clone {
	struct vm_op *op;	/* the original */
	struct vm_op to;
	struct vm_span *spans;	/* shared; in order */
	u32 nr_spans;
	u32 nr_runs;
	u64 done;		/* the walk got up to there */
	struct clone_run run[RUNS];
};

/* The first shared range that ends behind addr. */
static const struct vm_span *span_from(const struct clone *c, u64 addr)
{
	u32 low = 0, high = c->nr_spans;

	while (low < high) {
		u32 middle = (low + high) / 2;

		if (c->spans[middle].end > addr)
			high = middle;
		else
			low = middle + 1;
	}
	return &c->spans[low];
}

static bool is_end(const struct clone *c, const struct vm_span *span, u64 end)
{
	return span == c->spans + c->nr_spans || span->start >= end;
}

static bool has_spans(const struct clone *c, u64 index)
{
	return !is_end(c, span_from(c, region_start(index)), region_start(index + 1));
}

/* --- the original: PT_COW --- */

static int cow_inside(struct vm_op *op, struct pt_table *pd, u64 start, u64 end)
{
	struct pt_protect protect = {
		.range = {
			.addr = start, .end = end, .top = pd,
			.cache = &op->local->cache, .gather = &op->gather,
		},
		.change = &vm_state.to_cow,
	};
	int err = 0;

	while (!err && pt_protect(&op->root->pt, &protect) == PT_NEED_TABLES)
		err = pt_cache_fill(&op->local->cache);
	return err;
}

static int cow_region(struct clone *c, u64 index)
{
	u64 addr = region_start(index), end = region_start(index + 1);
	const struct vm_span *span = span_from(c, addr);
	struct pt_table *pd;
	int err = 0;

	if (view_is_pinned(index, PIN_OWN))
		return 0;
	if (is_end(c, span, end) &&
	    region_change(c->op, index, PT_RIGHTS, PT_COW) != -EAGAIN)
		return 0;
	pd = region_make_pd(c->op, index, &err);
	if (!pd)
		return err;
	for (; !is_end(c, span, end) && !err; span++) {
		if (span->start > addr)
			err = cow_inside(c->op, pd, addr, span->start);
		addr = span->end;
	}
	return err || addr >= end ? err : cow_inside(c->op, pd, addr, end);
}

/* Before untouched regions get PT_COW, none of them has anything shared. */
static int cow_shared_regions(struct clone *c)
{
	u64 next = 0;
	int err = 0;

	for (u32 i = 0; i < c->nr_spans && !err; i++) {
		u64 index = region_index(c->spans[i].start);

		for (index = index < next ? next : index;
		     index <= region_index(c->spans[i].end - 1) && !err; index++) {
			err = cow_region(c, index);
			next = index + 1;
		}
	}
	return err;
}

static int cow_original(struct clone *c)
{
	struct dune_root *root = c->op->root;
	int err;

	inval_begin(&root->inval, 0, USER_END);
	err = cow_shared_regions(c);
	if (!err)
		base_rights_change(&root->base_rights, PT_RIGHTS, PT_COW);
	for (u64 i = root_next_touched(root, 0); i < NR_REGIONS && !err;
	     i = root_next_touched(root, i + 1))
		if (!has_spans(c, i))
			err = cow_region(c, i);
	cow_flush(c->op, 0, USER_END);
	return err;
}

static int resolve_leaf(struct clone *c, u64 *addr)
{
	unsigned int level = 1;
	u64 value = vm_entry(c->op->root, *addr, &level);

	if (!value || (value & pt_x86.cow_bit))
		level = 1;
	if ((value & pt_x86.cow_bit) && cow_resolve(c->op, *addr) == COW_FAILED)
		return -ENOMEM;
	*addr = (*addr & ~(pt_level_size(level) - 1)) + pt_level_size(level);
	return 0;
}

/* What an earlier clone shares by PT_COW, and is to be shared for good. */
static int resolve_span(struct clone *c, u64 addr, u64 end)
{
	int err = 0;

	while (addr < end && !err) {
		u64 index = region_index(addr), stop = vm_part_end(end, index);

		if (view_is_pinned(index, PIN_OWN))
			addr = stop;
		else
			region_make_pd(c->op, index, &err);
		while (addr < stop && !err)
			err = resolve_leaf(c, &addr);
	}
	return err;
}

static int resolve_spans(struct clone *c)
{
	int err = 0;

	for (u32 i = 0; i < c->nr_spans && !err; i++)
		err = resolve_span(c, c->spans[i].start, c->spans[i].end);
	return err;
}

/* --- the clone: the same leaves --- */

static bool is_taken(const struct clone *c, u64 addr, u64 entry, unsigned int level)
{
	const struct vm_span *span = span_from(c, addr);

	return (entry & pt_x86.cow_bit) ||
	       (!is_end(c, span, addr + 1) && span->end >= addr + pt_level_size(level));
}

static bool continues(const struct clone_run *run, u64 addr, u64 entry, unsigned int level)
{
	const u64 history = pt_x86.accessed_bit | pt_x86.dirty_bit | pt_x86.aged_bit;

	return run->end == addr && run->level == level && !copy_of(entry, level) &&
	       !(((run->value + (addr - run->addr)) ^ entry) & ~history);
}

static int collect(void *arg, u64 addr, u64 entry, unsigned int level)
{
	struct clone *c = arg;
	struct clone_run *last = &c->run[c->nr_runs - 1];
	u64 end = addr + pt_level_size(level);

	if (is_taken(c, addr, entry, level)) {
		if (c->nr_runs && continues(last, addr, entry, level))
			last->end = end;
		else if (c->nr_runs == RUNS)
			return 1;
		else
			c->run[c->nr_runs++] = (struct clone_run){ addr, end, entry, level };
	}
	c->done = end;
	return 0;
}

static int map_run(struct clone *c, struct pt_table *pd, const struct clone_run *run)
{
	struct vm_local *local = c->op->local;
	struct vm_copy *copy = copy_of(run->value, run->level);
	struct pt_leaf leaf;
	int err = 0;

	pt_decode(&pt_x86, run->value, run->level, &leaf);
	struct pt_map_range map = {
		.range = {
			.addr = run->addr, .end = run->end, .top = pd,
			.cache = &local->cache, .gather = &c->to.gather,
		},
		.delta = leaf.pa - run->addr, .level = run->level,
		.rights = leaf.rights, .memtype = leaf.memtype, .age = PT_YOUNG,
	};

	/* Without a reference left it was unmapped since. */
	if (copy && !copy_get(copy))
		return 0;
	while (!err && pt_map_range(&c->to.root->pt, &map) == PT_NEED_TABLES)
		err = pt_cache_fill(&local->cache);
	if (err && copy)
		copy_put(local, copy);
	return err;
}

static int copy_tables(struct clone *c, u64 index, u64 l3)
{
	struct pt_range range = { .end = region_start(index + 1) };
	enum pt_result walked = PT_STOPPED;
	struct pt_table *pd;
	int err = 0;

	c->to.root->region[index].l3 = REGION_EMPTY;
	pd = region_make_pd(&c->to, index, &err);
	c->done = region_start(index);
	while (!err && walked == PT_STOPPED) {
		range.addr = c->done;
		range.top = pt_table_of(l3 & pt_x86.addr_mask);
		c->nr_runs = 0;
		walked = pt_walk_range(&c->op->root->pt, &range, collect, c);
		for (u32 i = 0; i < c->nr_runs && !err; i++)
			err = map_run(c, pd, &c->run[i]);
	}
	return err;
}

static int copy_region(struct clone *c, u64 index)
{
	u64 l3 = plat_load_acquire(&c->op->root->region[index].l3);

	if (view_is_pinned(index, PIN_OWN) || !l3)
		return 0;
	plat_or64(&c->to.root->touched[index / 64], 1ull << index % 64);
	if (region_is_table(l3))
		return copy_tables(c, index, l3);
	if ((l3 & pt_x86.present_mask) && !(l3 & pt_x86.cow_bit))
		l3 = REGION_EMPTY;
	c->to.root->region[index].l3 = l3;
	return 0;
}

static int copy_original(struct clone *c)
{
	struct dune_root *root = c->op->root;
	int err = 0;

	c->to.root->base_rights = plat_load(&root->base_rights);
	for (u64 i = root_next_touched(root, 0); i < NR_REGIONS && !err;
	     i = root_next_touched(root, i + 1))
		err = copy_region(c, i);
	gather_flushed(&c->to.gather);
	gather_release(&c->to.gather);
	return err;
}

/* --- both --- */

static void join_family(struct dune_root *root, struct dune_root *clone)
{
	if (!root->family)
		plat_store(&root->family, ++vm_state.nr_families);
	clone->family = root->family;
	clone->is_clone = 1;
}

static int clone_locked(struct vm_op *op, struct dune_root *clone, struct vm_span *spans)
{
	struct clone c = {
		.op = op, .spans = spans, .nr_spans = share_collect(spans),
		.to = { .root = clone, .local = op->local, .guest = op->guest },
	};
	int err = 0;

	if (op->root->family)
		err = resolve_spans(&c);
	join_family(op->root, clone);
	if (!err)
		err = cow_original(&c);
	if (!err)
		err = copy_original(&c);
	if (!err)
		root_link(clone);
	else
		root_destroy(op->local, clone);
	return err;
}

static int make_clone(struct vm_op *op, struct dune_root **clone)
{
	struct vm_span *spans = space_get(op->local, 1);
	int err;

	if (!spans)
		return -ENOMEM;
	err = root_make(op->local, clone);
	if (!err) {
		cow_lock_all(op->local);
		/* Before it looks for threads: see tell_spans(). */
		__atomic_store_n(&dune_vm_cow_used, 1, __ATOMIC_RELAXED);
		err = clone_locked(op, *clone, spans);
		cow_unlock_all();
	}
	space_put(spans, 1);
	return err;
}

int dune_root_clone(struct dune_root *root, struct dune_root **clone)
{
	struct dune_root *made;
	struct vm_op op;
	int err = vm_op_begin(&op, root);

	if (err)
		return err;
	/* What this thread has left unflushed would be written to after the call. */
	batch_flush(&op);
	err = make_clone(&op, &made);
	vm_op_end(&op);
	/* The program's memory: it may fault. */
	if (!err)
		*clone = made;
	return err;
}
