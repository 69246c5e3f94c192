// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * VPIDs (sched-hooks/vpid.c) on simulated CPUs, each with a TLB that keeps what
 * it has for every VPID until it is told to flush.
 */
#include "vpid.h"

#include <string.h>

#include "check.h"

#define NR_CPUS	4
#define NR_VCPUS 40

/* What a TLB holds of a VPID: whose page table, and which version of it. */
struct cached {
	int vcpu;		/* + 1; 0: nothing */
	int version;
};

static struct cpu {
	struct vpid_pool pool;
	struct cached tlb[VPID_LAST + 1];
	int flushes;
} cpus[NR_CPUS];

static struct vcpu {
	struct vpid_tag tag;
	int version;		/* of its page table */
	int stays;		/* of its VPIDs */
} vcpus[NR_VCPUS];

static u64 seed;

static unsigned int random_below(unsigned int n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed >> 20) % n;
}

static void flush_all(struct cpu *c)
{
	memset(c->tlb, 0, sizeof(c->tlb));
	c->flushes++;
}

static void start(void)
{
	memset(cpus, 0, sizeof(cpus));
	memset(vcpus, 0, sizeof(vcpus));
	seed = 88172645463325252ull;
	for (int i = 0; i < NR_CPUS; i++)
		vpid_pool_restart(&cpus[i].pool, i);
}

/* As the module does: take, flush if so told, enter, use what is cached. */
static enum vpid_use run(int cpu, int vcpu, u32 limit)
{
	struct cpu *c = &cpus[cpu];
	struct vcpu *v = &vcpus[vcpu];
	enum vpid_use use = vpid_take(&c->pool, &v->tag, limit);
	struct cached *entry;

	if (use == VPID_TAKEN_FLUSH)
		flush_all(c);
	v->stays += use != VPID_KEPT;
	CHECK(vpid_is_current(&c->pool, &v->tag));
	CHECK(v->tag.vpid >= 1 && v->tag.vpid <= VPID_LAST);
	entry = &c->tlb[v->tag.vpid];
	/* Anything cached is its own and of now. */
	if (entry->vcpu) {
		CHECK_EQ(entry->vcpu, vcpu + 1);
		CHECK_EQ(entry->version, v->version);
	}
	/* It changes its page table now and then, and flushes this CPU only. */
	if (random_below(3) == 0)
		v->version++;
	*entry = (struct cached){ .vcpu = vcpu + 1, .version = v->version };
	return use;
}

static void who_stays_keeps_his_vpid(void)
{
	start();
	CHECK_EQ(run(0, 0, VPID_LAST), VPID_TAKEN);
	for (int i = 0; i < 100000; i++)
		CHECK_EQ(run(0, 0, VPID_LAST), VPID_KEPT);
	CHECK_EQ(cpus[0].flushes, 0);
}

static void two_on_one_cpu_keep_theirs(void)
{
	start();
	for (int i = 0; i < 1000; i++) {
		CHECK_EQ(run(0, 0, VPID_LAST), i ? VPID_KEPT : VPID_TAKEN);
		CHECK_EQ(run(0, 1, VPID_LAST), i ? VPID_KEPT : VPID_TAKEN);
	}
}

static void a_move_takes_a_new_one_and_flushes_nothing(void)
{
	start();
	for (int i = 0; i < 60000; i++)
		CHECK_EQ(run(i & 1, 0, VPID_LAST), VPID_TAKEN);
	CHECK_EQ(cpus[0].flushes + cpus[1].flushes, 0);
}

static void the_last_one_is_given_out(void)
{
	start();
	for (u32 i = 1; i <= VPID_LAST; i++) {
		CHECK_EQ(run(0, 0, VPID_LAST), VPID_TAKEN);
		CHECK_EQ(vcpus[0].tag.vpid, i);
		run(1, 0, VPID_LAST);
	}
	CHECK_EQ(run(0, 0, VPID_LAST), VPID_TAKEN_FLUSH);
	CHECK_EQ(vcpus[0].tag.vpid, 1);
	CHECK_EQ(cpus[0].flushes, 1);
}

/* More vCPUs than VPIDs: a flush a generation, and never a failure. */
static void exhaustion_costs_a_flush(void)
{
	int taken = 0;

	start();
	for (int round = 0; round < 100; round++)
		for (int v = 0; v < 20; v++) {
			CHECK(run(0, v, 4) != VPID_KEPT);
			CHECK(vcpus[v].tag.vpid <= 4);
			taken++;
		}
	CHECK_EQ(cpus[0].flushes, (taken - 1) / 4);
}

/* VMX off and on again: what was given out before is not believed. */
static void restart_forgets_all(void)
{
	start();
	run(0, 0, VPID_LAST);
	flush_all(&cpus[0]);
	vpid_pool_restart(&cpus[0].pool, 0);
	CHECK_EQ(run(0, 1, VPID_LAST), VPID_TAKEN);
	CHECK_EQ(run(0, 0, VPID_LAST), VPID_TAKEN);
	CHECK(vcpus[0].tag.vpid != vcpus[1].tag.vpid);
}

static void a_cpu_without_vpids_is_content(void)
{
	struct vpid_pool none = { 0 };
	struct vpid_tag tag = { 0 };

	CHECK(vpid_is_current(&none, &tag));
	CHECK_EQ(vpid_take(&none, &tag, VPID_LAST), VPID_KEPT);
	CHECK_EQ(tag.vpid, 0);
}

/* A limit lowered below what was given out already, and raised again. */
static void nothing_stale_whatever_happens(void)
{
	static const u32 limits[] = { VPID_FEWEST, 3, 7, 100, VPID_LAST };
	u32 limit = VPID_FEWEST;

	start();
	for (int i = 0; i < 1000000 && !check_failed(); i++) {
		if (random_below(5000) == 0)
			limit = limits[random_below(5)];
		if (limit <= 100 || random_below(100) == 0)
			run(random_below(NR_CPUS), random_below(NR_VCPUS), limit);
		else
			run(random_below(NR_CPUS), random_below(3), limit);
	}
	for (int i = 0; i < NR_CPUS; i++)
		CHECK(cpus[i].flushes > 100);
}

int main(void)
{
	CASE(who_stays_keeps_his_vpid);
	CASE(two_on_one_cpu_keep_theirs);
	CASE(a_move_takes_a_new_one_and_flushes_nothing);
	CASE(the_last_one_is_given_out);
	CASE(exhaustion_costs_a_flush);
	CASE(restart_forgets_all);
	CASE(a_cpu_without_vpids_is_content);
	CASE(nothing_stale_whatever_happens);
	return CHECK_EXIT();
}
