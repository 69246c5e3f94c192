// SPDX-License-Identifier: GPL-2.0 OR MIT
/* What is shared by a root and its clones; see share.h. */
#include "cow.h"
#include "range.h"
#include "share.h"

/* Under all of cow_lock; those of threads under views_lock. */
static struct vm_span spans[SHARE_MAX];
static u32 nr_spans, nr_user;

static struct vm_span pages_of(u64 start, u64 end)
{
	return (struct vm_span){
		start & ~(PAGE_SIZE - 1ull), (end + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1ull),
	};
}

int vm_share_own(u64 start, u64 end)
{
	if (nr_spans - nr_user == SHARE_MAX - SHARE_MAX_USER)
		return -ENOSPC;
	spans[nr_spans++] = pages_of(start, end);
	return 0;
}

int dune_vm_share(const void *addr, size_t len)
{
	struct vm_op op;
	int err = vm_check_range((u64)addr, len);

	if (err)
		return err;
	err = vm_op_begin(&op, NULL);
	if (err)
		return err;
	cow_lock_all(op.local);
	if (nr_user == SHARE_MAX_USER) {
		err = -ENOSPC;
	} else {
		spans[nr_spans++] = pages_of((u64)addr, (u64)addr + len);
		nr_user++;
	}
	cow_unlock_all();
	vm_op_end(&op);
	return err;
}

static int share_in_roots(struct vm_op *op, const struct vm_span *span)
{
	int err = 0;

	for (struct dune_root *root = vm_state.roots; root && !err; root = root->next) {
		struct vm_op other = { .root = root, .local = op->local, .guest = op->guest };

		if (root->family)
			err = cow_share_range(&other, span->start, span->end);
	}
	return err;
}

/* For clones that are made from now on. True: there may be some already. */
static bool tell_spans(struct vm_local *by, const struct vm_span *span)
{
	bool late;

	vm_lock(&vm_state.views_lock);
	for (u32 i = 0; i < THREAD_SPANS; i++)
		by->span[i] = pages_of(span[i].start, span[i].end);
	/* A clone says so before it collects, under the same lock. */
	late = __atomic_load_n(&dune_vm_cow_used, __ATOMIC_RELAXED);
	vm_unlock(&vm_state.views_lock);
	return late;
}

static int share_in_clones(const struct vm_local *by)
{
	struct vm_op op;
	int err = vm_op_begin(&op, NULL);

	if (err)
		return err;
	cow_lock_all(op.local);
	for (u32 i = 0; i < THREAD_SPANS && !err; i++)
		err = share_in_roots(&op, &by->span[i]);
	cow_unlock_all();
	vm_op_end(&op);
	return err;
}

int vm_share_thread(struct vm_local *by, const struct vm_span *span)
{
	return tell_spans(by, span) ? share_in_clones(by) : 0;
}

/* Keeps the order of starts. */
static u32 add(struct vm_span *list, u32 nr, const struct vm_span *span)
{
	u32 i = nr;

	for (; i && list[i - 1].start > span->start; i--)
		list[i] = list[i - 1];
	list[i] = *span;
	return nr + 1;
}

static u32 add_threads(struct vm_span *list, u32 nr)
{
	u32 ids = plat_load(&vm_state.nr_words) * 64;

	vm_lock(&vm_state.views_lock);
	for (u32 id = 0; id < ids; id++) {
		const struct dune_view *view = vm_state.base->view[id];

		for (u32 i = 0; view && i < THREAD_SPANS; i++)
			if (view->owner->span[i].end)
				nr = add(list, nr, &view->owner->span[i]);
	}
	vm_unlock(&vm_state.views_lock);
	return nr;
}

static u32 merge(struct vm_span *list, u32 nr)
{
	u32 last = 0;

	for (u32 i = 1; i < nr; i++)
		if (list[i].start > list[last].end)
			list[++last] = list[i];
		else if (list[i].end > list[last].end)
			list[last].end = list[i].end;
	return nr ? last + 1 : 0;
}

u32 share_collect(struct vm_span *list)
{
	u32 nr = 0;

	for (u32 i = 0; i < nr_spans; i++)
		nr = add(list, nr, &spans[i]);
	return merge(list, add_threads(list, nr));
}

void share_forget(void)
{
	nr_spans = 0;
	nr_user = 0;
}
