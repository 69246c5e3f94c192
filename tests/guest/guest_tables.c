// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * On which NUMA nodes guest page tables are, by each policy: each thread walks its own
 * from CR3 on, Linux says where the pages are (move_pages(2)), and the emulated CPUs
 * count what their walks read. For a machine with at least two nodes that have CPUs.
 */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "emucount.h"

#define PAGE		4096ul
#define MIB2		(2ul << 20)
#define GIB		(1ul << 30)
#define FAR		0x100000000000ul	/* Linux gives addresses there to nobody */
#define MAX_THREADS	8
#define WINDOWS		64	/* of 2 MiB, with one page: a table each */
#define TABLES		(WINDOWS + 3)	/* and those above: all of the thread alone */
#define MAX_SPACES	8
#define ADDRESS		0xffffffffff000ul	/* of an entry */

static char *heap;	/* what all map */
static int nr_threads, nodes[MAX_THREADS], other_cpu[MAX_THREADS];
static pthread_barrier_t barrier;

/* The pool's address space, by guest physical address. */
static struct {
	uint64_t hva, gpa;
} spaces[MAX_SPACES];
static int nr_spaces;

static int node_of_cpu(int cpu)
{
	unsigned int node = 0;

	pin_to(cpu);
	REQUIRE(syscall(SYS_getcpu, NULL, &node, NULL) == 0);
	return node;
}

static void threads_init(void)
{
	nr_threads = nr_cpus() < MAX_THREADS ? nr_cpus() : MAX_THREADS;
	for (int i = 0; i < nr_threads; i++)
		nodes[i] = node_of_cpu(i);
	for (int i = 0; i < nr_threads; i++)
		other_cpu[i] = (i + nr_threads / 2) % nr_threads;
	pin_to(0);
	if (nodes[0] == nodes[other_cpu[0]])
		SKIP("one NUMA node with CPUs (tools/vm/run --numa 2)");
}

static char *window(int index, int i)
{
	return (char *)FAR + index * GIB + i * MIB2;
}

static void map_windows(int index)
{
	REQUIRE(dune_vm_unmap(NULL, window(index, 0), GIB) == 0);
	for (int i = 0; i < WINDOWS; i++)
		REQUIRE(dune_vm_map(NULL, window(index, i), PAGE, heap, DUNE_R | DUNE_W,
				    DUNE_VM_4K) == 0);
}

static void use_windows(int index)
{
	for (int i = 0; i < WINDOWS; i++)
		*(volatile char *)window(index, i);
}

/* ---- where the tables are ---- */

/* Spaces begin at a multiple of 1 GiB, as hardly anything else does. */
static void find_spaces(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long start;
	char line[512];

	REQUIRE(maps);
	nr_spaces = 0;
	while (nr_spaces < MAX_SPACES && fgets(line, sizeof(line), maps)) {
		struct dune_slot slot;

		if (sscanf(line, "%lx-", &start) != 1 || start % GIB || !strstr(line, "rw-p"))
			continue;
		slot = (struct dune_slot){ .hva = start };
		REQUIRE(ioctl(dune_vm_fd(), DUNE_GET_SLOT, &slot) == 0);
		spaces[nr_spaces].hva = start;
		spaces[nr_spaces++].gpa = slot.gpa;
	}
	fclose(maps);
	REQUIRE(nr_spaces);
}

static uint64_t *table_at(uint64_t entry)
{
	uint64_t gpa = entry & ADDRESS;

	REQUIRE(entry & 1);
	for (int i = 0; i < nr_spaces; i++)
		if (gpa - spaces[i].gpa < GIB)
			return (uint64_t *)(spaces[i].hva + gpa - spaces[i].gpa);
	REQUIRE(!"a guest page table is in the pool");
	return NULL;
}

static uint64_t read_cr3(void)
{
	uint64_t cr3;

	asm volatile("mov %%cr3, %0" : "=r"(cr3));
	return cr3;
}

