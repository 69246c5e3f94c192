// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Runs test cases inside the emulated machine, one after the other:
 *
 *	guest-runner 'NAME|TIMEOUT|COMMAND' ...
 *
 * Each case gets a session of its own, a time limit, and a marker in the
 * kernel log before it starts. A kernel report (WARNING, BUG, lockdep, KASAN,
 * RCU, ...) that appears after the marker fails the case even if the program
 * passed; so does a report of the emulator's TLB sanitizer. What tests/run reads are the lines that start with "##case". There
 * is no shell: COMMAND is split at blanks.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "emucount.h"
#include "kernel_reports.h"

#define MAX_ARGS 32
#define MAX_REASON 160
#define MAX_SHOWN 60

static int kmsg = -1;
static int found, shown;	/* reports and lines of them, of this case */
static double limit_scale = 1;

/* Reports of the emulator's TLB sanitizer so far; their text is on the console. */
static unsigned long long tlbsan_errors(void)
{
	static int available = -1;
	unsigned long long sum = 0;

	if (available < 0)
		available = emucount_available();
	for (unsigned int cpu = 0; available && cpu < emucount_nr_cpus(); cpu++)
		sum += emucount_read(cpu, EMU_TLBSAN_ERRORS);
	return sum;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec * 1e-9;
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0) {
		/* Best effort: there may be no such file. */
	}
	close(fd);
}

/* Of what is not the kernel's fault: memory is out, or fail_nth said so. */
static bool explains_stack(const char *line)
{
	return strstr(line, "invoked oom-killer") ||
	       !strncmp(line, "fail_nth: vmalloc error:", 24) ||
	       !strncmp(line, "fail_nth: page allocation failure:", 34);
}

/* A stack that the line before it has explained. */
static bool is_expected_stack(const char *line)
{
	static bool expected;

	if (explains_stack(line))
		expected = true;
	if (!expected || !strstr(line, "Call Trace:"))
		return false;
	expected = false;
	return true;
}

/*
 * Read what is new in the kernel log. From the first report on, copy it to
 * stdout; first gets the report's first line. The number of reports so far.
 */
static int check_kernel_log(char *first)
{
	static char record[8192];
	ssize_t n;

	if (kmsg < 0)
		return 0;
	for (;;) {
		char *text;

		n = read(kmsg, record, sizeof(record) - 1);
		if (n < 0 && errno == EPIPE)
			continue;	/* the ring overran us */
		if (n <= 0)
			break;
		record[n] = '\0';
		text = strchr(record, ';');
		text = text ? text + 1 : record;
		text[strcspn(text, "\n")] = '\0';
		if (!is_expected_stack(text) && kernel_is_report(text)) {
			if (!found)
				snprintf(first, MAX_REASON, "kernel: %.140s", text);
			found++;
		}
		if (found && shown++ < MAX_SHOWN)
			printf("  kernel: %s\n", text);
	}
	return found;
}

static pid_t start(char *command, int out)
{
	char *argv[MAX_ARGS + 1];
	int argc = 0;
	pid_t pid;

	for (char *s = strtok(command, " "); s && argc < MAX_ARGS;
	     s = strtok(NULL, " "))
		argv[argc++] = s;
	argv[argc] = NULL;
	pid = fork();
	if (pid == 0) {
		setsid();
		dup2(out, 1);
		dup2(out, 2);
		close(out);
		execvp(argv[0], argv);
		printf("cannot run %s: %s\n", argv[0], strerror(errno));
		fflush(stdout);
		_exit(126);
	}
	return pid;
}

/* Pass the program's output on; remember a line that says SKIP. */
static void pass_output(int fd, char *line, size_t *len, char *skip)
{
	char buf[4096];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (buf[i] != '\n' && *len < 1023) {
				line[(*len)++] = buf[i];
				continue;
			}
			line[*len] = '\0';
			printf("  %s\n", line);
			if (!strncmp(line, "SKIP: ", 6))
				snprintf(skip, MAX_REASON, "%.150s", line + 6);
			*len = 0;
		}
	}
	fflush(stdout);
}

