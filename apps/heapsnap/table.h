/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A table of accounts, key to balance. Threads transfer between two rows at a time,
 * so that the sum of all balances stays what it is, and count each change of a
 * row in the row itself.
 */
#ifndef TABLE_H
#define TABLE_H

#include <stddef.h>
#include <stdint.h>

struct row {
	uint64_t key;
	int64_t balance;
	uint64_t version;	/* changes so far */
	uint64_t check;		/* of the three above */
	uint32_t lock;		/* of transfers; 0: nobody's */
	uint32_t pad[7];
};

struct table {
	struct row *rows;
	unsigned long nr;
	size_t size;		/* bytes, whole pages */
};

/* What a reader of all rows finds. */
struct summary {
	int64_t balance;	/* the sum */
	uint64_t versions;	/* the sum: two for each transfer */
	uint64_t content;	/* a checksum */
	uint64_t broken;	/* rows that are not consistent */
};

#define FIRST_BALANCE	1000

/* Ends the program when there is no memory. */
void table_create(struct table *table, unsigned long nr);
void table_destroy(struct table *table);

void table_transfer(struct table *table, unsigned long from, unsigned long to, int64_t amount);

/* Add rows [first, first + nr), at rows, to what was read before; 0 at first. */
void summary_add(struct summary *summary, const struct row *rows, unsigned long first,
		 unsigned long nr);

/* Why it cannot be the table after so many transfers, or NULL. */
const char *summary_wrong(const struct summary *summary, unsigned long nr_rows,
			  uint64_t transfers);

#endif /* TABLE_H */
