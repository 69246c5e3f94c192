// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What other CPUs, other threads and the scheduler make a thread pay: an
 * interrupt, a change of CPU, a switch to another thread and back; and that
 * exits of a thread which stays where it is need nothing of that.
 */
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "exits.h"

static void enter(enum exits_by by)
{
	if (by != BY_NATIVE)
		guest_enter();
}

static void leave(enum exits_by by)
{
	if (by == BY_NATIVE)
		return;
	MUST(dune_inside());
	guest_leave();
}

static uint64_t sum_of(int counter)
{
	uint64_t sum = 0;

	for (int cpu = 0; cpu < nr_cpus; cpu++)
		sum += emucount_read(cpu, counter);
	return sum;
}

/* ---- an interrupt ---- */

/* A thread at place 1, in plain mode, that sends one IPI when it is told to. */
static struct sender {
	pthread_t thread;
	volatile int go __attribute__((aligned(4096)));
	volatile int stop, ready;
} sender;

static void *sender_main(void *unused)
{
	int seen = 0;

	pin_to(1);
	sender.ready = 1;
	while (!sender.stop) {
		if (sender.go == seen) {
			asm volatile("pause");
			continue;
		}
		seen = sender.go;
		MUST(sys3(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0);
	}
	return NULL;
}

/* More than any turn of the loop below, less than any interrupt. */
#define MORE_THAN_A_TURN 60

/* Read the count until it jumps: that was the interrupt. */
static void op_interrupt(void *arg, int rep)
{
	uint64_t last, now, turn;

	now = cost_now();
	last = cost_now();
	turn = last - now;
	sender.go++;
	for (;;) {
		now = cost_now();
		if (now - last > MORE_THAN_A_TURN)
			break;
		turn = now - last;
		last = now;
	}
	measure_cost(now - last - turn);
}

static void interrupt(enum exits_by by)
{
	struct label label = exits_label("interrupt", by);

	sender = (struct sender){ .stop = 0 };
	MUST(sys3(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0);
	MUST(pthread_create(&sender.thread, NULL, sender_main, NULL) == 0);
	while (!sender.ready)
		sched_yield();
	enter(by);
	result_print(measure(&label, options.reps, op_nothing, op_interrupt, NULL));
	leave(by);
	sender.stop = 1;
	pthread_join(sender.thread, NULL);
}

/* ---- a change of CPU ---- */

/* Masks of the two places, made before what is measured. */
static cpu_set_t at_place[2];

static void move_to(int place)
{
	MUST(sys3(SYS_sched_setaffinity, 0, sizeof(*at_place), (long)&at_place[place]) == 0);
}

/*
 * There and back, so that events of CPUs can be told apart. The cost is that
 * of all CPUs: much of a move is done by the one that the thread leaves.
 */
static void op_move(void *arg, int rep)
{
	uint64_t before = sum_of(EMU_INSN);

	move_to(1);
	move_to(0);
	measure_cost(sum_of(EMU_INSN) - before);
}

static void migrate(enum exits_by by)
{
	struct label label = exits_label("migrate", by);

	label.ops = 2;
	for (int i = 0; i < 2; i++) {
		CPU_ZERO(&at_place[i]);
		CPU_SET(place_cpu(i), &at_place[i]);
	}
	enter(by);
	result_print(measure(&label, options.reps, op_nothing, op_move, NULL));
	leave(by);
}

/* ---- a switch to another thread of the process ---- */

/* Handed over by futex: one of the two runs, the other one sleeps. */
enum turn { MINE, PARTNERS };

static struct partner {
	pthread_t thread;
	enum exits_by by;
	volatile int turn;
	volatile int stop, rounds;
} partner;

static void hand_over(enum turn to)
{
	partner.turn = to;
	sys3(SYS_futex, (long)&partner.turn, FUTEX_WAKE_PRIVATE, 1);
}

/* No time limit: the fourth argument is NULL. */
static void wait_while(enum turn not_mine)
{
	while (partner.turn == (int)not_mine) {
		register long no_limit asm("r10") = 0;
		long ret;

		asm volatile("syscall"
			     : "=a"(ret)
			     : "a"(SYS_futex), "D"(&partner.turn),
			       "S"(FUTEX_WAIT_PRIVATE), "d"(not_mine), "r"(no_limit)
			     : "rcx", "r11", "memory");
	}
}

static void *partner_main(void *unused)
{
	pin_to(0);
	enter(partner.by);
	for (;;) {
		wait_while(MINE);
		if (partner.stop)
			break;
		partner.rounds++;
		hand_over(MINE);
	}
	leave(partner.by);
	return NULL;
}

static void op_switch(void *arg, int rep)
{
	hand_over(PARTNERS);
	wait_while(PARTNERS);
}

/* The other thread runs in the same mode as this one, or in plain mode. */
static void switches(const char *op, enum exits_by by, enum exits_by other)
{
	struct label label = exits_label(op, by);

	label.ops = 2;
	partner = (struct partner){ .by = other };
	MUST(pthread_create(&partner.thread, NULL, partner_main, NULL) == 0);
	enter(by);
	result_print(measure(&label, options.reps, op_nothing, op_switch, NULL));
	leave(by);
	MUST(partner.rounds == options.reps + WARM_UP);
	partner.stop = 1;
	hand_over(PARTNERS);
	pthread_join(partner.thread, NULL);
}

void exits_moves(enum exits_by by)
{
	if (!have_emucount || nr_cpus < 2) {
		printf("moves: skipped: need two CPUs and the emulator's counters\n");
		return;
	}
	if (by != BY_REISSUE)
		interrupt(by);
	migrate(by);
	switches("switch", by, by);
	if (by != BY_NATIVE)
		switches("switch_plain", by, BY_NATIVE);
}

/* ---- exits of a thread that nobody moves ---- */

#define BATCH 6		/* few, so that most see no interrupt */

/* Natively two of three are none: the system calls are what is compared. */
static void batch(enum exits_by by)
{
	for (int i = 0; i < BATCH; i += 3) {
		if (by != BY_NATIVE)
			op_hypercall(NULL, i);
		op_getppid(NULL, i);
		if (by != BY_NATIVE)
			op_cpuid(NULL, i);
	}
}

/* Of this CPU. */
static uint64_t interrupts_taken(void)
{
	return emucount_read(EMUCOUNT_SELF, EMU_EXTINT) +
	       emucount_read(EMUCOUNT_SELF, EMU_NMI);
}

static void count_here(uint64_t v[EMU_NR])
{
	for (int i = EMU_INSN + 1; i < EMU_NR_NAMED; i++)
		v[i] = emucount_read(EMUCOUNT_SELF, i);
}

void exits_pinned(enum exits_by by)
{
	static uint64_t before[EMU_NR], after[EMU_NR];
	struct pinned *p = &facts->pinned[by];
	long done;

	if (!have_emucount) {
		printf("pinned: skipped: needs the emulator's counters\n");
		return;
	}
	enter(by);
	batch(by);
	for (done = 0; done < PINNED_EXITS; done += BATCH) {
		uint64_t irqs = interrupts_taken();
		bool quiet;

		count_here(before);
		batch(by);
		count_here(after);
		quiet = interrupts_taken() == irqs;
		p->exits += BATCH;
		p->quiet_exits += quiet ? BATCH : 0;
		for (int i = 0; i < EMU_NR_NAMED; i++) {
			p->total[i] += after[i] - before[i];
			p->quiet[i] += quiet ? after[i] - before[i] : 0;
		}
	}
	leave(by);
	printf("pinned by=%s exits=%ld quiet=%ld", exits_label("", by).who,
	       p->exits, p->quiet_exits);
	for (int i = EMU_VMPTRLD; i <= EMU_EXTINT; i++)
		printf(" %s=%ld/%ld", emucount_name(i), p->total[i], p->quiet[i]);
	printf("\n");
}
