// SPDX-License-Identifier: GPL-2.0 OR MIT
/* One interrupt at a time, at every point where it could get lost. */
#include "requests.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>

static void pend(struct peer *p, unsigned int vector)
{
	p->vcpu.page->irr[vector / 64] |= 1ull << vector % 64;
	request(p, DUNE_REQ_IRQ);
}

static void leaves(void *unused)
{
	for (;;)
		raw_vmcall(DUNE_HC_EXIT, 0);
}

/* ---- at the begin of a run, before the guest's next instruction ---- */

static void notes_handled(void *arg)
{
	struct peer *p = arg;

	for (;;) {
		p->got[0] = p->handled;
		raw_vmcall(DUNE_HC_EXIT, 0);
	}
}

void irq_simple(void)
{
	struct peer *p;

	peers_setup();
	p = peer_begin(0);
	peer_start(p, notes_handled);
	CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	for (unsigned int v = 64; v < 256; v++) {
		if (v & 1)
			request(p, DUNE_REQ_FLUSH);
		pend(p, v);
		CHECK_EQ(p->handled, v - 64);
		CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
		CHECK_EQ(p->got[0], v - 64 + 1);
		CHECK_EQ(p->got[v], 1);
		CHECK_EQ(p->vcpu.page->requests, 0);
	}
	/* Several at once are one interrupt. */
	for (unsigned int v = 64; v < 256; v++)
		pend(p, v);
	CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	CHECK_EQ(p->handled, 193);
	for (unsigned int v = 64; v < 256; v++)
		CHECK_EQ(p->got[v], 2);
	for (int i = 0; i < 50; i++)
		CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	CHECK_EQ(p->handled, 193);
	CHECK_EQ(peer_counter(p, DUNE_VCPU_irqs), 193);
	CHECK_EQ(peer_counter(p, DUNE_VCPU_guest_flushes), 96);
	CHECK_EQ(peer_counter(p, DUNE_VCPU_irq_windows), 0);
	peer_end(p);
	peers_teardown();
}

/* ---- while the guest cannot take it: everything happens in between ---- */

static void closed_then_open(void *arg)
{
	struct peer *p = arg;

	peer_close(p);
	raw_vmcall(DUNE_HC_EXIT, 0);
	relax(200);
	raw_vmcall(DUNE_HC_NOP, 0);
	raw_vmcall(DUNE_HC_EXIT, 0);
	p->got[0] = p->handled;
	peer_open(p);
	p->got[1] = p->handled;
	raw_vmcall(DUNE_HC_EXIT, 0);
	/* The next run begins right behind STI. */
	peer_close(p);
	p->closed = 0;
	asm volatile("sti; vmcall; lea 1f(%%rip), %%rax; 1: mov %%rax, %0"
		     : "=m"(p->got[2]) : "a"(DUNE_HC_EXIT), "D"(0)
		     : "rcx", "r11", "memory");
	p->got[3] = p->handled;
	raw_vmcall(DUNE_HC_EXIT, 0);
}

static void on_alarm(int sig)
{
}

/* Not so often that a slow kernel does nothing else. */
static void signals(void)
{
	struct itimerval it = { { 0, 5000 }, { 0, 500 } };

	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &it, NULL);
}

static void no_signals(void)
{
	struct itimerval it = { { 0, 0 }, { 0, 0 } };

	setitimer(ITIMER_REAL, &it, NULL);
}

