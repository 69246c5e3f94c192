// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See replicas.h. */
#include "replicas.h"

#define ALL_REPLICAS	((u16)~0u)

void replicas_join(struct replicas *set, struct replica **more, u32 nr_more)
{
	u64 gen = plat_load(&set->first.sd.gen);

	for (u32 i = 0; i < nr_more; i++) {
		more[i]->index = i + 1;
		if (plat_load(&more[i]->sd.gen) > gen)
			gen = plat_load(&more[i]->sd.gen);
	}
	plat_lock_init(&set->lock);
	set->clock = gen;
	set->more = more;
	plat_store_release(&set->nr_more, nr_more);
}

/*
 * What one table adds to the gather is a need to flush of that table alone, so
 * each starts with a gather that needs none.
 */
enum pt_zap_result replicas_zap_all(struct replicas *set, u64 start, u64 end,
				    struct gather *gather)
{
	enum pt_zap_result result = PT_ZAP_DONE;
	bool unflushed = gather->unflushed;
	struct replica *r;

	for_each_replica(r, set) {
		gather->unflushed = false;
		if (pt_zap(&r->pt, start, end, gather) == PT_ZAP_WIDEN)
			result = PT_ZAP_WIDEN;
		if (gather->unflushed)
			gather->replicas |= 1u << r->index;
		unflushed |= gather->unflushed;
	}
	gather->unflushed = unflushed;
	return result;
}

int replicas_age_all(struct replicas *set, u64 start, u64 end, enum pt_age_mode mode)
{
	struct replica *r;
	int young = 0;

	for_each_replica(r, set)
		young |= pt_age(&r->pt, start, end, mode);
	return young;
}

static bool concerns(u16 replicas, const struct replica *r)
{
	return replicas >> r->index & 1;
}

/*
 * Who flushes without having removed anything does it for somebody else, whose
 * gather it does not know: all tables. See gather_of_others() as well.
 */
static u16 concerned(const struct gather *gather)
{
	return gather->replicas ? gather->replicas : ALL_REPLICAS;
}

static u64 bump_locked(struct replicas *set, u16 replicas)
{
	struct replica *r;
	u64 gen;

	for_each_replica(r, set)
		if (concerns(replicas, r))
			plat_mark_bump(r->sd.root_pa, &set->clock);
	/*
	 * [RP-1] Removed entries before the clock; pairs with [RP-2] of a later
	 * stamp: else a CPU counts as flushed to that, and has cached an entry of an
	 * earlier one. Shape: MP.
	 */
	gen = plat_add64_full(&set->clock, 1);
	/*
	 * [RP-2] The clock before each gen (release), from where [SD-8] goes on;
	 * pairs with [RP-1]. Shape: MP.
	 */
	for_each_replica(r, set)
		if (concerns(replicas, r))
			inval_raise(&r->sd.gen, gen);
	return gen;
}

u64 replicas_bump(struct replicas *set, const struct gather *gather)
{
	u64 gen;

	/*
	 * Not without the lock: a deferred flush of generation 5 would be settled
	 * by who has 6, and finds nothing of 5 in its table yet.
	 */
	plat_lock(&set->lock, 1);
	gen = bump_locked(set, concerned(gather));
	plat_unlock(&set->lock);
	/* [SD-2] Each gen before any CPU's mode; pairs with [SD-1]. Shape: SB. */
	plat_full_mb();
	return gen;
}

/* What CPUs of each table must have seen, of what was removed up to gen. */
struct needs {
	u64 gen[REPLICAS_MAX];
};

static void needs_init(struct needs *needs, struct replicas *set, u64 gen)
{
	struct replica *r;

	for_each_replica(r, set) {
		u64 last = plat_load_acquire(&r->sd.gen);

		needs->gen[r->index] = last < gen ? last : gen;
	}
}

/*
 * [RP-3] mode (acquire) before replica: of a CPU in the guest it is the table of
 * that run or of a later one, which has flushed. Pairs with [RP-4] in
 * replica_use(): else a CPU is judged by a table that it has left. Shape: MP.
 */
static bool must_leave(const struct sd_cpu *line, const struct needs *needs)
{
	if (sd_settled_mode(line) == SD_OUTSIDE)
		return false;
	return sd_must_leave(line, needs->gen[plat_load(&line->replica)]);
}

static struct sd_asked ask_to_exit(struct sd_vm *sd, const struct needs *needs)
{
	struct sd_asked asked = SD_ASKED_NONE;

	plat_for_each_cpu(cpu, sd->cpus) {
		struct sd_cpu *line = plat_percpu_line(sd->cpu, cpu);

		if (must_leave(line, needs))
			sd_ask_to_exit(&asked, line, cpu);
	}
	return asked;
}

static void wait_until_left(struct sd_vm *sd, const struct needs *needs)
{
	plat_for_each_cpu(cpu, sd->cpus) {
		const struct sd_cpu *line = plat_percpu_line(sd->cpu, cpu);

		while (plat_load_acquire(&line->mode) == SD_EXITING &&
		       must_leave(line, needs))
			plat_cpu_relax();
	}
}

static void mark_done(struct replicas *set, const struct needs *needs)
{
	struct replica *r;

	for_each_replica(r, set)
		plat_mark_done(r->sd.root_pa, needs->gen[r->index]);
}

unsigned int replicas_settle_all(struct replicas *set, u64 gen)
{
	struct sd_vm *sd = &set->first.sd;
	struct sd_asked asked;
	struct needs needs;

	needs_init(&needs, set, gen);
	asked = ask_to_exit(sd, &needs);
	if (asked.kicks)
		plat_kick(asked.mask, asked.kicks);
	if (asked.running)
		wait_until_left(sd, &needs);
	mark_done(set, &needs);
	return asked.kicks;
}

enum sd_progress replicas_progress_all(struct replicas *set, u64 gen)
{
	struct sd_vm *sd = &set->first.sd;
	struct needs needs;

	needs_init(&needs, set, gen);
	plat_for_each_cpu(cpu, sd->cpus)
		if (must_leave(plat_percpu_line(sd->cpu, cpu), &needs))
			return SD_GOES_ON;
	mark_done(set, &needs);
	return SD_OVER;
}

unsigned int replicas_run_all(struct replicas *set, struct gather *gather)
{
	unsigned int kicks = replicas_settle_all(set, replicas_bump(set, gather));

	gather_flushed(gather);
	return kicks;
}
