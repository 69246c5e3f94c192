// SPDX-License-Identifier: GPL-2.0 OR MIT
/* What is printed, and written as JSON. See conflicts.h. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "conflicts.h"

#define SOME_SITES 20000L
#define MAX_PRINTED 16		/* accesses of a line */

static const char *const kind_names[] = { "reads", "writes", "updates", "locks" };
static const char *const mode_names[] = { "kernel", "user", "guest", "walk", "vmcs" };
static const char *const owner_names[] = { "module", "library", "read",
	"kernel", "program", "cpu" };

static FILE *json;
static int json_lines;

void report_open(void)
{
	const char *dir = getenv("DUNE_OUT");
	char path[512];

	if (!dir)
		return;
	snprintf(path, sizeof(path), "%s/conflicts.json", dir);
	json = fopen(path, "w");
	REQUIRE(json);
	fprintf(json, "{\"lines\": [");
}

static uint64_t line_of(const struct emuconflict_site *s)
{
	return s->pa / EMUCONFLICT_LINE;
}

static void name_of_addr(uint64_t addr, char *text, size_t size)
{
	struct symbol s = symbol_of(addr);

	if (*s.name)
		snprintf(text, size, "%s+%#lx%s", s.name, (long)s.offset,
			 s.module ? " [dune]" : "");
	else
		snprintf(text, size, "%#lx", (long)addr);
}

/* Of the process: what is libdune's by its place in the file. */
static void name_of_user(uint64_t addr, char *text, size_t size)
{
	uint64_t offset;

	if (library_place(addr, &offset) == PLACE_ELSEWHERE)
		snprintf(text, size, "%#lx", (long)addr);
	else
		snprintf(text, size, "libdune+%#lx", (long)offset);
}

static void name_of_code(const struct emuconflict_site *s, char *text, size_t size)
{
	if (s->mode == EMUCONFLICT_WALK)
		snprintf(text, size, "the CPU's page walk");
	else if (s->mode == EMUCONFLICT_VMCS)
		snprintf(text, size, "the CPU's VMX operation");
	else if (s->mode != EMUCONFLICT_KERNEL)
		name_of_user(s->rip, text, size);
	else
		name_of_addr(s->rip, text, size);
}

/* The innermost call in the module that led to Linux' code; "" if there is none. */
static void name_of_caller(const struct emuconflict_site *s, char *text, size_t size)
{
	*text = 0;
	if (s->mode != EMUCONFLICT_KERNEL || symbol_of(s->rip).module)
		return;
	for (int i = 0; i < EMUCONFLICT_CALLERS && s->caller[i]; i++) {
		if (!symbol_of(s->caller[i]).module)
			continue;
		name_of_addr(s->caller[i], text, size);
		return;
	}
}

static void name_of_data(const struct emuconflict_site *s, char *text, size_t size)
{
	if (s->object)
		snprintf(text, size, "%s+%#x", s->name, s->offset);
	else if (s->mode == EMUCONFLICT_KERNEL)
		name_of_addr(s->va, text, size);
	else
		name_of_user(s->va, text, size);
}

static void print_line(const struct cell *cell, const struct emuconflict_site *s, long nr)
{
	printf("  %s, %s: physical line %#lx\n", cell->op[0]->name,
	       cell->op[1]->name, (long)line_of(s) * EMUCONFLICT_LINE);
	for (long i = 0; i < nr && i < MAX_PRINTED; i++) {
		char code[128], data[128], caller[128];

		name_of_code(&s[i], code, sizeof(code));
		name_of_data(&s[i], data, sizeof(data));
		name_of_caller(&s[i], caller, sizeof(caller));
		printf("    CPU %d %-7s %s by %s%s%s, in %lld of %ld operations\n",
		       s[i].cpu, kind_names[s[i].kind], data, code,
		       *caller ? " for " : "", caller, s[i].ops,
		       cell->ops[s[i].cpu]);
	}
}

