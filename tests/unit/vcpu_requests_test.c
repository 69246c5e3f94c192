// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * smp/vcpu_requests.h and smp/members.h: what each step leaves behind, then all
 * of it at once: a thread that is a vCPU, with a TLB that forgets nothing until
 * it is told to, and two that remove what it has cached.
 */
#include "vcpu_requests.h"

#include <pthread.h>
#include <string.h>

#include "check.h"
#include "members.h"
#include "shootdown.h"

#define UNKNOWN	(1u << 31)	/* a request that nobody knows */

static struct dune_vcpu_page page;

static void start(u32 mode, u32 polling)
{
	memset(&page, 0, sizeof(page));
	page.mode = mode;
	page.polling = polling;
}

static void requester_learns_what_to_do(void)
{
	start(0, 0);
	CHECK_EQ(vreq_post(&page, DUNE_REQ_FLUSH), VREQ_OUTSIDE);
	CHECK_EQ(page.requests, DUNE_REQ_FLUSH);
	start(0, 1);
	CHECK_EQ(vreq_post(&page, DUNE_REQ_FLUSH), VREQ_OUTSIDE);
	start(1, 0);
	CHECK_EQ(vreq_post(&page, DUNE_REQ_FLUSH), VREQ_RUNS);
	start(1, 1);
	CHECK_EQ(vreq_post(&page, DUNE_REQ_IRQ), VREQ_POLLS);
	CHECK_EQ(vreq_post(&page, DUNE_REQ_FLUSH), VREQ_POLLS);
	CHECK_EQ(page.requests, DUNE_REQ_FLUSH | DUNE_REQ_IRQ);
}

static void run_takes_what_it_knows(void)
{
	start(0, 0);
	vreq_run_begin(&page);
	CHECK_EQ(page.mode, 1);
	CHECK_EQ(vreq_run_pending(&page), 0);
	page.requests = UNKNOWN | DUNE_REQUESTS;
	CHECK_EQ(vreq_run_pending(&page), DUNE_REQUESTS);
	CHECK_EQ(vreq_run_take(&page), DUNE_REQUESTS);
	CHECK_EQ(page.requests, UNKNOWN);
	vreq_run_end(&page);
	CHECK_EQ(page.mode, 0);
}

static void poll_is_over_after_the_flush(void)
{
	start(1, 1);
	CHECK(!vreq_take_flush(&page));
	vreq_post(&page, DUNE_REQ_FLUSH | DUNE_REQ_IRQ);
	CHECK(!vreq_is_over(&page));
	CHECK(vreq_take_flush(&page));
	CHECK(!vreq_is_over(&page));
	CHECK(!vreq_take_flush(&page));
	vreq_flush_done(&page);
	CHECK(vreq_is_over(&page));
	CHECK_EQ(page.requests, DUNE_REQ_IRQ);
}

static void request_during_a_flush_is_another_one(void)
{
	start(1, 1);
	vreq_post(&page, DUNE_REQ_FLUSH);
	CHECK(vreq_take_flush(&page));
	vreq_post(&page, DUNE_REQ_FLUSH);
	vreq_flush_done(&page);
	CHECK(!vreq_is_over(&page));
	CHECK(vreq_take_flush(&page));
	vreq_flush_done(&page);
	CHECK(vreq_is_over(&page));
}

static void run_in_between_flushes_as_well(void)
{
	start(1, 1);
	vreq_post(&page, DUNE_REQ_FLUSH);
	CHECK(vreq_take_flush(&page));
	vreq_run_end(&page);
	vreq_run_begin(&page);
	CHECK_EQ(vreq_run_take(&page), DUNE_REQ_FLUSHING);
	CHECK(vreq_is_over(&page));
	vreq_flush_done(&page);
	CHECK_EQ(page.requests, 0);
}

static void nobody_waits_for_who_is_outside(void)
{
	start(1, 1);
	vreq_post(&page, DUNE_REQ_FLUSH);
	vreq_run_end(&page);
	CHECK(vreq_is_over(&page));
	CHECK_EQ(page.requests, DUNE_REQ_FLUSH);
}

static void polling_ends(void)
{
	start(1, 0);
	vreq_poll_begin(&page);
	CHECK_EQ(vreq_post(&page, DUNE_REQ_FLUSH), VREQ_POLLS);
	vreq_poll_end(&page);
	CHECK(vreq_take_flush(&page));
	vreq_flush_done(&page);
	CHECK_EQ(vreq_post(&page, DUNE_REQ_FLUSH), VREQ_RUNS);
}

static void vector_is_pending_once(void)
{
	static const u32 vectors[] = { 0, 31, 63, 64, 200, 255 };

	for (unsigned int i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
		u32 vector = vectors[i];
		u64 bit = 1ull << vector % 64;

		start(1, 0);
		page.irr[vector / 64] = ~bit;
		CHECK_EQ(vreq_post_irq(&page, page.irr, vector), VREQ_RUNS);
		CHECK_EQ(page.requests, DUNE_REQ_IRQ);
		CHECK_EQ(page.irr[vector / 64], ~0ull);
		CHECK_EQ(vreq_run_take(&page), DUNE_REQ_IRQ);
		CHECK_EQ(vreq_post_irq(&page, page.irr, vector), VREQ_COALESCED);
		CHECK_EQ(page.requests, 0);
		CHECK_EQ(plat_xchg64(&page.irr[vector / 64], 0), ~0ull);
		CHECK_EQ(vreq_post_irq(&page, page.irr, vector), VREQ_RUNS);
	}
}

