// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The program's first stack: strings, auxiliary vector, environment, arguments
 * (create_elf_tables() in fs/binfmt_elf.c). It ends where that of this program did.
 */
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "load.h"

#define PLATFORM	"x86_64"

/* Of this process, as Linux made it; before environ is changed. */
static const ElfW(auxv_t) *own_auxv(char **envp)
{
	while (*envp)
		envp++;
	return (const ElfW(auxv_t) *)(envp + 1);
}

struct builder {
	char *bytes;
	uint64_t at;		/* where bytes will be */
	size_t pos;		/* of the next string */
};

static uint64_t put(struct builder *b, const void *data, size_t size)
{
	uint64_t at = b->at + b->pos;

	memcpy(b->bytes + b->pos, data, size);
	b->pos += size;
	return at;
}

static size_t strings_size(char **list)
{
	size_t size = 0;

	for (; *list; list++)
		size += strlen(*list) + 1;
	return size;
}

static size_t length(char **list)
{
	size_t n = 0;

	while (list[n])
		n++;
	return n;
}

static size_t auxv_length(const ElfW(auxv_t) *av)
{
	size_t n = 1;

	for (; av->a_type != AT_NULL; av++)
		n++;
	return n;
}

static void auxv_set(ElfW(auxv_t) *av, uint64_t type, uint64_t value)
{
	for (; av->a_type != AT_NULL; av++)
		if (av->a_type == type)
			av->a_un.a_val = value;
}

/* The words below the strings. */
struct words {
	uint64_t *argc, *argv, *envp;
	ElfW(auxv_t) *auxv;
};

static void lay_out(struct words *w, void *bytes, size_t argc, size_t envc)
{
	w->argc = bytes;
	w->argv = w->argc + 1;
	w->envp = w->argv + argc + 1;
	w->auxv = (ElfW(auxv_t) *)(w->envp + envc + 1);
}

static void put_list(struct builder *b, char **list, uint64_t *pointers)
{
	while (*list) {
		*pointers++ = put(b, *list, strlen(*list) + 1);
		list++;
	}
	*pointers = 0;
}

static void put_auxv(const struct words *w, const struct object *o, const struct object *interp)
{
	auxv_set(w->auxv, AT_PHDR, o->phdr);
	auxv_set(w->auxv, AT_PHENT, sizeof(ElfW(Phdr)));
	auxv_set(w->auxv, AT_PHNUM, o->phnum);
	auxv_set(w->auxv, AT_BASE, interp ? interp->bias : 0);
	auxv_set(w->auxv, AT_ENTRY, o->entry);
}

int image_make(const struct program *p, const struct object *o, const struct object *interp,
	       uint64_t random[2], struct image *image)
{
	const char *own_name = (const char *)getauxval(AT_EXECFN);
	uint64_t top = (uint64_t)own_name + strlen(own_name) + 1 + 8;
	size_t argc = p->argc, envc = length(p->envp), auxc;
	const ElfW(auxv_t) *av = own_auxv(p->envp);
	size_t words_size, strings;
	struct builder b;
	struct words w;

	auxc = auxv_length(av);
	words_size = (1 + argc + 1 + envc + 1) * 8 + auxc * sizeof(*av);
	strings = sizeof(PLATFORM) + 16 + strings_size(p->argv) + strings_size(p->envp) +
		  strlen(p->execfn) + 1 + 8;
	image->at = (top - strings - words_size) & ~15ul;
	image->size = top - image->at;
	image->bytes = calloc(1, image->size);
	if (!image->bytes)
		return -ENOMEM;
	b = (struct builder){ image->bytes, image->at, image->size - strings };

	lay_out(&w, image->bytes, argc, envc);
	*w.argc = argc;
	memcpy(w.auxv, av, auxc * sizeof(*av));
	put_auxv(&w, o, interp);
	auxv_set(w.auxv, AT_PLATFORM, put(&b, PLATFORM, sizeof(PLATFORM)));
	auxv_set(w.auxv, AT_RANDOM, put(&b, random, 16));
	image->arg_start = b.at + b.pos;
	put_list(&b, p->argv, w.argv);
	image->arg_end = image->env_start = b.at + b.pos;
	put_list(&b, p->envp, w.envp);
	image->env_end = b.at + b.pos;
	auxv_set(w.auxv, AT_EXECFN, put(&b, p->execfn, strlen(p->execfn) + 1));
	image->auxv = image->at + ((char *)w.auxv - image->bytes);
	image->auxv_size = auxc * sizeof(*av);
	return 0;
}
