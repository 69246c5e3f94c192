// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Batches: what was changed and is to be flushed at the end. The marks of
 * inval_begin() stay until then, so that others who find the change made do not
 * rely on it. A change of a whole region is never left to a batch.
 */
#include "flush.h"

/* op->root changes meanwhile: the ranges have roots of their own. */
void batch_flush(struct vm_op *op)
{
	struct vm_batch *batch = &op->local->batch;
	struct dune_root *root = op->root;

	if (!batch->nr) {
		copies_release(op->local);
		return;
	}
	for (u32 i = 0; i < batch->nr; i++) {
		const struct vm_range *range = &batch->range[i];

		op->root = range->root;
		vm_mark_begin(op->root, range->start, range->end, range);
		flush_range(op, range->start, range->end);
		vm_mark_end(range);
	}
	for (u32 i = 0; i < batch->nr; i++)
		inval_end(&batch->range[i].root->inval, batch->range[i].start,
			  batch->range[i].end);
	op->root = root;
	batch->nr = 0;
	gather_flushed(&batch->gather);
	gather_release(&batch->gather);
	copies_release(op->local);
}

static void move_tables(struct gather *to, struct gather *from)
{
	while (from->tables) {
		struct pt_table *table = from->tables;

		from->tables = table->next;
		gather_merged_table(to, table);
	}
	gather_init(from);
}

void batch_take(struct vm_op *op, u64 start, u64 end)
{
	struct vm_batch *batch = &op->local->batch;

	if (!flush_is_due(op, start, end)) {
		inval_end(&op->root->inval, start, end);
		gather_release(&op->gather);
		return;
	}
	move_tables(&batch->gather, &op->gather);
	batch->range[batch->nr++] = (struct vm_range){ op->root, start, end };
	/* With this one: what it has dropped is freed by that. */
	if (batch->nr == BATCH_RANGES)
		batch_flush(op);
}

void batch_end_all(struct vm_local *local)
{
	struct vm_op op = { .root = vm_state.base, .local = local };

	if (!local->batch.depth)
		return;
	gather_init(&op.gather);
	dune_rcu_lock();
	local->batch.depth = 0;
	batch_flush(&op);
	dune_rcu_unlock();
}

int dune_vm_batch_begin(void)
{
	struct vm_op op;
	int err = vm_op_begin(&op, NULL);

	if (err)
		return err;
	op.local->batch.depth++;
	vm_quick_off(op.local);
	vm_op_end(&op);
	return 0;
}

static void finish(struct vm_op *op)
{
	batch_flush(op);
	if (op->local->view)
		vm_quick_update(op->local);
}

int dune_vm_batch_end(void)
{
	struct vm_op op;
	int err = vm_op_begin(&op, NULL);

	if (err)
		return err;
	if (!op.local->batch.depth)
		err = -EINVAL;
	else if (!--op.local->batch.depth)
		finish(&op);
	vm_op_end(&op);
	return err;
}
