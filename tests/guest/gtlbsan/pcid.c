// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Two roots, A and B, under PCIDs, on one vCPU. */
#include "gtlbsan.h"

#define A (world.root[0].cr3)
#define B (world.root[1].cr3)
#define SPACE_A 0xa
#define SPACE_B 0xb
#define PCID_A 1
#define PCID_B 2

static void view_both(void)
{
	tlb_mark_view(SPACE_A, A);
	tlb_mark_view(SPACE_B, B);
}

/* What follows in the guest, when page 0 of A is cached under its PCID. */
typedef void plot_fn(void);

static void plot_guest(void *arg)
{
	plot_fn *const *plot = arg;

	set_cr3(A | PCID_A);
	touch(rawpt_small(0));
	(*plot)();
	leave();
}

static void play(const void *plot)
{
	guest_once(A, plot_guest, plot);
}

/* ---- a page of A goes while B is current ---- */

static void remove_in_b(void)
{
	view_both();
	set_cr3(B | PCID_B | CR3_KEEP);
	set_entry(&world.root[0].pt[0], 0);
	tlb_mark_removed(SPACE_A, rawpt_small(0), RAWPT_PAGE, TICKET);
}

static void back_to_a(void)
{
	tlb_mark_done(TICKET);
	set_cr3(A | PCID_A | CR3_KEEP);
}

static void removed(void)
{
	remove_in_b();
	back_to_a();
}

static void removed_stays_away(void)
{
	remove_in_b();
	tlb_mark_done(TICKET);
	touch(rawpt_small(0));
}

static void removed_cr3_flushes(void)
{
	remove_in_b();
	tlb_mark_done(TICKET);
	set_cr3(A | PCID_A);
}

static void removed_invlpg(void)
{
	remove_in_b();
	invlpg(rawpt_small(0));
	back_to_a();
}

static void removed_invpcid(void)
{
	remove_in_b();
	invpcid(INVPCID_ADDR, PCID_A, rawpt_small(0));
	back_to_a();
}

static void removed_invpcid_b(void)
{
	remove_in_b();
	invpcid(INVPCID_ONE, PCID_B, 0);
	back_to_a();
}

static void removed_invpcid_all(void)
{
	remove_in_b();
	invpcid(INVPCID_NOT_GLOBAL, 0, 0);
	back_to_a();
}

/* ---- B gets the PCID of A ---- */

static void reused(void)
{
	view_both();
	set_cr3(B | PCID_A | CR3_KEEP);
}

static void reused_unseen(void)
{
	set_cr3(B | PCID_A | CR3_KEEP);
}

/* The marks are made in plain mode, before the vm is first entered. */
static void play_young(const void *plot)
{
	view_both();
	guest_once(A, plot_guest, plot);
}

static void reused_flushed(void)
{
	view_both();
	set_cr3(B | PCID_A);
}

static void reused_invpcid(void)
{
	view_both();
	set_cr3(B | PCID_B);
	invpcid(INVPCID_ONE, PCID_A, 0);
	set_cr3(B | PCID_A | CR3_KEEP);
}

/* ---- A is freed ---- */

static void gone(void)
{
	view_both();
	set_cr3(B | PCID_B | CR3_KEEP);
	tlb_mark_gone(A);
	set_cr3(B | PCID_A | CR3_KEEP);
}

static void gone_in_use(void)
{
	view_both();
	tlb_mark_gone(A);
}

static void gone_flushed(void)
{
	view_both();
	set_cr3(B | PCID_B | CR3_KEEP);
	tlb_mark_gone(A);
	invpcid(INVPCID_ONE, PCID_A, 0);
	set_cr3(B | PCID_A | CR3_KEEP);
}

/* The memory of A's table is a table of another address space now. */
static void gone_unsaid(void)
{
	view_both();
	set_cr3(B | PCID_B | CR3_KEEP);
	tlb_mark_view(SPACE_B, A);
	set_cr3(A | PCID_A | CR3_KEEP);
}