/* Names are identifiers: nothing to escape. */
static void json_line(const struct cell *cell, const struct emuconflict_site *s, long nr)
{
	if (!json || cell->control)
		return;
	fprintf(json, "%s\n{\"cell\": [\"%s\", \"%s\"], \"owner\": \"%s\", \"forbidden\": %s, \"pa\": %ld, \"accesses\": [",
		json_lines++ ? "," : "", cell->op[0]->name, cell->op[1]->name,
		owner_names[owner_of(s, nr)], is_forbidden(cell, s, nr) ? "true" : "false",
		(long)line_of(s) * EMUCONFLICT_LINE);
	for (long i = 0; i < nr; i++) {
		char code[128], data[128], caller[128];

		name_of_code(&s[i], code, sizeof(code));
		name_of_data(&s[i], data, sizeof(data));
		name_of_caller(&s[i], caller, sizeof(caller));
		fprintf(json, "%s\n  {\"cpu\": %d, \"kind\": \"%s\", \"mode\": \"%s\", \"data\": \"%s\", "
			"\"code\": \"%s\", \"caller\": \"%s\", \"rip\": %lld, \"va\": %lld, \"pa\": %lld, \"bytes\": %d, "
			"\"operations\": %lld, \"object\": %lld, \"object_bytes\": %d}",
			i ? "," : "", s[i].cpu, kind_names[s[i].kind], mode_names[s[i].mode],
			data, code, caller, s[i].rip, s[i].va, s[i].pa, s[i].len,
			s[i].ops, s[i].object, s[i].object_size);
	}
	fprintf(json, "]}");
}

static struct emuconflict_site *site;
static long site_room;

static void make_room(long nr)
{
	if (nr <= site_room)
		return;
	site = realloc(site, nr * sizeof(*site));
	REQUIRE(site);
	site_room = nr;
}

/*
 * How many; all are in site. The emulator writes to pages that are there only:
 * Linux may have taken one meanwhile, to see who uses it.
 */
static long get_sites(void)
{
	long nr = -1;

	make_room(SOME_SITES);
	for (int tries = 0; tries < 100 && (nr < 0 || nr > site_room); tries++) {
		make_room(nr);
		memset(site, 0xff, site_room * sizeof(*site));
		nr = emuconflict_sites(site, site_room);
	}
	REQUIRE(nr >= 0 && nr <= site_room);
	return nr;
}

void report_cell(struct cell *cell)
{
	long nr = get_sites(), next;

	for (long i = 0; i < nr; i = next) {
		bool forbidden;

		for (next = i + 1; next < nr; next++)
			if (line_of(&site[next]) != line_of(&site[i]))
				break;
		cell->lines[owner_of(&site[i], next - i)]++;
		forbidden = is_forbidden(cell, &site[i], next - i);
		cell->forbidden += forbidden;
		if (forbidden && !cell->control)
			print_line(cell, &site[i], next - i);
		json_line(cell, &site[i], next - i);
	}
}

static const char *const owner_titles[] = {
	"the module's memory",
	"libdune's memory",
	"Linux' memory that the module reads",
	"Linux' memory",
	"memory of the process",
	"page tables of the host",
};

/* A number in brackets is not judged: what is shared there is so by design. */
static void print_cell(const struct cell *cell, enum owner owner)
{
	char text[16];

	snprintf(text, sizeof(text), is_judged(cell, owner) ? "%ld" : "(%ld)",
		 cell->lines[owner]);
	printf("%13s", text);
}

static void matrix_of(enum owner owner, const struct op *const *ops, int nr_ops,
		      const struct cell *cells, int nr)
{
	printf("\n%-36s", owner_titles[owner]);
	for (int i = 0; i < nr_ops; i++)
		printf("%13s", ops[i]->name);
	for (int i = 0, at = 0; i < nr_ops && at < nr; i++) {
		printf("\n%36s", ops[i]->name);
		for (int j = 0; j < nr_ops; j++) {
			if (at == nr || cells[at].op[0] != ops[i] ||
			    cells[at].op[1] != ops[j])
				printf("%13s", "");
			else
				print_cell(&cells[at++], owner);
		}
	}
	printf("\n");
}

void report_matrix(const struct op *const *ops, int nr_ops, const struct cell *cells, int nr)
{
	printf("\nCache lines that one vCPU writes and the other touches:\n");
	for (int owner = 0; owner < NR_OWNERS; owner++)
		matrix_of(owner, ops, nr_ops, cells, nr);
	if (!json)
		return;
	fprintf(json, "],\n\"cells\": [");
	for (int i = 0; i < nr; i++) {
		const struct cell *c = &cells[i];

		fprintf(json, "%s\n{\"cell\": [\"%s\", \"%s\"], \"operations\": [%ld, %ld], "
			"\"disturbed\": [%ld, %ld], \"lines\": {", i ? "," : "",
			c->op[0]->name, c->op[1]->name, c->ops[0], c->ops[1],
			c->disturbed[0], c->disturbed[1]);
		for (int owner = 0; owner < NR_OWNERS; owner++)
			fprintf(json, "%s\"%s\": %ld", owner ? ", " : "",
				owner_names[owner], c->lines[owner]);
		fprintf(json, "}}");
	}
}

void report_close(void)
{
	if (!json)
		return;
	fprintf(json, "]}\n");
	REQUIRE(fclose(json) == 0);
}
