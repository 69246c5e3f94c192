// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Verifiers: what they judge, and what else they do in between. */
#include "vm_torture.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include "probe.h"
#include "test.h"

/* Faults in a row of what is allowed: each is one too many by a flush at most. */
#define TRIES		4

struct tally tally[MAX_VERIFIERS];
volatile int ended[MAX_VERIFIERS];
static int pipes[MAX_VERIFIERS][2];

/* What verifier v wrote last to its word of a frame. */
static struct kept {
	uint64_t value;
	uint32_t epoch;
	bool known;
} kept[MAX_VERIFIERS][NR_WINDOWS][2][MAX_PAGES];

static unsigned int set_of(const struct window *w, unsigned int side)
{
	return w->frames[0] != w->frames[1] && (side & SIDE_SECOND);
}

static struct kept *kept_of(int v, const struct window *w, unsigned int set, unsigned int page)
{
	return &kept[v][w - windows][set][page];
}

static void complain(const struct window *w, unsigned int page, uint64_t state,
		     const char *what, uint64_t value)
{
	printf("window %d (kind %d, root %d) page %u at %p, state %#llx: %s, value %#llx, mode %d\n",
	       (int)(w - windows), w->kind, w->root, page, w->base + page * PAGE,
	       (unsigned long long)state, what, (unsigned long long)value, dune_inside());
}

static bool read_is_legal(const struct window *w, unsigned int page, unsigned int side,
			  uint64_t value)
{
	return (side & DUNE_R) && value == stamp_of(w, set_of(w, side), page);
}

/* Reading or writing once; gained rights may cost a fault, but not for ever. */
static int access_page(int v, uint64_t *at, const struct window *w, unsigned int page,
		       unsigned int right, uint64_t *value)
{
	uint64_t state = page_state(w, page);
	int fault = PROBE_OK;

	for (int i = 0; i < TRIES; i++) {
		fault = right == DUNE_R ? probe_read(at, value) : probe_write(at, *value);
		if (fault == PROBE_OK)
			break;
		tally[v].faults++;
		if (page_state(w, page) != state || !(state_old(state) & state_new(state) & right))
			break;
	}
	return fault;
}

void verify_read(int v, const struct window *w, unsigned int page)
{
	uint64_t *at = (uint64_t *)(w->base + page * PAGE), before = page_state(w, page);
	uint64_t value = 0;
	int fault = access_page(v, at, w, page, DUNE_R, &value);

	tally[v].reads++;
	if (page_state(w, page) != before)
		return;
	if (fault != PROBE_OK) {
		if (state_is_firm(before) && !CHECK(!(state_old(before) & DUNE_R)))
			complain(w, page, before, "refused to be read", fault);
	} else if (!CHECK(read_is_legal(w, page, state_old(before), value) ||
			  read_is_legal(w, page, state_new(before), value))) {
		complain(w, page, before, "stale read", value);
	}
	tally[v].firm_reads += state_is_firm(before);
}

/* The verifier's own word has what it wrote, unless its frame was filled anew. */
static void check_kept(int v, const struct window *w, unsigned int page, uint64_t state)
{
	unsigned int set = set_of(w, state_old(state));
	struct kept *k = kept_of(v, w, set, page);
	uint32_t epoch = __atomic_load_n(&w->epoch[set][page], __ATOMIC_ACQUIRE);
	uint64_t value = *frame_word(w, set, page, 1 + v);

	if (page_state(w, page) != state || !k->known || k->epoch != epoch)
		return;
	if (!CHECK_EQ(value, k->value))
		complain(w, page, state, "lost write", value);
}

void verify_write(int v, const struct window *w, unsigned int page)
{
	static uint64_t counts[MAX_VERIFIERS];
	uint64_t *at = (uint64_t *)(w->base + page * PAGE) + 1 + v;
	uint64_t before = page_state(w, page), value = (uint64_t)(v + 1) << 56 | ++counts[v];
	unsigned int set = set_of(w, state_old(before));
	/* Before the state is read again: of the contents that are written to. */
	uint32_t epoch = __atomic_load_n(&w->epoch[set][page], __ATOMIC_ACQUIRE);
	int fault;

	/* Without rights its frames may be poison: it may show none. */
	if (state_is_firm(before) && state_old(before) & DUNE_R)
		check_kept(v, w, page, before);
	/* Where it goes is known if nothing changes meanwhile. */
	kept_of(v, w, 0, page)->known = kept_of(v, w, 1, page)->known = false;
	fault = access_page(v, at, w, page, DUNE_W, &value);
	tally[v].writes++;
	if (page_state(w, page) != before || !state_is_firm(before))
		return;
	tally[v].firm_writes++;
	if (fault != PROBE_OK) {
		if (!CHECK(!(state_old(before) & DUNE_W)))
			complain(w, page, before, "refused to be written", fault);
		return;
	}
	if (!CHECK(state_old(before) & DUNE_W))
		complain(w, page, before, "written while nobody may", value);
	*kept_of(v, w, set, page) = (struct kept){ value, epoch, true };
	check_kept(v, w, page, before);
}

