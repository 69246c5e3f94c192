/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Store buffers for the models, as x86 has them: a plain store becomes visible
 * to others later than the storing CPU's next loads. Each variable that is one
 * side of an SB pair is a tso_var; it has one plain writer, whose buffer holds
 * one store. Others change it by atomic operations on .mem only.
 *
 * An atomic operation that the core does not call _full is no fence in C11,
 * and x86 cannot show that. A mutant that drops such a fence makes the loads
 * after the operation happen before it, which is what a weaker machine does.
 */
typedef tso_var {
	byte mem;	/* what everybody sees */
	byte buf;	/* what its writer has stored, while held */
	bool held
};

/* Release stores too: a buffer keeps the order of stores. */
#define tso_store(v, x)	\
	atomic { !v.held -> v.buf = x; v.held = true }
/* A full fence of the writer. */
#define tso_fence(v)	(!v.held)
/* The writer sees its own store. */
#define tso_own(v)	(v.held -> v.buf : v.mem)
/* At any time; in a process of its own. */
#define tso_drain(v)	\
	atomic { v.held -> v.mem = v.buf; v.held = false }
