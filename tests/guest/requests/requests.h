/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Peers: threads of one vm, each with a vCPU, tables, and a handler for its
 * notify_vector that takes the vectors of irr and counts them. The raw ABI, so
 * that what is tested is the module.
 */
#ifndef TESTS_REQUESTS_H
#define TESTS_REQUESTS_H

#include <pthread.h>

#include "rawidt.h"
#include "rawvm.h"
#include "test.h"

#define NOTIFY_VECTOR 0xe0
#define MAX_PEERS 8

struct peer {
	struct rawidt idt;
	char handler_stack[16384] __attribute__((aligned(4096)));
	struct rawvcpu vcpu;
	struct dune_kick kick;		/* who this one kicks; itself only */
	uint64_t random;		/* of its guest */
	volatile uint64_t got[256];	/* vectors taken, by the handler */
	volatile uint64_t handled;	/* runs of the handler */
	volatile uint64_t closed_hits;	/* of these, where IF was 0 */
	volatile uint64_t shadow_hits;	/* right behind STI */
	volatile uint64_t shadow_ip;	/* where that would be */
	volatile int closed;		/* the guest has IF = 0 */
	int index;
} __attribute__((aligned(4096)));

extern struct rawvm vm;
/* One for each index; zeroed. */
extern struct peer *peers;

/* A vm for this process, and peers without vCPUs. */
void peers_setup(void);
void peers_teardown(void);

/* A vCPU of this thread; its next run calls fn(peer). */
struct peer *peer_begin(int index);
/* Another vector for its handler. */
void peer_handles(struct peer *p, unsigned int vector);
void peer_start(struct peer *p, void (*fn)(void *));
void peer_end(struct peer *p);
/* Run until something else than RETRY comes. */
long peer_run(struct peer *p);

/* fn(index) on a thread of its own, and its end. */
void peer_thread(int index, void *(*fn)(void *));
void peer_join(int index);
pthread_t peer_pthread(int index);

static inline uint64_t peer_counter(const struct peer *p, enum dune_vcpu_counter c)
{
	return p->vcpu.page->counters[c];
}

/* ---- for guest code: no calls into libc, no stack protector ---- */

/* The address of the instruction after STI; see peer_open(). */
static inline void peer_close(struct peer *p)
{
	asm volatile("cli" : : : "memory");
	p->closed = 1;
}

static inline void peer_open(struct peer *p)
{
	p->closed = 0;
	asm volatile("lea 1f(%%rip), %%rax; mov %%rax, %0\n\t"
		     "sti\n\t"
		     "1: nop"
		     : "=m"(p->shadow_ip) : : "rax", "memory");
}

static inline void request(struct peer *to, uint32_t bits)
{
	/* A full fence, which the look at mode needs. */
	__atomic_fetch_or(&to->vcpu.page->requests, bits, __ATOMIC_SEQ_CST);
}

static inline int in_guest(struct peer *to)
{
	return __atomic_load_n(&to->vcpu.page->mode, __ATOMIC_ACQUIRE);
}

/* Kicks one, whatever its mode: what the module returns. */
static inline uint64_t kick(struct peer *from, struct peer *to)
{
	uint32_t id = to->vcpu.page->id;
	uint64_t kicks;

	from->kick.ids[id / 64 % 16] |= 1ull << id % 64;
	kicks = raw_vmcall(DUNE_HC_KICK, (uint64_t)&from->kick);
	from->kick.ids[id / 64 % 16] = 0;
	return kicks;
}

/* An interrupt with a vector below 256: 1 if it was not pending before. */
static inline int send_irq(struct peer *from, struct peer *to, unsigned int vector)
{
	uint64_t bit = 1ull << vector % 64;

	if (__atomic_fetch_or(&to->vcpu.page->irr[vector / 64], bit,
			      __ATOMIC_SEQ_CST) & bit)
		return 0;
	request(to, DUNE_REQ_IRQ);
	if (in_guest(to))
		kick(from, to);
	return 1;
}

static inline void relax(unsigned int n)
{
	while (n--)
		asm volatile("pause");
}

/* ---- parts ---- */

void ids(void);			/* main.c */
void page_fields(void);
void flush_at_entry(void);	/* flush.c */
void no_stale_access(void);
void no_exits(void);
void kick_blocked(void);	/* kick.c */
void kick_mutual(void);
void kick_dying(void);
void kick_foreign(void);
void kick_hostile(void);
void irq_simple(void);		/* irq.c */
void irq_window(void);
void irq_kept(void);
void irq_deferred(void);
void irq_hlt(void);
void irq_vectors(void);
void kick_cost(void);		/* cost.c */
void ipis(void);		/* ipis.c */
void ipis_two_processes(void);

#endif /* TESTS_REQUESTS_H */