/* The tables, as software reads them while others split, merge and free them. */
static void verify_lookup(const struct window *w, unsigned int page)
{
	uint64_t before = page_state(w, page);
	char *at = w->base + page * PAGE, *mem = w->frames[set_of(w, state_old(before))];
	struct dune_vm_entry e = { 0 };
	int err = dune_vm_lookup(roots[w->root], at, &e);

	if (page_state(w, page) != before || !state_is_firm(before) ||
	    !(state_old(before) & DUNE_R))
		return;
	if (!CHECK(!err && e.prot == (state_old(before) & SIDE_RIGHTS) &&
		   (char *)e.mem + (at - (char *)e.addr) == mem + page * PAGE))
		complain(w, page, before, "looked up wrong", err ? err : (int)e.prot);
}

/* ---- what else threads do ---- */

struct life {
	int v;
	int root;
	uint64_t seed;
};

static void look(struct life *l)
{
	const struct window *w = &windows[rnd(&l->seed) % NR_WINDOWS];
	unsigned int page = rnd(&l->seed) % w->nr_pages;

	for (int i = 0; i < 4; i++)
		verify_lookup(w, page);
	if (w->root != l->root)
		return;
	/* The same again: what is cached now was so before. */
	for (int i = 0; i < 4; i++) {
		verify_read(l->v, w, page);
		verify_write(l->v, w, page);
	}
}

static void poll_a_while(struct life *l)
{
	CHECK_EQ(dune_vm_poll_begin(), 0);
	for (int i = 0; i < 30; i++) {
		look(l);
		CHECK(dune_vm_poll() >= 0);
	}
	if (rnd(&l->seed) % 4 == 0)
		usleep(100);
	CHECK_EQ(dune_vm_poll_end(), 0);
}

static void switch_root(struct life *l)
{
	l->root = rnd(&l->seed) % NR_ROOTS;
	CHECK_EQ(dune_root_switch(roots[l->root]), 0);
}

static void move(struct life *l)
{
	unsigned int cpu = rnd(&l->seed) % (nr_cpus() + 1);
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = 0; i < nr_cpus(); i++)
		if (i == (int)cpu || (int)cpu == nr_cpus())
			CPU_SET(i, &set);
	CHECK_EQ(sched_setaffinity(0, sizeof(set), &set), 0);
}

static void block(struct life *l)
{
	char c;

	CHECK_EQ(read(pipes[l->v][0], &c, 1), 1);
}

static void leave_and_enter(struct life *l)
{
	mode_exit();
	spin(rnd(&l->seed) % 2000);
	mode_enter();
}

static void step(struct life *l)
{
	switch (rnd(&l->seed) % 64) {
	case 0: poll_a_while(l); break;
	case 1: case 2: switch_root(l); break;
	case 3: move(l); break;
	case 4: block(l); break;
	case 5: leave_and_enter(l); break;
	case 6: sched_yield(); break;
	default: look(l);
	}
}

void *verifier(void *index)
{
	static unsigned int lives;
	struct life l = { .v = (int)(intptr_t)index };
	uint64_t steps;

	l.seed = opt.seed * 1000003 + (__atomic_fetch_add(&lives, 1, __ATOMIC_RELAXED) + 1) * 7919;
	steps = 200 + rnd(&l.seed) % 2000;
	mode_enter();
	while (!stop && steps--)
		step(&l);
	CHECK(dune_inside());
	/* A thread may end in either mode, with any root. */
	if (rnd(&l.seed) % 2)
		mode_exit();
	__atomic_store_n(&ended[l.v], 1, __ATOMIC_RELEASE);
	return NULL;
}

void verifiers_start(void)
{
	for (int v = 0; v < nr_verifiers; v++) {
		REQUIRE(pipe(pipes[v]) == 0);
		REQUIRE(fcntl(pipes[v][1], F_SETFL, O_NONBLOCK) == 0);
	}
}

void verifier_wake(int v)
{
	/* A full pipe wakes as well. */
	if (write(pipes[v][1], "x", 1) != 1)
		CHECK_EQ(errno, EAGAIN);
}
