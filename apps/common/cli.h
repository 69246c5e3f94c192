/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What the programs' command lines and messages have in common. */
#ifndef CLI_H
#define CLI_H

#include <stdbool.h>
#include <stdio.h>

/* Where the threads run. */
enum mode { MODE_LINUX, MODE_DUNE };

/* An option: a number, a text, or, with neither, a flag. The last has no name. */
struct cli_option {
	const char *name;	/* without the two dashes; one of these is set: */
	unsigned long *number;	/* from min to max */
	const char **text;
	bool *flag;
	unsigned long min, max;
};

#define CLI_OPTIONS	16	/* at most */

/*
 * The command line, which has nothing but options. --help prints usage and ends the
 * program. 0, or 2, the exit status, when it is wrong: said why.
 */
int cli_parse(int argc, char **argv, const struct cli_option *options,
	      void (*usage)(FILE *out));

/* None of two: both. */
void cli_both(bool *one, bool *other);

/* dune_init(), or the end of the program with a message that says what to do. */
void cli_need_dune(void);

/* Print "PROGRAM: message" to stderr and end with status 1. */
void cli_die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif /* CLI_H */
