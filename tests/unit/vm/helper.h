/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* A thread with a soft vCPU that does what it is told, step by step. */
#ifndef UNIT_VM_HELPER_H
#define UNIT_VM_HELPER_H

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <time.h>

#include "soft.h"

static inline void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

struct helper {
	pthread_t thread;
	void (*step)(void);
	volatile int todo, done;
	bool in_guest;		/* between steps: a loop that can be kicked */
	volatile int stop;
};

static inline void *help(void *arg)
{
	struct helper *h = arg;

	soft_begin();
	if (h->in_guest)
		soft_enter();
	while (!h->stop) {
		soft_exit();
		if (h->todo != h->done) {
			h->step();
			__atomic_store_n(&h->done, h->todo, __ATOMIC_RELEASE);
		}
		sched_yield();
	}
	if (h->in_guest)
		soft_leave();
	soft_end();
	return NULL;
}

/* A thread in the guest. */
static inline void helper_start(struct helper *h)
{
	*h = (struct helper){ .in_guest = true };
	pthread_create(&h->thread, NULL, help, h);
}

static inline void helper_start_plain(struct helper *h)
{
	*h = (struct helper){ .in_guest = false };
	pthread_create(&h->thread, NULL, help, h);
}

static inline void tell(struct helper *h, void (*step)(void))
{
	h->step = step;
	__atomic_store_n(&h->todo, h->todo + 1, __ATOMIC_RELEASE);
}

static inline void helper_does(struct helper *h, void (*step)(void))
{
	tell(h, step);
	while (__atomic_load_n(&h->done, __ATOMIC_ACQUIRE) != h->todo)
		sched_yield();
}

static inline void helper_end(struct helper *h)
{
	h->stop = 1;
	pthread_join(h->thread, NULL);
}

#endif /* UNIT_VM_HELPER_H */
