// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * dune-topo of a process with a thread on each NUMA node: what it tells is what
 * the module (DUNE_GET_PLACES), /sys and the scheduler tell. The process waits
 * meanwhile. For a machine with at least two nodes that have CPUs.
 */
#include "test.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define TOPO		"build/tools/dune-topo"
#define OUTPUT		"/tmp/dune_topo.out"
#define ERRORS		"/tmp/dune_topo.err"
#define DRAWING		"/tmp/dune_topo.drawing"
#define NOBODY		"setpriv --reuid 65534 --regid 65534 --clear-groups "
#define MAX_THREADS	8
#define MAX_PLACES	4096
#define REGIONS		130		/* of 2 MiB, a table each: more than told at once */
#define REGION_BYTES	(2ul << 20)
#define USED_BYTES	(64ul << 10)	/* of each region */

static pthread_barrier_t *barrier;	/* the process's threads, and the test */
static int nr_threads;
static pid_t pid;			/* of the process */

/* ---- the process ---- */

static void *worker(void *arg)
{
	char *memory;

	pin_to((int)(intptr_t)arg);
	memory = mmap(NULL, (REGIONS + 1) * REGION_BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	REQUIRE(memory != MAP_FAILED);
	memory = (char *)(((uintptr_t)memory + REGION_BYTES - 1) & ~(REGION_BYTES - 1));
	REQUIRE(!madvise(memory, REGIONS * REGION_BYTES, MADV_NOHUGEPAGE));
	CHECK_EQ(dune_enter(), 0);
	for (int i = 0; i < REGIONS; i++)
		memset(memory + i * REGION_BYTES, 1, USED_BYTES);
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
	CHECK_EQ(dune_exit(), 0);
	return NULL;
}

static void process(void)
{
	pthread_t threads[MAX_THREADS];

	/* Tables stay: automatic NUMA balancing leaves memory with a policy alone. */
	REQUIRE(!syscall(SYS_set_mempolicy, MPOL_LOCAL, NULL, 0));
	child_init();
	for (int i = 0; i < nr_threads; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, worker, (void *)(intptr_t)i));
	for (int i = 0; i < nr_threads; i++)
		pthread_join(threads[i], NULL);
	_exit(check_failures != 0);
}

static void start(const char *numa)
{
	pthread_barrierattr_t shared;

	barrier = mmap(NULL, sizeof(*barrier), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(barrier != MAP_FAILED);
	pthread_barrierattr_init(&shared);
	pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(barrier, &shared, nr_threads + 1);
	setenv("DUNE_NUMA", numa, 1);
	fflush(stdout);
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid)
		process();
	unsetenv("DUNE_NUMA");
	pthread_barrier_wait(barrier);
}

static void stop(void)
{
	int status = -1;

	pthread_barrier_wait(barrier);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	munmap(barrier, sizeof(*barrier));
}

/* ---- dune-topo ---- */

