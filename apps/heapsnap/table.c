// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "table.h"

#include <sched.h>
#include <sys/mman.h>

#include "cli.h"
#include "rand.h"

_Static_assert(sizeof(struct row) == 64, "a row is a cache line");

static uint64_t check_of(const struct row *row)
{
	return mix(row->key ^ mix(row->version ^ mix(row->balance)));
}

void table_create(struct table *table, unsigned long nr)
{
	table->nr = nr;
	table->size = (nr * sizeof(*table->rows) + 4095) & ~4095ul;
	table->rows = mmap(NULL, table->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	if (table->rows == MAP_FAILED)
		cli_die("no memory for %lu rows\n  next: fewer --rows", nr);
	for (unsigned long i = 0; i < nr; i++) {
		table->rows[i].key = i;
		table->rows[i].balance = FIRST_BALANCE;
		table->rows[i].check = check_of(&table->rows[i]);
	}
}

void table_destroy(struct table *table)
{
	munmap(table->rows, table->size);
}

static void row_lock(struct row *row)
{
	while (__atomic_exchange_n(&row->lock, 1, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void row_unlock(struct row *row)
{
	__atomic_store_n(&row->lock, 0, __ATOMIC_RELEASE);
}

static void row_add(struct row *row, int64_t amount)
{
	row->balance += amount;
	row->version++;
	row->check = check_of(row);
}

/* The lower row's lock first. */
void table_transfer(struct table *table, unsigned long from, unsigned long to, int64_t amount)
{
	struct row *low = &table->rows[from < to ? from : to];
	struct row *high = &table->rows[from < to ? to : from];

	row_lock(low);
	row_lock(high);
	row_add(&table->rows[from], -amount);
	row_add(&table->rows[to], amount);
	row_unlock(high);
	row_unlock(low);
}

void summary_add(struct summary *s, const struct row *rows, unsigned long first, unsigned long nr)
{
	for (unsigned long i = 0; i < nr; i++) {
		const struct row *row = &rows[i];

		s->balance += row->balance;
		s->versions += row->version;
		s->content = mix(s->content + row->check);
		if (row->key != first + i || row->check != check_of(row) || row->lock)
			s->broken++;
	}
}

const char *summary_wrong(const struct summary *s, unsigned long nr_rows, uint64_t transfers)
{
	if (s->broken)
		return "rows are torn";
	if (s->balance != (int64_t)nr_rows * FIRST_BALANCE)
		return "the sum of the balances is wrong";
	if (s->versions != 2 * transfers)
		return "it is not of the moment at which it was made";
	return NULL;
}
