// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Write faults of pages that are shared by PT_COW; see cow.h.
 *
 * At no time do two CPUs see different content at one address of a root: the
 * copy is mapped without the right to write, then the old page is flushed, and
 * only then somebody may write to either.
 *
 *   the family's first root writes         a clone writes
 *     copy                                   copy
 *     each that shares: the copy, PT_COW     the copy, PT_COW
 *     flush of these                         flush
 *     the page without PT_COW                the copy without PT_COW
 */
#include "copy.h"
#include "cow.h"
#include "range.h"

struct cow {
	u64 addr;		/* of the page */
	char *mem;		/* what it maps; NULL: changed meanwhile */
};

/* --- locks --- */

static void take(u32 *lock, struct vm_local *local)
{
	u32 none = 0;

	for (unsigned int turn = 0; !plat_cas32(lock, &none, 1); turn++) {
		/* The holder may wait for this thread, which polls. */
		flush_serve(local);
		vm_relax(turn);
		none = 0;
	}
}

static u32 *lock_of(u64 addr)
{
	return &vm_state.cow_lock[(addr >> 21) % COW_LOCKS];
}

void cow_lock_all(struct vm_local *local)
{
	for (unsigned int i = 0; i < COW_LOCKS; i++)
		take(&vm_state.cow_lock[i], local);
}

void cow_unlock_all(void)
{
	for (unsigned int i = 0; i < COW_LOCKS; i++)
		vm_unlock(&vm_state.cow_lock[i]);
}

/* --- one leaf --- */

static bool is_cow(u64 entry)
{
	return entry & pt_x86.cow_bit;
}

static char *mem_at(u64 entry, unsigned int level, u64 addr)
{
	u64 size = pt_level_size(level);

	return (char *)plat_va(entry & pt_x86.addr_mask & ~(size - 1)) + (addr & (size - 1));
}

/*
 * The leaf that maps mem may be written to again. It gains a right: no flush. An
 * entry that became something else meanwhile is left alone.
 */
static void make_writable(struct vm_op *op, u64 addr, const char *mem)
{
	enum pt_result result;
	unsigned int level;

	do {
		u64 value = vm_entry(op->root, addr, &level);

		if (!is_cow(value) || level > 2 || mem_at(value, level, addr) != mem)
			return;
		result = region_replace(op, addr, value, level,
					value & pt_x86.addr_mask & ~(pt_level_size(level) - 1),
					pt_x86.rights(value) & ~PT_COW);
	} while (result == PT_STALE);
	if (op->guest && op->local->view->root == op->root)
		hw_invlpg(addr);
}

/* The copy in place of mem, still PT_COW, and flushed. False: mem is not there. */
static bool put_copy(struct vm_op *op, const struct cow *c, struct vm_copy *copy)
{
	enum pt_result result = PT_STALE;
	struct vm_copy *old = NULL;
	unsigned int level;

	inval_begin(&op->root->inval, c->addr, c->addr + PAGE_SIZE);
	while (result == PT_STALE) {
		u64 value = vm_entry(op->root, c->addr, &level);

		if (!is_cow(value) || level != 1 || mem_at(value, 1, c->addr) != c->mem)
			break;
		old = copy_of(value, 1);
		copy_get(copy);
		result = region_replace(op, c->addr, value, 1, plat_pa(copy->page),
					pt_x86.rights(value));
		if (result == PT_STALE)
			copy_put(op->local, copy);
	}
	cow_flush(op, c->addr, c->addr + PAGE_SIZE);
	if (result != PT_DONE)
		return false;
	if (old)
		copy_put(op->local, old);
	return true;
}

/* --- one page --- */

static bool is_alone(const struct dune_root *root)
{
	for (struct dune_root *r = plat_load_acquire(&vm_state.roots); r; r = r->next)
		if (r != root && r->family == root->family)
			return false;
	return true;
}

static bool shares(const struct dune_root *root, const struct cow *c)
{
	struct dune_vm_entry entry;

	return !vm_lookup(root, c->addr, &entry) && (entry.flags & DUNE_VM_COW) &&
	       (char *)entry.mem + (c->addr - (u64)entry.addr) == c->mem;
}

/* The page has a leaf of its own. */
static int split(struct vm_op *op, u64 addr)
{
	return vm_split(op, addr, addr + PAGE_SIZE, DUNE_PAGE_4K);
}

static struct dune_root *next_sharer(const struct vm_op *op, struct dune_root *root,
				     const struct cow *c)
{
	for (; root; root = root->next)
		if (root != op->root && root->family == op->root->family && shares(root, c))
			break;
	return root;
}

/* Everything that may fail comes before the first change. */
static int split_sharers(struct vm_op *op, const struct cow *c, unsigned int *nr)
{
	struct dune_root *root = plat_load_acquire(&vm_state.roots);
	int err = 0;

	for (*nr = 0; !err && (root = next_sharer(op, root, c)); root = root->next) {
		struct vm_op other = { .root = root, .local = op->local, .guest = op->guest };

		err = split(&other, c->addr);
		++*nr;
	}
	return err;
}

static void put_copies(struct vm_op *op, const struct cow *c, struct vm_copy *copy)
{
	struct dune_root *root = plat_load_acquire(&vm_state.roots);

	for (; (root = next_sharer(op, root, c)); root = root->next) {
		struct vm_op other = { .root = root, .local = op->local, .guest = op->guest };

		put_copy(&other, c, copy);
	}
}

