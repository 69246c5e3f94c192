/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Which pending interrupt a thread takes next, and which are in service: the
 * local APIC's part, in software. Pure: tests/unit includes it.
 *
 * irr: a bit for each pending vector, set by senders (vreq_post_irq()). Taken by
 * the thread alone, bit by bit, by an instruction that says whether it was set:
 * each change from 0 to 1 gives one run. All else belongs to the thread, which
 * has interrupts off here.
 */
#ifndef DUNE_IPI_SERVICE_H
#define DUNE_IPI_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#define IPI_WORDS	4
#define IPI_FIRST	32	/* below it are exceptions */
#define IPI_NONE	(-1)

/* Of a thread. Handlers in service have classes that rise, so a bit each is enough. */
struct ipi_service {
	uint32_t classes;	/* in service */
	uint32_t depth;		/* how many */
};

static inline unsigned int ipi_class(unsigned int vector)
{
	return vector / 16;
}

/* The highest pending vector, or IPI_NONE. */
static inline int ipi_highest(const unsigned long long *irr)
{
	for (int i = IPI_WORDS - 1; i >= 0; i--) {
		unsigned long long word = __atomic_load_n(&irr[i], __ATOMIC_RELAXED);

		if (i == IPI_FIRST / 64)
			word &= ~0ull << IPI_FIRST % 64;
		if (word)
			return i * 64 + 63 - __builtin_clzll(word);
	}
	return IPI_NONE;
}

/*
 * Take the highest pending vector, if its class is above all that are in service:
 * it is in service then, until ipi_end(). Or IPI_NONE.
 */
static inline int ipi_take(struct ipi_service *s, unsigned long long *irr)
{
	for (;;) {
		int vector = ipi_highest(irr);
		unsigned long long bit = 1ull << (vector & 63);

		if (vector == IPI_NONE || s->classes >> ipi_class(vector))
			return IPI_NONE;
		/* Nobody else takes it, unless a signal has turned interrupts on. */
		if (!(__atomic_fetch_and(&irr[vector / 64], ~bit, __ATOMIC_SEQ_CST) & bit))
			continue;
		s->classes |= 1u << ipi_class(vector);
		s->depth++;
		return vector;
	}
}

/* End of interrupt. Then ipi_take() again: what waited for this has no other call. */
static inline void ipi_end(struct ipi_service *s, unsigned int vector)
{
	s->classes &= ~(1u << ipi_class(vector));
	s->depth--;
}

#endif /* DUNE_IPI_SERVICE_H */
