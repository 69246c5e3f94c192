// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * dune_vm_map(). A range is mapped piece by piece: a piece lies in one region of
 * the root and in one of the host's, so that it is contiguous in guest physical
 * space; the engine maps a piece wholly or not at all. When a piece fails, those
 * before it are removed again.
 */
#include "range.h"

struct map {
	u64 start, end;
	u64 delta;		/* host's address - root's */
	unsigned int prot;
	unsigned int level;	/* of the largest pages */
};

static u64 min_u64(u64 a, u64 b)
{
	return a < b ? a : b;
}

/* Where the piece that begins at addr ends. */
static u64 piece_end(const struct map *map, u64 addr)
{
	u64 in_root = vm_part_end(map->end, region_index(addr));
	u64 mem = addr + map->delta;

	return min_u64(in_root, addr + (region_start(region_index(mem) + 1) - mem));
}

/* Every region of the host's has a slot from now on. */
static int prepare_slots(const struct map *map)
{
	u64 gpa;
	int err = 0;

	for (u64 i = region_index(map->start + map->delta);
	     i <= region_index(map->end + map->delta - 1) && !err; i++)
		err = view_slot(i, &gpa);
	return err;
}

static bool is_whole(const struct map *map, u64 addr, u64 end)
{
	return map->level == 3 && end - addr == region_start(1) &&
	       !((addr | map->delta) & (region_start(1) - 1));
}

/* The PD to map in: only where nothing is mapped to itself. */
static struct pt_table *pd_of(struct vm_op *op, u64 index, int *err)
{
	struct dune_region *region = &op->root->region[index];
	u64 l3 = plat_load(&region->l3);

	if (l3 != REGION_EMPTY && !region_is_table(l3)) {
		*err = -EEXIST;
		return NULL;
	}
	return region_make_pd(op, index, err);
}

static int map_inside(struct vm_op *op, const struct map *map, u64 gpa, u64 addr,
		      u64 end)
{
	struct pt_map_range range = {
		.range = {
			.addr = addr, .end = end, .cache = &op->local->cache,
			.gather = &op->gather,
		},
		.delta = gpa - addr,
		.level = map->level < 2 ? map->level : 2,
		.rights = map->prot,
		.age = PT_OLD,
	};
	enum pt_result result;
	int err = 0;

	range.range.top = pd_of(op, region_index(addr), &err);
	if (!range.range.top)
		return err;
	do {
		err = pt_cache_fill(&op->local->cache);
		result = err ? PT_NEED_TABLES :
			 pt_map_range(&op->root->pt, &range);
	} while (!err && result == PT_NEED_TABLES);
	return result == PT_EXISTS ? -EEXIST : err;
}

static int map_piece(struct vm_op *op, const struct map *map, u64 addr, u64 end)
{
	u64 mem = addr + map->delta, gpa;
	int err = view_slot(region_index(mem), &gpa);

	if (err)
		return err;
	gpa += mem - region_start(region_index(mem));
	/* A PD that is there is filled with pages of 2 MiB. */
	if (is_whole(map, addr, end) &&
	    !region_is_table(plat_load(&op->root->region[region_index(addr)].l3)))
		return region_map(op, region_index(addr), gpa, map->prot);
	return map_inside(op, map, gpa, addr, end);
}

static void undo_region(struct vm_op *op, u64 index, u64 start, u64 end)
{
	struct pt_unmap unmap = {
		.range = { .addr = start, .end = end, .gather = &op->gather },
	};

	while (!(unmap.range.top = region_pd(op, index)))
		if (region_unmap(op, index) != -EAGAIN)
			return;
	pt_unmap(&op->root->pt, &unmap);
}

static void undo(struct vm_op *op, u64 start, u64 end)
{
	for (u64 i = region_index(start); start < end; i++) {
		undo_region(op, i, start, vm_part_end(end, i));
		start = vm_part_end(end, i);
	}
}

static int map_all(struct vm_op *op, const struct map *map)
{
	u64 addr = map->start;
	int err = 0;

	inval_begin(&op->root->inval, map->start, map->end);
	while (addr < map->end && !err) {
		u64 end = piece_end(map, addr);

		err = map_piece(op, map, addr, end);
		if (!err)
			addr = end;
	}
	if (err && addr > map->start)
		undo(op, map->start, addr);
	op_finish(op, vm_one_region(map->start, map->end) ?
		  &op->root->region[region_index(map->start)] : NULL,
		  map->start, map->end);
	return err;
}

static bool is_own(u64 start, u64 end)
{
	for (u64 i = region_index(start); i <= region_index(end - 1); i++)
		if (view_is_pinned(i, PIN_OWN))
			return true;
	return false;
}

/* Neither there nor from there: leaves of own memory are copies (copy.h). */
static int check_own(const struct map *map)
{
	return is_own(map->start, map->end) ||
	       is_own(map->start + map->delta, map->end + map->delta) ? -EPERM : 0;
}

static unsigned int max_level(unsigned int flags)
{
	if (flags & DUNE_VM_4K)
		return 1;
	return flags & DUNE_VM_2M ? 2 : 3;
}

int dune_vm_map(struct dune_root *root, void *addr, size_t len, const void *mem,
		unsigned int prot, unsigned int flags)
{
	struct map map = {
		.start = (u64)addr, .end = (u64)addr + len,
		.delta = (u64)mem - (u64)addr, .prot = prot,
		.level = max_level(flags),
	};
	struct vm_op op;
	int err = vm_check_range(map.start, len);

	if (!err)
		err = vm_check_range((u64)mem, len);
	if (err)
		return err;
	if (!vm_rights_valid(prot) || (flags & ~DUNE_VM_FLAGS))
		return -EINVAL;
	err = vm_op_begin(&op, root);
	if (err)
		return err;
	err = check_own(&map);
	if (!err)
		err = prepare_slots(&map);
	if (!err)
		err = map_all(&op, &map);
	vm_op_end(&op);
	return err;
}