static bool run_case(char *spec)
{
	char reason[MAX_REASON] = "", skip[MAX_REASON] = "", line[1024];
	char *name = strtok(spec, "|"), *limit = strtok(NULL, "|");
	char *command = strtok(NULL, "|");
	const char *verdict = "FAIL";
	unsigned long long stale = tlbsan_errors();
	int status = 0, pipefd[2];
	bool timed_out = false;
	size_t len = 0;
	double t0, end;
	pid_t pid;

	if (!command) {
		printf("guest-runner: bad case\n");
		return false;
	}
	printf("##case begin %s\n", name);
	fflush(stdout);
	snprintf(line, sizeof(line), "<5>dune-test: begin %s", name);
	write_file("/dev/kmsg", line);
	check_kernel_log(reason);	/* what is older is not this case's */
	reason[0] = '\0';
	found = 0;
	shown = 0;

	if (pipe2(pipefd, O_CLOEXEC) || fcntl(pipefd[0], F_SETFL, O_NONBLOCK))
		perror("pipe");
	t0 = now();
	end = t0 + atof(limit) * limit_scale;
	pid = start(command, pipefd[1]);
	close(pipefd[1]);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		struct pollfd pfd = { .fd = pipefd[0], .events = POLLIN };

		poll(&pfd, 1, 20);
		if (pfd.revents & POLLHUP)
			usleep(1000);
		pass_output(pipefd[0], line, &len, skip);
		check_kernel_log(reason);	/* before the ring overruns */
		if (now() > end && !timed_out) {
			timed_out = true;
			write_file("/proc/sysrq-trigger", "l");
			write_file("/proc/sysrq-trigger", "w");
			kill(-pid, SIGKILL);
			end += 30;
		} else if (timed_out && now() > end) {
			snprintf(reason, sizeof(reason), "cannot be killed");
			break;
		}
	}
	kill(-pid, SIGKILL);
	while (waitpid(-pid, NULL, WNOHANG) > 0)
		;
	pass_output(pipefd[0], line, &len, skip);
	if (len)
		printf("  %.*s\n", (int)len, line);
	close(pipefd[0]);
	stale = tlbsan_errors() - stale;

	if (timed_out) {
		check_kernel_log(reason);
		if (!reason[0])
			snprintf(reason, sizeof(reason), "timeout after %s s", limit);
	} else if (check_kernel_log(reason)) {
		/* the report is the reason */
	} else if (stale) {
		snprintf(reason, sizeof(reason),
			 "TLB sanitizer: %llu reports, see the console", stale);
	} else if (WIFSIGNALED(status)) {
		snprintf(reason, sizeof(reason), "killed by signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	} else if (WEXITSTATUS(status) == 77) {
		verdict = "SKIP";
		snprintf(reason, sizeof(reason), "%s", skip);
	} else if (WEXITSTATUS(status)) {
		snprintf(reason, sizeof(reason), "exit status %d",
			 WEXITSTATUS(status));
	} else {
		verdict = "PASS";
	}
	printf("##case end %s %s %.1f %s\n", name, verdict, now() - t0, reason);
	fflush(stdout);
	return strcmp(verdict, "FAIL") != 0;
}

int main(int argc, char **argv)
{
	int failed = 0;
	int i = 1;

	if (argc > 2 && !strcmp(argv[1], "--scale")) {
		limit_scale = atof(argv[2]);
		i = 3;
	}
	if (i >= argc) {
		fprintf(stderr, "usage: guest-runner [--scale X] 'NAME|TIMEOUT|COMMAND'...\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOFBF, 65536);
	/* No kernel messages about user programs that die of a signal. */
	write_file("/proc/sys/debug/exception-trace", "0");
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (kmsg < 0)
		printf("guest-runner: no /dev/kmsg, kernel reports not checked\n");
	else
		lseek(kmsg, 0, SEEK_END);
	for (; i < argc; i++)
		if (!run_case(argv[i]))
			failed++;
	printf("##case done %d\n", failed);
	fflush(stdout);
	return failed != 0;
}
