// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Walking the leaves of a range, without a lock. */
#include "pt_range.h"
#include "pt_walk.h"

enum pt_result pt_walk_range(const struct pt *pt, struct pt_range *range,
			     pt_leaf_fn fn, void *arg)
{
	const struct pt_table *top = range->top ? range->top : pt->root;
	struct pt_iter it;
	int stop = 0;

	plat_rcu_lock();
	pt_iter_begin_at(&it, pt->geom, top, range->addr, range->end);
	for (; it.entry; pt_iter_next(&it)) {
		range->addr = it.addr;
		stop = fn(arg, it.addr, it.value, it.level);
		if (stop)
			break;
	}
	plat_rcu_unlock();
	if (stop)
		return PT_STOPPED;
	range->addr = range->end;
	return PT_DONE;
}

static int stop_here(void *arg, u64 addr, u64 entry, unsigned int level)
{
	(void)arg;
	(void)addr;
	(void)entry;
	(void)level;
	return 1;
}

enum pt_result pt_check_absent(const struct pt *pt, struct pt_range *range)
{
	return pt_walk_range(pt, range, stop_here, NULL) == PT_STOPPED ?
	       PT_EXISTS : PT_DONE;
}
