// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Life of a vCPU, as others see it; see vcpus.h. */
#include "pool.h"
#include "vcpus.h"
#include "view.h"
#include "walk.h"

_Static_assert(sizeof(struct vcpu_irr) <= POOL_CELL, "a cell");

/* Whoever reads fewer words than are in use now will find the change: [GT-5]. */
static void raise_words(u32 id)
{
	u32 nr = plat_load(&vm_state.nr_words);

	while (nr < id / 64 + 1 && !plat_cas32(&vm_state.nr_words, &nr, id / 64 + 1))
		;
}

int vcpu_begin(struct vm_local *local, struct dune_vcpu_page *page)
{
	u32 id = page->id;
	struct dune_view *view;

	if (id >= DUNE_MAX_VCPUS)
		return -EIO;
	vm_plain_adopt(local);
	walk_begin(local);
	local->id = id;
	local->owner = id + 1;
	local->member_word = id / 64;
	local->others = ~(1ull << id % 64);
	local->irr = pool_cell(local, POOL_OTHER);
	if (!local->irr)
		goto err_local;
	*local->irr = (struct vcpu_irr){ 0 };
	raise_words(id);
	view = view_create(vm_state.base, local);
	if (!view)
		goto err_irr;
	plat_rcu_register();
	local->reader = dune_rcu_reader();
	local->view = view;
	vm_quick_update(local);
	local->page = page;
	plat_store(&vm_vcpus[id].active, (u64)vm_state.base);
	__atomic_store_n(&vm_vcpus[id].irr, local->irr, __ATOMIC_RELEASE);
	__atomic_store_n(&vm_vcpus[id].page, page, __ATOMIC_RELEASE);
	return 0;

err_irr:
	pool_cell_put(local, POOL_OTHER, local->irr);
err_local:
	/* What it has had as a thread without a vCPU. */
	batch_end_all(local);
	vm_local_end(local);
	return -ENOMEM;
}

u64 vcpu_reader(void)
{
	return (u64)URCU_TLS(urcu_bp_reader);
}

static void irr_free(plat_rcu_t *rcu)
{
	pool_cell_put(vm_local_here(), POOL_OTHER,
		      plat_container_of(rcu, struct vcpu_irr, rcu));
}

void vcpu_end(struct vm_local *local)
{
	struct vcpu_irr *irr = local->irr;

	/*
	 * Off the members first: who finds this vCPU there finds its page, or
	 * that of the next with its id, which does no harm.
	 */
	batch_end_all(local);
	while (view_destroy_own(local))
		;
	local->view = NULL;
	vm_quick_off(local);
	__atomic_store_n(&vm_vcpus[local->id].page, NULL, __ATOMIC_RELEASE);
	__atomic_store_n(&vm_vcpus[local->id].irr, NULL, __ATOMIC_RELEASE);
	plat_store(&vm_vcpus[local->id].active, 0);
	local->page = NULL;
	local->irr = NULL;
	plat_call_rcu(&irr->rcu, irr_free);
	vm_local_end(local);
}
