// SPDX-License-Identifier: GPL-2.0 OR MIT
/* One vCPU under one root: each way to flush, each kind of change. */
#include "gtlbsan.h"

#define OTHER_PCID 5

/* What is cached, what becomes of it, how it is flushed. */
struct one {
	void (*prepare)(void);
	uint64_t addr;
	void (*change)(void);
	void (*flush)(void);
	uint64_t from, len;	/* of the mark */
	uint64_t space;		/* of the mark; 0: that of the root */
	uint64_t done;		/* ticket that is done; 0: the mark's */
	int value;		/* read at addr afterwards; 0: not read */
};

static struct {
	struct one o;
	int value;
} run;

static void one_guest(void *arg)
{
	const struct one *o = &run.o;
	uint64_t space = o->space ? o->space : world.root[0].cr3;

	touch(o->addr);
	o->change();
	tlb_mark_removed(space, o->from, o->len, TICKET);
	o->flush();
	tlb_mark_done(o->done ? o->done : TICKET);
	run.value = o->value ? touch(o->addr) : 0;
	leave();
}

static void one(const void *arg)
{
	run.o = *(const struct one *)arg;
	if (run.o.prepare)
		run.o.prepare();
	guest_once(world.root[0].cr3, one_guest, &run);
	CHECK_EQ(run.value, run.o.value);
}

/* ---- ways to flush ---- */

static void no_flush(void) { }
static void flush_page(void) { invlpg(run.o.addr); }
/* Of a large page it is the same page. */
static void flush_next_page(void) { invlpg(run.o.addr + RAWPT_PAGE); }
static void flush_addr(void) { invpcid(INVPCID_ADDR, 0, run.o.addr); }
static void flush_addr_other(void) { invpcid(INVPCID_ADDR, OTHER_PCID, run.o.addr); }
/* Far away: no table on the way is the same, but the root. */
static void flush_far_page(void) { invlpg((uint64_t)&run); }
static void flush_far_addr(void) { invpcid(INVPCID_ADDR, 0, (uint64_t)&run); }
static void flush_pcid(void) { invpcid(INVPCID_ONE, 0, 0); }
static void flush_pcid_other(void) { invpcid(INVPCID_ONE, OTHER_PCID, 0); }
static void flush_all(void) { invpcid(INVPCID_ALL, 0, 0); }
static void flush_not_global(void) { invpcid(INVPCID_NOT_GLOBAL, 0, 0); }
static void write_cr3(void) { set_cr3(get_cr3()); }
static void write_cr3_keep(void) { set_cr3(get_cr3() | CR3_KEEP); }

static void toggle_pge(void)
{
	uint64_t cr4 = get_cr4();

	set_cr4(cr4 ^ CR4_PGE);
	set_cr4(cr4);
}

static void toggle_pcide(void)
{
	uint64_t cr4 = get_cr4();

	set_cr4(cr4 & ~CR4_PCIDE);
	set_cr4(cr4);
}

struct way {
	const char *name;
	void (*flush)(void);
	enum verdict small, large, global;
};

static const struct way ways[] = {
	{ "nothing", no_flush, REPORT, REPORT, REPORT },
	{ "INVLPG", flush_page, CLEAN, CLEAN, CLEAN },
	{ "INVLPG of the next page", flush_next_page, REPORT, CLEAN, REPORT },
	{ "INVPCID address", flush_addr, CLEAN, CLEAN, REPORT },
	{ "INVPCID address, other PCID", flush_addr_other, REPORT, REPORT, REPORT },
	{ "INVPCID another address", flush_far_addr, REPORT, REPORT, REPORT },
	{ "INVPCID context", flush_pcid, CLEAN, CLEAN, REPORT },
	{ "INVPCID context, other PCID", flush_pcid_other, REPORT, REPORT, REPORT },
	{ "INVPCID all", flush_all, CLEAN, CLEAN, CLEAN },
	{ "INVPCID all but global", flush_not_global, CLEAN, CLEAN, REPORT },
	{ "MOV CR3", write_cr3, CLEAN, CLEAN, REPORT },
	{ "MOV CR3 with bit 63", write_cr3_keep, REPORT, REPORT, REPORT },
	{ "CR4.PGE", toggle_pge, CLEAN, CLEAN, CLEAN },
	{ "CR4.PCIDE", toggle_pcide, CLEAN, CLEAN, CLEAN },
};

/* ---- changes ---- */

#define PT world.root[0].pt
#define PD world.root[0].pd

