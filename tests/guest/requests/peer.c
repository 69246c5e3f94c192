// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See requests.h. */
#include "requests.h"

#include <string.h>
#include <sys/mman.h>

struct rawvm vm;
struct peer *peers;
static __thread struct peer *me;	/* the guest has the thread's TLS */
static pthread_t threads[MAX_PEERS];
static pthread_mutex_t map_lock = PTHREAD_MUTEX_INITIALIZER;

/* Nine registers and the CPU's five: the stack is aligned at the call. */
asm(".text\n"
    "peer_handler:\n"
    "	push %rax; push %rcx; push %rdx; push %rsi; push %rdi\n"
    "	push %r8; push %r9; push %r10; push %r11\n"
    "	cld\n"
    "	mov 72(%rsp), %rdi\n"	/* rip */
    "	call peer_irq\n"
    "	pop %r11; pop %r10; pop %r9; pop %r8\n"
    "	pop %rdi; pop %rsi; pop %rdx; pop %rcx; pop %rax\n"
    "	iretq\n");
extern const char peer_handler[];
void peer_irq(uint64_t rip);

/* In the guest, at any of its instructions. */
__attribute__((target("general-regs-only"), used)) void peer_irq(uint64_t rip)
{
	struct peer *p = me;

	p->handled++;
	p->closed_hits += p->closed;
	p->shadow_hits += rip == p->shadow_ip;
	for (int i = 0; i < 4; i++) {
		uint64_t bits = __atomic_exchange_n(&p->vcpu.page->irr[i], 0,
						    __ATOMIC_SEQ_CST);

		for (; bits; bits &= bits - 1)
			p->got[i * 64 + __builtin_ctzll(bits)]++;
	}
}

void peers_setup(void)
{
	size_t size = MAX_PEERS * sizeof(*peers);

	rawvm_create(&vm);
	peers = mmap(NULL, size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(peers != MAP_FAILED);
}

void peers_teardown(void)
{
	munmap(peers, MAX_PEERS * sizeof(*peers));
	rawvm_destroy(&vm);
}

struct peer *peer_begin(int index)
{
	struct peer *p = &peers[index];

	memset(p, 0, sizeof(*p));
	p->index = index;
	p->random = opt.seed + index * 7919;
	me = p;
	rawvcpu_create(&vm, &p->vcpu);
	p->vcpu.page->notify_vector = NOTIFY_VECTOR;
	rawidt_build(&p->idt, p->handler_stack + sizeof(p->handler_stack));
	peer_handles(p, NOTIFY_VECTOR);
	return p;
}

void peer_handles(struct peer *p, unsigned int vector)
{
	rawidt_gate(&p->idt, vector, peer_handler);
}

void peer_start(struct peer *p, void (*fn)(void *))
{
	pthread_mutex_lock(&map_lock);
	rawvcpu_start(&vm, &p->vcpu, fn, p);
	rawidt_use(&p->idt, &vm, &p->vcpu);
	rawvm_map(&vm, &me);
	rawvm_map(&vm, p->vcpu.page);
	rawvm_map(&vm, (void *)peer_handler);
	rawvm_map(&vm, &peers);
	pthread_mutex_unlock(&map_lock);
}

void peer_end(struct peer *p)
{
	rawvcpu_destroy(&p->vcpu);
}

long peer_run(struct peer *p)
{
	return rawvcpu_run(&p->vcpu, 0, 100000);
}

void peer_thread(int index, void *(*fn)(void *))
{
	REQUIRE(pthread_create(&threads[index], NULL, fn, (void *)(long)index) == 0);
}

void peer_join(int index)
{
	REQUIRE(pthread_join(threads[index], NULL) == 0);
}

pthread_t peer_pthread(int index)
{
	return threads[index];
}
