// SPDX-License-Identifier: GPL-2.0 OR MIT
/* dune_vm_lookup(), dune_vm_walk(): without a lock, under RCU. */
#include "pt_entry.h"
#include "range.h"

/* An entry as the interface has it; gpa is where the page begins. */
static void describe(u64 addr, u64 value, unsigned int level, struct dune_vm_entry *entry)
{
	u64 size = pt_level_size(level), gpa = value & pt_x86.addr_mask & ~(size - 1);
	unsigned int rights = pt_x86.rights(value);

	*entry = (struct dune_vm_entry){
		.addr = (void *)(addr & ~(size - 1)),
		.mem = plat_va(gpa),
		.size = size,
		.prot = rights & (PT_RWX | PT_U),
		.flags = (value & pt_x86.accessed_bit ? DUNE_VM_ACCESSED : 0) |
			 (value & pt_x86.dirty_bit ? DUNE_VM_DIRTY : 0) |
			 (rights & PT_COW ? DUNE_VM_COW : 0),
	};
}

static void describe_untouched(u64 index, unsigned int rights, struct dune_vm_entry *entry)
{
	*entry = (struct dune_vm_entry){
		.addr = (void *)region_start(index),
		.mem = (void *)region_start(index),
		.size = DUNE_PAGE_1G,
		.prot = rights & (PT_RWX | PT_U),
		.flags = rights & PT_COW ? DUNE_VM_COW : 0,
	};
}

static u64 *table_at(u64 value)
{
	return plat_va(value & pt_x86.addr_mask);
}

/* From a region's entry down to the one that maps addr. */
static u64 descend(u64 l3, u64 addr, unsigned int *level)
{
	u64 value = l3;

	*level = 3;
	while (pt_is_table(&pt_x86, value, *level)) {
		--*level;
		/* [PT-2] See [PT-1] in pt.c. */
		value = plat_load_acquire(&table_at(value)[pt_index(addr, *level)]);
	}
	return value;
}

u64 vm_entry(const struct dune_root *root, u64 addr, unsigned int *level)
{
	u64 l3 = plat_load_acquire(&root->region[region_index(addr)].l3), value;

	value = region_in_use(l3) ? descend(l3, addr, level) : 0;
	return pt_is_present(&pt_x86, value) ? value : 0;
}

int vm_lookup(const struct dune_root *root, u64 addr, struct dune_vm_entry *entry)
{
	u64 l3 = plat_load_acquire(&root->region[region_index(addr)].l3), value;
	unsigned int rights, level;

	if (region_is_untouched(root, l3, &rights)) {
		describe_untouched(region_index(addr), rights, entry);
		return 0;
	}
	value = descend(l3, addr, &level);
	if (!pt_is_present(&pt_x86, value))
		return -ENOENT;
	describe(addr, value, level, entry);
	return 0;
}

int dune_vm_lookup(struct dune_root *root, const void *addr, struct dune_vm_entry *entry)
{
	struct dune_vm_entry found;
	struct vm_op op;
	int err;

	if ((u64)addr >= USER_END)
		return -ERANGE;
	err = vm_op_begin(&op, root);
	if (err)
		return err;
	err = vm_lookup(op.root, (u64)addr, &found);
	vm_op_end(&op);
	/* The program's memory: it may fault. */
	if (!err)
		*entry = found;
	return err;
}

#define WALK_BATCH	32u

struct walk {
	unsigned int nr;
	struct dune_vm_entry entry[WALK_BATCH];
};

static int collect(void *arg, u64 addr, u64 value, unsigned int level)
{
	struct walk *walk = arg;

	describe(addr, value, level, &walk->entry[walk->nr++]);
	return walk->nr == WALK_BATCH;
}

/* Of one region, from addr on; returns where it got to. */
static u64 collect_region(struct vm_op *op, struct walk *walk, u64 addr, u64 end)
{
	u64 index = region_index(addr), value = plat_load_acquire(&op->root->region[index].l3);
	struct pt_range range = { .addr = addr, .end = vm_part_end(end, index) };
	unsigned int rights;

	if (region_is_untouched(op->root, value, &rights))
		describe_untouched(index, rights, &walk->entry[walk->nr++]);
	else if (pt_is_table(&pt_x86, value, 3))
		goto inside;
	else if (pt_is_present(&pt_x86, value))
		collect(walk, addr, value, 3);
	return range.end;

inside:
	range.top = pt_table_of(value & pt_x86.addr_mask);
	if (pt_walk_range(&op->root->pt, &range, collect, walk) == PT_DONE)
		return range.end;
	return (u64)walk->entry[walk->nr - 1].addr + walk->entry[walk->nr - 1].size;
}

static int walk_some(struct dune_root *root, struct walk *walk, u64 *addr, u64 end)
{
	struct vm_op op;
	int err = vm_op_begin(&op, root);

	if (err)
		return err;
	walk->nr = 0;
	while (*addr < end && walk->nr < WALK_BATCH)
		*addr = collect_region(&op, walk, *addr, end);
	vm_op_end(&op);
	return 0;
}

int dune_vm_walk(struct dune_root *root, void *start, size_t len, dune_vm_walk_fn fn,
		 void *arg)
{
	u64 addr = (u64)start, end = addr + len;
	struct walk walk;
	int err = vm_check_range(addr, len);

	while (!err && addr < end) {
		err = walk_some(root, &walk, &addr, end);
		for (unsigned int i = 0; !err && i < walk.nr; i++)
			err = fn(&walk.entry[i], arg);
	}
	return err;
}