static void set(unsigned int i, uint64_t value)
{
	set_entry(&PT[i], value);
}

static void global_page(void) { PT[0] |= RAWPT_G; }
static void large_page(void) { PD[1] = frame(0) | RAWPT_P | RAWPT_W | RAWPT_PS; }
static void user_page(void) { PT[0] |= RAWPT_U; }
static void dirty_page(void) { PT[0] |= RAWPT_D; }
static void read_only_page(void) { PT[0] &= ~RAWPT_W; }
static void nx_page(void) { PT[0] |= RAWPT_NX; }

/* A table for pd[1] that says what the large page did. */
static void table_for_large(void)
{
	large_page();
	for (unsigned int i = 0; i < 512; i++)
		world.root[1].pt[i] = frame(i) | RAWPT_P | RAWPT_W | RAWPT_D;
}

/* The other way round: 512 small pages at pd[1]. */
static void small_for_large(void)
{
	table_for_large();
	PD[1] = world.root[1].pt_gpa | RAWPT_TABLE;
}

/* pd[0]'s table again, elsewhere. */
static void copy_table(void)
{
	for (unsigned int i = 0; i < 16; i++)
		world.root[1].pt[i] = PT[i] | RAWPT_D;
}

static void remap(void) { set(0, frame(1) | RAWPT_P | RAWPT_W); }
static void remap_large(void) { set_entry(&PD[1], PD[1] ^ RAWPT_LARGE); }
static void unmap(void) { set(0, 0); }
static void write_protect(void) { set(0, PT[0] & ~RAWPT_W); }
static void make_nx(void) { set(0, PT[0] | RAWPT_NX); }
static void make_supervisor(void) { set(0, PT[0] & ~RAWPT_U); }
static void clean(void) { set(0, PT[0] & ~RAWPT_D); }
static void forget_accessed(void) { set(0, PT[0] & ~0x20ull); }
static void allow_writes(void) { set(0, PT[0] | RAWPT_W); }
static void allow_execution(void) { set(0, PT[0] & ~RAWPT_NX); }
static void write_the_same(void) { set(0, PT[0]); }
static void split(void) { set_entry(&PD[1], world.root[1].pt_gpa | RAWPT_TABLE); }
static void merge(void) { set_entry(&PD[1], frame(0) | RAWPT_P | RAWPT_W | RAWPT_D | RAWPT_PS); }
static void other_table(void) { set_entry(&PD[0], world.root[1].pt_gpa | RAWPT_TABLE); }
static void unmap_table(void) { set_entry(&PD[0], 0); }

static void split_without_one(void)
{
	world.root[1].pt[3] = 0;
	split();
}

/* By another thread, whose shootdown is not over. */
static void unmap_by_another(void)
{
	unmap();
	tlb_mark_removed(world.root[0].cr3, rawpt_small(0), RAWPT_PAGE,
			 TICKET + 1);
}

/* Unmapped and mapped again as it was: nothing to promise. */
static void unmap_and_back(void)
{
	uint64_t entry = PT[0];

	unmap();
	set(0, entry);
}

static void all_the_ways(void)
{
	const uint64_t p0 = rawpt_small(0), l1 = rawpt_large(1);

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		const struct way *w = &ways[i];
		/* With a flush the new page is read. */
		struct one small = { .addr = p0, .change = remap, .flush = w->flush,
				     .from = p0, .len = RAWPT_PAGE,
				     .value = w->small == CLEAN ? 2 : 0 };
		struct one large = { large_page, l1, remap_large, w->flush, l1,
				     RAWPT_LARGE, 0, 0, 0 };
		struct one global = { global_page, p0, unmap, w->flush, p0,
				      RAWPT_PAGE, 0, 0, 0 };

		row("small page:", w->name, w->small, one, &small);
		row("large page:", w->name, w->large, one, &large);
		row("global page:", w->name, w->global, one, &global);
	}
}

struct kind {
	const char *name;
	void (*prepare)(void);
	void (*change)(void);
	enum verdict without;	/* a flush */
	unsigned int pd;	/* the 2 MiB it is in */
};

