/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The guest's /init: mounts, settings for a slow machine, the channel, files,
 * one job, the kernel's messages, power-off.
 */
#define _GNU_SOURCE
#include "agent.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (write(fd, text, strlen(text)) < 0) {
			/* not every kernel has every setting */
		}
		close(fd);
	}
}

static void mount_all(void)
{
	static const struct { const char *type, *where, *opts; } m[] = {
		{ "proc", "/proc", "" },
		{ "sysfs", "/sys", "" },
		{ "devtmpfs", "/dev", "" },
		{ "devpts", "/dev/pts", "" },
		{ "tmpfs", "/dev/shm", "mode=1777" },
		{ "tmpfs", "/tmp", "mode=1777" },
		{ "tmpfs", "/run", "mode=755" },
		{ "debugfs", "/sys/kernel/debug", "" },
		{ "tracefs", "/sys/kernel/tracing", "" },
		{ "cgroup2", "/sys/fs/cgroup", "" },
		{ "hugetlbfs", "/dev/hugepages", "" },
	};
	unsigned int i;

	for (i = 0; i < sizeof(m) / sizeof(m[0]); i++) {
		mkdir(m[i].where, 0755);
		mount(m[i].type, m[i].where, m[i].type, 0, m[i].opts);
	}
	symlink("/proc/self/fd", "/dev/fd");
	symlink("/proc/self/fd/0", "/dev/stdin");
	symlink("/proc/self/fd/1", "/dev/stdout");
	symlink("/proc/self/fd/2", "/dev/stderr");
}

static void settings(void)
{
	/* Reports, not panics: the runner reads the console. Time runs oddly here. */
	put("/proc/sys/kernel/panic_on_oops", "0");
	put("/proc/sys/kernel/panic_on_warn", "0");
	put("/proc/sys/kernel/hung_task_timeout_secs", "300");
	put("/proc/sys/kernel/watchdog_thresh", "60");
	put("/sys/module/rcupdate/parameters/rcu_cpu_stall_timeout", "120");
	put("/proc/sys/kernel/sysrq", "1");
	/* A hang's last resort is an NMI: stacks of all CPUs, then of all tasks. */
	put("/proc/sys/kernel/unknown_nmi_panic", "1");
	put("/sys/module/kernel/parameters/panic_print", "65");
	put("/proc/sys/kernel/printk_devkmsg", "on");
	put("/proc/sys/kernel/printk_ratelimit", "0");
	put("/proc/sys/kernel/perf_event_paranoid", "1");
	sethostname("dune", 4);
}

/* Drivers of the channel, where it needs any: /boot-modules holds them in loading order. */
static void load_boot_modules(void)
{
	char name[64];
	int i, fd;

	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "/boot-modules/%02d.ko", i);
		fd = open(name, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return;
		if (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST)
			fprintf(stderr, "agent: %s: %s\n", name, strerror(errno));
		close(fd);
	}
}

static void send_kmsg(void)
{
	char rec[8192];
	ssize_t n;
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return;
	for (;;) {
		n = read(fd, rec, sizeof(rec));
		if (n < 0 && errno == EPIPE)
			continue;	/* overwritten meanwhile */
		if (n <= 0)
			break;
		frame_send(WIRE_KMSG, rec, n);
	}
	close(fd);
}

static long taint(void)
{
	char text[32] = "";
	int fd = open("/proc/sys/kernel/tainted", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) < 0)
		return 0;
	close(fd);
	return atol(text);
}

int main(void)
{
	struct utsname u;
	struct frame f;
	int status;

	mount_all();
	load_boot_modules();
	chan_open();
	settings();
	uname(&u);
	frame_text(WIRE_LOG, "Linux %s is up, %ld CPUs", u.release, sysconf(_SC_NPROCESSORS_ONLN));

	unpack_until_other(&f);
	while (f.type == WIRE_POINT) {
		sync();
		chan_fork_point();
		frame_text(WIRE_READY, "ready");
		unpack_until_other(&f);
	}
	if (f.type != WIRE_JOB) {
		frame_text(WIRE_ERROR, "unexpected frame %u", f.type);
		chan_power_off(1);
	}
	status = run_job(f.payload, f.len);
	send_kmsg();
	frame_text(WIRE_DONE, "status=%d taint=%ld", status, taint());
	chan_power_off(0);
}
