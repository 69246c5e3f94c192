/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Loading a program as execve() would; plain code before the program runs. */
#ifndef DUNE_RUN_LOAD_H
#define DUNE_RUN_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

/* A mapped ELF file. Addresses are where it is now. */
struct object {
	uint64_t bias, entry, phdr;
	uint64_t phnum;
	uint64_t start_code, end_code, start_data, end_data;
	uint64_t end;			/* of its bss */
	char *interp;			/* its program interpreter, malloc()ed, or NULL */
	bool exec_stack;
};

/* What the program is, and what it gets. */
struct program {
	int fd;				/* the file, scripts resolved */
	char *execfn;			/* as execve() was told */
	int argc;
	char **argv, **envp;
	uint64_t mask;			/* blocked signals */
	struct rlimit limit;		/* of its descriptors, while it is loaded */
};

#pragma GCC visibility push(hidden)

/* exec.c: would execve() of this file be the same as ours? In any process. */
bool load_is_possible(int fd);
/* The option for the program that execve() gets; inside() in main.c reads it. */
#define INSIDE_MAX	256
void load_inside(char *text, size_t size, int fd, uint64_t mask);

/*
 * script.c: p->fd, if it is a script, becomes its interpreter, and p->argv is made
 * anew. 0 or a negative errno
 */
int script_resolve(struct program *p);
/* A line "#!..." of a script: the interpreter, or NULL; *arg: its argument or NULL. */
char *script_interpreter(char *line, char **arg);

/* elf.c: 0 or a negative errno */
enum object_kind { OBJECT_PROGRAM, OBJECT_INTERPRETER };
int object_map(int fd, enum object_kind kind, struct object *o);
bool object_is_native(int fd);

/* image.c: the first stack */
struct image {
	char *bytes;			/* malloc()ed */
	uint64_t at;			/* where they go: the program's rsp */
	size_t size;
	uint64_t arg_start, arg_end, env_start, env_end, auxv;
	size_t auxv_size;
};
int image_make(const struct program *p, const struct object *o, const struct object *interp,
	       uint64_t random[2], struct image *image);

/* self.c: nothing of the file self, which this process executes, is mapped then */
bool self_leave_file(int self);

/* start.c: does not return but with a negative errno */
int program_start(struct program *p);

#pragma GCC visibility pop

#endif /* DUNE_RUN_LOAD_H */