static const struct kind kinds[] = {
	{ "remap", NULL, remap, REPORT, 0 },
	{ "unmap", NULL, unmap, REPORT, 0 },
	{ "write-protect", NULL, write_protect, REPORT, 0 },
	{ "no execution", NULL, make_nx, REPORT, 0 },
	{ "supervisor", user_page, make_supervisor, REPORT, 0 },
	{ "dirty bit cleared", dirty_page, clean, REPORT, 0 },
	{ "accessed bit cleared", NULL, forget_accessed, CLEAN, 0 },
	{ "writable", read_only_page, allow_writes, CLEAN, 0 },
	{ "executable", nx_page, allow_execution, CLEAN, 0 },
	{ "the same", NULL, write_the_same, CLEAN, 0 },
	{ "unmapped and back", NULL, unmap_and_back, CLEAN, 0 },
	{ "split", table_for_large, split, CLEAN, 1 },
	{ "split, a hole in it", table_for_large, split_without_one, REPORT, 1 },
	{ "merged", small_for_large, merge, REPORT, 1 },
	{ "another table", copy_table, other_table, REPORT, 0 },
	{ "table unmapped", NULL, unmap_table, REPORT, 0 },
};

static void all_the_kinds(void)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		const struct kind *k = &kinds[i];
		uint64_t addr = rawpt_large(k->pd);
		struct one o = { .prepare = k->prepare, .addr = addr,
				 .change = k->change, .flush = no_flush,
				 .from = addr, .len = RAWPT_LARGE };

		row("no flush:", k->name, k->without, one, &o);
		o.flush = flush_page;
		row("INVLPG:", k->name, CLEAN, one, &o);
	}
}

/* A mark covers what it says and nothing else. */
static void marks(void)
{
	const uint64_t p0 = rawpt_small(0), p1 = rawpt_small(1);
	struct one o = { .addr = p0, .change = unmap, .flush = no_flush,
			 .from = p1, .len = RAWPT_PAGE };

	row("mark", "of another page", CLEAN, one, &o);
	o.len = 1ull << 40;
	row("mark", "from another page on", CLEAN, one, &o);
	o.from = RAWPT_WINDOW - (1ull << 39);
	row("mark", "of much", REPORT, one, &o);
	o.from = p0;
	o.len = 0;
	row("mark", "of nothing", CLEAN, one, &o);
	o.len = 1;
	row("mark", "of one byte", REPORT, one, &o);
	o.len = RAWPT_PAGE;
	o.space = 1;
	row("mark", "of another address space", CLEAN, one, &o);
	o.space = 0;
	o.done = TICKET + 1;
	row("mark", "done is another shootdown", CLEAN, one, &o);
	o.change = unmap_by_another;
	row("mark", "done is the first of two", REPORT, one, &o);
	o.done = TICKET;
	row("mark", "done is the second of two", REPORT, one, &o);
	o.done = TICKET + 2;
	row("mark", "done is neither of two", CLEAN, one, &o);

	o = (struct one){ table_for_large, rawpt_large(1), split_without_one, no_flush,
			  rawpt_large(1) + 2 * RAWPT_PAGE, RAWPT_PAGE, 0, 0, 0 };
	row("mark", "of what a split kept", CLEAN, one, &o);
	o.from += RAWPT_PAGE;
	row("mark", "of what a split lost", REPORT, one, &o);
}

/* The address of a table's entry matters, not that of what was touched. */
static void upper_entries(void)
{
	const uint64_t p0 = rawpt_small(0);
	struct one o = { .prepare = copy_table, .addr = p0, .change = other_table,
			 .from = p0, .len = RAWPT_PAGE };

	o.flush = flush_far_page;
	row("table", "INVLPG of a far page", CLEAN, one, &o);
	o.flush = flush_far_addr;
	row("table", "INVPCID of a far page", REPORT, one, &o);
	o.flush = flush_addr;
	row("table", "INVPCID of the page", CLEAN, one, &o);
}

/* ---- without PCIDs ---- */

static void no_pcids_guest(void *arg)
{
	set_cr4(get_cr4() & ~CR4_PCIDE);
	one_guest(arg);
}

static void no_pcids(const void *arg)
{
	run.o = *(const struct one *)arg;
	guest_once(world.root[0].cr3, no_pcids_guest, &run);
}

void scenes_one(void)
{
	struct one o = { .addr = rawpt_small(0), .change = unmap,
			 .from = rawpt_small(0), .len = RAWPT_PAGE };

	all_the_ways();
	all_the_kinds();
	marks();
	upper_entries();
	o.flush = write_cr3;
	row("no PCIDs:", "MOV CR3", CLEAN, no_pcids, &o);
	o.flush = no_flush;
	row("no PCIDs:", "nothing", REPORT, no_pcids, &o);
}