void irq_window(void)
{
	struct peer *p;

	peers_setup();
	p = peer_begin(0);
	signals();
	for (int i = 0; i < 50; i++) {
		uint64_t handled = p->handled;

		p->vcpu.page->quantum_us = i % 3 ? 0 : 20;
		peer_start(p, closed_then_open);
		while (peer_run(p) != DUNE_EXIT_HYPERCALL)
			;
		pin_to(i % nr_cpus());
		pend(p, 100);
		if (i % 5 == 0)
			usleep(1000);
		while (peer_run(p) != DUNE_EXIT_HYPERCALL)
			;
		CHECK_EQ(p->vcpu.page->requests, 0);
		pin_to((i + 1) % nr_cpus());
		/* Once more: it is one interrupt all the same. */
		if (i % 4 == 0)
			pend(p, 100);
		while (peer_run(p) != DUNE_EXIT_HYPERCALL)
			;
		CHECK_EQ(p->got[0], handled);
		CHECK_EQ(p->got[1], handled + 1);
		CHECK_EQ(p->got[100], 2 * i + 1);
		while (peer_run(p) != DUNE_EXIT_HYPERCALL)
			;
		pend(p, 100);
		while (peer_run(p) != DUNE_EXIT_HYPERCALL)
			;
		CHECK_EQ(p->got[3], handled + 2);
		CHECK_EQ(p->got[100], 2 * i + 2);
	}
	no_signals();
	CHECK_EQ(p->closed_hits, 0);
	CHECK_EQ(p->shadow_hits, 0);
	CHECK_EQ(p->handled, 100);
	CHECK_EQ(peer_counter(p, DUNE_VCPU_irqs), 100);
	CHECK_IN(peer_counter(p, DUNE_VCPU_irq_windows), 50, 100);
	peer_end(p);
	peers_teardown();
}

/* ---- its delivery faults; then the registers are set anew, or not ---- */

static void handler_stack(struct peer *p, int prot)
{
	CHECK_EQ(mprotect(p->handler_stack, sizeof(p->handler_stack), prot), 0);
}

static void deliver_into_nothing(struct peer *p)
{
	handler_stack(p, PROT_NONE);
	pend(p, 100);
	CHECK_EQ(peer_run(p), DUNE_EXIT_FAULT);
	CHECK_IN(p->vcpu.page->exit.addr, (uint64_t)p->handler_stack,
		 (uint64_t)p->handler_stack + sizeof(p->handler_stack));
	CHECK_EQ(p->vcpu.page->requests, 0);
}

void irq_kept(void)
{
	struct peer *p;

	peers_setup();
	p = peer_begin(0);
	peer_handles(p, NOTIFY_VECTOR + 1);
	peer_start(p, leaves);
	CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	for (uint64_t i = 0; i < 20; i++) {
		/* Another interrupt may wait for the first, or be one with it. */
		bool again = i & 1, more = i & 2;

		p->handled = 0;
		p->vcpu.page->notify_vector = NOTIFY_VECTOR;
		deliver_into_nothing(p);
		CHECK_EQ(p->handled, 0);
		handler_stack(p, PROT_READ | PROT_WRITE);
		p->vcpu.page->notify_vector = NOTIFY_VECTOR + 1;
		if (again)
			p->vcpu.page->sync = DUNE_SYNC_REGS;
		if (more)
			pend(p, 101);
		CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
		CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
		CHECK_EQ(p->handled, more && !again ? 2 : 1);
		CHECK_EQ(p->got[100], i + 1);
		CHECK_EQ(p->vcpu.page->irr[100 / 64], 0);
	}
	peer_end(p);
	peers_teardown();
}

/* ---- the same in a run on a call's way back, without DUNE_RUN ---- */

enum { WORKS, WANTS_IRQ };

/* Some calls in a row, or the module does not re-enter. */
static void calls_then_irq(void *arg)
{
	struct peer *p = arg;

	for (;;) {
		for (int i = 0; i < 8; i++)
			raw_vmcall(SYS_getppid, 0);
		p->vcpu.page->irr[1] |= 1ull << (100 - 64);
		request(p, DUNE_REQ_IRQ);
		p->got[0] = WANTS_IRQ;
		p->got[1] = peer_counter(p, DUNE_VCPU_reentries);
		/* Its re-entry finds no stack for the handler. */
		asm volatile("vmcall" : : "a"(SYS_mprotect), "D"(p->handler_stack),
			     "S"(sizeof(p->handler_stack)), "d"(PROT_NONE)
			     : "rcx", "r11", "memory");
		p->got[0] = WORKS;
		raw_vmcall(DUNE_HC_EXIT, 0);
	}
}

