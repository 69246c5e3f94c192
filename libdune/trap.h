/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The table of handlers. Written by trap_register.c, read by each trap
 * (trap_entry.S) without a lock.
 */
#ifndef DUNE_TRAP_INTERNAL_H
#define DUNE_TRAP_INTERNAL_H

#include "internal.h"

/*
 * A handler, its argument and its flags belong together: there are two of each
 * pair, and version says which one holds, and the flags. A writer fills the other
 * pair, then changes version; a reader that finds another version afterwards
 * reads again. So a trap in the middle of a registration reads what is whole, on
 * the registering thread too.
 */
struct trap_entry {
	uint64_t version;	/* VERSION_*; counts in VERSION_STEPs */
	uint16_t ist;		/* constant: offset of its IST's pointer in the thread */
	uint16_t keep_if;	/* constant: FLAG_IF: as in the interrupted code */
	dune_trap_fn fn[2];	/* or NULL, and then without DUNE_TRAP_FAST */
	void *arg[2];
} __attribute__((aligned(64)));

#pragma GCC visibility push(hidden)
extern struct trap_entry dune_traps[DUNE_NR_VECTORS];
extern uint32_t dune_trap_epoch;

/* trap.c */
enum dune_trap_action dune_trap_call_full(struct dune_trap *f, void *arg, dune_trap_fn fn);
void dune_trap_unhandled(struct dune_trap *f);
_Noreturn void dune_trap_too_deep(struct dune_trap *f);

/* user_trap.c */
void dune_user_trap(struct dune_thread *t, struct dune_trap *f);
void dune_user_syscall(struct dune_trap *f);
#pragma GCC visibility pop

struct trap_handler {
	dune_trap_fn fn;	/* or NULL */
	void *arg;
	uint32_t flags;
};

/* As trap_entry.S reads it. */
static inline struct trap_handler trap_handler_of(const struct trap_entry *e)
{
	struct trap_handler h;
	uint64_t version;

	do {
		version = __atomic_load_n(&e->version, __ATOMIC_ACQUIRE);
		h.fn = __atomic_load_n(&e->fn[version & VERSION_SLOT], __ATOMIC_ACQUIRE);
		h.arg = __atomic_load_n(&e->arg[version & VERSION_SLOT], __ATOMIC_ACQUIRE);
	} while (__atomic_load_n(&e->version, __ATOMIC_RELAXED) != version);
	h.flags = version >> VERSION_FLAGS & DUNE_TRAP_FLAGS;
	return h;
}

/* Where the CPU puts the next frame of this entry's IST. */
static inline void trap_ist_set(struct dune_thread *t, const struct trap_entry *e,
				uint64_t top)
{
	*(volatile uint64_t *)((char *)t + e->ist) = top;
}

_Static_assert(sizeof(struct trap_entry) == 1 << ENTRY_SHIFT, "trap_entry.S");
_Static_assert(offsetof(struct trap_entry, version) == ENTRY_VERSION, "trap_entry.S");
_Static_assert(offsetof(struct trap_entry, ist) == ENTRY_IST, "trap_entry.S");
_Static_assert(offsetof(struct trap_entry, keep_if) == ENTRY_IF, "trap_entry.S");
_Static_assert(offsetof(struct trap_entry, fn) == ENTRY_FN, "trap_entry.S");
_Static_assert(offsetof(struct trap_entry, arg) == ENTRY_ARG, "trap_entry.S");
_Static_assert(DUNE_TRAP_FAST << VERSION_FLAGS == VERSION_FAST, "trap_entry.S");
_Static_assert(DUNE_TRAP_FLAGS << VERSION_FLAGS < VERSION_STEP, "trap_entry.S");

#endif /* DUNE_TRAP_INTERNAL_H */
