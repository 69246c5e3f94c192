// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Mutators of a collected heap: they store into pages that are protected after each
 * collection, the handler of the fault gives the right and remembers the page, and the
 * collection of a part takes what is remembered, protects it again, and looks at it. By
 * mprotect() and SIGSEGV natively, by dune_vm_protect() and a page fault handler in
 * Dune mode. At the end nothing that was stored may be unknown to the collections.
 */
#include <signal.h>
#include <sys/mman.h>

#include "suite.h"

#define PART		8	/* pages that are collected together */
#define STORES		32	/* before a collection */
#define SLOTS		64	/* of a page that are used */
#define HEAP_SIZE	(15 * GIB)

/* Of each page that a team may have. */
static struct page_state {
	uint64_t sum;		/* of its slots, when it was last looked at */
	uint8_t written;	/* remembered */
	uint8_t collected;	/* lock, of the part's first page */
} *states;

static struct page_state *state_of(volatile char *page)
{
	return &states[(page - team_near()) / PAGE];
}

static uint64_t sum_of(volatile char *page)
{
	volatile uint64_t *slot = (volatile uint64_t *)page;
	uint64_t sum = 0;

	for (int i = 0; i < SLOTS; i++)
		sum += slot[i];
	return sum;
}

/* ---- the barrier: first the right, then the page is remembered ---- */

static void linux_protect(volatile char *page, size_t size)
{
	sys_mprotect((void *)page, size, PROT_READ);
}

static void on_segv(int sig, siginfo_t *info, void *context)
{
	char *page = (char *)((uintptr_t)info->si_addr & ~(PAGE - 1));

	if ((size_t)(page - team_near()) >= HEAP_SIZE ||
	    sys_mprotect(page, PAGE, PROT_READ | PROT_WRITE))
		_exit(1);
	__atomic_store_n(&state_of(page)->written, 1, __ATOMIC_RELEASE);
}

static void dune_protect(volatile char *page, size_t size)
{
	dune_vm_protect(NULL, (void *)page, size, DUNE_R);
}

DUNE_TRAP_FAST_FN static enum dune_trap_action on_fault(struct dune_trap *trap, void *near)
{
	char *page = (char *)(trap->fault_addr & ~(PAGE - 1));
	size_t at = page - (char *)near;

	if (at >= HEAP_SIZE || dune_vm_protect(NULL, page, PAGE, DUNE_R | DUNE_W))
		return DUNE_TRAP_DELIVER;
	__atomic_store_n(&states[at / PAGE].written, 1, __ATOMIC_RELEASE);
	return DUNE_TRAP_RESUME;
}

static void make_states(void)
{
	states = map_at(NULL, HEAP_SIZE / PAGE * sizeof(*states), PROT_READ | PROT_WRITE);
}

static void linux_setup(void)
{
	struct sigaction sa = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO };

	make_states();
	MUST(sigaction(SIGSEGV, &sa, NULL) == 0);
}

static void dune_setup(void)
{
	make_states();
	MUST(!dune_trap_register(DUNE_VECTOR_PF, on_fault, (void *)team_near(),
				 DUNE_TRAP_FAST));
}

/* ---- mutator and collection ---- */

static void mutate(volatile char *first)
{
	static __thread uint64_t value;

	for (int i = 0; i < STORES; i++) {
		volatile uint64_t *slot = (volatile uint64_t *)(first + i % PART * PAGE);

		slot[(i * 7) % SLOTS] = ++value;
	}
}

static void lock_part(uint8_t *lock)
{
	while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE))
		asm volatile("pause");
}

/* Who stores while a page is protected anew has it remembered again. */
static void collect(volatile char *first, void (*protect)(volatile char *, size_t))
{
	uint8_t *lock = &state_of(first)->collected, taken[PART];

	lock_part(lock);
	for (int i = 0; i < PART; i++)
		taken[i] = __atomic_exchange_n(&state_of(first + i * PAGE)->written, 0,
					       __ATOMIC_ACQ_REL);
	protect(first, PART * PAGE);
	for (int i = 0; i < PART; i++)
		if (taken[i])
			state_of(first + i * PAGE)->sum = sum_of(first + i * PAGE);
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

static void linux_turn(volatile char *first)
{
	mutate(first);
	collect(first, linux_protect);
}

static void dune_turn(volatile char *first)
{
	mutate(first);
	collect(first, dune_protect);
}

/* As the area is: empty. */
static void forget(volatile char *page)
{
	state_of(page)->sum = 0;
}

static void protect_all(void (*protect)(volatile char *, size_t))
{
	for (int i = 0; i < TEAM_PAGES; i += PART)
		protect(team_page(i), PART * PAGE);
}

static void linux_begin(int member)
{
	protect_all(linux_protect);
}

static void dune_begin(int member)
{
	protect_all(dune_protect);
}

static void nothing_lost(int member)
{
	for (int i = 0; i < TEAM_PAGES; i++)
		MUST(sum_of(team_page(i)) == state_of(team_page(i))->sum);
}

static const struct suite_way by_linux = {
	.setup = linux_setup, .begin = linux_begin, .end = nothing_lost, .prepare = forget,
	.before = linux_turn, .op = linux_turn,
};
static const struct suite_way by_dune = {
	.setup = dune_setup, .begin = dune_begin, .end = nothing_lost, .prepare = forget,
	.before = dune_turn, .op = dune_turn,
};

/* One for the part's protection; a right that is given disturbs nobody. */
static const struct suite_protocol protect_once = { .guest_kicks = 1 };

static const struct suite_op ops[] = {
	{ "collect", BY_DUNE,
	  SUITE_IN(APART) | SUITE_IN(NEIGHBOUR) | SUITE_IN(SHARED), PART,
	  FLAT, { [NATIVE] = &by_linux, [DUNE] = &by_dune }, &protect_once },
};

int main(int argc, char **argv)
{
	return suite_main(argc, argv,
		"Mutators of a collected heap: 32 stores to 8 protected pages, a fault for each\n"
		"page, and the collection that protects them again. Parts: collect-dune-WHERE;\n"
		"apart, neighbour, shared, runs_near, runs_far.", ops,
		sizeof(ops) / sizeof(*ops));
}
