/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The differential test of system calls. A call is made natively, re-issued
 * and inside the kernel, each time from the same fixtures and memory; results,
 * memory, side effects and registers have to be the same.
 */
#ifndef TESTS_SYSDIFF_H
#define TESTS_SYSDIFF_H

#include "test.h"

#include <stddef.h>
#include <sys/syscall.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof(*(a)))

/* ---- one call (call.c) ---- */

enum sd_mode { SD_NATIVE, SD_REISSUE, SD_FAST, SD_NR_MODES };
extern const char *const sd_mode_name[];

/* Map this thread's vCPU page; once, before the first sd_begin(). */
void sd_setup_modes(void);
/* Into and out of the mode; nothing with --native. */
void sd_begin(enum sd_mode mode);
void sd_end(enum sd_mode mode);

struct sd_made {
	long result;		/* as the kernel gave it: -errno */
	unsigned int fast;	/* made inside the kernel, says the counter */
	unsigned int calls;	/* made at all, in Dune mode */
};

/*
 * One SYSCALL in the current mode with all of rax, as the guest's own code.
 * What SYSCALL keeps (general and vector registers, flags, red zone, stack)
 * and what it sets (rcx, r11) is checked.
 */
struct sd_made sd_call(uint64_t rax, const uint64_t args[6]);

/* ---- memory (memory.c): places are fixed, so tables can name them ---- */

/* Slots 0..5 belong to the six arguments, the others are for what they name. */
#define SD_NR_SLOTS	10
#define SD_ARENA	0x10000000000ul
#define SD_SLOT(i)	(SD_ARENA + (i) * 0x10000ul)
#define SD_PAGE		4096ul
/* One page of memory, PROT_NONE before and behind, then a read-only one. */
#define SD_SLOT_END(i)	(SD_SLOT(i) + 2 * SD_PAGE)
#define SD_SLOT_NONE(i)	SD_SLOT_END(i)
#define SD_SLOT_RO(i)	(SD_SLOT(i) + 3 * SD_PAGE)
#define SD_AT(i, size)	(SD_SLOT_END(i) - (size))
#define SD_HOLE		(SD_ARENA + 0xf00000ul)
/*
 * For calls that change mappings: pages remade for each call, below all else,
 * so that they come first in /proc/self/maps.
 */
#define SD_MAPS		(SD_ARENA - 0x40000000ul)
#define SD_MAPS_PAGES	8
#define SD_MAPS_ROOM	(64 * SD_PAGE)

void sd_memory_setup(void);
/* Calls write the last words of a slot only; slots are sets of bits. */
void sd_memory_fill(unsigned int slots);
/* Contents, or of volatile slots only which words were written. */
uint64_t sd_memory_digest(unsigned int slots, unsigned int volatile_slots);
void sd_maps_make(void);
/* Protections and contents of what is mapped there. */
uint64_t sd_maps_digest(void);

#define SD_DIGEST_SEED 0xcbf29ce484222325ull
uint64_t sd_mix(uint64_t digest, const void *data, size_t n);
uint64_t sd_mix_number(uint64_t digest, uint64_t v);

/* ---- what calls find (fixtures.c) ---- */

enum {
	FIX_FILE	= 1 << 0,
	FIX_PIPE	= 1 << 1,
	FIX_EVENT	= 1 << 2,
	FIX_SOCK	= 1 << 3,
	FIX_LISTEN	= 1 << 4,
	FIX_EPOLL	= 1 << 5,
	FIX_TIMER	= 1 << 6,
	FIX_MAPS	= 1 << 7,
	FIX_FDS		= 1 << 8,	/* the call makes fds */
	FIX_DIR		= 1 << 9,	/* or files */
};

/* Fds of the fixtures have fixed numbers. */
enum {
	FD_FILE = 100,		/* 8000 bytes at offset 100, O_RDWR */
	FD_RO,			/* another, read-only, never changed */
	FD_PIPE_R, FD_PIPE_W,	/* 16 bytes inside */
	FD_EVENT,		/* counts 3 */
	FD_SOCK_A, FD_SOCK_B,	/* datagrams: two wait at A */
	FD_LISTEN,		/* a connection waits */
	FD_EPOLL,		/* watches FD_EVENT */
	FD_TIMER,
	FD_DIR,
	FD_PATH,		/* O_PATH */
	FD_CLIENT,
	FD_END,
	FD_BAD = 999,		/* never open */
};

#define SD_FOLDER	"/tmp/sysdiff"
#define SD_FILE_SIZE	8000

