// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Changers: what they do to the pages of a window that they have claimed. */
#include "vm_torture.h"

#include <sched.h>
#include <string.h>

#include "probe.h"
#include "test.h"

static const unsigned int prots[] = {
	DUNE_R, DUNE_R | DUNE_W, DUNE_R, DUNE_R | DUNE_W, 0, DUNE_R | DUNE_X,
	DUNE_R | DUNE_W | DUNE_X,
};

struct piece {
	unsigned int first, nr;
};

/* One page, a few, or all of it. */
static struct piece some_pages(struct changer *c, const struct window *w)
{
	static const unsigned int most[] = { 1, 8, 40, MAX_PAGES };
	unsigned int max = most[rnd(&c->seed) % 4];
	struct piece p = { .first = rnd(&c->seed) % w->nr_pages };

	if (max == MAX_PAGES)
		return (struct piece){ 0, w->nr_pages };
	p.nr = 1 + rnd(&c->seed) % max;
	if (p.nr > w->nr_pages - p.first)
		p.nr = w->nr_pages - p.first;
	return p;
}

/* Pieces of a batch do not overlap: a state has no room for what is in between. */
static struct piece some_of_quarter(struct changer *c, const struct window *w, unsigned int k)
{
	unsigned int quarter = w->nr_pages / 4, skip = rnd(&c->seed) % quarter;

	return (struct piece){ k * quarter + skip, 1 + rnd(&c->seed) % (quarter - skip) };
}

static char *address(const struct window *w, struct piece p)
{
	return w->base + p.first * PAGE;
}

static struct dune_root *root_of(const struct window *w)
{
	return roots[w->root];
}

/* The first word that is nobody's. */
static volatile uint64_t *scratch(const struct window *w, unsigned int page)
{
	return (uint64_t *)(w->base + page * PAGE) + NR_WORDS;
}

/* What the changer itself will have to forget. */
static void remember(struct changer *c, const struct window *w, struct piece p)
{
	if (!dune_inside() || dune_root_current() != root_of(w))
		return;
	for (int i = 0; i < 8; i++)
		if (probe_write(scratch(w, p.first + rnd(&c->seed) % p.nr), 1) != PROBE_OK)
			return;
}

/* Rights for what is mapped; the frames stay. */
static void begin_rights(struct window *w, struct piece p, unsigned int prot)
{
	for (unsigned int i = p.first; i < p.first + p.nr; i++)
		window_begin(w, i, 1, prot | (state_old(w->state[i]) & SIDE_SECOND));
}

static bool protect(struct changer *c, struct window *w)
{
	struct piece p = some_pages(c, w);
	unsigned int prot = prots[rnd(&c->seed) % 7];

	remember(c, w, p);
	begin_rights(w, p, prot);
	CHECK_EQ(dune_vm_protect(root_of(w), address(w, p), p.nr * PAGE, prot), 0);
	window_end(w, p.first, p.nr);
	return true;
}

/* There and back, as a write barrier does. */
static bool toggle(struct changer *c, struct window *w)
{
	struct piece p = some_pages(c, w);

	for (int i = 0; i < 6; i++) {
		unsigned int prot = i & 1 ? DUNE_R | DUNE_W : DUNE_R;

		remember(c, w, p);
		begin_rights(w, p, prot);
		CHECK_EQ(dune_vm_protect(root_of(w), address(w, p), p.nr * PAGE, prot), 0);
		window_end(w, p.first, p.nr);
		spin(rnd(&c->seed) % 500);
	}
	return true;
}

/* Several changes, one shootdown. */
static bool batch(struct changer *c, struct window *w)
{
	struct piece p[4];
	int n = 0;

	CHECK_EQ(dune_vm_batch_begin(), 0);
	for (; n < 4; n++) {
		unsigned int prot = prots[rnd(&c->seed) % 7];

		p[n] = some_of_quarter(c, w, n);
		remember(c, w, p[n]);
		begin_rights(w, p[n], prot);
		CHECK_EQ(dune_vm_protect(root_of(w), address(w, p[n]), p[n].nr * PAGE, prot), 0);
	}
	CHECK_EQ(dune_vm_batch_end(), 0);
	while (n--)
		window_end(w, p[n].first, p[n].nr);
	return true;
}

/* ---- other frames ---- */

/* The GiB, and the page of it that the window begins with. */
static char *whole(const struct window *w)
{
	return (char *)((uintptr_t)w->base & ~(GIB - 1));
}

static unsigned int set_of(const struct window *w, unsigned int page)
{
	return !!(state_old(w->state[page]) & SIDE_SECOND);
}

