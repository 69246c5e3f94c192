// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * On which NUMA nodes the memory of a vm is, by each policy: as the module tells
 * (DUNE_GET_PLACES), and by the walks that the emulated CPUs make. For a machine
 * with at least two nodes that have CPUs.
 */
#include "test.h"

#include <fcntl.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "emucount.h"

#define MAX_THREADS	8
#define REGIONS		48		/* of 2 MiB, with a page in use: a table each */
#define REGION_BYTES	(2ul << 20)
#define MAX_PLACES	4096
#define ANY		(-1)

/* One thread and what it uses. */
struct user {
	int cpu, node, to_cpu, to_node;
	char *memory;
};

static struct user users[MAX_THREADS];
static int nr_users;
static unsigned long all_nodes;	/* those of the users */
static pthread_barrier_t barrier;
static struct dune_place places[MAX_PLACES];
static unsigned int nr_places;

static int node_of_cpu(int cpu)
{
	unsigned int node = 0;

	pin_to(cpu);
	REQUIRE(syscall(SYS_getcpu, NULL, &node, NULL) == 0);
	return node;
}

/* A thread a CPU; each goes to a CPU of another node later. */
static void users_init(void)
{
	nr_users = nr_cpus() < MAX_THREADS ? nr_cpus() : MAX_THREADS;
	for (int i = 0; i < nr_users; i++)
		users[i] = (struct user){ .cpu = i, .node = node_of_cpu(i), .to_cpu = ANY };
	for (int i = 0; i < nr_users; i++)
		all_nodes |= 1ul << users[i].node;
	for (int i = 0; i < nr_users; i++)
		for (int j = 0; j < nr_users && users[i].to_cpu == ANY; j++) {
			const struct user *to = &users[(i + nr_users / 2 + j) % nr_users];

			if (to->node != users[i].node) {
				users[i].to_cpu = to->cpu;
				users[i].to_node = to->node;
			}
		}
	if (!nr_users || users[0].to_cpu == ANY)
		SKIP("one NUMA node with CPUs (tools/vm/run --numa 2)");
	pin_to(0);
}

