// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Whose are the lines in conflict, and which may be? See conflicts.h. */
#include "test.h"

#include <string.h>

#include "conflicts.h"

static bool is_code(struct symbol s)
{
	return strchr("tTwW", s.type);
}

/* The process's memory, by its code or the module's walk of its tables. */
static enum owner owner_in_process(const struct emuconflict_site *s)
{
	uint64_t offset;

	if (library_place(s->va, &offset) == PLACE_LIBRARY_DATA)
		return OWNER_LIBRARY;
	if (s->kind != EMUCONFLICT_READ &&
	    library_place(s->rip, &offset) == PLACE_LIBRARY_CODE)
		return OWNER_LIBRARY;
	return OWNER_PROGRAM;
}

static enum owner owner_in_kernel(const struct emuconflict_site *s)
{
	struct symbol code, data = symbol_of(s->va);

	if (data.module && !is_code(data))
		return OWNER_MODULE;
	code = symbol_of(s->rip);
	if (!code.module || !is_code(code))
		return OWNER_KERNEL;
	return s->kind == EMUCONFLICT_READ ? OWNER_READ : OWNER_MODULE;
}

static enum owner owner_of_access(const struct emuconflict_site *s)
{
	if (s->object)
		return s->library ? OWNER_LIBRARY : OWNER_MODULE;
	switch (s->mode) {
	case EMUCONFLICT_WALK:
		return OWNER_CPU;
	case EMUCONFLICT_GUEST:
	case EMUCONFLICT_USER:
		return owner_in_process(s);
	case EMUCONFLICT_VMCS:
		return OWNER_KERNEL;
	default:
		return owner_in_kernel(s);
	}
}

static bool is_allocator(const struct emuconflict_site *s)
{
	static const char *const names[] = {
		"rmqueue_bulk", "free_pcppages_bulk", "__free_one_page", "get_page_from_freelist",
	};
	struct symbol code = symbol_of(s->rip);

	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!code.module && !strcmp(code.name, names[i]))
			return true;
	return false;
}

/*
 * A struct page whose page Linux' allocator moved between lists of CPUs; the module
 * writes to it on one of them only, when the page is its own. Seen when memory is
 * short and those lists are empty.
 */
static bool is_handed_on(const struct emuconflict_site *s, long nr)
{
	bool allocator = false;
	int writer = -1;

	for (long i = 0; i < nr; i++) {
		allocator |= is_allocator(&s[i]);
		if (owner_of_access(&s[i]) == OWNER_KERNEL)
			continue;
		if (writer >= 0 && writer != s[i].cpu)
			return false;
		writer = s[i].cpu;
	}
	return allocator;
}

enum owner owner_of(const struct emuconflict_site *s, long nr)
{
	enum owner owner = OWNER_CPU;

	if (is_handed_on(s, nr))
		return OWNER_KERNEL;
	for (long i = 0; i < nr; i++)
		if (owner_of_access(&s[i]) < owner)
			owner = owner_of_access(&s[i]);
	return owner;
}

static bool has(const struct cell *cell, unsigned int shares)
{
	return (cell->op[0]->shares | cell->op[1]->shares) & shares;
}

static bool both_have(const struct cell *cell, unsigned int shares)
{
	return cell->op[0]->shares & cell->op[1]->shares & shares;
}

static bool is_of(const struct emuconflict_site *s, long nr, const char *name)
{
	for (long i = 0; i < nr; i++)
		if (!s[i].object || strcmp(s[i].name, name))
			return false;
	return true;
}

/* What the protocol of flushes writes for everybody to read who enters the guest. */
static bool is_by_protocol(const struct cell *cell, const struct emuconflict_site *s, long nr)
{
	if (has(cell, OF_GENERATION) && !has(cell, STAYS_INSIDE) && (is_of(s, nr, "sd_vm") || is_of(s, nr, "sd_cpu")))
		return true;
	return has(cell, OF_BUCKET) && has(cell, MANY_BUCKETS) && is_of(s, nr, "inval");
}

bool is_judged(const struct cell *cell, enum owner owner)
{
	switch (owner) {
	case OWNER_MODULE:
	case OWNER_LIBRARY:
		return !both_have(cell, OF_VM);
	case OWNER_READ:
		return !has(cell, OF_LINUX);
	default:
		return false;
	}
}

bool is_forbidden(const struct cell *cell, const struct emuconflict_site *s, long nr)
{
	return is_judged(cell, owner_of(s, nr)) && !is_by_protocol(cell, s, nr);
}
