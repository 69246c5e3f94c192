// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Kernel memory that a process makes through the module is its memory cgroup's:
 * EPT tables and vCPUs are charged, a limit bounds them, and all is given back.
 */
#include "test.h"
#include "machine.h"
#include "rawvm.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOT "/sys/fs/cgroup"
#define GROUP ROOT "/dune-test"
#define MIB (1024l * 1024)
#define STEP (2 * MIB)			/* one EPT table each */
#define PAGE 4096l
#define TABLES 400
#define VCPUS 100
#define REST (60 * PAGE)
/* VMCS, shared page, and the object itself. */
#define VCPU_LEAST (2 * PAGE + 512)

static volatile long *shared;	/* a child's numbers */
enum { BEFORE, AFTER, COUNT };

static void group_begin(void)
{
	CHECK_EQ(write_text(ROOT "/cgroup.subtree_control", "+memory"), 0);
	REQUIRE(mkdir(GROUP, 0755) == 0 || errno == EEXIST);
	CHECK_EQ(write_text(GROUP "/memory.max", "max"), 0);
}

static void group_join(void)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", getpid());
	REQUIRE(write_text(GROUP "/cgroup.procs", pid) == 0);
}

static long current_bytes(void)
{
	return read_number(GROUP "/memory.current");
}

/* The kernel's memory for the group, in bytes. */
static long kernel_bytes(void)
{
	char text[8192], *line;

	if (!read_text(GROUP "/memory.stat", text, sizeof(text)))
		return -1;
	line = strstr(text, "\nkernel ");
	return line ? atol(line + 8) : -1;
}

static void limit(long bytes)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld", bytes);
	CHECK_EQ(write_text(GROUP "/memory.max", text), 0);
}

/*
 * Nearly nothing is left in the group: what a CPU keeps of its charges counts
 * in memory.current, not in memory.stat. Pages that wait for RCU come late.
 */
static void must_empty(void)
{
	uint64_t end = deadline(3);
	long left;

	while ((left = kernel_bytes()) > REST && now_ns() < end)
		usleep(10000);
	printf("%ld pages of the kernel's left\n", left / PAGE);
	CHECK(left <= REST);
	CHECK_EQ(rmdir(GROUP), 0);
}

/* Pages far apart, there before: what is charged later is the EPT's. */
static char *sparse(long tables)
{
	char *area = mmap(NULL, tables * STEP, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	REQUIRE(area != MAP_FAILED);
	CHECK_EQ(madvise(area, tables * STEP, MADV_NOHUGEPAGE), 0);
	for (long i = 0; i < tables; i++)
		area[i * STEP] = 1;
	return area;
}

/* ---- EPT tables ---- */

/* Linux adds up what CPUs have counted when it is much, or every two seconds. */
static long kernel_bytes_from(long least)
{
	uint64_t end = deadline(5);
	long bytes;

	while ((bytes = kernel_bytes()) < least && now_ns() < end)
		usleep(10000);
	return bytes;
}

static void make_tables(void *unused)
{
	char *area;

	group_join();
	REQUIRE(dune_init() == 0);
	area = sparse(TABLES);
	shared[BEFORE] = kernel_bytes();
	mode_enter();
	for (long i = 0; i < TABLES; i++)
		area[i * STEP] = 2;
	mode_exit();
	shared[AFTER] = kernel_bytes_from(shared[BEFORE] + TABLES * PAGE);
	shared[COUNT] = vm_stat(DUNE_VM_ept_tables);
}

static int in_group(void (*fn)(void *))
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		check_failures = 0;
		fn(NULL);
		fflush(stdout);
		_exit(check_failures != 0);
	}
	REQUIRE(pid > 0);
	REQUIRE(waitpid(pid, &status, 0) == pid);
	return status;
}

static void tables_charged(void)
{
	group_begin();
	CHECK_EQ(in_group(make_tables), 0);
	printf("%ld EPT tables, %ld pages charged\n", shared[COUNT],
	       (shared[AFTER] - shared[BEFORE]) / PAGE);
	CHECK(shared[COUNT] >= TABLES);
	CHECK(shared[AFTER] - shared[BEFORE] >= TABLES * PAGE);
	must_empty();
}

/* ---- and bounded ---- */

static void too_many_tables(void *unused)
{
	char *area;

	group_join();
	REQUIRE(dune_init() == 0);
	area = sparse(TABLES);
	mode_enter();
	area[0] = 2;
	mode_exit();
	shared[BEFORE] = current_bytes();
	limit(shared[BEFORE] + TABLES / 2 * PAGE);
	mode_enter();
	for (long i = 0; i < TABLES; i++) {
		area[i * STEP] = 2;
		shared[COUNT] = i + 1;
	}
	mode_exit();
}

static void tables_bounded(void)
{
	int status;

	group_begin();
	status = in_group(too_many_tables);
	/* The group's own OOM killer, of a process that stays in the limit. */
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	printf("killed after %ld of %d tables\n", shared[COUNT], TABLES);
	CHECK(shared[COUNT] > 0 && shared[COUNT] < TABLES);
	must_empty();
}

/* ---- vCPUs ---- */

static void make_vcpus(void *unused)
{
	struct dune_create_vcpu create = { 0 };
	struct rawvm vm;
	long i;

	group_join();
	rawvm_create(&vm);
	shared[BEFORE] = kernel_bytes();
	for (i = 0; i < VCPUS; i++)
		if (ioctl(vm.fd, DUNE_CREATE_VCPU, &create) < 0)
			break;
	shared[AFTER] = kernel_bytes_from(shared[BEFORE] + VCPUS * VCPU_LEAST);
	shared[COUNT] = i;
}

static void vcpus_charged(void)
{
	group_begin();
	CHECK_EQ(in_group(make_vcpus), 0);
	printf("%ld vCPUs, %ld bytes charged\n", shared[COUNT],
	       shared[AFTER] - shared[BEFORE]);
	CHECK_EQ(shared[COUNT], VCPUS);
	CHECK(shared[AFTER] - shared[BEFORE] >= VCPUS * VCPU_LEAST);
	must_empty();
}

int main(int argc, char **argv)
{
	char controllers[256] = "";

	test_start_raw(argc, argv, (struct test_opts){ 0 });
	if (opt.native)
		SKIP("there is no native twin");
	read_text(ROOT "/cgroup.controllers", controllers, sizeof(controllers));
	if (geteuid() != 0 || !strstr(controllers, "memory"))
		SKIP("needs root and the memory controller of cgroup2");
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(shared != MAP_FAILED);
	test_part("tables_charged", tables_charged);
	test_part("tables_bounded", tables_bounded);
	test_part("vcpus_charged", vcpus_charged);
	return test_end();
}