static void take_memory(struct user *u)
{
	u->memory = mmap(NULL, (REGIONS + 1) * REGION_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	REQUIRE(u->memory != MAP_FAILED);
	u->memory = (char *)(((uintptr_t)u->memory + REGION_BYTES - 1) & ~(REGION_BYTES - 1));
	REQUIRE(madvise(u->memory, REGIONS * REGION_BYTES, MADV_NOHUGEPAGE) == 0);
	/* With a policy of its own Linux does not take it away to see who uses it. */
	REQUIRE(syscall(SYS_mbind, u->memory, REGIONS * REGION_BYTES, MPOL_INTERLEAVE,
			&all_nodes, 64, 0) == 0);
}

/* Reads are checked: what is given up comes back as it was. */
static void use_memory(struct user *u, int round)
{
	for (int i = 0; i < REGIONS; i++) {
		volatile char *p = u->memory + i * REGION_BYTES;

		if (round)
			CHECK_EQ(*p, (char)(i + round));
		*p = i + round + 1;
	}
}

static void get_places(void)
{
	struct dune_stat_open open = { .scope = DUNE_STAT_PROCESS, .pid = getpid() };
	struct dune_places req = { .nr = 100 };
	int fd = ioctl(dune_vm_fd(), DUNE_STAT_OPEN, &open);

	REQUIRE(fd >= 0);
	nr_places = 0;
	do {
		req.places = (uintptr_t)&places[nr_places];
		REQUIRE(nr_places + 100 <= MAX_PLACES);
		req.nr = 100;
		REQUIRE(ioctl(fd, DUNE_GET_PLACES, &req) == 0);
		nr_places += req.nr;
	} while (req.nr == 100);
	close(fd);
}

/* The thread whose memory this table maps, or NULL. */
static const struct user *user_of(const struct dune_place *place)
{
	for (int i = 0; i < nr_users; i++)
		if (place->hva - (uintptr_t)users[i].memory < REGIONS * REGION_BYTES)
			return &users[i];
	return NULL;
}

struct located {
	int near, far;		/* pages on the node of who uses them, and others */
	int leaf_tables;	/* those that map the threads' memory */
	int vcpu_far;		/* VMCSs and vCPU pages on another node than their thread */
	int on[64];		/* tables, by node */
};

static void add_place(struct located *l, const struct dune_place *place, int node)
{
	if (place->node == node)
		l->near++;
	else
		l->far++;
}

/* moved: the threads are where they went. Tables that several use are nobody's. */
static struct located locate(bool moved)
{
	struct located l = { 0 };

	get_places();
	for (unsigned int i = 0; i < nr_places; i++) {
		const struct dune_place *place = &places[i];
		const struct user *u = place->level == 1 ? user_of(place) : NULL;

		if (place->kind != DUNE_PLACE_EPT) {
			add_place(&l, place, place->user_node);
			l.vcpu_far += place->node != place->user_node;
			continue;
		}
		l.on[place->node]++;
		if (!u)
			continue;
		l.leaf_tables++;
		add_place(&l, place, moved ? u->to_node : u->node);
	}
	return l;
}

static void print(const char *what, const struct located *l)
{
	printf("    %s: %d pages near, %d far; tables by node:", what, l->near, l->far);
	for (int node = 0; node < 64; node++)
		if (l->on[node])
			printf(" %d on %d", l->on[node], node);
	printf("\n");
}

static void *worker(void *arg)
{
	struct user *u = &users[*(int *)arg];

	pin_to(u->cpu);
	CHECK_EQ(dune_enter(), 0);
	use_memory(u, 0);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	use_memory(u, 1);
	CHECK_EQ(dune_exit(), 0);
	return NULL;
}

/* A thread for each user, and one more who waits at the barrier. */
static void start_threads(pthread_t *threads, void *(*fn)(void *))
{
	static int index[MAX_THREADS];

	pthread_barrier_init(&barrier, NULL, nr_users + 1);
	for (int i = 0; i < nr_users; i++)
		take_memory(&users[i]);
	for (int i = 0; i < nr_users; i++) {
		index[i] = i;
		REQUIRE(pthread_create(&threads[i], NULL, fn, &index[i]) == 0);
	}
}

static void join_threads(const pthread_t *threads)
{
	for (int i = 0; i < nr_users; i++)
		pthread_join(threads[i], NULL);
}

/* ---- policies, each in a process of its own ---- */

static void look_local(void)
{
	struct located l = locate(false);

	print("local", &l);
	CHECK_EQ(l.leaf_tables, nr_users * REGIONS);
	CHECK(100 * l.far <= l.near + l.far);
	CHECK_EQ(vm_stat(DUNE_VM_tables_far), 0);
	CHECK(vm_stat(DUNE_VM_tables_near) >= (uint64_t)l.leaf_tables);
}

static void look_interleave(void)
{
	struct located l = locate(false);
	int nodes = 0, sum = 0;

	print("interleave", &l);
	for (int node = 0; node < 64; node++)
		sum += l.on[node];
	for (int i = 0; i < 64; i++)
		nodes += l.on[i] > 0;
	CHECK(nodes >= 2);
	for (int node = 0; node < 64; node++)
		if (l.on[node])
			CHECK_IN(l.on[node], sum / nodes - sum / 10, sum / nodes + sum / 10);
}

static void look_bind(void)
{
	struct located l = locate(false);

	print("bind:1", &l);
	/* The root is made before any thread faults. */
	CHECK(l.on[0] <= 1);
	CHECK(l.on[1] >= nr_users * REGIONS);
	for (int node = 2; node < 64; node++)
		CHECK_EQ(l.on[node], 0);
}

static void look_replicate(void)
{
	struct located l = locate(false);
	unsigned int tables = 0;

	print("replicate", &l);
	CHECK_EQ(l.leaf_tables, nr_users * REGIONS);
	for (unsigned int i = 0; i < nr_places; i++) {
		if (places[i].kind != DUNE_PLACE_EPT)
			continue;
		tables++;
		CHECK_EQ(places[i].node, places[i].user_node);
	}
	CHECK_EQ(tables, vm_stat(DUNE_VM_ept_tables));
	CHECK_EQ(l.far, 0);
}

/* look() while the threads are in Dune mode and wait. */
static void in_child(void *look)
{
	pthread_t threads[MAX_THREADS];

	start_threads(threads, worker);
	pthread_barrier_wait(&barrier);
	((void (*)(void))look)();
	pthread_barrier_wait(&barrier);
	join_threads(threads);
}

static void policy(const char *name, void (*look)(void))
{
	setenv("DUNE_NUMA", name, 1);
	CHECK_EQ(run_child(60, in_child, look), 0);
	unsetenv("DUNE_NUMA");
}

static void local(void)
{
	policy("local", look_local);
}

static void interleave(void)
{
	policy("interleave", look_interleave);
}

static void bind_1(void)
{
	policy("bind:1", look_bind);
}

static void replicate(void)
{
	policy("replicate", look_replicate);
}

static void bad_texts(void)
{
	static const char *const bad[] = {
		"", "near", "local:0", "replicate:0", "bind", "bind:", "bind:x", "bind:0,",
		"bind:1-0", "bind:64", "bind:-1", "interleave:", "interleave:0 1",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_EQ(dune_set_placement(bad[i]), -EINVAL);
		CHECK(strstr(dune_why(), "interleave"));
	}
}

/* In a process that has done nothing with libdune yet. */
static void call_before_init(void)
{
	bad_texts();
	CHECK_EQ(dune_set_placement("bind:63"), 0);
	CHECK_EQ(dune_init(), -EINVAL);
	CHECK(strstr(dune_why(), "none has memory"));
	CHECK_EQ(dune_set_placement("interleave"), 0);
	/* The call is more than the environment. */
	setenv("DUNE_NUMA", "replicate", 1);
	CHECK_EQ(dune_set_placement("bind:0-1"), 0);
	CHECK_EQ(dune_set_placement("bind:1"), 0);
	CHECK_EQ(dune_init(), 0);
	CHECK_EQ(dune_set_placement("local"), -EBUSY);
	in_child(look_bind);
}

static void call(void)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		check_failures = 0;
		call_before_init();
		_exit(check_failures ? 1 : 0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

/* ---- what the CPUs' walks read ---- */

static uint64_t walks(enum emucount_id id)
{
	uint64_t sum = 0;

	for (unsigned int cpu = 0; cpu < emucount_nr_cpus(); cpu++)
		sum += emucount_read(cpu, id);
	return sum;
}

static int turn;	/* whose it is to use the memory of all */

/*
 * The emulated CPU flushes at each entry: every turn walks to every page anew. Every
 * second one from the other node.
 */
static void *walker(void *arg)
{
	int index = *(int *)arg;

	pin_to(users[index].cpu);
	CHECK_EQ(dune_enter(), 0);
	for (int round = 0; round < 4; round++) {
		pin_to(round % 2 ? users[index].to_cpu : users[index].cpu);
		while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != round * nr_users + index)
			sched_yield();
		for (int i = 0; i < nr_users; i++)
			use_memory(&users[i], round * nr_users + index);
		__atomic_fetch_add(&turn, 1, __ATOMIC_RELEASE);
	}
	CHECK_EQ(dune_exit(), 0);
	return NULL;
}

static void all_walk(void *unused)
{
	pthread_t threads[MAX_THREADS];
	uint64_t near, far;

	(void)unused;
	near = walks(EMU_EPT_WALK_LOCAL);
	far = walks(EMU_EPT_WALK_REMOTE);
	start_threads(threads, walker);
	join_threads(threads);
	near = walks(EMU_EPT_WALK_LOCAL) - near;
	far = walks(EMU_EPT_WALK_REMOTE) - far;
	printf("    %s: %llu reads of EPT tables of the own node, %llu of another\n",
	       getenv("DUNE_NUMA"), (unsigned long long)near, (unsigned long long)far);
	/* The debug kernel's nodes are not known to the emulator. */
	if (!near && !far)
		return;
	CHECK(near > 0);
	if (!strcmp(getenv("DUNE_NUMA"), "replicate"))
		CHECK_EQ(far, 0);
	else
		CHECK(far > 0);
}

static void walk_locality(void)
{
	if (!emucount_available()) {
		printf("    this machine does not count walks\n");
		return;
	}
	setenv("DUNE_NUMA", "local", 1);
	CHECK_EQ(run_child(60, all_walk, NULL), 0);
	setenv("DUNE_NUMA", "replicate", 1);
	CHECK_EQ(run_child(60, all_walk, NULL), 0);
	unsetenv("DUNE_NUMA");
}

/* ---- following ---- */

#define MAX_FAULTS	(2 * REGIONS + 60)	/* of a thread, to have its tables again */

static void *mover(void *arg)
{
	int index = *(int *)arg;
	struct user *u = &users[index];
	uint64_t faults;

	pin_to(u->cpu);
	CHECK_EQ(dune_enter(), 0);
	use_memory(u, 0);
	pthread_barrier_wait(&barrier);		/* all are at home: looked at */
	pthread_barrier_wait(&barrier);
	pin_to(u->to_cpu);
	faults = vcpu_stat(DUNE_VCPU_ept_faults);
	/* For good: computing, with its accesses between. */
	for (int round = 1; round < 100; round++) {
		use_memory(u, round);
		spin(100000);
	}
	faults = vcpu_stat(DUNE_VCPU_ept_faults) - faults;
	CHECK(faults <= MAX_FAULTS);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	CHECK_EQ(dune_exit(), 0);
	return NULL;
}

static void all_move(void *unused)
{
	pthread_t threads[MAX_THREADS];
	struct located l;

	(void)unused;
	start_threads(threads, mover);
	pthread_barrier_wait(&barrier);
	l = locate(false);
	print("before", &l);
	CHECK(100 * l.far <= l.near + l.far);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	l = locate(true);
	print("after", &l);
	CHECK_EQ(l.leaf_tables, nr_users * REGIONS);
	CHECK(100 * l.far <= 5 * (l.near + l.far));
	CHECK_EQ(l.vcpu_far, 0);
	CHECK(vm_stat(DUNE_VM_tables_followed) >= (uint64_t)nr_users * REGIONS);
	CHECK(vm_stat(DUNE_VM_vcpu_pages_followed) >= (uint64_t)nr_users);
	pthread_barrier_wait(&barrier);
	join_threads(threads);
}

static void follow(void)
{
	CHECK_EQ(run_child(120, all_move, NULL), 0);
}

/* ---- memory is short ---- */

static void reclaim_slab(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	REQUIRE(fd >= 0 && write(fd, "2", 1) == 1);
	close(fd);
}

/* Both nodes lose their tables, one after the other, and have them again. */
static void look_reclaimed(void)
{
	uint64_t tables = vm_stat(DUNE_VM_ept_tables), now;

	for (int i = 0; i < 20 && vm_stat(DUNE_VM_tables_reclaimed) < tables / 2; i++)
		reclaim_slab();
	now = vm_stat(DUNE_VM_ept_tables);
	printf("    replicate: %llu tables, %llu after reclaim, %llu given up\n",
	       (unsigned long long)tables, (unsigned long long)now,
	       (unsigned long long)vm_stat(DUNE_VM_tables_reclaimed));
	CHECK(vm_stat(DUNE_VM_tables_reclaimed) >= tables / 2);
	CHECK(now < tables / 2);
}

static void reclaim(void)
{
	policy("replicate", look_reclaimed);
}

/* An EPT that is the only one stays. */
static void look_kept(void)
{
	for (int i = 0; i < 3; i++)
		reclaim_slab();
	CHECK_EQ(vm_stat(DUNE_VM_tables_reclaimed), 0);
	CHECK_EQ(locate(false).leaf_tables, nr_users * REGIONS);
}

static void reclaim_not_local(void)
{
	policy("local", look_kept);
}

int main(int argc, char **argv)
{
	test_start_raw(argc, argv, (struct test_opts){ 0 });
	if (opt.native)
		SKIP("natively there is nothing to place");
	users_init();
	test_part("local", local);
	test_part("interleave", interleave);
	test_part("bind", bind_1);
	test_part("replicate", replicate);
	test_part("call", call);
	test_part("walk_locality", walk_locality);
	test_part("follow", follow);
	test_part("reclaim", reclaim);
	test_part("reclaim_not_local", reclaim_not_local);
	return test_end();
}
