// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dune.h"

static int number(const struct cli_option *option, const char *text)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || end == text || *end || value < option->min || value > option->max) {
		fprintf(stderr, "%s: --%s takes a number from %lu to %lu, not %s\n",
			program_invocation_short_name, option->name, option->min,
			option->max, text);
		return 2;
	}
	*option->number = value;
	return 0;
}

static int take(const struct cli_option *option, const char *text)
{
	if (option->number)
		return number(option, text);
	if (option->text)
		*option->text = text;
	else
		*option->flag = true;
	return 0;
}

/* Values of getopt_long() for what is no option of the program's. */
enum { HELP = CLI_OPTIONS, WRONG = '?' };

int cli_parse(int argc, char **argv, const struct cli_option *options,
	      void (*usage)(FILE *out))
{
	struct option longs[CLI_OPTIONS + 2] = { 0 };
	int n, c, err = 0;

	for (n = 0; options[n].name; n++)
		longs[n] = (struct option){
			options[n].name, options[n].flag ? no_argument : required_argument,
			NULL, n,
		};
	longs[n] = (struct option){ "help", no_argument, NULL, HELP };
	while (!err && (c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == HELP) {
			usage(stdout);
			exit(0);
		}
		err = c == WRONG ? 2 : take(&options[c], optarg);
	}
	if (!err && optind == argc)
		return 0;
	if (!err)
		fprintf(stderr, "%s: %s is no option\n", program_invocation_short_name,
			argv[optind]);
	if (!err || c == WRONG)
		usage(stderr);
	return 2;
}

void cli_both(bool *one, bool *other)
{
	if (!*one && !*other)
		*one = *other = true;
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
