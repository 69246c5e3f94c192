// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Open addressing, linear probing, at most half full. */
#include "table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE	1024

static uint32_t hash_of(const char *text, uint32_t len)
{
	uint32_t hash = 2166136261u;	/* FNV-1a */

	while (len--)
		hash = (hash ^ (unsigned char)*text++) * 16777619u;
	return hash;
}

static struct word *find(struct word *words, size_t size, const char *text,
			 uint32_t len, uint32_t hash)
{
	size_t i = hash & (size - 1);

	while (words[i].text &&
	       (words[i].hash != hash || words[i].len != len ||
		memcmp(words[i].text, text, len)))
		i = (i + 1) & (size - 1);
	return &words[i];
}

static int grow(struct table *t)
{
	size_t size = t->size ? 2 * t->size : FIRST_SIZE;
	struct word *words = calloc(size, sizeof(*words));
	size_t i;

	if (!words)
		return -ENOMEM;
	for (i = 0; i < t->size; i++) {
		const struct word *w = &t->words[i];

		if (w->text)
			*find(words, size, w->text, w->len, w->hash) = *w;
	}
	free(t->words);
	t->words = words;
	t->size = size;
	return 0;
}

int table_add(struct table *t, const char *text, uint32_t len, uint64_t n)
{
	uint32_t hash = hash_of(text, len);
	struct word *w;

	if (2 * t->used >= t->size && grow(t))
		return -ENOMEM;
	w = find(t->words, t->size, text, len, hash);
	if (!w->text) {
		w->text = malloc(len);
		if (!w->text)
			return -ENOMEM;
		memcpy(w->text, text, len);
		w->len = len;
		w->hash = hash;
		t->used++;
	}
	w->count += n;
	t->total += n;
	return 0;
}

int table_merge(struct table *t, const struct table *from)
{
	size_t i;

	for (i = 0; i < from->size; i++) {
		const struct word *w = &from->words[i];

		if (w->text && table_add(t, w->text, w->len, w->count))
			return -ENOMEM;
	}
	return 0;
}

static int by_count(const void *pa, const void *pb)
{
	const struct word *a = *(struct word *const *)pa;
	const struct word *b = *(struct word *const *)pb;
	uint32_t len = a->len < b->len ? a->len : b->len;
	int order;

	if (a->count != b->count)
		return a->count > b->count ? -1 : 1;
	order = memcmp(a->text, b->text, len);
	if (order)
		return order;
	return a->len < b->len ? -1 : a->len > b->len;
}

int table_print(const struct table *t, size_t top, FILE *out)
{
	const struct word **sorted;
	size_t i, n = 0;

	if (!t->used)
		return 0;
	sorted = malloc(t->used * sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	for (i = 0; i < t->size; i++)
		if (t->words[i].text)
			sorted[n++] = &t->words[i];
	qsort(sorted, n, sizeof(*sorted), by_count);
	for (i = 0; i < n && i < top; i++)
		fprintf(out, "%10" PRIu64 " %.*s\n", sorted[i]->count,
			(int)sorted[i]->len, sorted[i]->text);
	free(sorted);
	return 0;
}

void table_free(struct table *t)
{
	size_t i;

	for (i = 0; i < t->size; i++)
		free(t->words[i].text);
	free(t->words);
	memset(t, 0, sizeof(*t));
}