void irq_deferred(void)
{
	uint64_t result = 0, deferred = 0;
	struct rawlive live;
	struct dune_info info;
	struct peer *p;
	long ret;

	peers_setup();
	REQUIRE(ioctl(vm.fd, DUNE_GET_INFO, &info) == 0);
	p = peer_begin(0);
	peer_start(p, calls_then_irq);
	p->vcpu.page->run_flags = DUNE_RUN_REENTER | DUNE_RUN_REISSUE;
	p->vcpu.page->syscall_ip = (uint64_t)raw_live_ip;
	live = (struct rawlive){ .fd = p->vcpu.fd, .one_call = 1 };
	for (uint64_t i = 0; i < 40; i++) {
		while ((ret = raw_live(&live, &result)) != DUNE_EXIT_HYPERCALL) {
			if (!CHECK(ret == RAWLIVE_CALLED || ret == DUNE_EXIT_FAULT))
				break;
			if (p->got[0] != WANTS_IRQ || p->handled != i)
				continue;
			deferred += peer_counter(p, DUNE_VCPU_reentries) > p->got[1];
			handler_stack(p, PROT_READ | PROT_WRITE);
			if (i & 1)
				p->vcpu.page->sync = DUNE_SYNC_REGS;
		}
		handler_stack(p, PROT_READ | PROT_WRITE);
		if (!CHECK_EQ(p->handled, i + 1))
			break;
	}
	CHECK_EQ(p->got[100], 40);
	printf("    %llu of 40 in a re-entry\n", (unsigned long long)deferred);
	if (info.caps & DUNE_CAP_REENTER)
		CHECK(deferred > 20);
	peer_end(p);
	peers_teardown();
}

/* ---- a guest that waits for it in HLT ---- */

static volatile int over;

static void halts(void *arg)
{
	struct peer *p = arg;

	while (!over) {
		peer_close(p);
		p->closed = 0;
		asm volatile("sti; hlt" : : : "memory");
		p->got[0]++;
	}
	raw_vmcall(DUNE_HC_EXIT, 0);
}

static void *halting(void *index)
{
	struct peer *p = peer_begin((long)index);

	peer_start(p, halts);
	CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	CHECK(peer_counter(p, DUNE_VCPU_hlt) > 0);
	peer_end(p);
	return NULL;
}

static void sends(void *arg)
{
	struct peer *p = arg;

	for (int i = 0; i < 100; i++) {
		while (!send_irq(p, &peers[1], 64 + i % 100))
			relax(100);
		relax(rnd(&p->random) % 2000);
	}
	raw_vmcall(DUNE_HC_EXIT, 0);
}

void irq_hlt(void)
{
	uint64_t end = deadline(60), got = 0;
	struct peer *p;

	over = 0;
	peers_setup();
	p = peer_begin(0);
	peer_thread(1, halting);
	while (!peers[1].got[0] && now_ns() < end)
		sched_yield();
	peer_start(p, sends);
	CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	while (peers[1].vcpu.page->requests && now_ns() < end)
		sched_yield();
	over = 1;
	peer_join(1);
	for (int v = 64; v < 164; v++)
		got += peers[1].got[v];
	CHECK_EQ(got, 100);
	peer_end(p);
	peers_teardown();
}

/* ---- a vector that is none ---- */

void irq_vectors(void)
{
	static const uint32_t bad[] = { 0, 1, 2, 8, 14, 31, 256, 288, 0x1e0,
					1u << 31, ~0u };
	struct peer *p;

	peers_setup();
	p = peer_begin(0);
	peer_start(p, leaves);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		p->vcpu.page->notify_vector = bad[i];
		pend(p, 100);
		CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
		CHECK_EQ(p->vcpu.page->requests, 0);
	}
	CHECK_EQ(peer_counter(p, DUNE_VCPU_irqs), 0);
	CHECK_EQ(peer_counter(p, DUNE_VCPU_exceptions), 0);
	CHECK_EQ(p->handled, 0);
	for (uint32_t v = 32; v < 256; v++) {
		p->vcpu.page->notify_vector = v;
		peer_handles(p, v);
		pend(p, 100);
		CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
		CHECK_EQ(p->handled, v - 31);
	}
	peer_end(p);
	peers_teardown();
}
