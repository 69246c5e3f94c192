// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dune.h"

int cli_number(const struct cli_number *numbers, const char *name, const char *text)
{
	unsigned long value;
	char *end;

	while (numbers->name && strcmp(numbers->name, name))
		numbers++;
	if (!numbers->name)
		cli_die("option --%s is in no table", name);
	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || end == text || *end || value < numbers->min || value > numbers->max) {
		fprintf(stderr, "%s: --%s takes a number from %lu to %lu, not %s\n",
			program_invocation_short_name, name, numbers->min, numbers->max, text);
		return -1;
	}
	*numbers->value = value;
	return 0;
}

void cli_need_dune(void)
{
	int err = dune_init();

	if (!err)
		return;
	cli_die("dune_init: %s\n  next: %s, or use --native", dune_why(),
		err == -ENOENT ? "load the module (modprobe dune)"
			       : "see dmesg for the module's reason");
}

void cli_die(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	_Exit(1);
}
