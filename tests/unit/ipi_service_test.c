// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * libdune/ipi_service.h: which vector is next, what is in service; then threads
 * that send and one that takes, which is interrupted while it takes by a signal
 * that takes as well, as a handler is by an interrupt.
 */
#include "ipi_service.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "vcpu_requests.h"

static struct dune_vcpu_page page;
static struct ipi_service service;

static void start(void)
{
	memset(&page, 0, sizeof(page));
	memset(&service, 0, sizeof(service));
}

static void pend(unsigned int vector)
{
	vreq_post_irq(&page, page.irr, vector);
}

static int take(void)
{
	return ipi_take(&service, page.irr);
}

static void nothing_is_pending(void)
{
	start();
	CHECK_EQ(ipi_highest(page.irr), IPI_NONE);
	CHECK_EQ(take(), IPI_NONE);
	CHECK_EQ(service.classes | service.depth, 0);
}

static void each_vector_is_found(void)
{
	for (unsigned int v = IPI_FIRST; v < 256; v++) {
		start();
		pend(v);
		CHECK_EQ(ipi_highest(page.irr), v);
		CHECK_EQ(take(), v);
		CHECK_EQ(page.irr[v / 64], 0);
		CHECK_EQ(service.classes, 1u << v / 16);
		CHECK_EQ(service.depth, 1);
		ipi_end(&service, v);
		CHECK_EQ(service.classes | service.depth, 0);
		CHECK_EQ(take(), IPI_NONE);
	}
}

/* What user space scribbles there is no vector. */
static void exceptions_are_none(void)
{
	start();
	page.irr[0] = 0xffffffff;
	CHECK_EQ(take(), IPI_NONE);
	CHECK_EQ(page.irr[0], 0xffffffff);
	pend(32);
	CHECK_EQ(take(), 32);
}

static void highest_is_first(void)
{
	start();
	for (unsigned int v = IPI_FIRST; v < 256; v++)
		pend(v);
	for (unsigned int v = 255; v >= IPI_FIRST; v--) {
		CHECK_EQ(take(), v);
		ipi_end(&service, v);
	}
	CHECK_EQ(take(), IPI_NONE);
}

/* Every pair of one in service and one pending. */
static void only_a_higher_class_nests(void)
{
	for (unsigned int first = IPI_FIRST; first < 256; first++)
		for (unsigned int second = IPI_FIRST; second < 256; second++) {
			start();
			pend(first);
			CHECK_EQ(take(), first);
			pend(second);
			if (second / 16 > first / 16) {
				CHECK_EQ(take(), second);
				CHECK_EQ(service.depth, 2);
				ipi_end(&service, second);
				CHECK_EQ(service.classes, 1u << first / 16);
			} else {
				CHECK_EQ(take(), IPI_NONE);
				CHECK_EQ(page.irr[second / 64], 1ull << second % 64);
				ipi_end(&service, first);
				CHECK_EQ(take(), second);
			}
		}
}

/* A lower one that waits hides none that is higher, nor the other way round. */
static void lower_ones_wait(void)
{
	start();
	pend(0x55);
	CHECK_EQ(take(), 0x55);
	pend(0x41);
	pend(0x9f);
	pend(0x90);
	CHECK_EQ(take(), 0x9f);
	CHECK_EQ(take(), IPI_NONE);
	ipi_end(&service, 0x9f);
	CHECK_EQ(take(), 0x90);
	ipi_end(&service, 0x90);
	CHECK_EQ(take(), IPI_NONE);
	ipi_end(&service, 0x55);
	CHECK_EQ(take(), 0x41);
}

/* ---- all at once ---- */

#define SENDERS 3
#define SENDS 50000

static pthread_t taker;
static uint64_t newly[SENDERS], taken[256];
static int running, interrupts;
static unsigned int nested;

static void take_all(void)
{
	int vector;

	while ((vector = take()) != IPI_NONE) {
		taken[vector]++;
		nested += service.depth > 1;
		/* The handler: interrupts are on. */
		if (service.depth < 3) {
			sigset_t usr1;

			sigemptyset(&usr1);
			sigaddset(&usr1, SIGUSR1);
			pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
			pthread_sigmask(SIG_BLOCK, &usr1, NULL);
		}
		ipi_end(&service, vector);
	}
}

/* The module, which takes the request, and the handler of notify_vector. */
static void on_interrupt(int sig)
{
	(void)sig;
	interrupts++;
	if (vreq_run_pending(&page))
		vreq_run_take(&page);
	take_all();
}

/*
 * Is there still something to be seen? On a busy machine signals come late. The
 * thread sanitizer may deliver none at all to a thread.
 */
static bool too_few(void)
{
#ifdef __SANITIZE_THREAD__
	return false;
#else
	return interrupts <= 100 || !nested;
#endif
}

static void *sends(void *index)
{
	unsigned int me = (uintptr_t)index;
	uint64_t mine = 0;

	for (unsigned int i = 0; i < SENDS || (too_few() && i < 100 * SENDS); i++) {
		/* Of a sender: in many classes. */
		unsigned int vector = 0x20 + 0x10 * (i % 14) + me;

		if (vreq_post_irq(&page, page.irr, vector) == VREQ_COALESCED) {
			sched_yield();
			continue;
		}
		mine++;
		pthread_kill(taker, SIGUSR1);
	}
	newly[me] = mine;
	__atomic_sub_fetch(&running, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void none_is_lost_or_taken_twice(void)
{
	struct sigaction sa = { .sa_handler = on_interrupt };
	uint64_t sum[SENDERS] = { 0 };
	pthread_t thread[SENDERS];
	sigset_t usr1;

	start();
	page.mode = 1;
	taker = pthread_self();
	running = SENDERS;
	sigaction(SIGUSR1, &sa, NULL);
	for (uintptr_t i = 0; i < SENDERS; i++)
		pthread_create(&thread[i], NULL, sends, (void *)i);
	while (__atomic_load_n(&running, __ATOMIC_ACQUIRE))
		usleep(0);
	for (int i = 0; i < SENDERS; i++)
		pthread_join(thread[i], NULL);
	/* The thread sanitizer delivers signals late or not at all, and two as one. */
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	on_interrupt(SIGUSR1);
	signal(SIGUSR1, SIG_DFL);
	CHECK_EQ(ipi_highest(page.irr), IPI_NONE);
	CHECK_EQ(service.classes | service.depth, 0);
	for (int v = 0; v < 256; v++)
		if (v % 16 < SENDERS)
			sum[v % 16] += taken[v];
		else
			CHECK_EQ(taken[v], 0);
	for (int i = 0; i < SENDERS; i++)
		CHECK_EQ(sum[i], newly[i]);
	CHECK(!too_few());
}

int main(void)
{
	CASE(nothing_is_pending);
	CASE(each_vector_is_found);
	CASE(exceptions_are_none);
	CASE(highest_is_first);
	CASE(only_a_higher_class_nests);
	CASE(lower_ones_wait);
	CASE(none_is_lost_or_taken_twice);
	return CHECK_EXIT();
}