static void collect_tables(int index, void **tables)
{
	uint64_t first = (uint64_t)window(index, 0);
	uint64_t *table = table_at(read_cr3() | 1);
	int n = 0;

	for (int shift = 39; shift >= 30; shift -= 9) {
		tables[n++] = table;
		table = table_at(table[first >> shift & 511]);
	}
	tables[n++] = table;
	for (int i = 0; i < WINDOWS; i++)
		tables[n++] = table_at(table[i]);
	CHECK_EQ(n, TABLES);
}

/* How many of them are on that node. */
static int pages_on(void **pages, int node)
{
	int where[TABLES], on = 0;

	REQUIRE(syscall(SYS_move_pages, 0, TABLES, pages, NULL, where, 0) == 0);
	for (int i = 0; i < TABLES; i++)
		on += where[i] == node;
	return on;
}

/* ---- what the walks read ---- */

static uint64_t walks(enum emucount_id id)
{
	uint64_t sum = 0;

	for (unsigned int cpu = 0; emucount_available() && cpu < emucount_nr_cpus(); cpu++)
		sum += emucount_read(cpu, id);
	return sum;
}

/*
 * All threads use their windows, entering anew each time: nothing is cached. The
 * upper half, with the system call's entry, is the same tables for all threads: in
 * each entry three reads of another node for those that are not on the first one's.
 */
static void measure_walks(int index, int least)
{
	static uint64_t near, far;

	pthread_barrier_wait(&barrier);
	if (!index) {
		near = walks(EMU_GUEST_WALK_LOCAL);
		far = walks(EMU_GUEST_WALK_REMOTE);
	}
	pthread_barrier_wait(&barrier);
	for (int round = 0; round < 20; round++) {
		use_windows(index);
		getppid();
	}
	pthread_barrier_wait(&barrier);
	if (index)
		return;
	near = walks(EMU_GUEST_WALK_LOCAL) - near;
	far = walks(EMU_GUEST_WALK_REMOTE) - far;
	printf("    %llu reads of tables of the own node, %llu of another\n",
	       (unsigned long long)near, (unsigned long long)far);
	/* The debug kernel's nodes are not known to the emulator. */
	CHECK(100 * near >= least * (near + far));
}

/* ---- policies, each in a process of its own ---- */

static void at_home(int index)
{
	void *tables[TABLES];

	collect_tables(index, tables);
	CHECK_EQ(pages_on(tables, nodes[index]), TABLES);
	measure_walks(index, 95);
}

static int on_first;

static void anywhere(int index)
{
	void *tables[TABLES];

	collect_tables(index, tables);
	__atomic_fetch_add(&on_first, pages_on(tables, 0), __ATOMIC_RELAXED);
}

static void (*work)(int index);

static void *thread_main(void *arg)
{
	int index = (int *)arg - nodes;

	pin_to(index);
	CHECK_EQ(dune_enter(), 0);
	map_windows(index);
	use_windows(index);
	work(index);
	CHECK_EQ(dune_exit(), 0);
	return NULL;
}

static void run_all(void (*fn)(int index))
{
	pthread_t threads[MAX_THREADS];

	work = fn;
	find_spaces();
	pthread_barrier_init(&barrier, NULL, nr_threads);
	for (int i = 0; i < nr_threads; i++)
		REQUIRE(pthread_create(&threads[i], NULL, thread_main, &nodes[i]) == 0);
	for (int i = 0; i < nr_threads; i++)
		pthread_join(threads[i], NULL);
}

static void look_local(void *unused)
{
	run_all(at_home);
}

static void look_interleave(void *unused)
{
	int all = nr_threads * TABLES;

	run_all(anywhere);
	printf("    interleave: %d of %d tables on node 0\n", on_first, all);
	CHECK_IN(on_first, all / 2 - all / 8, all / 2 + all / 8);
}

