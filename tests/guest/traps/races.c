// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Registration while other threads trap, and waiting for the old handlers. */
#include "traps.h"

#include <pthread.h>
#include <sched.h>

#define VECTOR 0x90
#define KINDS 4

/* What a handler is registered with: it must come together. */
struct kind {
	uint64_t magic;
	dune_trap_fn fn;
	unsigned int flags;
};

static long wrong;

DUNE_TRAP_FAST_FN static void judge(const struct dune_trap *trap, const struct kind *k,
				    uint64_t magic)
{
	bool fast = !trap->xsave;

	if (__atomic_load_n(&k->magic, __ATOMIC_RELAXED) != magic ||
	    fast != !!(k->flags & DUNE_TRAP_FAST))
		__atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
}

#define HANDLER(name, value)							\
	DUNE_TRAP_FAST_FN static enum dune_trap_action				\
	name(struct dune_trap *trap, void *arg)					\
	{									\
		judge(trap, arg, value);					\
		trap->rax = value;						\
		return DUNE_TRAP_RESUME;					\
	}
HANDLER(handler_0, 1000)
HANDLER(handler_1, 1001)
HANDLER(handler_2, 1002)
HANDLER(handler_3, 1003)

static struct kind kinds[KINDS] = {
	{ 1000, handler_0, 0 },
	{ 1001, handler_1, DUNE_TRAP_FAST },
	{ 1002, handler_2, 0 },
	{ 1003, handler_3, DUNE_TRAP_FAST },
};

static uint64_t trap_once(void)
{
	uint64_t rax = 0;

	asm volatile("int %1" : "+a"(rax) : "i"(VECTOR) : "memory");
	return rax;
}

static volatile int stop, started;
static long traps_made;

static void trapper(int index, void *arg)
{
	long made = 0, bad = 0;

	__atomic_add_fetch(&started, 1, __ATOMIC_RELAXED);
	for (; !stop; made++) {
		uint64_t rax = trap_once();

		bad += rax < 1000 || rax >= 1000 + KINDS;
	}
	CHECK_EQ(bad, 0);
	__atomic_add_fetch(&traps_made, made, __ATOMIC_RELAXED);
}

/* Any of the handlers; where nobody else registers: that one from now on. */
static void registrar(int index, void *arg)
{
	uint64_t seed = opt.seed + index;
	bool alone = !arg;

	for (long i = 0; i < opt.rounds * 10; i++) {
		struct kind *k = &kinds[rnd(&seed) % KINDS];

		CHECK_EQ(dune_trap_register(VECTOR, k->fn, k, k->flags), 0);
		if (alone)
			CHECK_EQ(trap_once(), k->magic);
		if (!(i & 15))
			sched_yield();
	}
}

/*
 * An argument that is no good any more once dune_trap_sync() has returned: two
 * take turns.
 */
static void reclaimer(int index, void *arg)
{
	struct kind args[2];

	for (long i = 0; i < opt.rounds; i++) {
		struct kind *k = &args[i & 1];

		*k = kinds[i % KINDS];
		CHECK_EQ(dune_trap_register(VECTOR, k->fn, k, k->flags), 0);
		CHECK_EQ(dune_trap_sync(), 0);
		__atomic_store_n(&args[~i & 1].magic, 0xdead, __ATOMIC_RELAXED);
	}
	CHECK_EQ(dune_trap_register(VECTOR, kinds[0].fn, &kinds[0], kinds[0].flags), 0);
	CHECK_EQ(dune_trap_sync(), 0);
}

static void *trappers(void *arg)
{
	run_threads(opt.threads, trapper, NULL);
	return NULL;
}

static void race(int nr, thread_fn fn, void *arg)
{
	pthread_t thread;

	stop = started = 0;
	wrong = traps_made = 0;
	CHECK_EQ(dune_trap_register(VECTOR, kinds[0].fn, &kinds[0], kinds[0].flags), 0);
	REQUIRE(pthread_create(&thread, NULL, trappers, NULL) == 0);
	CHECK(wait_for(&started, opt.threads, 20));
	run_threads(nr, fn, arg);
	stop = 1;
	pthread_join(thread, NULL);
	printf("    %ld traps\n", traps_made);
	CHECK(traps_made > 0);
	CHECK_EQ(wrong, 0);
	CHECK_EQ(dune_trap_unregister(VECTOR), 0);
}

void part_races(void)
{
	race(1, registrar, NULL);
	race(3, registrar, kinds);
	race(1, reclaimer, NULL);
}

static volatile int in_handler, may_return, sync_begins, synced;

static enum dune_trap_action waits(struct dune_trap *trap, void *arg)
{
	in_handler = 1;
	while (!may_return)
		sched_yield();
	*(int *)arg = 1;
	return DUNE_TRAP_RESUME;
}

static void in_waiting(int index, void *arg)
{
	trap_once();
}

static void *waiting(void *arg)
{
	run_threads(1, in_waiting, NULL);
	return NULL;
}

static void *syncing(void *arg)
{
	CHECK_EQ(dune_trap_unregister(VECTOR), 0);
	sync_begins = 1;
	CHECK_EQ(dune_trap_sync(), 0);
	CHECK_EQ(*(int *)arg, 1);
	synced = 1;
	return NULL;
}

/* Not before the handler has returned, and not never. */
void part_sync(void)
{
	pthread_t waiter, syncer;
	int done = 0;

	CHECK_EQ(dune_trap_sync(), 0);
	CHECK_EQ(dune_trap_register(VECTOR, waits, &done, 0), 0);
	REQUIRE(pthread_create(&waiter, NULL, waiting, NULL) == 0);
	CHECK(wait_for(&in_handler, 1, 20));
	REQUIRE(pthread_create(&syncer, NULL, syncing, &done) == 0);
	CHECK(wait_for(&sync_begins, 1, 20));
	for (int i = 0; i < 200; i++)
		sched_yield();
	CHECK_EQ(synced, 0);
	may_return = 1;
	pthread_join(syncer, NULL);
	pthread_join(waiter, NULL);
	CHECK_EQ(synced, 1);
}

static enum dune_trap_action none(struct dune_trap *trap, void *arg)
{
	return DUNE_TRAP_RESUME;
}

void part_arguments(void)
{
	CHECK_EQ(dune_trap_register(31, none, NULL, 0), -EINVAL);
	CHECK_EQ(dune_trap_register(DUNE_VECTOR_IPI, none, NULL, 0), -EINVAL);
	CHECK_EQ(dune_trap_register(256, none, NULL, 0), -EINVAL);
	CHECK_EQ(dune_trap_register(~0u, none, NULL, 0), -EINVAL);
	CHECK_EQ(dune_trap_register(6, none, NULL, DUNE_TRAP_FLAGS + 1), -EINVAL);
	CHECK_EQ(dune_trap_unregister(31), -EINVAL);
	CHECK_EQ(dune_trap_unregister(256), -EINVAL);
	CHECK_EQ(dune_trap_unregister(254), 0);
}
