// SPDX-License-Identifier: GPL-2.0-only
/*
 * See places.h. A cursor is what was told last: of vCPUs a number made of id and
 * kind, of tables the replica and a key that grows in the order of the walk.
 */
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/topology.h>

#include "places.h"
#include "pt_entry.h"
#include "stats.h"
#include "vcpu.h"

#define TABLES_FOLLOW	~0ull	/* cursor[0]: all vCPUs are told; less replica */

struct collect {
	struct dune_places *req;
	struct dune_place *out;
	u32 room;
};

static bool is_full(const struct collect *c)
{
	return c->req->nr == c->room;
}

static struct dune_place *next_place(struct collect *c)
{
	struct dune_place *place = &c->out[c->req->nr++];

	*place = (struct dune_place){ .user_node = NUMA_NO_NODE };
	return place;
}

static int node_of(const void *page)
{
	return page_to_nid(virt_to_page(page));
}

/* ---- vCPUs: two pages each ---- */

static u64 vcpu_key(const struct dune_vcpu *vcpu, enum dune_place_kind kind)
{
	return 2ull * vcpu->id + kind + 1;
}

/* The page of that kind. stats->lock is held: those listed have both. */
static const void *vcpu_memory(const struct dune_vcpu *vcpu, enum dune_place_kind kind)
{
	return kind == DUNE_PLACE_VCPU_PAGE ? READ_ONCE(vcpu->page) : READ_ONCE(vcpu->vmx.vmcs);
}

/* The vCPU and kind with the least key above the cursor. */
static const struct dune_vcpu *next_vcpu(struct stats_vm *stats, u64 after,
					 enum dune_place_kind *kind)
{
	const struct dune_vcpu *vcpu, *best = NULL;
	enum dune_place_kind k;

	list_for_each_entry(vcpu, &stats->vcpus, of_stats) {
		for (k = DUNE_PLACE_VMCS; k <= DUNE_PLACE_VCPU_PAGE; k++) {
			if (vcpu_key(vcpu, k) <= after)
				continue;
			if (!best || vcpu_key(vcpu, k) < vcpu_key(best, *kind)) {
				best = vcpu;
				*kind = k;
			}
		}
	}
	return best;
}

static void tell_vcpu(struct collect *c, const struct dune_vcpu *vcpu,
		      enum dune_place_kind kind)
{
	struct dune_place *place = next_place(c);
	int cpu = READ_ONCE(vcpu->vmx.last_cpu);

	place->kind = kind;
	place->vcpu = vcpu->id;
	place->node = node_of(vcpu_memory(vcpu, kind));
	if (cpu != VMX_NO_CPU)
		place->user_node = cpu_to_node(cpu);
	c->req->cursor[0] = vcpu_key(vcpu, kind);
}

static void collect_vcpus(struct collect *c, struct stats_vm *stats)
{
	const struct dune_vcpu *vcpu;
	enum dune_place_kind kind;

	mutex_lock(&stats->lock);
	while (!is_full(c)) {
		vcpu = next_vcpu(stats, c->req->cursor[0], &kind);
		if (!vcpu) {
			c->req->cursor[0] = TABLES_FOLLOW;
			c->req->cursor[1] = 0;
			break;
		}
		tell_vcpu(c, vcpu, kind);
	}
	mutex_unlock(&stats->lock);
}

/* ---- tables ---- */

/* A table begins at a multiple of 2 MiB; of those that do at one, upper ones first. */
static u64 table_key(const struct pt_table *table, u64 gpa)
{
	return gpa + PT_LEVELS + 1 - table->level;
}

static void tell_table(struct collect *c, struct dune_vm *vm, const struct replica *r,
		       const struct pt_table *table, u64 gpa)
{
	struct dune_place *place = next_place(c);

	place->kind = DUNE_PLACE_EPT;
	place->level = table->level;
	place->node = node_of(table->entry);
	place->vcpu = table == r->pt.root ? ~0u : table->user;
	place->replica = r->index;
	place->user_node = placement_user_node(vm, r->index);
	place->hva = gpa;
	if (table->level < 3)
		slots_hva(&vm->slots, gpa, &place->hva);
	c->req->cursor[1] = table_key(table, gpa);
}

/* RCU read side. Nests PT_LEVELS deep. */
static void collect_table(struct collect *c, struct dune_vm *vm, const struct replica *r,
			  const struct pt_table *table, u64 gpa)
{
	u64 size = table->level > 1 ? pt_level_size(table->level) : 0, value, at;
	unsigned int i;

	if (table_key(table, gpa) > c->req->cursor[1] && !is_full(c))
		tell_table(c, vm, r, table, gpa);
	for (i = 0; size && i < PT_ENTRIES && !is_full(c); i++) {
		at = gpa + i * size;
		if (at + size <= c->req->cursor[1])
			continue;
		/* [PT-2] See [PT-1] in pt_link.h. */
		value = plat_load_acquire(&table->entry[i]);
		if (pt_is_table(r->pt.geom, value, table->level))
			collect_table(c, vm, r, pt_child_table(r->pt.geom, value), at);
	}
}

static void collect_tables(struct collect *c, struct dune_vm *vm)
{
	u64 index = TABLES_FOLLOW - c->req->cursor[0];

	for (; index <= vm->ept.nr_more; index++) {
		const struct replica *r = replicas_at(&vm->ept, index);

		plat_rcu_lock();
		collect_table(c, vm, r, r->pt.root, 0);
		plat_rcu_unlock();
		if (is_full(c))
			return;
		c->req->cursor[0] = TABLES_FOLLOW - index - 1;
		c->req->cursor[1] = 0;
	}
}

void places_collect_tables(struct dune_vm *vm, struct dune_places *req,
			   struct dune_place *out)
{
	struct collect c = { .req = req, .out = out, .room = req->nr };

	req->nr = 0;
	if (!req->cursor[0])
		req->cursor[0] = TABLES_FOLLOW;
	collect_tables(&c, vm);
}

void places_collect(struct stats_vm *stats, struct dune_places *req, struct dune_place *out)
{
	struct collect c = { .req = req, .out = out, .room = min(req->nr, PLACES_MAX) };

	req->nr = 0;
	if (req->cursor[0] < TABLES_FOLLOW - REPLICAS_MAX)
		collect_vcpus(&c, stats);
	if (!is_full(&c) && stats->vm)
		collect_tables(&c, stats->vm);
}