static void look_bind(void *unused)
{
	run_all(anywhere);
	printf("    bind:1: %d of %d tables on node 0\n", on_first, nr_threads * TABLES);
	CHECK_EQ(on_first, 0);
}

static void policy(const char *name, void (*look)(void *))
{
	setenv("DUNE_NUMA", name, 1);
	CHECK_EQ(run_child(60, look, NULL), 0);
	unsetenv("DUNE_NUMA");
}

static void local(void)
{
	policy("local", look_local);
}

static void interleave(void)
{
	policy("interleave:0-1", look_interleave);
}

static void bind_1(void)
{
	policy("bind:1", look_bind);
}

/* ---- following: Linux' NUMA balancing ---- */

#define KNOBS "/sys/kernel/debug/sched/numa_balancing/"

static void set_knob(const char *name, const char *value)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), KNOBS "%s", name);
	fd = open(path, O_WRONLY);
	REQUIRE(fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value));
	close(fd);
}

#define TURNS		400
#define MAX_FAULTS	(20 * TABLES)	/* of a thread: Linux asks for all its pages in a scan */

/* The thread goes to the other node and uses these pages, none of which is there. */
static void go_and_use(int index, const char *what, void **pages, void (*use)(int index))
{
	int node = nodes[other_cpu[index]], near = 0, turn;
	uint64_t faults;

	CHECK_EQ(pages_on(pages, node), 0);
	pin_to(other_cpu[index]);
	faults = vcpu_stat(DUNE_VCPU_ept_faults);
	for (turn = 0; turn < TURNS && 100 * near < 95 * TABLES; turn++) {
		for (int i = 0; i < 10; i++) {
			use(index);
			spin(200000);
		}
		near = pages_on(pages, node);
	}
	faults = vcpu_stat(DUNE_VCPU_ept_faults) - faults;
	printf("    thread %d: %d of %d %s followed in %d turns, %llu EPT faults\n", index, near,
	       TABLES, what, turn, (unsigned long long)faults);
	CHECK(100 * near >= 95 * TABLES);
	CHECK(faults <= MAX_FAULTS);
}

static void tables_move(int index)
{
	void *tables[TABLES];

	collect_tables(index, tables);
	go_and_use(index, "tables", tables, use_windows);
	measure_walks(index, 95);
}

static char *memory[MAX_THREADS];

static void use_memory(int index)
{
	for (int i = 0; i < TABLES; i++)
		*(volatile char *)(memory[index] + i * PAGE) += 1;
}

/* What the program has is Linux' business, in Dune mode as well. */
static void memory_moves(int index)
{
	void *pages[TABLES];

	memory[index] = mmap(NULL, TABLES * PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(memory[index] != MAP_FAILED);
	for (int i = 0; i < TABLES; i++)
		pages[i] = memory[index] + i * PAGE;
	use_memory(index);
	go_and_use(index, "pages", pages, use_memory);
}

static void look_follow(void *what)
{
	run_all(what);
}

static void follow(void (*what)(int index))
{
	if (read_number("/proc/sys/kernel/numa_balancing") != 1) {
		printf("    NUMA balancing is off: Linux moves nothing\n");
		return;
	}
	set_knob("scan_delay_ms", "20");
	set_knob("scan_period_min_ms", "20");
	CHECK_EQ(run_child(120, look_follow, what), 0);
	set_knob("scan_delay_ms", "1000");
	set_knob("scan_period_min_ms", "1000");
}

static void follow_tables(void)
{
	follow(tables_move);
}

static void follow_memory(void)
{
	follow(memory_moves);
}

int main(int argc, char **argv)
{
	test_start_raw(argc, argv, (struct test_opts){ 0 });
	if (opt.native)
		SKIP("natively there are no guest page tables");
	threads_init();
	heap = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(heap != MAP_FAILED);
	*heap = 1;
	test_part("local", local);
	test_part("interleave", interleave);
	test_part("bind", bind_1);
	test_part("follow", follow_tables);
	test_part("follow_memory", follow_memory);
	return test_end();
}
