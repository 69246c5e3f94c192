// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * dune-stat: what all Dune counters did while a command ran, or while a
 * process lives. A pidfd tells of the end, so intervals need no signals.
 */
#include <argp.h>
#include <errno.h>
#include <error.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"

#define EXIT_TROUBLE 125	/* ours, not the command's */

struct options {
	struct report report;
	double interval;	/* seconds; 0: none */
	pid_t pid;		/* 0: run command */
	char **command;
};

static const char doc[] =
	"Print the difference of all Dune counters over COMMAND, or with -p over "
	"the rest of a process's life.\v"
	"The counters of COMMAND are those of all Dune processes of the calling "
	"user (effective uid) while it runs, ended ones included: of COMMAND and "
	"its children, and of others that run at the same time. With -p they are "
	"exactly the process's. Exit status: COMMAND's; 128 + N when signal N "
	"killed it; 125 when dune-stat itself failed, 126 and 127 when COMMAND "
	"could not be run or found; with -p 0.";

static const struct argp_option argp_options[] = {
	{ "interval", 'i', "SECS", 0, "Print what happened every SECS seconds, too" },
	{ "json", 'j', NULL, 0, "Print JSON, one object a line" },
	{ "pid", 'p', "PID", 0, "Watch this process until it ends" },
	{ "output", 'o', "FILE", 0, "Print to FILE (default: standard error)" },
	{ "all", 'a', NULL, 0, "Print counters that are 0, too" },
	{ 0 }
};

#define MAX_INTERVAL 1000000.0	/* in ms it is an int */

static double interval(const char *text, struct argp_state *state)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= 0.001 && value <= MAX_INTERVAL))
		argp_error(state, "'%s' is no interval in seconds", text);
	return value;
}

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
	case 'i':
		o->interval = interval(arg, state);
		break;
	case 'j':
		o->report.form = REPORT_JSON;
		break;
	case 'p':
		o->pid = process(arg, state);
		break;
	case 'o':
		o->report.out = fopen(arg, "we");
		if (!o->report.out)
			argp_failure(state, EXIT_TROUBLE, errno, "%s", arg);
		break;
	case 'a':
		o->report.zeros = REPORT_ZEROS;
		break;
	case ARGP_KEY_ARGS:
		o->command = state->argv + state->next;
		break;
	case ARGP_KEY_END:
		if (!o->command == !o->pid)
			argp_error(state, "either a command or -p is needed");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* Intervals, until the pidfd says that the process ended, or a signal came. */
static bool watch(const struct options *o, int source, int pidfd,
		  const struct sample *first)
{
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };
	int timeout = o->interval ? o->interval * 1000 + 0.5 : -1;
	struct sample last = *first, now;
	int ready;

	for (;;) {
		ready = poll(&pfd, 1, timeout);
		if (ready > 0)
			return true;
		if (ready < 0) {
			if (errno == EINTR)
				return true;	/* enough: Ctrl-C with -p */
			error(0, errno, "poll");
			return false;
		}
		if (!sample_take(source, &now))
			return false;
		report_print(&o->report, &last, &now);
		last = now;
	}
}

static int status_of(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static pid_t start(char **command)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	execvp(command[0], command);
	error(errno == ENOENT ? 127 : 126, errno, "%s", command[0]);
	_exit(126);
}

static int over_command(const struct options *o)
{
	struct sample before, after;
	int source, pidfd, status;
	bool ok;
	pid_t pid;

	source = source_open(0);
	if (source < 0 || !sample_take(source, &before))
		return EXIT_TROUBLE;
	/* From the terminal they are for the command. */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	pid = start(o->command);
	if (pid < 0)
		error(EXIT_TROUBLE, errno, "fork");
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	ok = pidfd >= 0 && watch(o, source, pidfd, &before);
	if (pidfd < 0)
		error(0, errno, "pidfd_open");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!ok || !sample_take(source, &after))
		return EXIT_TROUBLE;
	report_print(&o->report, &before, &after);
	return status_of(status);
}

/* There only to end poll(). */
static void on_interrupt(int sig)
{
	(void)sig;
}

static int over_process(const struct options *o)
{
	struct sigaction sa = { .sa_handler = on_interrupt };
	struct sample before, after;
	int source, pidfd;

	/* Before the counters: both are then of the same process. */
	pidfd = syscall(SYS_pidfd_open, o->pid, 0);
	if (pidfd < 0)
		error(EXIT_TROUBLE, errno, "process %d", (int)o->pid);
	source = source_open(o->pid);
	if (source < 0 || !sample_take(source, &before))
		return EXIT_TROUBLE;
	sigaction(SIGINT, &sa, NULL);
	if (!watch(o, source, pidfd, &before))
		return EXIT_TROUBLE;
	if (!sample_take(source, &after))
		return EXIT_TROUBLE;
	report_print(&o->report, &before, &after);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = argp_options, .parser = parse, .doc = doc,
		.args_doc = "[--] COMMAND [ARG...]\n-p PID",
	};
	struct options o = { .report = { .out = stderr } };
	char title[128];

	argp_err_exit_status = EXIT_TROUBLE;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &o);
	if (o.pid)
		snprintf(title, sizeof(title), "process %d", (int)o.pid);
	else
		snprintf(title, sizeof(title), "'%.100s'", o.command[0]);
	o.report.what = title;
	return o.pid ? over_process(&o) : over_command(&o);
}