/* Its exit status; output and messages are in files then. */
static int topo_by(const char *who, const char *options, int of)
{
	char line[256];
	int status;

	snprintf(line, sizeof(line), "%s" TOPO " %s %.0d >" OUTPUT " 2>" ERRORS, who, options, of);
	status = system(line);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int topo(const char *options, int of)
{
	return topo_by("", options, of);
}

static bool file_has(const char *file, const char *text)
{
	char line[512];
	bool found = false;
	FILE *f = fopen(file, "r");

	REQUIRE(f);
	while (fgets(line, sizeof(line), f))
		found |= strstr(line, text) != NULL;
	fclose(f);
	return found;
}

__attribute__((format(printf, 2, 3)))
static long long at(struct json_object *o, const char *format, ...)
{
	struct json_object *value = NULL;
	char path[128];
	va_list args;

	va_start(args, format);
	vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	if (json_pointer_get(o, path, &value))
		return -2;
	return value ? json_object_get_int64(value) : -1;
}

static size_t length(struct json_object *o, const char *path)
{
	struct json_object *array = NULL;

	return json_pointer_get(o, path, &array) ? 0 : json_object_array_length(array);
}

/* ---- what the module tells ---- */

static struct dune_place places[MAX_PLACES];
static unsigned int nr_places;

static void get_places(void)
{
	struct dune_stat_open open_process = { .scope = DUNE_STAT_PROCESS, .pid = pid };
	struct dune_places req = { 0 };
	int dev = open(DUNE_DEVICE_PATH, O_RDWR | O_CLOEXEC), fd;

	REQUIRE(dev >= 0);
	fd = ioctl(dev, DUNE_STAT_OPEN, &open_process);
	REQUIRE(fd >= 0);
	nr_places = 0;
	do {
		REQUIRE(nr_places + 50 <= MAX_PLACES);
		req.places = (uintptr_t)&places[nr_places];
		req.nr = 50;
		REQUIRE(!ioctl(fd, DUNE_GET_PLACES, &req));
		nr_places += req.nr;
	} while (req.nr == 50);
	close(fd);
	close(dev);
}

static int count(uint32_t kind, int node)
{
	int nr = 0;

	for (unsigned int i = 0; i < nr_places; i++)
		nr += places[i].kind == kind && places[i].node == node;
	return nr;
}

static int count_tables(int node, uint32_t level, uint32_t replica)
{
	int nr = 0;

	for (unsigned int i = 0; i < nr_places; i++)
		nr += places[i].kind == DUNE_PLACE_EPT && places[i].node == node &&
		      places[i].level == level && places[i].replica == replica;
	return nr;
}

static int user_of(const struct dune_place *table)
{
	if (table->user_node >= 0)
		return table->user_node;
	for (unsigned int i = 0; i < nr_places; i++)
		if (places[i].kind == DUNE_PLACE_VMCS && places[i].vcpu == table->vcpu)
			return places[i].user_node;
	return -1;
}

static void check_tables(struct json_object *o)
{
	unsigned int t = 0;

	for (unsigned int i = 0; i < nr_places; i++) {
		if (places[i].kind != DUNE_PLACE_EPT)
			continue;
		CHECK_EQ(at(o, "/process/tables/%u/address", t), places[i].hva);
		CHECK_EQ(at(o, "/process/tables/%u/level", t), places[i].level);
		CHECK_EQ(at(o, "/process/tables/%u/replica", t), places[i].replica);
		CHECK_EQ(at(o, "/process/tables/%u/node", t), places[i].node);
		CHECK_EQ(at(o, "/process/tables/%u/user_node", t), user_of(&places[i]));
		t++;
	}
	CHECK_EQ(length(o, "/process/tables"), t);
	CHECK(t > (unsigned int)nr_threads * REGIONS);
}

static void check_nodes(struct json_object *o)
{
	int nodes = length(o, "/process/nodes"), replicas = at(o, "/process/replicas");
	long long near = 0, far = 0;

	CHECK(nodes >= 2);
	for (int n = 0; n < nodes; n++) {
		int node = at(o, "/process/nodes/%d/node", n);

		CHECK_EQ(at(o, "/process/nodes/%d/vmcss", n), count(DUNE_PLACE_VMCS, node));
		CHECK_EQ(at(o, "/process/nodes/%d/vcpu_pages", n), count(DUNE_PLACE_VCPU_PAGE, node));
		CHECK_EQ(at(o, "/process/nodes/%d/ept_tables", n), count(DUNE_PLACE_EPT, node));
		for (int r = 0; r < replicas; r++)
			for (int level = 1; level <= 4; level++)
				CHECK_EQ(at(o, "/process/nodes/%d/tables_by_replica/%d/%d", n, r, level - 1),
					 count_tables(node, level, r));
	}
	for (unsigned int i = 0; i < nr_places; i++) {
		near += user_of(&places[i]) == places[i].node;
		far += user_of(&places[i]) >= 0 && user_of(&places[i]) != places[i].node;
	}
	CHECK_EQ(at(o, "/process/all/near"), near);
	CHECK_EQ(at(o, "/process/all/far"), far);
	CHECK_EQ(at(o, "/process/all/local_percent"), 100 * near / (near + far));
}

/* ---- what Linux tells ---- */

/* All are pinned: a thread is where it may be. */
static void check_threads(struct json_object *o)
{
	CHECK_EQ(length(o, "/process/threads"), nr_threads + 1);
	CHECK_EQ(length(o, "/process/vcpus"), nr_threads);
	for (int i = 0; i <= nr_threads; i++) {
		cpu_set_t set;

		REQUIRE(!sched_getaffinity(at(o, "/process/threads/%d/tid", i), sizeof(set), &set));
		CHECK_EQ(CPU_COUNT(&set), 1);
		CHECK(CPU_ISSET(at(o, "/process/threads/%d/cpu", i), &set));
	}
}

static int node_of_cpu(int cpu)
{
	unsigned int node = 0;

	pin_to(cpu);
	REQUIRE(!syscall(SYS_getcpu, NULL, &node, NULL));
	return node;
}

/* Each thread used memory where it was; the sum is what Linux says is resident. */
static void check_memory(struct json_object *o)
{
	long long sum = 0, resident_kb = 0;
	char path[64], line[128];
	FILE *f;

	for (size_t n = 0; n < length(o, "/process/nodes"); n++) {
		int node = at(o, "/process/nodes/%zu/node", n), threads = 0;

		for (int cpu = 0; cpu < nr_threads; cpu++)
			threads += node_of_cpu(cpu) == node;
		CHECK(at(o, "/process/nodes/%zu/memory_bytes", n) >=
		      (long long)(threads * REGIONS * USED_BYTES));
		sum += at(o, "/process/nodes/%zu/memory_bytes", n);
	}
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "r");
	REQUIRE(f);
	while (fgets(line, sizeof(line), f))
		sscanf(line, "VmRSS: %lld", &resident_kb);
	fclose(f);
	CHECK_IN(sum >> 10, resident_kb - resident_kb / 10, resident_kb + resident_kb / 10);
}

