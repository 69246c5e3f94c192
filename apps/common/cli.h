/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What the programs' command lines and messages have in common. */
#ifndef CLI_H
#define CLI_H

/* Where the threads run. */
enum mode { MODE_LINUX, MODE_DUNE };

/* An option with a number. The last of a table has no name. */
struct cli_number {
	const char *name;	/* without the two dashes */
	unsigned long min, max;
	unsigned long *value;
};

/* The number that text is, stored where name's entry says. 0, or -1: said why. */
int cli_number(const struct cli_number *numbers, const char *name, const char *text);

/* dune_init(), or the end of the program with a message that says what to do. */
void cli_need_dune(void);

/* Print "PROGRAM: message" to stderr and end with status 1. */
void cli_die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif /* CLI_H */
