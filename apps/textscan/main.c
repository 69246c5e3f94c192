// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * textscan: count the words of files in parallel, natively or with every
 * worker thread in Dune mode. The result on stdout is the same byte for byte.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "scan.h"

struct options {
	unsigned int threads;
	size_t top;
	bool dune;
	bool stats;
	bool verify;
};

static void usage(FILE *out)
{
	fputs("usage: textscan [OPTIONS] PATH...\n"
	      "Count the words in files and directories, in parallel.\n"
	      "\n"
	      "  -t, --threads N  worker threads (4)\n"
	      "  -k, --top K      words to print, 0 for all (20)\n"
	      "  -d, --dune       run the workers in Dune mode\n"
	      "  -s, --stats      with Dune: print what each vCPU did, on stderr\n"
	      "  -v, --verify     run natively and in Dune mode, compare the results\n"
	      "  -h, --help       this text\n"
	      "\n"
	      "Exit status: 0 all is well, 1 something failed, 2 wrong usage.\n", out);
}

static int parse_number(const char *text, unsigned long max, unsigned long *value)
{
	char *end;

	errno = 0;
	*value = strtoul(text, &end, 10);
	return errno || end == text || *end || *value > max ? -EINVAL : 0;
}

/* Index of the first path, or -1 (help was asked), -2 (wrong usage). */
static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "threads", required_argument, NULL, 't' },
		{ "top", required_argument, NULL, 'k' },
		{ "dune", no_argument, NULL, 'd' },
		{ "stats", no_argument, NULL, 's' },
		{ "verify", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned long n;
	int c;

	while ((c = getopt_long(argc, argv, "t:k:dsvh", longs, NULL)) != -1) {
		switch (c) {
		case 't':
			if (parse_number(optarg, 4096, &n) || !n)
				goto bad_number;
			o->threads = n;
			break;
		case 'k':
			if (parse_number(optarg, SIZE_MAX, &n))
				goto bad_number;
			o->top = n ? n : SIZE_MAX;
			break;
		case 'd':
			o->dune = true;
			break;
		case 's':
			o->stats = true;
			break;
		case 'v':
			o->verify = true;
			break;
		case 'h':
			return -1;
		default:
			return -2;
		}
	}
	if (optind == argc) {
		fprintf(stderr, "textscan: no PATH given\n");
		return -2;
	}
	return optind;

bad_number:
	fprintf(stderr, "textscan: not a number that makes sense: %s\n", optarg);
	return -2;
}

/* Run once; the text for stdout goes to *text. The number of failures. */
static unsigned int run(const struct options *o, char *const paths[], bool dune, char **text)
{
	unsigned int failed;
	struct scan scan;
	size_t size;
	FILE *out = open_memstream(text, &size);
	int err;

	if (!out) {
		fprintf(stderr, "textscan: %m\n");
		exit(1);
	}
	err = scan_run(&scan, paths, o->threads, dune ? SCAN_DUNE : SCAN_PLAIN);
	if (!err)
		err = scan_print(&scan, o->top, out);
	if (fclose(out) && !err)
		err = -errno;
	if (err) {
		fprintf(stderr, "textscan: %s\n", strerror(-err));
		exit(1);
	}
	failed = scan.failed;
	if (dune && o->stats)
		failed += report_stats(&scan, stderr);
	scan_free(&scan);
	return failed;
}

int main(int argc, char **argv)
{
	struct options o = { .threads = 4, .top = 20 };
	int first = parse(argc, argv, &o);
	char *native = NULL, *dune = NULL;
	unsigned int failed = 0;

	if (first < 0) {
		usage(first == -1 ? stdout : stderr);
		return first == -1 ? 0 : 2;
	}
	if ((o.dune || o.verify) && dune_init()) {
		fprintf(stderr, "textscan: dune_init: %s\n", dune_why());
		return 1;
	}
	if (!o.dune || o.verify)
		failed += run(&o, argv + first, false, &native);
	if (o.dune || o.verify)
		failed += run(&o, argv + first, true, &dune);

	fputs(dune ? dune : native, stdout);
	if (o.verify) {
		bool same = !strcmp(native, dune);

		fprintf(stderr, "verify: the results in Dune mode and natively %s\n",
			same ? "are the same" : "DIFFER");
		failed += !same;
	}
	if (fflush(stdout)) {
		fprintf(stderr, "textscan: write: %m\n");
		failed++;
	}
	free(native);
	free(dune);
	return failed ? 1 : 0;
}
