// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "helper.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "measure.h"

/* Of a page's size: a spinner's writes share nothing with what is measured. */
struct helper {
	volatile uint64_t beat;
	volatile uint64_t rounds;
	volatile int ready;
	volatile int stop;
	enum helper_kind kind;
	enum mode mode;
	int place;
	int fd;
	int pipe[2];
	pid_t tid;
	dune_ipi_id ipi_id;
	pthread_t thread;
} __attribute__((aligned(4096)));

static struct helper helpers[MAX_HELPERS];
static const volatile char *memory;
static int nr_helpers;
static const struct crowd nobody, *last_crowd = &nobody;

void helpers_read(const volatile char *at)
{
	memory = at;
}

static inline void read_memory(void)
{
	if (memory)
		(void)*memory;
}

static void spin(struct helper *h)
{
	while (!h->stop) {
		read_memory();
		h->beat++;
	}
}

static void poll(struct helper *h)
{
	MUST(dune_vm_poll_begin() == 0);
	while (!h->stop) {
		read_memory();
		dune_vm_poll();
		h->beat++;
	}
	MUST(dune_vm_poll_end() == 0);
}

static void block(struct helper *h)
{
	char c;

	while (!h->stop) {
		h->rounds++;
		read_memory();
		MUST(sys3(SYS_read, h->pipe[0], (long)&c, 1) == 1);
	}
}

static void (*const loops[])(struct helper *h) = {
	[HELPER_SPIN] = spin,
	[HELPER_BLOCK] = block,
	[HELPER_POLL] = poll,
};

static void *helper_main(void *arg)
{
	struct helper *h = arg;

	pin_to(h->place);
	h->tid = gettid();
	if (h->mode == DUNE)
		guest_enter();
	h->fd = dune_vcpu_fd();
	h->ipi_id = dune_ipi_self();
	h->ready = 1;
	loops[h->kind](h);
	if (h->mode == DUNE) {
		MUST(dune_inside());
		guest_leave();
	}
	return NULL;
}

/* The third field of its stat, behind the name in brackets. */
static char thread_state(pid_t tid)
{
	char path[64], state = '?';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	f = fopen(path, "r");
	MUST(f && fscanf(f, "%*d (%*[^)]) %c", &state) == 1);
	fclose(f);
	return state;
}

static void wait_until_there(struct helper *h)
{
	while (!h->ready)
		sched_yield();
	if (h->kind == HELPER_BLOCK)
		while (thread_state(h->tid) != 'S')
			sched_yield();
}

void helpers_start(const struct crowd *crowd, enum mode mode)
{
	MUST(crowd->nr <= MAX_HELPERS);
	last_crowd = crowd;
	nr_helpers = crowd->nr;
	for (int i = 0; i < nr_helpers; i++) {
		struct helper *h = &helpers[i];

		*h = (struct helper){
			.kind = crowd->kind,
			.mode = mode,
			.place = crowd->first_cpu + i % crowd->nr_cpus,
		};
		MUST(pipe(h->pipe) == 0);
		MUST(pthread_create(&h->thread, NULL, helper_main, h) == 0);
		wait_until_there(h);
		if (mode == DUNE)
			watch_vcpu(h->fd);
	}
	helpers_settle();
}

/*
 * Wake it and let it block again: its idle CPU has this mm loaded then, whoever
 * ran there since, and Linux' flushes have to look at that CPU.
 */
static void block_anew(struct helper *h)
{
	uint64_t rounds = h->rounds, halts, until = clock_ns() + 100000;

	MUST(sys3(SYS_write, h->pipe[1], (long)"", 1) == 1);
	while (h->rounds == rounds)
		asm volatile("pause");
	if (!have_emucount) {
		while (thread_state(h->tid) != 'S' || clock_ns() < until)
			sched_yield();
		return;
	}
	halts = emucount_read(place_cpu(h->place), EMU_HLT);
	while (emucount_read(place_cpu(h->place), EMU_HLT) == halts)
		asm volatile("pause");
}

void helpers_settle(void)
{
	for (int i = 0; i < nr_helpers; i++) {
		struct helper *h = &helpers[i];
		uint64_t beat = h->beat;

		/* A whole quantum of its CPU and more. */
		while (h->kind != HELPER_BLOCK && h->beat < beat + 50)
			asm volatile("pause");
	}
	/* The last one on each CPU; on this CPU it makes no difference. */
	for (int i = nr_helpers - last_crowd->nr_cpus; i < nr_helpers; i++)
		if (i >= 0 && helpers[i].kind == HELPER_BLOCK && helpers[i].place)
			block_anew(&helpers[i]);
}

int helper_tid(int i)
{
	return helpers[i].tid;
}

dune_ipi_id helper_ipi_id(int i)
{
	return helpers[i].ipi_id;
}

void helpers_stop(void)
{
	watch_none();
	for (int i = 0; i < nr_helpers; i++) {
		struct helper *h = &helpers[i];

		h->stop = 1;
		MUST(write(h->pipe[1], "", 1) == 1);
		pthread_join(h->thread, NULL);
		close(h->pipe[0]);
		close(h->pipe[1]);
	}
	nr_helpers = 0;
}
