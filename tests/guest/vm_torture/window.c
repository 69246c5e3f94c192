// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Windows: their roots, frames, states, claims. */
#include "vm_torture.h"

#include <string.h>
#include <sys/mman.h>

#include "test.h"

/* Addresses that Linux gives to nobody; each root has its own GiBs. */
#define FAR		0x100000000000ul
#define ROOT_STRIDE	(64 * GIB)

#define SMALL_PAGES	64u
#define LARGE_PAGES	512u

struct window windows[NR_WINDOWS];
struct dune_root *roots[NR_ROOTS];
static char *memory;
static size_t memory_size;

/* ---- frames ---- */

volatile uint64_t *frame_word(const struct window *w, unsigned int set, unsigned int page,
			      unsigned int word)
{
	return (volatile uint64_t *)(w->frames[set] + page * PAGE) + word;
}

uint64_t stamp_of(const struct window *w, unsigned int set, unsigned int page)
{
	unsigned int frames = w->frames[0] == w->frames[1] ? 0 : set;

	return (uint64_t)(w - windows + 1) << 48 | (uint64_t)frames << 32 | (page + 1);
}

void frame_poison(const struct window *w, unsigned int set, unsigned int page)
{
	for (unsigned int i = 0; i < NR_WORDS; i++)
		*frame_word(w, set, page, i) = POISON;
}

void frame_check_poison(const struct window *w, unsigned int set, unsigned int page)
{
	for (unsigned int i = 0; i < NR_WORDS; i++)
		if (!CHECK_EQ(*frame_word(w, set, page, i), POISON))
			printf("window %d page %u word %u: written after it was unmapped\n",
			       (int)(w - windows), page, i);
}

void frames_stamp(struct window *w, unsigned int set, unsigned int first, unsigned int nr)
{
	for (unsigned int p = first; p < first + nr; p++) {
		/* The two sets of WINDOW_WHOLE are one. */
		for (int i = 0; i < 2; i++)
			if (w->frames[i] == w->frames[set])
				w->epoch[i][p]++;
		for (unsigned int i = 1; i < NR_WORDS; i++)
			*frame_word(w, set, p, i) = 0;
		*frame_word(w, set, p, 0) = stamp_of(w, set, p);
	}
}

/* ---- states ---- */

static void set_state(struct window *w, unsigned int page, unsigned int old, unsigned int new)
{
	uint64_t count = w->state[page] >> 16;

	__atomic_store_n(&w->state[page], (count + 1) << 16 | new << 8 | old, __ATOMIC_SEQ_CST);
}

void window_begin(struct window *w, unsigned int first, unsigned int nr, unsigned int side)
{
	for (unsigned int p = first; p < first + nr; p++)
		set_state(w, p, state_old(w->state[p]), side);
}

void window_end(struct window *w, unsigned int first, unsigned int nr)
{
	for (unsigned int p = first; p < first + nr; p++)
		set_state(w, p, state_new(w->state[p]), state_new(w->state[p]));
}

struct window *window_claim(uint64_t *seed)
{
	for (;;) {
		struct window *w = &windows[rnd(seed) % NR_WINDOWS];

		if (!__atomic_exchange_n(&w->claimed, 1, __ATOMIC_ACQUIRE))
			return w;
		if (stop)
			return NULL;
	}
}

void window_release(struct window *w)
{
	__atomic_store_n(&w->claimed, 0, __ATOMIC_RELEASE);
}

/* ---- setup ---- */

/* Two of SMALL in one GiB: their PD is shared, their changes are not. */
static const struct {
	enum window_kind kind;
	uint64_t offset;
} layout[NR_WINDOWS / NR_ROOTS] = {
	{ WINDOW_SMALL, 4 * MIB2 - SMALL_PAGES / 2 * PAGE },
	{ WINDOW_SMALL, 8 * MIB2 - SMALL_PAGES / 2 * PAGE },
	{ WINDOW_LARGE, 2 * GIB + 6 * MIB2 },
	{ WINDOW_WHOLE, 4 * GIB },
};

static char *cut(char **from, unsigned int pages)
{
	char *p = *from;

	*from += (pages * PAGE + MIB2 - 1) & ~(MIB2 - 1);
	return p;
}

void windows_reserve(void)
{
	char *p;

	memory_size = 3 * NR_WINDOWS * MIB2;
	p = mmap(NULL, memory_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(p != MAP_FAILED);
	memory = (char *)(((uintptr_t)p + MIB2 - 1) & ~(MIB2 - 1));
	p = memory;
	for (int i = 0; i < NR_WINDOWS; i++) {
		struct window *w = &windows[i];

		w->kind = layout[i / NR_ROOTS].kind;
		w->root = i % NR_ROOTS;
		w->base = (char *)(FAR + w->root * ROOT_STRIDE + layout[i / NR_ROOTS].offset);
		w->nr_pages = w->kind == WINDOW_LARGE ? LARGE_PAGES : SMALL_PAGES;
		w->frames[0] = cut(&p, w->nr_pages);
		w->frames[1] = w->kind == WINDOW_WHOLE ? w->frames[0] : cut(&p, w->nr_pages);
		if (w->kind == WINDOW_WHOLE)
			w->base += (uintptr_t)w->frames[0] & (GIB - 1);
	}
}

static int window_map(struct window *w)
{
	char *frames = w->frames[0];

	if (w->kind == WINDOW_WHOLE)
		return dune_vm_map(roots[w->root], w->base - ((uintptr_t)w->base & (GIB - 1)), GIB,
				   (void *)((uintptr_t)frames & ~(GIB - 1)), DUNE_R | DUNE_W, 0);
	return dune_vm_map(roots[w->root], w->base, w->nr_pages * PAGE, frames,
			   DUNE_R | DUNE_W, 0);
}

void windows_create(void)
{
	for (int i = 1; i < NR_ROOTS; i++)
		REQUIRE(dune_root_create(&roots[i]) == 0);
	for (int r = 0; r < NR_ROOTS; r++)
		REQUIRE(dune_vm_unmap(roots[r], (void *)(FAR + r * ROOT_STRIDE), ROOT_STRIDE) == 0);
	for (int i = 0; i < NR_WINDOWS; i++) {
		struct window *w = &windows[i];

		for (unsigned int p = 0; p < w->nr_pages; p++)
			frame_poison(w, 1, p);
		frames_stamp(w, 0, 0, w->nr_pages);
		window_begin(w, 0, w->nr_pages, DUNE_R | DUNE_W);
		REQUIRE(window_map(w) == 0);
		window_end(w, 0, w->nr_pages);
		w->claimed = 0;
	}
}

void windows_destroy(void)
{
	for (int i = 0; i < NR_WINDOWS; i++) {
		window_begin(&windows[i], 0, windows[i].nr_pages, SIDE_NONE);
		window_end(&windows[i], 0, windows[i].nr_pages);
	}
	CHECK_EQ(dune_vm_unmap(roots[0], (void *)FAR, ROOT_STRIDE), 0);
	for (int i = 1; i < NR_ROOTS; i++)
		CHECK_EQ(dune_root_free(roots[i]), 0);
}
