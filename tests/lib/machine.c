// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define STATE "/sys/kernel/debug/vmxstate"

int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

bool read_text(const char *path, char *text, unsigned int n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	text[0] = '\0';
	if (fd < 0)
		return false;
	got = read(fd, text, n - 1);
	close(fd);
	if (got < 0)
		return false;
	text[got] = '\0';
	return true;
}

int module_load(const char *file, const char *params)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (syscall(SYS_finit_module, fd, params, 0))
		err = -errno;
	close(fd);
	return err;
}

int module_unload(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? -errno : 0;
}

bool module_is_loaded(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/module/%s/refcnt", name);
	return access(path, F_OK) == 0;
}

static void unload_state(void)
{
	module_unload("vmxstate");
}

/* Beside the program: build/tests/guest/NAME, build/tests/kmod/RELEASE/. */
int module_load_for_test(const char *name)
{
	char path[512];
	struct utsname u;
	ssize_t n;

	n = readlink("/proc/self/exe", path, 256);
	if (n < 0)
		return -errno;
	path[n] = '\0';
	*strrchr(path, '/') = '\0';
	uname(&u);
	snprintf(path + strlen(path), 256, "/../kmod/%s/%s.module", u.release,
		 name);
	return module_load(path, "");
}

static bool load_state(void)
{
	if (access(STATE, F_OK) == 0)
		return true;
	if (module_load_for_test("vmxstate"))
		return false;
	atexit(unload_state);
	return access(STATE, F_OK) == 0;
}

int vmxe_count(void)
{
	char line[256];
	int on = 0, n = 0;
	FILE *f;

	if (!load_state())
		return -1;
	f = fopen(STATE, "r");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		n++;
		on += strstr(line, "vmxe=1") != NULL;
	}
	fclose(f);
	return n ? on : -1;
}

void check_vmxe(int expected, const char *when)
{
	static bool said;
	int on = vmxe_count();

	if (on < 0) {
		if (!said)
			printf("no tests/kmod for this kernel: CR4.VMXE is not checked\n");
		said = true;
		return;
	}
	if (!CHECK_EQ(on, expected))
		printf("CPUs with CR4.VMXE %s: %d, not %d\n", when, on,
		       expected);
}

static void online_path(char *path, int cpu)
{
	sprintf(path, "/sys/devices/system/cpu/cpu%d/online", cpu);
}

bool cpu_is_online(int cpu)
{
	char path[64], text[8];

	online_path(path, cpu);
	return cpu == 0 || (read_text(path, text, sizeof(text)) && text[0] == '1');
}

static int online_write(int cpu, const char *text)
{
	char path[64];

	online_path(path, cpu);
	return write_text(path, text);
}

int cpu_online(int cpu)
{
	return online_write(cpu, "1");
}

int cpu_offline(int cpu)
{
	return online_write(cpu, "0");
}

int nr_present_cpus(void)
{
	return sysconf(_SC_NPROCESSORS_CONF);
}

void all_cpus_online(void)
{
	for (int cpu = 1; cpu < nr_present_cpus(); cpu++)
		if (!cpu_is_online(cpu))
			CHECK_EQ(cpu_online(cpu), 0);
}

static int run(const char *const argv[], bool quiet)
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (quiet) {
			dup2(open("/dev/null", O_WRONLY), 1);
			dup2(1, 2);
		}
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int run_program(const char *const argv[])
{
	return run(argv, false);
}

int run_program_quietly(const char *const argv[])
{
	return run(argv, true);
}

int kernel_log_open(void)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (log >= 0)
		lseek(log, 0, SEEK_END);
	return log;
}

bool kernel_log_has(int log, const char *text)
{
	static char record[8192];
	bool found = false;
	ssize_t n;

	while ((n = read(log, record, sizeof(record) - 1)) > 0 ||
	       (n < 0 && errno == EPIPE)) {
		if (n < 0)
			continue;
		record[n] = '\0';
		found |= strstr(record, text) != NULL;
	}
	return found;
}
