// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Runs programs in three ways, natively and under dune-run with both backends, and
 * tells what each did. In the emulated machine:
 *
 *	runner [--scale X] [--dune-run FILE] [--modes LIST] ROWS
 *
 * ROWS is a file with a line NAME|TIMEOUT|COMMAND for each; COMMAND is the shell's,
 * and all of the shell runs in Dune mode. Where it has $RUN in it, only what $RUN
 * precedes does. What tests/check-conformance reads are lines that begin with ##:
 *
 *	##begin NAME MODE
 *	##out NAME MODE LINE		of stdout, as far as it is printable
 *	##err NAME MODE LINE		of stderr
 *	##stack NAME MODE PID ...	of a process that did not end in time
 *	##end NAME MODE WORD=NUMBER ...
 *	##done
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "costs.h"
#include "family.h"

#define FOLDER		"/tmp/conformance"
#define MAX_LINE	4096
#define MAX_SHOWN	(64 << 10)	/* bytes of an output */
#define POLL_US		2000
#define GRACE_S		2.0		/* until what the row left behind must be gone */

static const char *const modes[] = { "native", "reissue", "fast" };

static double scale = 1;
static const char *dune_run = "build/tools/dune-run";
static const char *only_modes = "native,reissue,fast";

struct row {
	const char *name, *command;
	double limit;
};

struct outcome {
	int status;		/* of waitpid() */
	bool timed_out;
	unsigned int left;	/* processes */
	double seconds;
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec * 1e-9;
}

/* Servers and their clients meet at the loopback device. */
static void loopback_up(void)
{
	struct ifreq req = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &req) < 0)
		perror("runner: loopback");
	req.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &req) < 0)
		perror("runner: loopback");
	close(fd);
}

/* All in it goes, also what a row before has put there. */
static void fresh_folder(void)
{
	if (system("rm -rf " FOLDER) || mkdir(FOLDER, 0755))
		perror("runner: " FOLDER);
}

static void set_environment(const char *mode)
{
	bool native = !strcmp(mode, "native");
	char *root = getcwd(NULL, 0), *text;

	if (asprintf(&text, "%s/tests/conformance/cases", root) > 0)
		setenv("CASES", text, 1);
	if (asprintf(&text, "%s/%s --backend=%s", root, dune_run, mode) > 0)
		setenv("RUN", native ? "" : text, 1);
	setenv("ROOT", root, 1);
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", FOLDER, 1);
	setenv("LC_ALL", "C", 1);
	setenv("TZ", "UTC0", 1);
}

static void redirect(const char *path, int fd)
{
	int to = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);

	if (to < 0 || dup2(to, fd) < 0)
		_exit(125);
}

static void child(const struct row *row, const char *mode)
{
	char *program, *backend;

	set_environment(mode);
	if (asprintf(&program, "%s/%s", getenv("ROOT"), dune_run) < 0 ||
	    asprintf(&backend, "--backend=%s", mode) < 0)
		_exit(125);
	setsid();
	redirect("/dev/null", 0);
	redirect(FOLDER ".out", 1);
	redirect(FOLDER ".err", 2);
	if (chdir(FOLDER))
		_exit(125);
	if (!strcmp(mode, "native") || strstr(row->command, "$RUN"))
		execl("/bin/sh", "/bin/sh", "-c", row->command, (char *)NULL);
	else
		execl(program, program, backend, "/bin/sh", "-c", row->command, (char *)NULL);
	_exit(125);
}

/* One line of output for each of the file's. False: it has more than is shown. */
static void show(const char *what, const struct row *row, const char *mode, const char *path)
{
	FILE *f = fopen(path, "r");
	size_t shown = 0;
	int c = f ? getc(f) : EOF;

	while (c != EOF && shown < MAX_SHOWN) {
		printf("##%s %s %s ", what, row->name, mode);
		for (; c != EOF && c != '\n'; c = getc(f), shown++)
			printf(isprint(c) && c != '\\' ? "%c" : "\\x%02x", c);
		putchar('\n');
		if (c != EOF)
			c = getc(f);
	}
	if (c != EOF)
		printf("##%s %s %s (more than %d bytes)\n", what, row->name, mode, MAX_SHOWN);
	if (f)
		fclose(f);
}

