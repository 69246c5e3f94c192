// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Names of addresses of the kernel and its modules, from /proc/kallsyms; libdune's. */
#include "test.h"

#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "conflicts.h"

/* Farther than this from the symbol before, an address is of something else. */
#define MAX_DISTANCE 0x10000

struct entry {
	uint64_t addr;
	char type;
	bool module;
	char *name;
};

static struct entry *table;
static size_t nr;

static int by_addr(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

/* "address type name" and, of modules, a tab and "[module]". */
static bool parse(char *line, struct entry *e)
{
	char *end, *module;

	e->addr = strtoull(line, &end, 16);
	if (end == line || *end != ' ' || end[2] != ' ' || !e->addr)
		return false;
	e->type = end[1];
	e->name = end + 3;
	module = strchr(e->name, '\t');
	e->module = module && !strncmp(module, "\t[dune]", 7);
	e->name[strcspn(e->name, "\t\n")] = 0;
	return true;
}

static char *read_all(const char *path)
{
	size_t size = 0, room = 1 << 20, got;
	char *text = malloc(room);
	FILE *f = fopen(path, "r");

	REQUIRE(f && text);
	while ((got = fread(text + size, 1, room - size - 1, f)) > 0) {
		size += got;
		if (size == room - 1) {
			room *= 2;
			text = realloc(text, room);
			REQUIRE(text);
		}
	}
	fclose(f);
	text[size] = 0;
	return text;
}

static void load(void)
{
	char *text = read_all("/proc/kallsyms");	/* kept: names point there */
	size_t room = 0;
	int of_module = 0;

	for (char *line = text, *next; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		if (nr == room) {
			room = room ? 2 * room : 1 << 16;
			table = realloc(table, room * sizeof(*table));
			REQUIRE(table);
		}
		if (parse(line, &table[nr]))
			of_module += table[nr++].module;
	}
	REQUIRE(of_module);
	qsort(table, nr, sizeof(*table), by_addr);
}

struct symbol symbol_of(uint64_t addr)
{
	struct symbol none = { .name = "" };
	size_t low = 0, high;

	if (!nr)
		load();
	high = nr;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (table[middle].addr <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || addr - table[low - 1].addr >= MAX_DISTANCE)
		return none;
	return (struct symbol){
		.name = table[low - 1].name,
		.offset = addr - table[low - 1].addr,
		.type = table[low - 1].type,
		.module = table[low - 1].module,
	};
}

static struct segment {
	uint64_t start, end, offset;
	enum place place;
} segments[16];
static int nr_segments;

static int note_segments(struct dl_phdr_info *info, size_t size, void *unused)
{
	if (!strstr(info->dlpi_name, "/libdune.so"))
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type != PT_LOAD)
			continue;
		REQUIRE(nr_segments < 16);
		segments[nr_segments++] = (struct segment){
			.start = info->dlpi_addr + p->p_vaddr,
			.end = info->dlpi_addr + p->p_vaddr + p->p_memsz,
			.offset = p->p_vaddr,
			.place = p->p_flags & PF_X ? PLACE_LIBRARY_CODE : PLACE_LIBRARY_DATA,
		};
	}
	return 1;
}

enum place library_place(uint64_t addr, uint64_t *offset)
{
	if (!nr_segments)
		REQUIRE(dl_iterate_phdr(note_segments, NULL) == 1);
	for (int i = 0; i < nr_segments; i++) {
		const struct segment *s = &segments[i];

		if (addr < s->start || addr >= s->end)
			continue;
		*offset = addr - s->start + s->offset;
		return s->place;
	}
	return PLACE_ELSEWHERE;
}