/* After that nobody writes to the frames. */
static void unmap_pages(struct window *w, struct piece p)
{
	unsigned int set[MAX_PAGES];

	for (unsigned int i = 0; i < p.nr; i++)
		set[i] = set_of(w, p.first + i);
	window_begin(w, p.first, p.nr, SIDE_NONE);
	if (w->kind == WINDOW_WHOLE)
		CHECK_EQ(dune_vm_unmap(root_of(w), whole(w), GIB), 0);
	else
		CHECK_EQ(dune_vm_unmap(root_of(w), address(w, p), p.nr * PAGE), 0);
	window_end(w, p.first, p.nr);
	for (unsigned int i = 0; i < p.nr; i++)
		frame_poison(w, set[i], p.first + i);
	spin(5000);
	for (unsigned int i = 0; i < p.nr; i++)
		frame_check_poison(w, set[i], p.first + i);
}

static void map_pages(struct changer *c, struct window *w, struct piece p)
{
	unsigned int set = w->kind == WINDOW_WHOLE ? 0 : rnd(&c->seed) % 2;
	unsigned int prot = rnd(&c->seed) % 4 ? DUNE_R | DUNE_W : DUNE_R;
	char *mem = w->frames[set] + p.first * PAGE;

	frames_stamp(w, set, p.first, p.nr);
	window_begin(w, p.first, p.nr, prot | (set ? SIDE_SECOND : 0));
	if (w->kind == WINDOW_WHOLE)
		CHECK_EQ(dune_vm_map(root_of(w), whole(w), GIB,
				     (void *)((uintptr_t)mem & ~(GIB - 1)), prot, 0), 0);
	else
		CHECK_EQ(dune_vm_map(root_of(w), address(w, p), p.nr * PAGE, mem, prot, 0), 0);
	window_end(w, p.first, p.nr);
}

static bool remap(struct changer *c, struct window *w)
{
	struct piece p = w->kind == WINDOW_WHOLE ? (struct piece){ 0, w->nr_pages } :
						   some_pages(c, w);

	remember(c, w, p);
	unmap_pages(w, p);
	map_pages(c, w, p);
	/* Mapped already, whatever its rights. */
	CHECK_EQ(dune_vm_map(root_of(w), address(w, p), PAGE, w->frames[0], DUNE_R, 0), -EEXIST);
	return true;
}

/* All of it from one set of frames, so that it can be merged. */
static bool refill(struct changer *c, struct window *w)
{
	struct piece p = { 0, w->nr_pages };

	remember(c, w, p);
	unmap_pages(w, p);
	map_pages(c, w, p);
	return true;
}

/* From plain mode: its own vCPU has to be asked like any other. */
static bool outside(struct changer *c, struct window *w)
{
	if (!dune_inside() || dune_root_current() != root_of(w))
		return false;
	remember(c, w, (struct piece){ 0, w->nr_pages });
	mode_exit();
	refill(c, w);
	mode_enter();
	return true;
}

/* ---- sizes: nothing changes that a state could tell ---- */

static bool split(struct changer *c, struct window *w)
{
	struct piece p = some_pages(c, w);
	size_t size = rnd(&c->seed) % 2 ? DUNE_PAGE_4K : DUNE_PAGE_2M;

	CHECK_EQ(dune_vm_split(root_of(w), address(w, p), p.nr * PAGE, size), 0);
	return true;
}

static bool merge(struct changer *c, struct window *w)
{
	struct dune_vm_entry entry;

	if (w->kind == WINDOW_SMALL)
		return false;
	/* Equal rights first, or there is nothing to merge. */
	begin_rights(w, (struct piece){ 0, w->nr_pages }, DUNE_R | DUNE_W);
	if (w->kind == WINDOW_LARGE) {
		CHECK_EQ(dune_vm_protect(root_of(w), w->base, MIB2, DUNE_R | DUNE_W), 0);
		window_end(w, 0, w->nr_pages);
		CHECK_EQ(dune_vm_merge(root_of(w), w->base, MIB2, DUNE_PAGE_2M), 0);
	} else {
		CHECK_EQ(dune_vm_protect(root_of(w), whole(w), GIB, DUNE_R | DUNE_W), 0);
		window_end(w, 0, w->nr_pages);
		CHECK_EQ(dune_vm_merge(root_of(w), whole(w), GIB, DUNE_PAGE_1G), 0);
	}
	CHECK_EQ(dune_vm_lookup(root_of(w), w->base, &entry), 0);
	return entry.size != DUNE_PAGE_4K;
}

