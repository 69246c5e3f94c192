/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * One job: module in, program run with its output forwarded, module out,
 * results back. The job's strings:
 *   module=PATH modparam=TEXT keep=1   load it; do not unload it afterwards
 *   cwd=DIR out=DIR env=NAME=VALUE pty=1 kmemleak=1
 *   arg=... (one per argument, in order)
 */
#define _GNU_SOURCE
#include "agent.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ARGS 4096

static struct {
	const char *module, *modparam, *cwd, *out;
	int keep, pty, kmemleak, nargs;
	char *args[MAX_ARGS + 1];
} job;

static const char *value(const char *s, const char *key)
{
	size_t n = strlen(key);

	return !strncmp(s, key, n) && s[n] == '=' ? s + n + 1 : NULL;
}

static void parse(char *strings, size_t len)
{
	char *s, *end = strings + len;
	const char *v;

	job.cwd = "/";
	job.out = "/out";
	job.modparam = "";
	for (s = strings; s < end; s += strlen(s) + 1) {
		if ((v = value(s, "module")))
			job.module = v;
		else if ((v = value(s, "modparam")))
			job.modparam = v;
		else if ((v = value(s, "cwd")))
			job.cwd = v;
		else if ((v = value(s, "out")))
			job.out = v;
		else if ((v = value(s, "env")))
			putenv((char *)v);
		else if (value(s, "keep"))
			job.keep = 1;
		else if (value(s, "pty"))
			job.pty = 1;
		else if (value(s, "kmemleak"))
			job.kmemleak = 1;
		else if ((v = value(s, "arg")) && job.nargs < MAX_ARGS)
			job.args[job.nargs++] = (char *)v;
	}
}

/* In a child: an oops in the module's start must not take the first process with it. */
static int load_module(void)
{
	int fd, status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		fd = open(job.module, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || syscall(SYS_finit_module, fd, job.modparam, 0))
			_exit(errno & 0x7f ? errno & 0x7f : 1);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (!status)
		return 0;
	frame_text(WIRE_ERROR, "cannot load the module %s: %s", job.module,
		   WIFSIGNALED(status) ? "the kernel killed the loading process" :
		   strerror(WEXITSTATUS(status)));
	return -1;
}

/* The kernel's name of the module: the file's name, '-' as '_', without suffix. */
static void unload_module(void)
{
	char name[64], *p;
	const char *base = strrchr(job.module, '/');
	int tries;

	snprintf(name, sizeof(name), "%s", base ? base + 1 : job.module);
	p = strstr(name, ".ko");
	if (p)
		*p = 0;
	for (p = name; *p; p++)
		if (*p == '-')
			*p = '_';
	for (tries = 0; tries < 50; tries++) {
		if (!syscall(SYS_delete_module, name, O_NONBLOCK) || errno == ENOENT)
			return;
		usleep(20000);
	}
	frame_text(WIRE_STDERR, "agent: warning: the module %s is still in use after the run: %s\n",
		   name, strerror(errno));
}

static void kmemleak_scan(void)
{
	static const char path[] = "/sys/kernel/debug/kmemleak";
	char buf[4096];
	int i, fd = open(path, O_RDWR | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return;
	sleep(6);			/* younger objects are not reported */
	for (i = 0; i < 2; i++)
		if (write(fd, "scan", 4) < 0)
			break;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		frame_send(WIRE_KMSG, buf, n);
	close(fd);
}

static void child(int out, int err)
{
	struct rlimit core = { 0, 0 };

	setsid();
	if (job.pty) {
		ioctl(out, TIOCSCTTY, 0);
		dup2(out, 0);
	} else {
		dup2(open("/dev/null", O_RDONLY), 0);
	}
	dup2(out, 1);
	dup2(err, 2);
	setrlimit(RLIMIT_CORE, &core);
	if (chdir(job.cwd)) {
		fprintf(stderr, "agent: cannot enter %s: %s\n", job.cwd, strerror(errno));
		_exit(125);
	}
	execvp(job.args[0], job.args);
	fprintf(stderr, "%s: %s\n", job.args[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* Forward what is there; 0 at end of file. */
static int forward(int fd, uint32_t type)
{
	static char buf[65536];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 1;
	if (n <= 0)
		return 0;
	frame_send(type, buf, n);
	return 1;
}

/* Keystrokes of an interactive run. */
static void take_input(int fd)
{
	struct wire_header h;
	char buf[4096];
	size_t n;

	if (chan_try_read(&h, 1) != 1)
		return;
	chan_read((char *)&h + 1, sizeof(h) - 1);
	while (h.len) {
		n = h.len < sizeof(buf) ? h.len : sizeof(buf);
		chan_read(buf, n);
		if (h.type == WIRE_STDIN && write(fd, buf, n) < 0)
			return;
		h.len -= n;
	}
}

/* Until the program has ended and its output is drained; its wait status. */
static int pump(pid_t pid, int out, int err)
{
	struct pollfd p[2] = { { out, POLLIN, 0 }, { err, POLLIN, 0 } };
	int status = 0, ended = 0, grace = 0;
	pid_t w;

	for (;;) {
		if (poll(p, 2, job.pty || ended ? 10 : 100) > 0) {
			if (p[0].revents && !forward(p[0].fd, WIRE_STDOUT))
				p[0].fd = -1;
			if (p[1].revents && !forward(p[1].fd, WIRE_STDERR))
				p[1].fd = -1;
		} else if (ended && ++grace > 5) {
			break;		/* a left-over process holds the pipe */
		}
		if (job.pty)
			take_input(out);
		while ((w = waitpid(-1, ended ? NULL : &status, WNOHANG)) > 0)
			if (w == pid)
				ended = 1;
		if (ended && p[0].fd < 0 && p[1].fd < 0)
			break;
	}
	return status;
}

static int open_pty(int fds[2])
{
	struct winsize ws = { 25, 100, 0, 0 };
	int m = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (m < 0 || grantpt(m) || unlockpt(m))
		return -1;
	fds[0] = m;
	fds[1] = open(ptsname(m), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ioctl(fds[1], TIOCSWINSZ, &ws);
	return fds[1] < 0 ? -1 : 0;
}

static int run_program(void)
{
	int out[2], err[2] = { -1, -1 }, status;
	pid_t pid;

	if (job.pty ? open_pty(out) : pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) {
		frame_text(WIRE_ERROR, "pipe: %s", strerror(errno));
		return 125;
	}
	pid = fork();
	if (pid == 0)
		child(out[1], job.pty ? out[1] : err[1]);
	if (pid < 0) {
		frame_text(WIRE_ERROR, "fork: %s", strerror(errno));
		return 125;
	}
	close(out[1]);
	if (!job.pty)
		close(err[1]);
	status = pump(pid, out[0], err[0]);
	/* whatever it left behind */
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int run_job(char *strings, size_t len)
{
	int status;

	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	setenv("HOME", "/root", 1);
	setenv("TERM", "linux", 1);
	setenv("LANG", "C.UTF-8", 1);
	parse(strings, len);
	setenv("DUNE_OUT", job.out, 1);
	mkdir(job.out, 0777);
	if (job.module && load_module())
		return 125;
	frame_text(WIRE_LOG, "running the command");
	status = run_program();
	if (job.module && !job.keep)
		unload_module();
	if (job.kmemleak)
		kmemleak_scan();
	send_results(job.out);
	return status;
}
