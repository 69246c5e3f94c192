// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Other threads of the child, which act on what the main thread uses. They
 * sleep between cases; each action is drawn from the case's seed, and only the
 * interleaving is the machine's.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_RACERS	8
#define MAX_ACTIONS	400

static int nr_racers;
static volatile enum racer_kind kind;
static volatile uint64_t seed;
static volatile uint32_t round;		/* one more for each start */
static volatile bool stopping;
static volatile uint32_t acting;

static void futex_wait(volatile uint32_t *word, uint32_t value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(volatile uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1 << 30, NULL, NULL, 0);
}

static void scribble(struct rng *r)
{
	volatile uint64_t *page = (volatile uint64_t *)child.vcpu.page;

	switch (rng_below(r, 5)) {
	case 0: page[rng_below(r, 72)] = rng_weird(r); break;
	case 1: page[rng_below(r, 18)] = rng_weird(r); break;
	case 2: page[18] = rng_next(r) & 0x700000003ull; break; /* sync, run_flags */
	case 3:
		child.vcpu.page->notify_vector = 32 + rng_below(r, 224);
		child.vcpu.page->requests = rng_below(r, 4);
		break;
	default: page[rng_below(r, 512)] = rng_next(r);
	}
}

/* Mostly entries that mean something: others end the guest at once. */
static void rewrite_tables(struct rng *r)
{
	static const uint16_t used[] = { ARENA_PML4 / 8 + (ARENA >> 39 & 511),
					 ARENA_PDPT / 8 + (ARENA >> 30 & 511),
					 ARENA_PD / 8 + (ARENA >> 21 & 511) };
	volatile uint64_t *tables = (volatile uint64_t *)ARENA;
	uint64_t at = rng_one_in(r, 4) ? used[rng_below(r, 3)] :
		      ARENA_PT / 8 + rng_below(r, ARENA_SIZE / 4096);
	uint64_t old = tables[at];

	switch (rng_below(r, 6)) {
	case 0: tables[at] = rng_weird(r) | 0x27; break;
	case 1: tables[at] = 0; break;
	case 2: tables[at] = old ^ 1ull << rng_below(r, 64); break;
	case 3: tables[at] = rng_below(r, ARENA_SIZE / 4096) * 4096 | 0x67; break;
	default:
		tables[at] = old ^ 0x62;
		rng_next(r);
	}
	tables[at] = old;
}

static void unmap_below(struct rng *r)
{
	uint64_t at = rng_one_in(r, 3) ? ARENA_CODE / 4096 :
		      rng_one_in(r, 3) ? ARENA_STACK / 4096 - 1 :
		      rng_below(r, ARENA_SIZE / 4096);
	char *p = (char *)ARENA + at * 4096;

	switch (rng_below(r, 8)) {
	case 0: munmap(p, 4096); break;
	case 1: mprotect(p, 4096, PROT_READ); break;
	case 2: mprotect(p, 4096, PROT_NONE); break;
	case 3: madvise(p, 4096, MADV_DONTNEED); break;
	case 4: madvise(p, 4096, MADV_PAGEOUT); break;
	case 5: mprotect(p, 4096, PROT_READ | PROT_WRITE | PROT_EXEC); break;
	case 6: mprotect((char *)ARENA, ARENA_SIZE,
			 PROT_READ | PROT_WRITE | PROT_EXEC); break;
	default:
		mmap(p, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	}
}

static void map_page(struct rng *r)
{
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
		       child.vcpu.fd, 0), *q;

	if (p == MAP_FAILED)
		return;
	*(volatile uint64_t *)(p + 8 * rng_below(r, 512)) = rng_next(r);
	q = mremap(p, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED,
		   (char *)ARENA + ARENA_SCRATCH);
	madvise(q == MAP_FAILED ? p : q, 4096, MADV_DONTNEED);
	munmap(q == MAP_FAILED ? p : q, 4096);
}

