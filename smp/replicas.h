/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Several tables that mirror one mapping: one for the CPUs of each NUMA node, with
 * table pages of that node. Each is a table and a shootdown of its own; what ties
 * them together:
 *
 * - a leaf is installed in the table of the CPU that faults, and nowhere else: the
 *   others get it when one of their CPUs faults there. All under one struct inval,
 *   so a fault of any of them finds an invalidation that is going on;
 * - a removal goes through all of them, into one gather, which remembers those
 *   that had something (gather.replicas). Only CPUs that use one of these are
 *   asked to leave the guest;
 * - generations come from one clock, so that one number covers all tables: what
 *   was deferred at generation g is over when no CPU runs with a table whose last
 *   removal up to g it has not seen. So who knows g must find every r->gen up to
 *   it: the lock, without which a table's own could still be on its way there.
 *
 * Lock card: replicas.lock. Type: spinlock, rank 1. Protects: clock, and raising
 * each r->gen to it. Order: no table's lock is held. Context: as shootdown_defer().
 *
 * Each CPU says which table it uses (sd_cpu.replica), outside of the guest, before
 * it enters. Coming from another one it counts as never flushed.
 *
 *   CPU (irqs off)                       flusher
 *     replica = r, seen = 0                entries = 0 in table r
 *     mode = ENTERING                      clock++, r->gen = clock  [RP-2]
 *     full fence             [SD-1]        full fence               [SD-2]
 *     read r->gen                          read mode, then replica  [RP-3]
 *
 * With one table (nr_more == 0) all of this is shootdown.h, at its cost.
 */
#ifndef SMP_REPLICAS_H
#define SMP_REPLICAS_H

#include "pt.h"
#include "shootdown.h"

#define REPLICAS_MAX	16u	/* bits of gather.replicas */

struct replica {
	struct pt pt;		/* constant */
	u32 index;		/* constant; 0: replicas.first */
	struct sd_vm sd __attribute__((aligned(64)));
};

struct replicas {
	struct replica first;
	struct replica **more;	/* nr_more; both constant once a CPU uses any */
	u64 nr_more;
	plat_lock_t lock __attribute__((aligned(64)));
	u64 clock;		/* lock */
};

static inline struct replica *replicas_at(struct replicas *set, u32 index)
{
	return index ? set->more[index - 1] : &set->first;
}

#define for_each_replica(r, set)					\
	for (u32 i_ = 0; i_ <= (set)->nr_more &&			\
	     ((r) = replicas_at((set), i_), 1); i_++)

/*
 * This CPU, outside of the guest and staying there until the caller lets it enter
 * with that table, uses r from now on. Preemption off.
 */
static inline void replica_use(struct sd_cpu *cpu, const struct replica *r)
{
	if (cpu->replica == r->index)
		return;
	/* Flushers may read it. */
	plat_store(&cpu->seen, 0);
	/*
	 * [RP-4] replica before mode: the fence in sd_enter(), the release in
	 * sd_entered(). Pairs with [RP-3] in replicas.c. Shape: MP.
	 */
	plat_store(&cpu->replica, r->index);
}

/* The whole set after its members' pt and sd. more: nr_more, of indices 1... */
void replicas_join(struct replicas *set, struct replica **more, u32 nr_more);

/* As pt_zap(), pt_age() in every table. Parts of those below. */
enum pt_zap_result replicas_zap_all(struct replicas *set, u64 start, u64 end,
				    struct gather *gather);
int replicas_age_all(struct replicas *set, u64 start, u64 end, enum pt_age_mode mode);
unsigned int replicas_run_all(struct replicas *set, struct gather *gather);
unsigned int replicas_settle_all(struct replicas *set, u64 gen);
enum sd_progress replicas_progress_all(struct replicas *set, u64 gen);
u64 replicas_bump(struct replicas *set, const struct gather *gather);

static inline enum pt_zap_result replicas_zap(struct replicas *set, u64 start,
					      u64 end, struct gather *gather)
{
	return set->nr_more ? replicas_zap_all(set, start, end, gather) :
			      pt_zap(&set->first.pt, start, end, gather);
}

static inline int replicas_age(struct replicas *set, u64 start, u64 end,
			       enum pt_age_mode mode)
{
	return set->nr_more ? replicas_age_all(set, start, end, mode) :
			      pt_age(&set->first.pt, start, end, mode);
}

/* As shootdown_run(), shootdown_settle(), shootdown_progress(). */
static inline unsigned int replicas_run(struct replicas *set, struct gather *gather)
{
	return set->nr_more ? replicas_run_all(set, gather) :
			      shootdown_run(&set->first.sd, gather);
}

static inline unsigned int replicas_settle(struct replicas *set, u64 gen)
{
	return set->nr_more ? replicas_settle_all(set, gen) :
			      shootdown_settle(&set->first.sd, gen);
}

static inline enum sd_progress replicas_progress(struct replicas *set, u64 gen)
{
	return set->nr_more ? replicas_progress_all(set, gen) :
			      shootdown_progress(&set->first.sd, gen);
}

/* As shootdown_defer(). */
static inline void replicas_defer(struct replicas *set, struct inval *inval,
				  u64 start, u64 end, struct gather *gather)
{
	if (!set->nr_more) {
		shootdown_defer(&set->first.sd, inval, start, end, gather);
	} else if (sd_can_defer(gather)) {
		inval_defer(inval, start, end, replicas_bump(set, gather));
		gather_flushed(gather);
	}
}

#endif /* SMP_REPLICAS_H */
