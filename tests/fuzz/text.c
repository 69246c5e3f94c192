// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A case as a line of text:
 *
 *	guest class=storm idt=1 reg17=0x302 code=cc0f01c1
 *	ioctl racer=7 op=0,0,0xc0401502,1,0,0,0 op=...
 *	seed 0x1234 [ioctl|guest]
 *
 * Fields that are not named are what guest_defaults() says, and 0.
 */
#include "fuzz.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define G(name) { #name, offsetof(struct guest_case, name) }
static const struct field {
	const char *name;
	size_t offset;
} fields[] = {
	G(racer), G(racer_seed), G(idt), G(idt_seed), G(runs), G(page_seed),
	G(no_page), G(spoils), G(want), G(want2), G(sync), G(run_flags),
	G(quantum_us), G(syscall_ip),
};
#define NR_FIELDS (sizeof(fields) / sizeof(*fields))

static void print_field(const char *name, int index, uint64_t value,
			uint64_t unsaid)
{
	if (value == unsaid)
		return;
	printf(" %s", name);
	if (index >= 0)
		printf("%d", index);
	printf(value < 10 ? "=%llu" : "=0x%llx", (unsigned long long)value);
}

static void print_guest(const struct guest_case *c)
{
	static struct guest_case d;

	guest_defaults(&d);
	printf("guest class=%s", class_names[c->class]);
	for (size_t i = 0; i < NR_FIELDS; i++)
		print_field(fields[i].name, -1,
			    *(uint64_t *)((char *)c + fields[i].offset),
			    *(uint64_t *)((char *)&d + fields[i].offset));
	for (int i = 0; i < 18; i++)
		print_field("reg", i, c->reg[i], d.reg[i]);
	for (int i = 0; i < 10; i++)
		print_field("sreg", i, c->sreg[i], d.sreg[i]);
	for (uint32_t i = 0; i < c->nr_pokes; i++)
		printf(" poke=0x%llx,0x%llx",
		       (unsigned long long)c->poke[i].offset,
		       (unsigned long long)c->poke[i].value);
	if (c->code_len)
		printf(" code=");
	for (uint32_t i = 0; i < c->code_len; i++)
		printf("%02x", c->code[i]);
	printf("\n");
}

static void print_ioctl(const struct ioctl_case *c)
{
	printf("ioctl");
	print_field("racer", -1, c->racer, 0);
	print_field("racer_seed", -1, c->racer_seed, 0);
	for (uint32_t i = 0; i < c->nr; i++) {
		const uint64_t *w = (const uint64_t *)&c->op[i];

		printf(" op=%llu,%llu", (unsigned long long)w[0],
		       (unsigned long long)w[1]);
		for (int k = 2; k < 7; k++)
			printf(",0x%llx", (unsigned long long)w[k]);
	}
	printf("\n");
}

void case_print(const struct fuzz_case *c)
{
	if (c->engine == ENGINE_GUEST)
		print_guest(&c->guest);
	else
		print_ioctl(&c->ioctl);
}

static bool parse_code(struct guest_case *c, const char *hex)
{
	unsigned int byte;

	for (c->code_len = 0; *hex; hex += 2) {
		if (c->code_len == MAX_CODE || !isxdigit((unsigned char)hex[0]) ||
		    sscanf(hex, "%2x", &byte) != 1 || !hex[1])
			return false;
		c->code[c->code_len++] = byte;
	}
	return true;
}

/* Up to n numbers with commas between. */
static bool parse_numbers(const char *s, uint64_t *to, unsigned int n)
{
	char *end;

	while (n--) {
		*to++ = strtoull(s, &end, 0);
		if (end == s || (*end && *end != ','))
			return false;
		if (!*end)
			return true;
		s = end + 1;
	}
	return false;
}

static bool parse_class(struct guest_case *c, const char *name)
{
	for (int i = 0; i < NR_CLASSES; i++)
		if (!strcmp(name, class_names[i])) {
			c->class = i;
			return true;
		}
	return false;
}

static bool parse_indexed(const char *key, const char *value, const char *name,
			  uint64_t *array, unsigned int n)
{
	size_t len = strlen(name);
	unsigned int i;

	if (strncmp(key, name, len) || sscanf(key + len, "%u", &i) != 1 || i >= n)
		return false;
	return parse_numbers(value, &array[i], 1);
}

static bool parse_guest(struct guest_case *c, const char *key, const char *value)
{
	if (!strcmp(key, "class"))
		return parse_class(c, value);
	if (!strcmp(key, "code"))
		return parse_code(c, value);
	if (!strcmp(key, "poke"))
		return c->nr_pokes < MAX_POKES &&
		       parse_numbers(value, &c->poke[c->nr_pokes++].offset, 2);
	for (size_t i = 0; i < NR_FIELDS; i++)
		if (!strcmp(key, fields[i].name))
			return parse_numbers(value, (uint64_t *)((char *)c +
						    fields[i].offset), 1);
	return parse_indexed(key, value, "reg", c->reg, 18) ||
	       parse_indexed(key, value, "sreg", c->sreg, 10);
}

static bool parse_ioctl(struct ioctl_case *c, const char *key, const char *value)
{
	if (!strcmp(key, "racer"))
		return parse_numbers(value, &c->racer, 1);
	if (!strcmp(key, "racer_seed"))
		return parse_numbers(value, &c->racer_seed, 1);
	return !strcmp(key, "op") && c->nr < MAX_OPS &&
	       parse_numbers(value, (uint64_t *)&c->op[c->nr++], 7);
}

static const char *parse_seed(struct fuzz_case *c, char *rest)
{
	char *seed = strtok_r(NULL, " \t\n", &rest);
	char *engine = strtok_r(NULL, " \t\n", &rest);

	if (!seed)
		return "no number";
	case_make(c, strtoull(seed, NULL, 0),
		  !engine ? 3u : strcmp(engine, "ioctl") ?
		  1u << ENGINE_GUEST : 1u << ENGINE_IOCTL);
	return NULL;
}

const char *case_parse(struct fuzz_case *c, const char *line)
{
	static char copy[4096];
	char *rest, *word, *value;
	bool ok;

	memset(c, 0, sizeof(*c));
	snprintf(copy, sizeof(copy), "%s", line);
	word = strtok_r(copy, " \t\n", &rest);
	if (word && !strcmp(word, "seed"))
		return parse_seed(c, rest);
	if (!word || (strcmp(word, "guest") && strcmp(word, "ioctl")))
		return "a case begins with guest, ioctl or seed";
	c->engine = word[0] == 'g' ? ENGINE_GUEST : ENGINE_IOCTL;
	if (c->engine == ENGINE_GUEST)
		guest_defaults(&c->guest);
	while ((word = strtok_r(NULL, " \t\n", &rest))) {
		value = strchr(word, '=');
		if (!value)
			return "a field without a value";
		*value++ = '\0';
		ok = c->engine == ENGINE_GUEST ?
		     parse_guest(&c->guest, word, value) :
		     parse_ioctl(&c->ioctl, word, value);
		if (!ok)
			return "an unknown field or a bad value";
	}
	return NULL;
}
