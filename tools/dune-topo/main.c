// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * dune-topo: the machine, the threads of a Dune process, and on which NUMA node
 * each page is that Dune needs for it.
 */
#include <argp.h>
#include <errno.h>
#include <error.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "layout.h"
#include "paint.h"
#include "text.h"

/* What is printed; none of them: the machine and the sums. */
#define LIST_THREADS	1u
#define LIST_VCPUS	2u
#define LIST_TABLES	4u

#define KEY_SVG		256
#define KEY_PNG		257

struct options {
	pid_t pid;		/* 0: the machine only */
	unsigned int lists;
	enum { FORM_TEXT, FORM_JSON } form;
	const char *svg, *png;
};

static const char doc[] =
	"Show the machine's NUMA nodes, and with PID where the threads of this Dune "
	"process and the pages that Dune needs for them are.\v"
	"Local is a page on the node of who uses it: of the CPU that the thread was "
	"on last, for an EPT table the thread that linked it, or the replica's node. "
	"Lists replace the sums; with --json they are added to them. A drawing "
	"replaces the text. Exit status: 0; 1 when something could not be found out "
	"or written; 64 for wrong options.";

static const struct argp_option argp_options[] = {
	{ "threads", 't', NULL, 0, "List the threads" },
	{ "vcpus", 'v', NULL, 0, "List the vCPUs: nodes of user, VMCS and page" },
	{ "tables", 'e', NULL, 0, "List the EPT tables: address, level, node, user" },
	{ "json", 'j', NULL, 0, "Print one JSON object; --tables: with each table" },
	{ "svg", KEY_SVG, "FILE", 0, "Draw it to FILE" },
	{ "png", KEY_PNG, "FILE", 0, "Draw it to FILE" },
	{ 0 }
};

static pid_t process(const char *text, struct argp_state *state)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end || value <= 0 || value != (pid_t)value)
		argp_error(state, "'%s' is no pid", text);
	return value;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 't':
		o->lists |= LIST_THREADS;
		break;
	case 'v':
		o->lists |= LIST_VCPUS;
		break;
	case 'e':
		o->lists |= LIST_TABLES;
		break;
	case 'j':
		o->form = FORM_JSON;
		break;
	case KEY_SVG:
		o->svg = arg;
		break;
	case KEY_PNG:
		o->png = arg;
		break;
	case ARGP_KEY_ARG:
		if (o->pid)
			argp_error(state, "one process at a time");
		o->pid = process(arg, state);
		break;
	case ARGP_KEY_END:
		if (o->lists && !o->pid)
			argp_error(state, "a list of what? a PID is needed");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* The module first: it knows whether there is something to look at, and says why not. */
static bool look(struct view *v)
{
	if (!machine_load(&v->machine))
		return false;
	return !v->pid || (places_load(v->pid, &v->places) &&
			   threads_load(v->pid, &v->threads) &&
			   memory_load(v->pid, &v->memory));
}

static bool draw(const struct options *o, const struct view *v, const struct summary *s)
{
	struct layout l;
	bool ok;

	if (!layout_make(v, s, &l)) {
		error(0, ENOMEM, "drawing");
		return false;
	}
	ok = (!o->svg || paint_svg(&l, o->svg)) && (!o->png || paint_png(&l, o->png));
	layout_free(&l);
	return ok;
}

static void print_lists(unsigned int lists, const struct view *v, const struct summary *s)
{
	const char *between = "";

	if (lists & LIST_THREADS) {
		text_threads(stdout, v);
		between = "\n";
	}
	if (lists & LIST_VCPUS) {
		fputs(between, stdout);
		text_vcpus(stdout, s);
		between = "\n";
	}
	if (lists & LIST_TABLES) {
		fputs(between, stdout);
		text_tables(stdout, v, s);
	}
}

static void print(const struct options *o, const struct view *v, const struct summary *s)
{
	if (o->form == FORM_JSON) {
		json_print(stdout, v, s, o->lists & LIST_TABLES ? JSON_EACH_TABLE : JSON_COUNTS);
		return;
	}
	if (o->lists) {
		print_lists(o->lists, v, s);
		return;
	}
	text_machine(stdout, &v->machine);
	if (v->pid) {
		fputc('\n', stdout);
		text_process(stdout, v, s);
	}
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = argp_options, .parser = parse, .doc = doc, .args_doc = "[PID]",
	};
	struct options o = { 0 };
	struct summary s;
	struct view v = { 0 };
	bool ok;

	argp_parse(&argp, argc, argv, 0, NULL, &o);
	v.pid = o.pid;
	if (!look(&v))
		return EXIT_FAILURE;
	if (!summary_make(&v, &s))
		error(EXIT_FAILURE, ENOMEM, "summary");
	if (o.svg || o.png) {
		ok = draw(&o, &v, &s);
	} else {
		print(&o, &v, &s);
		ok = !fflush(stdout) && !ferror(stdout);
		if (!ok)
			error(0, errno, "standard output");
	}
	summary_free(&s);
	places_free(&v.places);
	threads_free(&v.threads);
	machine_free(&v.machine);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