void sd_fixtures_once(void);
void sd_fixtures_make(unsigned int which);
uint64_t sd_fixtures_digest(unsigned int which);

/* ---- descriptions of calls (calls_*.c) ---- */

/* Tables leave out what is zero. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

enum sd_kind {
	ARG_NONE,	/* not an argument: holds garbage */
	ARG_CONST,	/* never varied */
	ARG_FD,
	ARG_OUT,	/* memory of the argument's slot, with contents or without */
	ARG_IN,
	ARG_MEM,	/* memory, but never varied: a wait without it has no end */
	ARG_NUM,
	ARG_SIZE,	/* of memory */
	ARG_FLAGS,
	ARG_ADDR,	/* in SD_MAPS */
	ARG_LEN,	/* of a range there */
	ARG_BRK,	/* relative to the first break */
};

struct sd_arg {
	enum sd_kind kind;
	uint64_t value;		/* of memory: its size */
	const void *init;	/* contents, as many bytes as value; or NULL */
	bool changes;		/* its contents differ from call to call */
};

#define NUM(v)		{ ARG_NUM, (uint64_t)(v), NULL, false }
#define CONST(v)	{ ARG_CONST, (uint64_t)(v), NULL, false }
#define FD(v)		{ ARG_FD, (uint64_t)(v), NULL, false }
#define SIZE(v)		{ ARG_SIZE, (v), NULL, false }
#define FLAGS(v)	{ ARG_FLAGS, (uint64_t)(v), NULL, false }
#define ADDR(v)		{ ARG_ADDR, (v), NULL, false }
#define LEN(v)		{ ARG_LEN, (uint64_t)(v), NULL, false }
#define BRK(v)		{ ARG_BRK, (uint64_t)(v), NULL, false }
#define OUT(size)	{ ARG_OUT, (size), NULL, false }
#define OUTV(size)	{ ARG_OUT, (size), NULL, true }
#define STR(text)	{ ARG_IN, sizeof(text), text, false }
#define IN(type, ...)	{ ARG_IN, sizeof(type), &(const type){ __VA_ARGS__ }, false }
#define MEM(type, ...)	{ ARG_MEM, sizeof(type), &(const type){ __VA_ARGS__ }, false }
#define INOUT(type, ...) { ARG_OUT, sizeof(type), &(const type){ __VA_ARGS__ }, false }
#define INOUTV(type, ...) { ARG_OUT, sizeof(type), &(const type){ __VA_ARGS__ }, true }

enum sd_result {
	RES_SAME,
	RES_ANY,	/* of results that are no errors only the sign counts */
	RES_MAPPED,	/* an address: outside SD_MAPS any is as good; unmapped */
};

/* One way of making a call that is right; each argument is then varied. */
struct sd_base {
	unsigned int fixtures;
	enum sd_result result;
	struct sd_arg arg[6];
	/* Contents of slots 6.., at their ends. */
	struct { const void *init; size_t size; } more[SD_NR_SLOTS - 6];
};

struct sd_sig {
	const struct sd_base *base;
	unsigned int n;
};

/* Argument i as described, and the memory of all of them (args.c). */
uint64_t sd_arg_value(const struct sd_arg *a, int i);
void sd_args_fill(const struct sd_base *b);
uint64_t sd_args_digest(const struct sd_base *b);
extern uint64_t sd_first_break;

#define SIG(name, ...)							\
	static const struct sd_base base_##name[] = { __VA_ARGS__ };	\
	const struct sd_sig sd_sig_##name = {				\
		base_##name, ARRAY_SIZE(base_##name) }

#define MORE(type, ...) { &(const type){ __VA_ARGS__ }, sizeof(type) }

/* ---- the parts ---- */

void sd_run_calls(void);	/* run.c */
void sd_run_numbers(void);	/* numbers.c */
void sd_run_restarts(void);	/* restart.c */

/* ---- calls that wait, for restart.c (scenes.c) ---- */

/* Shared with the process that interrupts and ends the wait. */
struct sd_shared {
	volatile int held, armed, done, handled;
	volatile uint32_t word, pi_word;
};
#define SD_SHARED	((struct sd_shared *)(SD_ARENA - 0x80000000ul))

struct sd_scene {
	const char *name;
	int nr;
	void (*prepare)(void);	/* natively, before each call */
	void (*hold)(void);	/* the other process, before the call */
	void (*wake)(void);	/* the other process: what the call waits for */
	struct sd_base base;
};
extern const struct sd_scene sd_scenes[];
extern const unsigned int sd_nr_scenes;

#endif /* TESTS_SYSDIFF_H */
