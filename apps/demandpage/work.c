// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "work.h"

#include "rand.h"

#define VERSION_BITS	24
#define HOT_PART	8	/* of all pages */
#define STAY		512	/* operations in the same hot part */

uint64_t work_first_value(size_t word)
{
	return (uint64_t)(word + 1) << VERSION_BITS;
}

static unsigned long pick_page(const struct work *w, uint64_t *rand, unsigned long n)
{
	unsigned long hot = w->nr_pages / HOT_PART + 1;

	if (!rand_below(rand, 8))
		return rand_below(rand, w->nr_pages);
	return (n / STAY * hot / 2 + rand_below(rand, hot)) % w->nr_pages;
}

static uint64_t get(struct work *w, size_t word)
{
	uint64_t value = w->store->get(w->store->ctx, word);

	if (value >> VERSION_BITS != word + 1)
		w->bad++;
	return value;
}

static void operate(struct work *w, uint64_t *rand, unsigned long n)
{
	unsigned long page = pick_page(w, rand, n);
	unsigned int group = rand_below(rand, WORDS_PER_PAGE / w->nr_threads);
	size_t first = page * WORDS_PER_PAGE + group * w->nr_threads;
	size_t own = first + w->number;
	uint64_t value;

	switch (rand_below(rand, 4)) {
	case 0:			/* somebody else's, of any version */
		get(w, first + rand_below(rand, w->nr_threads));
		break;
	case 1:
		value = get(w, own);
		w->store->put(w->store->ctx, own,
			      work_first_value(own) | ((value + 1) & ((1u << VERSION_BITS) - 1)));
		break;
	default:
		w->checksum = mix(w->checksum + get(w, own));
	}
}

void work_run(struct work *w)
{
	uint64_t rand = mix(w->seed * MAX_THREADS + w->number);

	for (unsigned long n = 0; n < w->operations; n++)
		operate(w, &rand, n);
}
