// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * dune-stat and DUNE_STAT_OPEN: exactly what threads and processes did is in
 * the sums, however they end, and only for those who may see it. The work that
 * is counted is CPUID in Dune mode: nothing else there executes it.
 */
#include "test.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define DUNE_STAT "build/tools/dune-stat"
#define SELF "build/tests/guest/dune_stat"
#define OUTPUT "/tmp/dune_stat.json"
#define NOBODY 65534
#define N 200		/* CPUIDs of a thread */

static void cpuids(void)
{
	unsigned int a, b, c, d;

	for (int i = 0; i < N; i++)
		asm volatile("cpuid" : "=a" (a), "=b" (b), "=c" (c), "=d" (d)
			     : "0" (0), "2" (0));
}

static void thread_work(int index, void *arg)
{
	cpuids();
}

/* ---- what dune-stat runs: this program with --only NAME ---- */

static void work_plain(void)
{
	run_threads(1, thread_work, NULL);
}

static void work_threads(void)
{
	for (int i = 0; i < 3; i++)
		run_threads(4, thread_work, NULL);
}

static void work_killed(void)
{
	mode_enter();
	cpuids();
	kill(getpid(), SIGKILL);
}

static void child_work(void *arg)
{
	mode_enter();
	cpuids();
	/* Leaves by exec: the vm goes, the process goes on. */
	execl("/proc/self/exe", SELF, "--only", "work_plain", NULL);
	_exit(1);
}

/* 1 here, 3 children that do 1, then exec and do 1 more. */
static void work_processes(void)
{
	mode_enter();
	cpuids();
	mode_exit();
	for (int i = 0; i < 3; i++)
		CHECK_EQ(run_child(60, child_work, NULL), 0);
}

/* Says that it is in Dune mode, works when told to. */
static void work_on_demand(void)
{
	char c = 'r';

	mode_enter();
	CHECK_EQ(write(1, &c, 1), 1);
	CHECK_EQ(read(0, &c, 1), 1);
	cpuids();
	mode_exit();
}

static const struct {
	const char *name;
	void (*fn)(void);
} works[] = {
	{ "work_plain", work_plain },
	{ "work_threads", work_threads },
	{ "work_killed", work_killed },
	{ "work_processes", work_processes },
	{ "work_on_demand", work_on_demand },
};

/* ---- dune-stat ---- */

/* Last object of the output: value of a counter; -1: not there. */
static long long json_value(const char *name)
{
	static char text[1 << 20];	/* many intervals, on a slow machine */
	char key[64], *last, *p;
	int fd = open(OUTPUT, O_RDONLY);
	ssize_t n;

	REQUIRE(fd >= 0);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	REQUIRE(n > 1);
	text[n - 1] = '\0';	/* the newline of the last line */
	last = strrchr(text, '\n');
	snprintf(key, sizeof(key), "\"%s\": ", name);
	p = strstr(last ? last : text, key);
	return p ? atoll(p + strlen(key)) : -1;
}

