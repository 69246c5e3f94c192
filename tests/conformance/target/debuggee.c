// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What a debugger attaches to: one thread computes, one is in read(), one in a futex
 * call, and main() waits for them. It says "ready" and goes on until the debugger sets
 * told; then it says what it finds. Exit status 7, 1: what it computed is wrong.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEPTH	3

/* The debugger's to change; the last ones are this program's to count. */
volatile int told, step_over;
volatile char text[16] = "before";
volatile uint64_t watched;
volatile uint64_t beats;
static uint32_t word;
static int ends[2];
static int failed;

/* What `call` gets. Vector registers and stack are the callee's to change. */
__attribute__((noinline)) double halved(int number)
{
	volatile double here[64] = { number };

	return here[0] / 2;
}

/* Where breakpoints are. */
__attribute__((noinline)) uint64_t beat(uint64_t number)
{
	beats++;
	if (step_over)
		watched = number;
	return number + 1;
}

/* Sums of registers that nobody may change: 0 if nobody has. */
__attribute__((noinline)) double work(void)
{
	double a = 1, b = 2;
	uint64_t n = beats;

	for (int i = 0; i < 1000; i++) {
		a += 1;
		b += 2;
		asm volatile("" : "+x" (a), "+x" (b));
	}
	if (beat(n) != n + 1)
		return 1;
	return b - 2 * a;
}

__attribute__((noinline)) double compute(int depth)
{
	double wrong = 0;

	if (depth)
		return compute(depth - 1) + 0.0 * depth;
	while (!told)
		wrong += work();
	return wrong;
}

static void *computer(void *unused)
{
	(void)unused;
	prctl(PR_SET_NAME, "computer");
	if (compute(DEPTH) != 0)
		failed = 1;
	return NULL;
}

static void *reader(void *unused)
{
	char got = 0;

	(void)unused;
	prctl(PR_SET_NAME, "reader");
	if (read(ends[0], &got, 1) != 1 || got != 'x')
		failed = 1;
	return NULL;
}

static void *sleeper(void *unused)
{
	(void)unused;
	prctl(PR_SET_NAME, "sleeper");
	while (!__atomic_load_n(&word, __ATOMIC_ACQUIRE))
		if (syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL) && errno != EAGAIN)
			failed = 1;
	return NULL;
}

int main(void)
{
	pthread_t threads[3];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (pipe(ends) || pthread_create(&threads[0], NULL, computer, NULL) ||
	    pthread_create(&threads[1], NULL, reader, NULL) ||
	    pthread_create(&threads[2], NULL, sleeper, NULL))
		return 2;
	while (beats < 10)
		usleep(1000);
	puts("ready");
	pthread_join(threads[0], NULL);
	if (write(ends[1], "x", 1) != 1)
		return 2;
	__atomic_store_n(&word, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &word, FUTEX_WAKE, 1);
	pthread_join(threads[1], NULL);
	pthread_join(threads[2], NULL);
	printf("told %d, text %s, %s\n", told, (const char *)text, failed ? "wrong" : "right");
	return failed ? 1 : 7;
}