/* Not its owner: never anything else. */
static void use_fds(struct rng *r)
{
	int fd = dup(child.vcpu.fd);
	long ret = raw_run(fd, rng_next(r));

	if (fd >= 0 && ret != -EPERM && ret != -EBADF)
		fuzz_fail("DUNE_RUN by a thread that is not the owner: %ld", ret);
	if (fd >= 0)
		close(fd);
}

static void use_vm(struct rng *r)
{
	struct dune_create_vcpu create = { 0 };
	struct dune_slot slot = { .hva = rng_weird(r) };
	int vm = child.fds[FD_VM], fd;
	void *p;

	switch (rng_below(r, 5)) {
	case 0:
		fd = ioctl(vm, DUNE_CREATE_VCPU, &create);
		if (fd >= 0) {
			raw_run(fd, 0);	/* nothing is set: ends by itself */
			close(fd);
		}
		break;
	case 1: ioctl(vm, DUNE_GET_SLOT, &slot); break;
	case 2: ioctl(vm, DUNE_SYNC_COUNTERS, 0); break;
	case 3:
		p = mmap(NULL, DUNE_VCPU_PAGES_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vm,
			 DUNE_MMAP_VCPU_PAGES);
		if (p != MAP_FAILED) {
			madvise(p, 8192, MADV_POPULATE_WRITE);
			munmap(p, DUNE_VCPU_PAGES_SIZE);
		}
		break;
	default:
		p = mmap(NULL, DUNE_SLOT_TABLE_SIZE, PROT_READ, MAP_SHARED, vm,
			 DUNE_MMAP_SLOT_TABLE);
		if (p != MAP_FAILED)
			munmap(p, DUNE_SLOT_TABLE_SIZE);
	}
}

static void change_argument(struct rng *r)
{
	void *p = ioctl_racing_page();

	if (rng_one_in(r, 2))
		munmap(p, 4096);
	else
		mmap(p, 4096, rng_one_in(r, 2) ? PROT_READ : PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static void act(struct rng *r)
{
	static void (*const actions[NR_RACERS])(struct rng *) = {
		[RACER_SCRIBBLE] = scribble, [RACER_TABLES] = rewrite_tables,
		[RACER_UNMAP] = unmap_below, [RACER_PAGE] = map_page,
		[RACER_FD] = use_fds, [RACER_VM] = use_vm,
		[RACER_ARGS] = change_argument,
	};
	enum racer_kind k = kind;

	for (int n = 0; n < MAX_ACTIONS && !stopping; n++) {
		actions[k](r);
		shared->racer_actions[k]++;
	}
}

static void *racer_main(void *arg)
{
	uint32_t seen = 0;

	for (;;) {
		struct rng r;

		while (__atomic_load_n(&round, __ATOMIC_ACQUIRE) == seen)
			futex_wait(&round, seen);
		seen++;
		r.state = seed + (uintptr_t)arg;
		act(&r);
		if (__atomic_sub_fetch(&acting, 1, __ATOMIC_ACQ_REL) == 0)
			futex_wake(&acting);
	}
	return NULL;
}

void racer_setup(int n)
{
	pthread_t thread;
	sigset_t ticks, old;

	nr_racers = n < MAX_RACERS ? n : MAX_RACERS;
	/* Ticks are for the main thread. */
	sigemptyset(&ticks);
	sigaddset(&ticks, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &ticks, &old);
	for (int i = 0; i < nr_racers; i++)
		if (pthread_create(&thread, NULL, racer_main, (void *)(intptr_t)i))
			_exit(CHILD_RESTART);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void racer_start(enum racer_kind k, uint64_t s)
{
	if (k == RACER_NONE || k >= NR_RACERS || !nr_racers)
		return;
	kind = k;
	seed = s;
	acting = nr_racers;
	stopping = false;
	if (k == RACER_UNMAP || k == RACER_PAGE)
		child.dirty = true;
	__atomic_add_fetch(&round, 1, __ATOMIC_RELEASE);
	futex_wake(&round);
}

void racer_stop(void)
{
	uint32_t n;

	stopping = true;
	while ((n = __atomic_load_n(&acting, __ATOMIC_ACQUIRE)))
		futex_wait(&acting, n);
}
