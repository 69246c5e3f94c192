/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the threads do with the file: read and write words at random, mostly in a
 * part that is hot and moves. Every page is everybody's; a word is written by one
 * thread only, so the result depends on the seed alone.
 */
#ifndef WORK_H
#define WORK_H

#include <stddef.h>
#include <stdint.h>

#define WORDS_PER_PAGE	512u
#define MAX_THREADS	64

/* A way to the file's words. */
struct store {
	uint64_t (*get)(void *ctx, size_t word);
	void (*put)(void *ctx, size_t word, uint64_t value);
	void *ctx;
};

struct work {
	const struct store *store;
	unsigned int number, nr_threads;
	unsigned long nr_pages, operations;
	uint64_t seed;
	uint64_t checksum;	/* of all own words that were read */
	uint64_t bad;		/* words that are not of this place */
} __attribute__((aligned(128)));

/* What is in the file before anybody has written: each word says where it is. */
uint64_t work_first_value(size_t word);

void work_run(struct work *work);

#endif /* WORK_H */
