/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Word -> count. One owner at a time; words are malloc'ed, never removed. */
#ifndef TABLE_H
#define TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct word {
	char *text;		/* NULL: free place */
	uint32_t len;
	uint32_t hash;
	uint64_t count;
};

struct table {
	struct word *words;
	size_t size;		/* a power of two, or 0 */
	size_t used;
	uint64_t total;
};

/* Add n occurrences of text[len]; 0 or -ENOMEM. */
int table_add(struct table *t, const char *text, uint32_t len, uint64_t n);
/* Add all of from to t. */
int table_merge(struct table *t, const struct table *from);
/* The top words, most frequent first, equal counts in byte order of the word. */
int table_print(const struct table *t, size_t top, FILE *out);
void table_free(struct table *t);

#endif /* TABLE_H */