static void poll_takes_interrupts(void)
{
	start(1, 1);
	CHECK(!vreq_take_irq(&page));
	vreq_post(&page, DUNE_REQ_FLUSH);
	CHECK(!vreq_take_irq(&page));
	CHECK_EQ(vreq_post_irq(&page, page.irr, 77), VREQ_POLLS);
	CHECK(vreq_take_irq(&page));
	CHECK_EQ(page.requests, DUNE_REQ_FLUSH);
}

static void kicks_are_by_id(void)
{
	struct dune_kick kick = { { 0 } };

	vreq_kick_add(&kick, 0);
	vreq_kick_add(&kick, 65);
	vreq_kick_add(&kick, DUNE_MAX_VCPUS - 1);
	CHECK_EQ(kick.ids[0], 1);
	CHECK_EQ(kick.ids[1], 2);
	CHECK_EQ(kick.ids[DUNE_MAX_VCPUS / 64 - 1], 1ull << 63);
}

static void members_come_and_go(void)
{
	struct members members = { { 0 } };

	members_join(&members, 3);
	members_join(&members, 64);
	members_join(&members, 67);
	CHECK_EQ(members_word(&members, 0), 8);
	CHECK_EQ(members_word(&members, 1), 9);
	members_leave(&members, 64);
	CHECK_EQ(members_word(&members, 0), 8);
	CHECK_EQ(members_word(&members, 1), 8);
}

/* --- all at once --- */

#define FLUSHES	 5000u		/* enough */

static u64 version;		/* of the only entry */
static u64 freed;		/* no version below it may be in use */
static u64 kicks, runs;		/* of the vCPU; asked for, begun */
static u32 stop;		/* the initiators */

/* DUNE_HC_KICK: the run has ended, or another one has begun. */
static void kick_and_wait(void)
{
	u64 run = plat_load_acquire(&runs);

	plat_add64_full(&kicks, 1);
	while (plat_load_acquire(&page.mode) && plat_load_acquire(&runs) == run)
		plat_cpu_relax();
}

static void *initiator(void *unused)
{
	(void)unused;
	while (!plat_load(&stop)) {
		u64 now = plat_add64_full(&version, 1);
		enum vreq_state state = vreq_post(&page, DUNE_REQ_FLUSH);
		u64 old;

		if (state == VREQ_RUNS)
			kick_and_wait();
		while (state == VREQ_POLLS && !vreq_is_over(&page))
			plat_cpu_relax();
		old = plat_load(&freed);
		while (old < now && !plat_cas64(&freed, &old, now))
			;
	}
	return NULL;
}

struct tlb {
	u64 cached;		/* version; 0: nothing */
	u64 flushes;
	u32 seed;
};

static u32 random_below(struct tlb *tlb, u32 n)
{
	tlb->seed = tlb->seed * 1664525u + 1013904223u;
	return (tlb->seed >> 16) % n;
}

static void serve(struct tlb *tlb)
{
	if (!vreq_take_flush(&page))
		return;
	tlb->cached = 0;
	tlb->flushes++;
	vreq_flush_done(&page);
}

static void turn(struct tlb *tlb)
{
	u64 gone;

	if (!tlb->cached)
		tlb->cached = plat_load_acquire(&version);
	gone = plat_load_acquire(&freed);
	if (tlb->cached < gone)
		check_fail("version %llu is in use, %llu was freed",
			   tlb->cached, gone);
	if (page.polling)
		serve(tlb);
	if (random_below(tlb, 8))
		return;
	if (page.polling) {
		vreq_poll_end(&page);
		serve(tlb);
	} else {
		vreq_poll_begin(&page);
	}
}

static void one_run(struct tlb *tlb, const struct sd_vm *vm, struct sd_cpu *cpu)
{
	u64 seen = plat_load_acquire(&kicks);

	plat_store_release(&runs, runs + 1);
	vreq_run_begin(&page);
	sd_enter(vm, cpu);
	if (vreq_run_pending(&page) && vreq_run_take(&page) & VREQ_FLUSHES) {
		tlb->cached = 0;
		tlb->flushes++;
	}
	do
		turn(tlb);
	while (random_below(tlb, 64) && plat_load_acquire(&kicks) == seen);
	vreq_run_end(&page);
}

static void nothing_freed_is_in_use(void)
{
	struct sd_vm vm = { .gen = 1 };
	struct sd_cpu cpu = { .seen = 1 };
	struct tlb tlb = { .seed = 1 };
	pthread_t threads[2];

	start(0, 0);
	version = 1;
	freed = kicks = runs = 0;
	stop = 0;
	for (int i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, initiator, NULL)) {
			check_fail("no thread");
			return;
		}
	while (tlb.flushes < FLUSHES && !check_failed())
		one_run(&tlb, &vm, &cpu);
	plat_store(&stop, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(plat_load(&freed), plat_load(&version));
}

int main(void)
{
	CASE(requester_learns_what_to_do);
	CASE(run_takes_what_it_knows);
	CASE(poll_is_over_after_the_flush);
	CASE(request_during_a_flush_is_another_one);
	CASE(run_in_between_flushes_as_well);
	CASE(nobody_waits_for_who_is_outside);
	CASE(polling_ends);
	CASE(vector_is_pending_once);
	CASE(poll_takes_interrupts);
	CASE(kicks_are_by_id);
	CASE(members_come_and_go);
	CASE(nothing_freed_is_in_use);
	return CHECK_EXIT();
}
