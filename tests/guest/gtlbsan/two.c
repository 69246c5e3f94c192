// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Two vCPUs under one table: one changes it, from its guest or from plain Linux
 * mode, the other has the page cached, is asked to flush and says when it has.
 */
#include "gtlbsan.h"

#include <pthread.h>
#include <sched.h>

/* What the asked one does. */
enum target { FLUSHES, FLUSHES_NOTHING, FLUSHES_LATE, FLUSHES_TOO_LATE };
/* Where the asking one is; and flushes its own CPU, or not. */
enum initiator { IN_GUEST, IN_GUEST_NO_FLUSH, IN_PLAIN_MODE };

struct two {
	enum target target;
	enum initiator initiator;
};

enum { IDLE, CACHED, ASKED, ACKED, OVER };

static struct two now;
static volatile int phase;

static void set_phase(int value)
{
	__atomic_store_n(&phase, value, __ATOMIC_RELEASE);
}

/* In the guest: no call, and no end but that of the row. */
static void await(int value)
{
	while (__atomic_load_n(&phase, __ATOMIC_ACQUIRE) < value)
		asm volatile("pause");
}

static void target_guest(void *arg)
{
	const uint64_t addr = rawpt_small(0);

	touch(addr);
	set_phase(CACHED);
	await(ASKED);
	if (now.target == FLUSHES)
		invlpg(addr);
	if (now.target == FLUSHES_LATE)		/* but before it says so */
		for (int i = 0; i < 100000; i++)
			asm volatile("pause");
	if (now.target == FLUSHES_LATE)
		set_cr3(get_cr3());
	set_phase(ACKED);
	await(OVER);
	if (now.target == FLUSHES_TOO_LATE)
		invlpg(addr);
	leave();
}

static void *target_thread(void *unused)
{
	pin_to(1);
	guest_once(world.root[0].cr3, target_guest, &now);
	return NULL;
}

static void ask(void)
{
	uint64_t space = world.root[0].cr3;

	set_entry(&world.root[0].pt[0], 0);
	tlb_mark_removed(space, rawpt_small(0), RAWPT_PAGE, TICKET);
	set_phase(ASKED);
}

static void initiator_guest(void *arg)
{
	touch(rawpt_small(0));
	ask();
	if (now.initiator == IN_GUEST)
		invlpg(rawpt_small(0));
	await(ACKED);
	tlb_mark_done(TICKET);
	leave();
}

static void two(const void *arg)
{
	pthread_t thread;

	now = *(const struct two *)arg;
	errno = pthread_create(&thread, NULL, target_thread, NULL);
	REQUIRE(errno == 0);
	REQUIRE(wait_for(&phase, CACHED, LIMIT));
	if (now.initiator == IN_PLAIN_MODE) {
		ask();
		wait_for(&phase, ACKED, LIMIT);
		tlb_mark_done(TICKET);
	} else {
		guest_once(world.root[0].cr3, initiator_guest, &now);
	}
	set_phase(OVER);
	pthread_join(thread, NULL);
}

struct two_row {
	const char *name;
	enum verdict want;
	struct two two;
};

void scenes_two(void)
{
	static const struct two_row rows[] = {
		{ "both flush", CLEAN, { FLUSHES, IN_GUEST } },
		{ "it flushes late", CLEAN, { FLUSHES_LATE, IN_GUEST } },
		{ "it does not flush", REPORT, { FLUSHES_NOTHING, IN_GUEST } },
		{ "it flushes too late", REPORT, { FLUSHES_TOO_LATE, IN_GUEST } },
		{ "only it flushes", REPORT, { FLUSHES, IN_GUEST_NO_FLUSH } },
		{ "asked from plain mode", CLEAN, { FLUSHES, IN_PLAIN_MODE } },
		{ "asked from plain mode, no flush", REPORT,
		  { FLUSHES_NOTHING, IN_PLAIN_MODE } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		row("two vCPUs:", rows[i].name, rows[i].want, two, &rows[i].two);
}
