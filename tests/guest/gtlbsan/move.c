// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What a vCPU left behind on a CPU: nothing it could use when it comes back, for
 * it comes with another VPID. What it finds where it stayed it can use.
 */
#include "gtlbsan.h"

#include <sys/mman.h>

/* Meanwhile, in plain mode. */
enum meanwhile { NOTHING, ELSEWHERE, EPT_FLUSH };

struct move {
	bool moves;		/* to CPU 1 before the page goes, and back after */
	bool flushes;		/* where it is when the page goes */
	bool from_outside;	/* the page goes while the vCPU is outside */
	enum meanwhile meanwhile;
};

static struct move now;
/* A page that the guest uses, and no table. */
#define USED (world.mem + 8 * RAWPT_PAGE)

static void remove_page(void)
{
	set_entry(&world.root[0].pt[0], 0);
	tlb_mark_removed(world.root[0].cr3, rawpt_small(0), RAWPT_PAGE, TICKET);
}

static void move_guest(void *arg)
{
	touch(rawpt_small(0));
	touch((uint64_t)USED);
	leave();
	if (!now.from_outside) {
		touch(rawpt_small(0));
		remove_page();
		if (now.flushes)
			invlpg(rawpt_small(0));
		tlb_mark_done(TICKET);
	}
	leave();
	leave();
}

/* Goes from the EPT. */
static void flush_ept(void)
{
	CHECK_EQ(madvise(USED, RAWPT_PAGE, MADV_DONTNEED), 0);
}

static void move(const void *arg)
{
	struct rawvcpu vcpu;

	now = *(const struct move *)arg;
	guest_begin(&vcpu, world.root[0].cr3, move_guest, &now);
	if (now.moves)
		pin_to(1);
	guest_more(&vcpu);
	if (now.from_outside) {
		remove_page();
		tlb_mark_done(TICKET);
	}
	switch (now.meanwhile) {
	case NOTHING: break;
	case ELSEWHERE: pin_to(1); break;
	case EPT_FLUSH: flush_ept(); break;
	}
	if (now.moves)
		pin_to(0);
	guest_more(&vcpu);
	rawvcpu_destroy(&vcpu);
}

struct move_row {
	const char *name;
	enum verdict want;
	struct move move;
};

void scenes_move(void)
{
	static const struct move_row rows[] = {
		{ "flushes there and comes back", CLEAN, { true, true, false, NOTHING } },
		{ "does not flush there", REPORT, { true, false, false, NOTHING } },
		{ "outside, then moves", CLEAN, { false, false, true, ELSEWHERE } },
		{ "outside, then goes on", REPORT, { false, false, true, NOTHING } },
		{ "outside, EPT flushed", CLEAN, { false, false, true, EPT_FLUSH } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		row("migration:", rows[i].name, rows[i].want, move, &rows[i].move);
}
