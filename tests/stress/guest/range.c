// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Units: where they are, who owns them, what CPUs may do there. */
#include "guest.h"

static const unsigned int hot_page[NR_HOT] = { 0, 1, 2, 7, 8, 255, 510, 511 };

/* The first and last unit are what the regions leave of their slots. */
void units_init(void)
{
	u64 region = BASE + SLOT_SIZE - NR_REGIONS / 2 * REGION_SIZE;

	for (unsigned int u = 0; u < NR_UNITS; u++) {
		struct unit *unit = &w.unit[u];

		*unit = (struct unit){
			.state = w.wild ? 0 : NO_READ | NO_WRITE,
		};
		if (u == 0)
			unit->addr = BASE;
		else
			unit->addr = region + (u - 1) / NR_HOT * REGION_SIZE +
				     hot_page[(u - 1) % NR_HOT] * PAGE;
	}
	w.unit[NR_UNITS - 1].addr = region + NR_REGIONS * REGION_SIZE;
}

unsigned int unit_at(u64 addr)
{
	unsigned int u = NR_UNITS - 1;

	while (w.unit[u].addr > addr)
		u--;
	return u;
}

struct span span_of(unsigned int first, unsigned int last)
{
	return (struct span){
		first, last, w.unit[first].addr,
		last == NR_UNITS - 1 ? END : w.unit[last + 1].addr,
	};
}

struct span random_span(void)
{
	unsigned int half = NR_UNITS / 2, r = rnd(NR_REGIONS);
	unsigned int first = 1 + r * NR_HOT, i = rnd(NR_HOT), more;

	switch (rnd(32)) {
	case 0:			/* a slot, or both */
		if (rnd(2))
			return span_of(first + i, first + i);
		r = rnd(3);
		return span_of(r == 1 ? half : 0,
			       r == 0 ? half - 1 : NR_UNITS - 1);
	case 1:
		return span_of(rnd(2) * (NR_UNITS - 1), NR_UNITS - 1);
	case 2: case 3: case 4: case 5: case 6: case 7: case 17: case 18:
		more = rnd(4) ? 0 : rnd(NR_REGIONS - r);	/* regions */
		return span_of(first, first + (more + 1) * NR_HOT - 1);
	case 8: case 9: case 10:	/* over a seam, not aligned */
		more = rnd(2 * NR_HOT);
		if (first + i + more > NR_UNITS - 2)
			more = 0;
		return span_of(first + i, first + i + more);
	case 11: case 12: case 13: case 14: case 15: case 16:
		more = rnd(NR_HOT - i);
		return span_of(first + i, first + i + more);
	default:
		return span_of(first + i, first + i);
	}
}

bool span_own(const struct span *span)
{
	if (w.wild)
		return true;
	for (unsigned int u = span->first; u <= span->last; u++) {
		u32 free = 0;

		if (plat_cas32(&w.unit[u].owned, &free, 1))
			continue;
		while (u-- > span->first)
			plat_store_release(&w.unit[u].owned, 0);
		count(owned_by_others, 1);
		return false;
	}
	return true;
}

void span_disown(const struct span *span)
{
	for (unsigned int u = span->first; !w.wild && u <= span->last; u++)
		plat_store_release(&w.unit[u].owned, 0);
}

static void change(struct unit *unit, u64 bits)
{
	u64 state = plat_load(&unit->state);

	if ((state & (NO_READ | NO_WRITE)) == bits)
		return;
	state = (state & ~(NO_READ | NO_WRITE)) + STATE_CHANGE;
	__atomic_store_n(&unit->state, state | bits, __ATOMIC_SEQ_CST);
}

void unit_allow(struct unit *unit, u64 what)
{
	if (!w.wild)
		change(unit, plat_load(&unit->state) & 3 & ~what);
}

void unit_forbid(struct unit *unit, u64 what)
{
	if (!w.wild)
		change(unit, (plat_load(&unit->state) & 3) | what);
}