static void check_machine(struct json_object *o)
{
	char path[96];
	int cpus = 0;

	CHECK_EQ(at(o, "/process/pid"), pid);
	for (size_t n = 0; n < length(o, "/machine/nodes"); n++) {
		snprintf(path, sizeof(path), "/machine/nodes/%zu/cpus", n);
		for (size_t c = 0; c < length(o, path); c++, cpus++)
			CHECK_EQ(node_of_cpu(at(o, "/machine/nodes/%zu/cpus/%zu", n, c)),
				 at(o, "/machine/nodes/%zu/node", n));
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/distance",
			 (int)at(o, "/machine/nodes/%zu/node", n));
		CHECK_EQ(at(o, "/machine/nodes/%zu/distances/0", n), read_number(path));
	}
	CHECK_EQ(cpus, nr_cpus());
}

/* ---- parts ---- */

static void compare(const char *numa, int replicas)
{
	struct json_object *o;

	start(numa);
	get_places();
	CHECK_EQ(topo("--json --tables", pid), 0);
	o = json_object_from_file(OUTPUT);
	REQUIRE(o);
	CHECK_EQ(at(o, "/process/replicas"), replicas);
	check_machine(o);
	check_tables(o);
	check_nodes(o);
	check_threads(o);
	check_memory(o);
	json_object_put(o);
	stop();
}

static void local(void)
{
	compare("local", 1);
}

static void replicate(void)
{
	compare("replicate", 2);
}

static void texts(void)
{
	char line[128];

	start("local");
	get_places();
	CHECK_EQ(topo("", pid), 0);
	snprintf(line, sizeof(line), "Process %d: threads %d, vCPUs %d, EPT tables %d, replicas 1",
		 pid, nr_threads + 1, nr_threads,
		 count(DUNE_PLACE_EPT, 0) + count(DUNE_PLACE_EPT, 1));
	CHECK(file_has(OUTPUT, line));
	CHECK_EQ(topo("--threads --vcpus", pid), 0);
	CHECK(file_has(OUTPUT, "dune_topo"));
	CHECK(file_has(OUTPUT, "VMCS on"));
	CHECK_EQ(topo("--png " DRAWING, pid), 0);
	CHECK(file_has(DRAWING, "PNG"));
	CHECK_EQ(topo("--svg " DRAWING, pid), 0);
	CHECK(file_has(DRAWING, "</svg>"));
	CHECK_EQ(topo_by(NOBODY, "", pid), 1);
	CHECK(file_has(ERRORS, "not allowed: be in group dune"));
	stop();
}

static void errors(void)
{
	CHECK_EQ(topo("", 1), 1);
	CHECK(file_has(ERRORS, "it does not use Dune (yet)"));
	CHECK_EQ(topo("", 0x7ffffffe), 1);
	CHECK(file_has(ERRORS, "there is none"));
	CHECK_EQ(topo("--tables", 0), 64);
	CHECK_EQ(topo("1x", 0), 64);
	CHECK_EQ(topo("--svg /nowhere/x", 0), 1);
	CHECK(file_has(ERRORS, "cannot write /nowhere/x"));
	CHECK_EQ(topo("--help", 0), 0);
	CHECK_EQ(topo("", 0), 0);
	CHECK(file_has(OUTPUT, "Machine: "));
}

int main(int argc, char **argv)
{
	test_start_raw(argc, argv, (struct test_opts){ 0 });
	if (opt.native)
		SKIP("natively there is nothing to show");
	nr_threads = nr_cpus() < MAX_THREADS ? nr_cpus() : MAX_THREADS;
	if (node_of_cpu(0) == node_of_cpu(nr_threads - 1))
		SKIP("one NUMA node with CPUs (tools/vm/run --numa 2)");
	test_part("local", local);
	test_part("replicate", replicate);
	test_part("texts", texts);
	test_part("errors", errors);
	return test_end();
}