/* Until nobody shares it: a leaf may be merged again before it is replaced. */
static int give_away(struct vm_op *op, const struct cow *c)
{
	struct vm_copy *copy = NULL;
	unsigned int nr;
	int err;

	while (!(err = split_sharers(op, c, &nr)) && nr) {
		if (!copy)
			copy = copy_make(op->local, c->mem, &err);
		if (!copy)
			return err;
		put_copies(op, c, copy);
	}
	if (copy)
		copy_put(op->local, copy);
	return err;
}

static int take_away(struct vm_op *op, struct cow *c)
{
	struct vm_copy *copy;
	int err;

	copy = copy_make(op->local, c->mem, &err);
	if (!copy)
		return err;
	c->mem = put_copy(op, c, copy) ? copy->page : NULL;
	copy_put(op->local, copy);
	return 0;
}

/* Nobody else can map it: a copy with one leaf. */
static bool is_mine(struct vm_op *op, u64 addr)
{
	unsigned int level;
	u64 value = vm_entry(op->root, addr, &level);
	const struct vm_copy *copy = value ? copy_of(value, level) : NULL;

	return copy && plat_load_acquire(&copy->refs) == 1;
}

static int resolve(struct vm_op *op, struct cow *c)
{
	int err = 0;

	if (!op->root->is_clone && is_alone(op->root)) {
		/* As large as it is, but for 1 GiB. */
		if (!region_make_pd(op, region_index(c->addr), &err))
			return err;
	} else {
		err = split(op, c->addr);
		if (err)
			return err;
		if (!op->root->is_clone)
			err = give_away(op, c);
		else if (!is_mine(op, c->addr))
			err = take_away(op, c);
	}
	if (!err)
		make_writable(op, c->addr, c->mem);
	return err;
}

enum cow_result cow_resolve(struct vm_op *op, u64 addr)
{
	struct dune_vm_entry entry;
	struct cow c = { .addr = addr & ~(PAGE_SIZE - 1ull) };
	int err;

	if (vm_lookup(op->root, c.addr, &entry) || !(entry.flags & DUNE_VM_COW) ||
	    !(entry.prot & DUNE_W))
		return COW_NOT;
	c.mem = (char *)entry.mem + (c.addr - (u64)entry.addr);
	err = resolve(op, &c);
	/* In a batch there may be some that are not flushed. */
	if (!op->local->batch.depth)
		copies_release(op->local);
	return err ? COW_FAILED : COW_DONE;
}

/* --- shared for good --- */

/* *addr is where the leaf ends, then. The region has had a PD: it may be merged. */
static int share_leaf(struct vm_op *op, u64 *addr, u64 home)
{
	enum pt_result result = PT_DONE;
	unsigned int level = 1;
	int err = 0;

	do {
		u64 value = vm_entry(op->root, *addr, &level);
		struct vm_copy *copy = value ? copy_of(value, level) : NULL;
		u64 gpa = value & pt_x86.addr_mask & ~(pt_level_size(level) - 1);

		if (!is_cow(value) && !copy)
			break;
		if (level > 2 && !region_make_pd(op, region_index(*addr), &err))
			return err;
		result = region_replace(op, *addr, value, level,
					copy ? home + (*addr & (region_start(1) - 1)) : gpa,
					pt_x86.rights(value) & ~PT_COW);
		if (copy && result == PT_DONE)
			copy_put(op->local, copy);
	} while (result == PT_STALE);
	*addr = (*addr & ~(pt_level_size(level) - 1)) + pt_level_size(level);
	return 0;
}

static int share_part(struct vm_op *op, u64 start, u64 end)
{
	u64 index = region_index(start), home;
	int err = view_slot(index, &home);

	if (!err && !region_make_pd(op, index, &err))
		return err;
	if (!err && (start & (DUNE_PAGE_2M - 1)))
		err = split(op, start);
	if (!err && (end & (DUNE_PAGE_2M - 1)))
		err = split(op, end - PAGE_SIZE);
	if (err)
		return err;
	inval_begin(&op->root->inval, start, end);
	for (u64 addr = start; addr < end && !err;)
		err = share_leaf(op, &addr, home);
	cow_flush(op, start, end);
	/* In a batch there may be some that are not flushed. */
	if (!op->local->batch.depth)
		copies_release(op->local);
	return err;
}

int cow_share_range(struct vm_op *op, u64 start, u64 end)
{
	int err = 0;

	for (u64 i = region_index(start); i <= region_index(end - 1) && !err; i++)
		if (!view_is_pinned(i, PIN_OWN) &&
		    plat_load(&op->root->region[i].l3) != REGION_EMPTY)
			err = share_part(op, vm_part_start(start, i), vm_part_end(end, i));
	return err;
}

/* --- faults --- */

/* For trap_entry.S: is there any root that this concerns? */
int dune_vm_cow_used;

bool dune_vm_cow(struct dune_thread *t, uint64_t addr, uint64_t error)
{
	struct vm_op op = {
		.root = t->vm.view->root, .local = &t->vm, .guest = true,
	};
	enum cow_result result;

	if (addr >= USER_END || !plat_load(&op.root->family))
		return false;
	dune_rcu_lock();
	take(lock_of(addr), op.local);
	result = cow_resolve(&op, addr);
	vm_unlock(lock_of(addr));
	dune_rcu_unlock();
	/* Another thread was first? */
	return result == COW_DONE ||
	       (result == COW_NOT && dune_vm_spurious(t, addr, error));
}