/* ---- global translations are every root's ---- */

static void global_guest(void *arg)
{
	plot_fn *const *plot = arg;

	view_both();
	set_cr3(A | PCID_A);
	touch(rawpt_small(0));
	(*plot)();
	leave();
}

static void play_global(const void *plot)
{
	world.root[0].pt[0] |= RAWPT_G;
	world.root[1].pt[0] |= RAWPT_G;
	guest_once(A, global_guest, plot);
}

static void global_same(void)
{
	set_cr3(B | PCID_B);
	touch(rawpt_small(0));
}

/* B's tables are in the EPT, and can be judged, when something of them is used. */
static void global_differs(void)
{
	set_entry(&world.root[1].pt[0], frame(1) | RAWPT_P | RAWPT_G);
	set_cr3(B | PCID_B);
	touch(rawpt_small(1));
}

static void global_flush_first(void)
{
	invpcid(INVPCID_ALL, 0, 0);
	global_differs();
}

static void global_removed(void)
{
	set_cr3(B | PCID_B);
	touch(rawpt_small(0));
	for (int i = 0; i < 2; i++) {
		set_entry(&world.root[i].pt[0], 0);
		tlb_mark_removed(i ? SPACE_B : SPACE_A, rawpt_small(0), RAWPT_PAGE,
				 TICKET);
	}
	set_cr3(B | PCID_B);
	tlb_mark_done(TICKET);
}

/* ---- PCIDs on and off ---- */

static void pcids_off(void)
{
	uint64_t cr4 = get_cr4();

	remove_in_b();
	set_cr3(B);
	set_cr4(cr4 & ~CR4_PCIDE);
	set_cr4(cr4);
	back_to_a();
}

struct plot {
	const char *scene, *name;
	enum verdict want;
	plot_fn *fn;
	void (*play)(const void *plot);
};

static const struct plot plots[] = {
	{ "PCID, removed:", "no flush", REPORT, removed, play },
	{ "PCID, removed:", "not used again", CLEAN, removed_stays_away, play },
	{ "PCID, removed:", "MOV CR3 flushes", CLEAN, removed_cr3_flushes, play },
	{ "PCID, removed:", "INVLPG in B", REPORT, removed_invlpg, play },
	{ "PCID, removed:", "INVPCID for A", CLEAN, removed_invpcid, play },
	{ "PCID, removed:", "INVPCID for B", REPORT, removed_invpcid_b, play },
	{ "PCID, removed:", "INVPCID for all", CLEAN, removed_invpcid_all, play },
	{ "PCID, removed:", "PCIDs off", CLEAN, pcids_off, play },
	{ "PCID, reused:", "no flush", REPORT, reused, play },
	{ "PCID, reused:", "no marks", CLEAN, reused_unseen, play },
	{ "PCID, reused:", "early marks", REPORT, reused_unseen, play_young },
	{ "PCID, reused:", "MOV CR3 flushes", CLEAN, reused_flushed, play },
	{ "PCID, reused:", "INVPCID", CLEAN, reused_invpcid, play },
	{ "PCID, gone:", "no flush", REPORT, gone, play },
	{ "PCID, gone:", "in use", REPORT, gone_in_use, play },
	{ "PCID, gone:", "INVPCID", CLEAN, gone_flushed, play },
	{ "PCID, gone:", "without a mark", REPORT, gone_unsaid, play },
	{ "global:", "the same in both", CLEAN, global_same, play_global },
	{ "global:", "differs", REPORT, global_differs, play_global },
	{ "global:", "differs, flushed", CLEAN, global_flush_first, play_global },
	{ "global:", "removed from both", REPORT, global_removed, play_global },
};

void scenes_pcid(void)
{
	for (size_t i = 0; i < sizeof(plots) / sizeof(*plots); i++)
		row(plots[i].scene, plots[i].name, plots[i].want, plots[i].play,
		    &plots[i].fn);
}