static int json_lines(void)
{
	FILE *f = fopen(OUTPUT, "r");
	int n = 0, c;

	if (!f)
		return 0;
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

/* Exit status of dune-stat over this program's work. */
static int over(const char *options, const char *work)
{
	char line[256];
	int status;

	snprintf(line, sizeof(line),
		 DUNE_STAT " --json --output " OUTPUT " %s -- " SELF " --only %s >/dev/null",
		 options, work);
	status = system(line);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void commands(void)
{
	CHECK_EQ(over("", "work_plain"), 0);
	CHECK_EQ(json_value("cpuid"), N);
	CHECK_EQ(json_value("vcpus_created"), 1);
	CHECK_EQ(json_value("live_vms"), 0);
	CHECK_EQ(json_value("live_vcpus"), 0);
	CHECK_IN(json_value("entries"), N, 100 * N);
	CHECK_IN(json_value("guest_tsc"), 1, 1000000000000);
	CHECK_IN(json_value("ept_installed"), 1, 100000);
	/* Levels are of what lives. */
	CHECK_EQ(json_value("ept_tables"), 0);
	CHECK_EQ(json_value("vcpus"), 0);

	CHECK_EQ(over("", "work_threads"), 0);
	CHECK_EQ(json_value("cpuid"), 12 * N);
	CHECK_EQ(json_value("vcpus_created"), 12);

	CHECK_EQ(over("", "work_killed"), 128 + SIGKILL);
	CHECK_EQ(json_value("cpuid"), N);

	CHECK_EQ(over("", "work_processes"), 0);
	CHECK_EQ(json_value("cpuid"), 7 * N);
	CHECK_EQ(json_value("vcpus_created"), 7);
}

static void statuses(void)
{
	CHECK_EQ(system(DUNE_STAT " -o " OUTPUT " sh -c 'exit 5'"), 5 << 8);
	CHECK_EQ(system(DUNE_STAT " -o " OUTPUT " /no/such/file 2>/dev/null"),
		 127 << 8);
	CHECK_EQ(system(DUNE_STAT " -o " OUTPUT " /tmp 2>/dev/null"), 126 << 8);
	CHECK_EQ(system(DUNE_STAT " 2>/dev/null"), 125 << 8);
	CHECK_EQ(system(DUNE_STAT " -i 0 true 2>/dev/null"), 125 << 8);
	CHECK_EQ(system(DUNE_STAT " -p 1 2>/dev/null"), 125 << 8);
	CHECK_EQ(system(DUNE_STAT " --help >/dev/null"), 0);
	/* A table names what is not 0, and nothing else. */
	CHECK_EQ(system(DUNE_STAT " -o " OUTPUT " " SELF
			" --only work_plain >/dev/null"), 0);
	CHECK_EQ(system("grep -q ' 200  cpuid  .*# CPUID exits$' " OUTPUT), 0);
	CHECK_EQ(system("grep -q hlt " OUTPUT), 1 << 8);
}

static void intervals(void)
{
	char line[256];

	snprintf(line, sizeof(line),
		 DUNE_STAT " -j -o " OUTPUT " -i 0.05 sh -c '" SELF
		 " --only work_plain >/dev/null; sleep 0.3'");
	CHECK_EQ(system(line), 0);
	CHECK_IN(json_lines(), 3, 1000);
	/* The last one is the total. */
	CHECK_EQ(json_value("cpuid"), N);
}

static pid_t start_on_demand(int *to, int *from)
{
	int in[2], out[2];
	pid_t pid;

	REQUIRE(!pipe2(in, O_CLOEXEC) && !pipe2(out, O_CLOEXEC));
	pid = fork();
	if (pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execl(SELF, SELF, "--only", "work_on_demand", NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	*to = in[1];
	*from = out[0];
	return pid;
}

/* Reads what it prints up to the byte that says it waits. */
static void wait_ready(int from)
{
	char c, last = '\n';

	while (read(from, &c, 1) == 1) {
		if (last == '\n' && c == 'r')
			return;
		last = c;
	}
	FAIL("the other process did not get ready");
}

static int open_stat(uint32_t scope, int32_t pid)
{
	struct dune_stat_open req = { .scope = scope, .pid = pid };
	int dev = open(DUNE_DEVICE_PATH, O_RDWR | O_CLOEXEC), fd, err;

	REQUIRE(dev >= 0);
	fd = ioctl(dev, DUNE_STAT_OPEN, &req);
	err = errno;
	close(dev);
	errno = err;
	return fd;
}

struct reply {
	struct dune_stat_header header;
	uint64_t vcpu[DUNE_NR_VCPU_COUNTERS], vm[DUNE_NR_VM_COUNTERS];
};

static struct reply get(int fd)
{
	struct reply r;

	REQUIRE(read(fd, &r, sizeof(r)) == sizeof(r));
	return r;
}

static void one_process(void)
{
	int to, from, status, fd;
	struct reply before, after;
	char line[128];
	pid_t stat, pid = start_on_demand(&to, &from);
	uint64_t end;

	wait_ready(from);
	fd = open_stat(DUNE_STAT_PROCESS, pid);
	REQUIRE(fd >= 0);
	before = get(fd);
	CHECK_EQ(before.header.nr_vms, 1);
	CHECK_EQ(before.header.nr_vcpus, 1);
	CHECK_EQ(before.vm[DUNE_VM_vcpus], 1);
	CHECK_IN(before.vm[DUNE_VM_ept_tables], 1, 100000);

	snprintf(line, sizeof(line), DUNE_STAT " -j -o " OUTPUT " -i 0.01 -p %d",
		 pid);
	unlink(OUTPUT);
	stat = fork();
	if (stat == 0)
		_exit(WEXITSTATUS(system(line)));
	/* An interval printed: it has its first sample. */
	for (end = deadline(30); json_lines() < 1 && now_ns() < end; )
		usleep(1000);
	CHECK_EQ(write(to, "g", 1), 1);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(waitpid(stat, &status, 0), stat);
	CHECK_EQ(status, 0);
	CHECK_EQ(json_value("cpuid"), N);
	CHECK_EQ(json_value("live_vms"), 0);

	after = get(fd);
	CHECK_EQ(after.header.nr_vms, 0);
	CHECK_EQ(after.vcpu[DUNE_VCPU_cpuid] - before.vcpu[DUNE_VCPU_cpuid], N);
	CHECK_EQ(after.vm[DUNE_VM_ept_tables], 0);
	CHECK_IN(after.vm[DUNE_VM_ept_installed], before.vm[DUNE_VM_ept_installed],
		 100000);
	close(fd);
	close(to);
	close(from);
}

/* Another user, with no right but that to open the device on an L1TF CPU. */
static void become_nobody(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = 1 << CAP_SYS_RAWIO, .permitted = 1 << CAP_SYS_RAWIO },
	};

	REQUIRE(!prctl(PR_SET_KEEPCAPS, 1) && !setgid(NOBODY) && !setuid(NOBODY));
	REQUIRE(!syscall(SYS_capset, &head, data));
}

static void as_nobody(pid_t pid)
{
	struct reply r;
	int fd;

	become_nobody();
	CHECK_ERRNO(open_stat(DUNE_STAT_PROCESS, pid), EPERM);
	fd = open_stat(DUNE_STAT_USER, 0);
	REQUIRE(fd >= 0);
	r = get(fd);
	CHECK_EQ(r.header.nr_vms, 0);
	for (int i = 0; i < DUNE_NR_VCPU_COUNTERS; i++)
		CHECK_EQ(r.vcpu[i], 0);
	/* Its own are there. */
	REQUIRE(!dune_init());
	work_plain();
	CHECK_EQ(get(fd).vcpu[DUNE_VCPU_cpuid], N);
	exit(check_failures != 0);
}

static void other_users(void)
{
	int to, from, status;
	struct stat st;
	pid_t pid = start_on_demand(&to, &from);

	wait_ready(from);
	REQUIRE(!stat(DUNE_DEVICE_PATH, &st));
	REQUIRE(!chmod(DUNE_DEVICE_PATH, 0666));
	status = fork();
	if (status == 0) {
		as_nobody(pid);
		_exit(1);
	}
	CHECK_EQ(waitpid(status, &status, 0) > 0 && status == 0, 1);
	CHECK_EQ(chmod(DUNE_DEVICE_PATH, st.st_mode & 07777), 0);
	CHECK_EQ(write(to, "g", 1), 1);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	close(to);
	close(from);
}

static void abuse(void)
{
	struct dune_stat_open req = { .reserved = { 0, 1 } };
	int dev = open(DUNE_DEVICE_PATH, O_RDWR | O_CLOEXEC), fd;
	char small[sizeof(struct reply)];
	void *volatile nowhere = NULL;

	CHECK_ERRNO(open_stat(DUNE_STAT_USER, 1), EINVAL);
	CHECK_ERRNO(open_stat(DUNE_STAT_PROCESS, 0), EINVAL);
	CHECK_ERRNO(open_stat(DUNE_STAT_PROCESS, -1), EINVAL);
	CHECK_ERRNO(open_stat(DUNE_STAT_PROCESS, 1), ESRCH);
	CHECK_ERRNO(open_stat(DUNE_STAT_PROCESS, 0x7ffffffe), ESRCH);
	CHECK_ERRNO(open_stat(2, 0), EINVAL);
	CHECK_ERRNO(ioctl(dev, DUNE_STAT_OPEN, &req), EINVAL);
	CHECK_ERRNO(ioctl(dev, DUNE_STAT_OPEN, NULL), EFAULT);
	fd = open_stat(DUNE_STAT_USER, 0);
	REQUIRE(fd >= 0);
	CHECK_ERRNO(read(fd, small, sizeof(small) - 1), EINVAL);
	CHECK_ERRNO(read(fd, nowhere, sizeof(small)), EFAULT);
	CHECK_ERRNO(write(fd, small, 8), EBADF);
	CHECK_ERRNO(lseek(fd, 0, SEEK_SET), ESPIPE);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	for (int i = 0; i < 200; i++)
		close(open_stat(DUNE_STAT_USER, 0));
	close(fd);
	close(dev);
}

int main(int argc, char **argv)
{
	test_start_raw(argc, argv, (struct test_opts){ 0 });
	for (size_t i = 0; opt.only && i < sizeof(works) / sizeof(*works); i++) {
		if (!strcmp(opt.only, works[i].name)) {
			REQUIRE(opt.native || !dune_init());
			works[i].fn();
			return test_end();
		}
	}
	if (opt.native)
		SKIP("nothing to count in plain Linux mode");
	test_part("abuse", abuse);
	test_part("commands", commands);
	test_part("statuses", statuses);
	test_part("intervals", intervals);
	test_part("one_process", one_process);
	test_part("other_users", other_users);
	return test_end();
}
