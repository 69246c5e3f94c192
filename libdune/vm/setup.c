// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Guest paging's part of dune_init(): the pool's first space, the default root,
 * the upper half with the system call entry. And its end in a forked child.
 */
#include <linux/mman.h>

#include "pool.h"
#include "region.h"
#include "root.h"
#include "setup.h"
#include "share.h"
#include "space.h"

static void warn(const char *msg)
{
	dune_why_set("%s", msg);
}

static void *page_alloc(void)
{
	return pool_page(vm_local_here());
}

static void page_free(void *page)
{
	pool_page_put(vm_local_here(), page);
}

static void *object_alloc(size_t size)
{
	return size <= POOL_CELL ? pool_cell(vm_local_here(), POOL_TABLE) : NULL;
}

static void object_free(void *object)
{
	pool_cell_put(vm_local_here(), POOL_TABLE, object);
}

/* Of pages of the pool, whose slots are known. */
static u64 page_gpa(const void *page)
{
	u64 addr = (u64)page;
	u64 slot = hw_slot_entry(region_index(addr)) & ~DUNE_SLOT_VALID;

	return region_start(slot) | (addr & (region_start(1) - 1));
}

static struct plat_guest_ops ops = {
	.page_alloc = page_alloc,
	.page_free = page_free,
	.object_alloc = object_alloc,
	.object_free = object_free,
	.pa = page_gpa,
	.yield = hw_yield,
	.warn = warn,
};

int vm_pin_range(struct vm_local *by, u64 start, u64 end)
{
	int err = 0;

	for (u64 i = region_index(start); i <= region_index(end - 1) && !err; i++)
		if (!view_is_everywhere(i))
			err = view_pin(by, i, PIN_SOME);
	return err;
}

int paging_ready(void)
{
	return view_prepare(vm_state.base);
}

static int slots_init(u32 nr_slots)
{
	u64 size = (nr_slots * sizeof(u64) + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
	long p = hw_syscall(SYS_mmap, 0, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	int err;

	if (p < 0)
		return p;
	vm_state.slot_hva = (u64 *)p;
	vm_state.nr_slots = nr_slots;
	ops.slot_hva = vm_state.slot_hva;
	err = vm_share_own(p, p + size);
	return err ? err : vm_pin_range(NULL, p, p + size);
}

/* Code of the guest at the host's LSTAR: jmp *0(%rip), and where to. */
static int entry_page(struct pt *kernel, struct pt_cache *cache, u64 va, u64 offset,
		      const unsigned char *code, u64 len)
{
	unsigned char *page = pool_page(vm_local_here());
	struct pt_map_op map = {
		.addr = va & ((1ull << 48) - 1), .cache = cache,
		.leaf = { .level = 1, .rights = PT_R | PT_X, .age = PT_DIRTY },
	};

	if (!page || pt_cache_fill(cache))
		return -ENOMEM;
	__builtin_memset(page, 0xcc, PAGE_SIZE);
	__builtin_memcpy(page + offset, code, len);
	map.leaf.pa = page_gpa(page);
	pt_map(kernel, &map);
	/* The EPT grants what the mm grants. */
	return hw_syscall(SYS_mprotect, (long)page, PAGE_SIZE, PROT_READ | PROT_EXEC, 0, 0, 0);
}

static int kernel_half_init(u64 entry, u64 target)
{
	unsigned char code[14] = { 0xff, 0x25, 0, 0, 0, 0 };
	u64 offset = entry & (PAGE_SIZE - 1), first = sizeof(code);
	struct pt_cache cache = { 0 };
	struct pt kernel;
	int err = pt_init(&kernel, &pt_x86);

	if (err)
		return err;
	__builtin_memcpy(code + 6, &target, sizeof(target));
	if (first > PAGE_SIZE - offset)
		first = PAGE_SIZE - offset;
	err = entry_page(&kernel, &cache, entry - offset, offset, code, first);
	if (!err && first < sizeof(code))
		err = entry_page(&kernel, &cache, entry - offset + PAGE_SIZE, 0,
				 code + first, sizeof(code) - first);
	pt_cache_drain(&cache);
	for (unsigned int i = 0; i < PT_ENTRIES / 2; i++)
		vm_state.kernel_half[i] = kernel.root->entry[PT_ENTRIES / 2 + i];
	return err;
}

static void allow_init(unsigned int rights)
{
	struct pt_change change;

	pt_change_init(&change, &pt_x86, PT_RIGHTS, rights ? rights | PT_R : 0);
	vm_state.allow.keep[rights] = change.plain.keep;
	vm_state.allow.set[rights] = change.plain.set;
}

static void changes_init(void)
{
	for (unsigned int rights = 0; rights < 16; rights++) {
		pt_change_init(&vm_state.change[rights], &pt_x86, PT_COW, rights);
		allow_init(rights);
	}
	pt_change_init(&vm_state.to_cow, &pt_x86, PT_RIGHTS, PT_COW);
}

/*
 * What every thread uses: the program's code and data. Not where mmap() puts memory,
 * which threads use apart.
 */
static void common_init(u64 program)
{
	u64 mapped = region_index((u64)vm_state.slot_hva) / PT_ENTRIES;

	vm_state.common = region_index(program) / PT_ENTRIES;
	if (!program || vm_state.common == mapped)
		vm_state.common = COMMON_NONE;
}

static int base_init(void)
{
	struct vm_local *local = vm_local_here();
	struct dune_root *base = local ? root_alloc(local, 0) : NULL;

	if (!base)
		return -ENOMEM;
	vm_state.pcids[0] = 1;
	root_link(base);
	vm_state.base = base;
	/* What the first dune_enter() would have to do. */
	plat_rcu_register();
	return view_reserve(local);
}

int paging_init(const struct vm_setup *setup)
{
	int err;

	vm_state.caps = setup->caps;
	vm_state.pid = hw_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
	node_init(setup->placement, setup->nodes);
	changes_init();
	hw_syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0, 0, 0, 0);
	err = slots_init(setup->nr_slots);
	plat_guest_init(&ops);
	common_init(setup->program);
	if (!err)
		err = base_init();
	if (!err)
		err = kernel_half_init(setup->syscall_entry, setup->syscall_target);
	return err;
}

void *paging_page(void)
{
	return pool_page(vm_local_here());
}

void paging_undo(void)
{
	if (vm_state.slot_hva)
		hw_syscall(SYS_munmap, (long)vm_state.slot_hva,
			   vm_state.nr_slots * sizeof(u64), 0, 0, 0, 0);
	space_forget();
	view_forget();
	share_forget();
	pool_forget();
	__builtin_memset(&vm_state, 0, sizeof(vm_state));
	__builtin_memset(vm_vcpus, 0, sizeof(vm_vcpus));
}

void paging_forget(void)
{
	if (!vm_state.slot_hva)
		return;
	paging_undo();
	rcu_forget();
}