/* ---- accessed and dirty ---- */

static bool bit(const uint64_t *bitmap, unsigned int i)
{
	return bitmap[i / 64] >> i % 64 & 1;
}

/* A write after the bits were cleared sets the page's again. */
static void write_and_scan(struct changer *c, struct window *w, struct piece p)
{
	unsigned int page = p.first + rnd(&c->seed) % p.nr;
	uint64_t bitmap[MAX_PAGES / 64] = { 0 };

	if (dune_root_current() != root_of(w) || !(state_old(w->state[page]) & DUNE_W))
		return;
	for (int i = 0; i < 3 && probe_write(scratch(w, page), 1) != PROBE_OK; i++)
		;
	CHECK(dune_vm_scan(root_of(w), address(w, p), p.nr * PAGE, DUNE_SCAN_DIRTY, bitmap) >= 1);
	if (!CHECK(bit(bitmap, page - p.first)))
		printf("window %d page %u: a write that left no dirty bit\n", (int)(w - windows), page);
}

static bool scan(struct changer *c, struct window *w)
{
	struct piece p = some_pages(c, w);
	unsigned int what = DUNE_SCAN_CLEAR | DUNE_SCAN_DIRTY |
			    (rnd(&c->seed) % 2 ? DUNE_SCAN_ACCESSED : 0);

	CHECK(dune_vm_scan(root_of(w), address(w, p), p.nr * PAGE, what, NULL) >= 0);
	if (dune_inside())
		write_and_scan(c, w, p);
	return true;
}

/* ---- roots ---- */

/* A root of the changer's own, with its first use of a PCID, and its end. */
static bool root_of_its_own(struct changer *c, struct window *w)
{
	const struct dune_root *before = dune_root_current();
	uintptr_t offset = (uintptr_t)&c->seed % PAGE;
	struct dune_root *root;
	uint64_t value = 0;
	int err = dune_root_create(&root);

	if (!CHECK_EQ(err, 0))
		return false;
	CHECK_EQ(dune_vm_unmap(root, whole(w), GIB), 0);
	CHECK_EQ(dune_vm_map(root, whole(w), PAGE, (char *)&c->seed - offset, DUNE_R, 0), 0);
	if (dune_inside()) {
		CHECK_EQ(dune_root_switch(root), 0);
		CHECK_EQ(probe_read(whole(w) + offset, &value), PROBE_OK);
		CHECK_EQ(value, c->seed);
		CHECK_EQ(dune_root_free(root), -EBUSY);
		CHECK_EQ(dune_root_switch((struct dune_root *)before), 0);
	}
	CHECK_EQ(dune_root_free(root), 0);
	return true;
}

struct act acts[] = {
	{ .name = "protect", .fn = protect },
	{ .name = "toggle", .fn = toggle },
	{ .name = "batch", .fn = batch },
	{ .name = "remap", .fn = remap },
	{ .name = "refill", .fn = refill },
	{ .name = "split", .fn = split },
	{ .name = "merge", .fn = merge },
	{ .name = "scan", .fn = scan },
	{ .name = "outside", .fn = outside },
	{ .name = "root", .fn = root_of_its_own },
	{ .name = NULL },
};

static bool is_wanted(const struct act *act)
{
	return !opt.only || strstr(opt.only, act->name);
}

static void one_act(struct changer *c)
{
	struct act *act = &acts[rnd(&c->seed) % (sizeof(acts) / sizeof(*acts) - 1)];
	struct window *w;

	if (!is_wanted(act))
		return;
	w = window_claim(&c->seed);
	if (!w)
		return;
	__atomic_add_fetch(&act->runs, 1, __ATOMIC_RELAXED);
	if (act->fn(c, w))
		__atomic_add_fetch(&act->hits, 1, __ATOMIC_RELAXED);
	window_release(w);
}

static void moves(struct changer *c)
{
	if (!c->dune)
		return;
	switch (rnd(&c->seed) % 16) {
	case 0:
		CHECK_EQ(dune_root_switch(roots[rnd(&c->seed) % NR_ROOTS]), 0);
		break;
	case 1:
		mode_exit();
		one_act(c);
		mode_enter();
		break;
	case 2:
		sched_yield();
		break;
	}
}

void *changer(void *arg)
{
	struct changer *c = arg;

	if (c->dune)
		mode_enter();
	while (!stop) {
		one_act(c);
		moves(c);
	}
	if (c->dune && CHECK(dune_inside()))
		mode_exit();
	return NULL;
}
