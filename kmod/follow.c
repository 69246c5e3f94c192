// SPDX-License-Identifier: GPL-2.0-only
/*
 * DUNE_PLACE_LOCAL, when a thread has moved to another NUMA node for good: its
 * VMCS is copied there, and EPT tables that it linked are given up, as for an
 * invalidation; its next accesses fault and link new ones, of its node. The tables
 * above them go when no vCPU is left on their node, but for the two highest levels,
 * a page for each 512 GiB and the root. The vCPU page is moved, too.
 *
 * A bounded number of tables at a time: the rest waits for the next tick.
 */
#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/topology.h>

#include "flush.h"
#include "follow.h"
#include "places.h"
#include "residency.h"
#include "trace.h"
#include "vcpu.h"

#define TABLES_A_TURN	32u

static unsigned int follow_ms = 250;
module_param(follow_ms, uint, 0644);
MODULE_PARM_DESC(follow_ms, "time after which a thread on another NUMA node has moved there for good, ms; 0: never");

static bool follows(const struct dune_vcpu *vcpu)
{
	return vcpu->vm->placement.policy == DUNE_PLACE_LOCAL ||
	       vcpu->vm->placement.policy == DUNE_PLACE_REPLICATE;
}

void follow_moved(struct dune_vcpu *vcpu, int node)
{
	if (vcpu->home == NUMA_NO_NODE)
		vcpu->home = node;
	if (vcpu->home != node) {
		if (!follows(vcpu))
			return;
		vcpu->away_since = jiffies | 1;
		memset(vcpu->follow_cursor, 0, sizeof(vcpu->follow_cursor));
	} else if (!vcpu->page_waits) {
		vcpu->away_since = 0;
	} else if (!vcpu->away_since) {
		vcpu->away_since = jiffies | 1;
	}
}

static bool is_on(const void *memory, int node)
{
	return page_to_nid(virt_to_page(memory)) == node;
}

/*
 * A page there or none: what follows is no reason to look for memory. It is not
 * zeroed.
 */
static void *page_on(int node)
{
	struct page *page = alloc_pages_node(node, GFP_KERNEL_ACCOUNT | __GFP_THISNODE |
					     __GFP_NORETRY | __GFP_NOWARN, 0);

	return page ? page_address(page) : NULL;
}

static void move_vmcs(struct dune_vcpu *vcpu, int node)
{
	void *page = is_on(vcpu->vmx.vmcs, node) ? NULL : page_on(node);

	if (!page)
		return;
	vcpu_move_vmcs(vcpu, &page);
	free_page((unsigned long)page);
}

/* False: not now, but it may be possible soon. */
static bool move_page(struct dune_vcpu *vcpu, int node)
{
	void *page = is_on(vcpu->page, node) ? NULL : page_on(node);
	bool moved;

	if (!page)
		return true;
	moved = vcpu_move_page(vcpu, &page);
	if (moved)
		vm_count(vcpu->vm, DUNE_VM_vcpu_pages_followed, 1);
	free_page((unsigned long)page);
	return moved;
}

/* Is it of no use to any vCPU where it is? */
static bool is_left_behind(struct dune_vcpu *vcpu, const struct dune_place *place, int node)
{
	if (place->node == node || place->level > 2)
		return false;
	if (place->level == 1)
		return place->vcpu == vcpu->id;
	return !stats_vm_uses_node(vcpu->vm->stats, place->node);
}

static void give_up(struct dune_vm *vm, const struct dune_place *place)
{
	vm_count(vm, DUNE_VM_tables_followed, 1);
	ept_make_room(vm, place->hva, place->hva + pt_level_size(place->level + 1));
}

/* True: there may be more. */
static bool give_up_tables(struct dune_vcpu *vcpu, int node)
{
	struct dune_place places[TABLES_A_TURN];
	struct dune_places req = {
		.nr = TABLES_A_TURN,
		.cursor = { vcpu->follow_cursor[0], vcpu->follow_cursor[1] },
	};
	unsigned int i;

	places_collect_tables(vcpu->vm, &req, places);
	for (i = 0; i < req.nr; i++)
		if (is_left_behind(vcpu, &places[i], node))
			give_up(vcpu->vm, &places[i]);
	vcpu->follow_cursor[0] = req.cursor[0];
	vcpu->follow_cursor[1] = req.cursor[1];
	return req.nr == TABLES_A_TURN;
}

void follow_now(struct dune_vcpu *vcpu)
{
	int node = READ_ONCE(vcpu->node);
	bool waits;

	if (!follow_ms || time_before(jiffies, vcpu->away_since + msecs_to_jiffies(follow_ms)))
		return;
	if (vcpu->vm->placement.policy == DUNE_PLACE_LOCAL && give_up_tables(vcpu, node))
		return;
	move_vmcs(vcpu, node);
	waits = !move_page(vcpu, node);
	preempt_disable();
	vcpu->home = node;
	vcpu->page_waits = waits;
	vcpu->away_since = 0;
	/* It may have moved again meanwhile. */
	follow_moved(vcpu, vcpu->node);
	preempt_enable();
}