static void wait_for(pid_t pid, const struct row *row, const char *mode, struct outcome *o)
{
	double t0 = now(), end = t0 + row->limit * scale;

	o->timed_out = false;
	while (waitpid(pid, &o->status, WNOHANG) == 0) {
		if (now() > end && !o->timed_out) {
			o->timed_out = true;
			family_show(row->name, mode);
			family_kill();
			end += 30;
		} else if (now() > end) {
			printf("##stack %s %s %d cannot be killed\n", row->name, mode, pid);
			break;
		}
		usleep(POLL_US);
	}
	o->seconds = now() - t0;
}

/* A daemon that was told to end may need a moment. */
static unsigned int end_leftovers(void)
{
	double end = now() + GRACE_S * scale;
	unsigned int left;

	while (waitpid(-1, NULL, WNOHANG) >= 0 && now() < end)
		usleep(POLL_US);
	left = family_size();
	for (end = now() + 30; waitpid(-1, NULL, WNOHANG) >= 0 && now() < end;) {
		family_kill();
		usleep(POLL_US);
	}
	return left;
}

static void run(const struct row *row, const char *mode)
{
	struct outcome o = { 0 };
	struct costs before;
	pid_t pid;

	printf("##begin %s %s\n", row->name, mode);
	fflush(stdout);
	fresh_folder();
	costs_take(&before);
	pid = fork();
	if (pid == 0)
		child(row, mode);
	wait_for(pid, row, mode, &o);
	o.left = end_leftovers();
	show("out", row, mode, FOLDER ".out");
	show("err", row, mode, FOLDER ".err");
	printf("##end %s %s status=%d signal=%d timeout=%d left=%u ms=%.0f", row->name, mode,
	       WIFEXITED(o.status) ? WEXITSTATUS(o.status) : -1,
	       WIFSIGNALED(o.status) ? WTERMSIG(o.status) : 0, o.timed_out, o.left,
	       o.seconds * 1000);
	costs_show_since(&before);
	putchar('\n');
	fflush(stdout);
}

static bool wanted(const char *mode)
{
	const char *at = strstr(only_modes, mode);

	return at && (at == only_modes || at[-1] == ',');
}

static void run_all(FILE *rows)
{
	static char line[MAX_LINE];

	while (fgets(line, sizeof(line), rows)) {
		char *command = line;
		struct row row = { .name = strsep(&command, "|") };
		const char *limit = strsep(&command, "|");

		if (!command)
			continue;
		command[strcspn(command, "\n")] = '\0';
		row.limit = atof(limit);
		row.command = command;
		for (unsigned int i = 0; i < sizeof(modes) / sizeof(*modes); i++)
			if (wanted(modes[i]))
				run(&row, modes[i]);
	}
}

int main(int argc, char **argv)
{
	FILE *rows;

	for (; argc > 3 && argv[1][0] == '-'; argc -= 2, argv += 2) {
		if (!strcmp(argv[1], "--scale"))
			scale = atof(argv[2]);
		else if (!strcmp(argv[1], "--dune-run"))
			dune_run = argv[2];
		else if (!strcmp(argv[1], "--modes"))
			only_modes = argv[2];
	}
	rows = argc == 2 ? fopen(argv[1], "re") : NULL;
	if (!rows) {
		fprintf(stderr, "usage: runner [--scale X] [--dune-run FILE] [--modes LIST] ROWS\n");
		return 2;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	setvbuf(stdout, NULL, _IOFBF, 65536);
	loopback_up();
	costs_init();
	run_all(rows);
	printf("##done\n");
	return 0;
}
