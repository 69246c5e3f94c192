// SPDX-License-Identifier: GPL-2.0-only
/*
 * A shrinker: of a vm with an EPT for each node, the tables of one of them are
 * given up, as for an invalidation of all of it; faults make them again. The vms
 * take turns, and each one's replicas. EPTs that are the only one stay: to make
 * them again would take as much memory.
 */
#include "compat.h"
#include "flush.h"
#include "reclaim.h"
#include "vm.h"

/* Tables that replicas have besides their roots. */
static unsigned long reclaimable(struct dune_vm *vm)
{
	s64 tables = vm->ept.nr_more ? vm_counter(vm, DUNE_VM_ept_tables) : 0;

	return max(tables - (s64)vm->ept.nr_more - 1, 0ll);
}

/* Somebody may have the list: then now is not the time. */
static enum vms_walk add_reclaimable(struct dune_vm *vm, void *sum)
{
	*(unsigned long *)sum += reclaimable(vm);
	return VMS_WALK_ON;
}

static unsigned long count_tables(struct shrinker *unused, struct shrink_control *sc)
{
	unsigned long sum = 0;

	vms_try_walk(add_reclaimable, &sum);
	return sum;
}

static u32 give_up(struct dune_vm *vm, struct replica *r)
{
	struct gather gather = GATHER_INIT;
	u32 tables;

	inval_begin(&vm->inval, 0, ~0ull);
	pt_zap(&r->pt, 0, ~0ull, &gather);
	gather.replicas = 1u << r->index;
	tables = gather.nr_tables;
	if (!gather_is_empty(&gather))
		ept_flush(vm, 0, ~0ull, &gather);
	inval_end(&vm->inval, 0, ~0ull);
	vm_count(vm, DUNE_VM_tables_reclaimed, tables);
	return tables;
}

/* The next replica that has any. */
static enum vms_walk give_up_one(struct dune_vm *vm, void *freed)
{
	u32 *next = &vm->placement.reclaim_next, turn;

	for (turn = 0; reclaimable(vm) && turn <= vm->ept.nr_more; turn++) {
		*next = (*next + 1) % (vm->ept.nr_more + 1);
		*(unsigned long *)freed += give_up(vm, replicas_at(&vm->ept, *next));
		if (*(unsigned long *)freed)
			return VMS_WALK_END_LAST;
	}
	return VMS_WALK_ON;
}

static unsigned long scan_tables(struct shrinker *unused, struct shrink_control *sc)
{
	unsigned long freed = 0;

	vms_try_walk(give_up_one, &freed);
	return freed ? freed : SHRINK_STOP;
}

SHRINKER_DEFINE(tables_shrinker, count_tables, scan_tables)

int reclaim_setup(void)
{
	return SHRINKER_ADD(tables_shrinker, "dune-replicas");
}

void reclaim_teardown(void)
{
	SHRINKER_REMOVE(tables_shrinker);
}
