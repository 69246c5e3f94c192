// SPDX-License-Identifier: GPL-2.0 OR MIT
/* dune_vm_lookup(), dune_vm_walk(): without a lock, under RCU. */
#include "pt_x86.h"
#include "range.h"

/* An entry as the interface has it; gpa is where the page begins. */
static void describe(u64 addr, u64 value, unsigned int level, struct dune_vm_entry *entry)
{
	u64 size = pt_level_size(level), gpa = value & X86_ADDR & ~(size - 1);
	unsigned int rights = pt_x86_rights(value);

	*entry = (struct dune_vm_entry){
		.addr = (void *)(addr & ~(size - 1)),
		.mem = plat_va(gpa),
		.size = size,
		.prot = rights & (PT_RWX | PT_U),
		.flags = (value & X86_ACCESSED ? DUNE_VM_ACCESSED : 0) |
			 (value & X86_DIRTY ? DUNE_VM_DIRTY : 0) |
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
	return plat_va(value & X86_ADDR);
}

/* From a region's entry down to the one that maps addr. */
static u64 descend(u64 l3, u64 addr, unsigned int *level)
{
	u64 value = l3;

	*level = 3;
	while (pt_is_table(&pt_x86_masks, value, *level)) {
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
	return pt_is_present(&pt_x86_masks, value) ? value : 0;
}

/* What maps an address: a leaf and its level, or, UNTOUCHED, rights. */
struct found {
	u64 value;
	unsigned int level;
};

#define UNTOUCHED	4u

static inline struct found find(const struct dune_root *root, u64 addr)
{
	u64 l3 = plat_load_acquire(&root->region[region_index(addr)].l3);
	struct found found = { .level = UNTOUCHED };
	unsigned int rights;

	if (region_is_untouched(root, l3, &rights))
		found.value = rights;
	else
		found.value = descend(l3, addr, &found.level);
	return found;
}

static int describe_found(u64 addr, struct found found, struct dune_vm_entry *entry)
{
	if (found.level == UNTOUCHED)
		describe_untouched(region_index(addr), found.value, entry);
	else if (pt_is_present(&pt_x86_masks, found.value))
		describe(addr, found.value, found.level, entry);
	else
		return -ENOENT;
	return 0;
}

int vm_lookup(const struct dune_root *root, u64 addr, struct dune_vm_entry *entry)
{
	return describe_found(addr, find(root, addr), entry);
}

static plat_noinline int lookup_slow(struct dune_root *root, u64 addr,
				     struct dune_vm_entry *entry)
{
	struct found found;
	struct vm_op op;
	int err = vm_op_begin(&op, root);

	if (err)
		return err;
	found = find(op.root, addr);
	vm_op_end(&op);
	return describe_found(addr, found, entry);
}

/* In the guest, of a thread that knows its reader. */
static inline struct found find_by(struct urcu_bp_reader *reader,
				   const struct dune_root *root, u64 addr)
{
	struct found found;

	dune_rcu_lock_by(reader);
	found = find(root, addr);
	dune_rcu_unlock_by(reader);
	return found;
}

int dune_vm_lookup(struct dune_root *root, const void *addr, struct dune_vm_entry *entry)
{
	struct urcu_bp_reader *reader;
	struct found found;
	u64 irq;

	if ((u64)addr >= USER_END)
		return -ERANGE;
	if (!hw_in_guest())
		return lookup_slow(root, (u64)addr, entry);
	irq = hw_irq_save();
	reader = hw_local()->reader;
	if (!reader) {
		hw_irq_restore(irq);
		return lookup_slow(root, (u64)addr, entry);
	}
	found = find_by(reader, root ? root : vm_state.base, (u64)addr);
	hw_irq_restore(irq);
	/* The program's memory: it may fault. */
	return describe_found((u64)addr, found, entry);
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
	else if (pt_is_present(&pt_x86_masks, value))
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
