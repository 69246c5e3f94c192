// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Copy on write: the page fault itself drops the old translation of the page
 * on this CPU, so that no flush is needed here; and only that one.
 */
#include "gtlbsan.h"
#include "rawidt.h"

#define STACK 16384

static struct rawidt tables;
static char stack[STACK] __attribute__((aligned(16)));
/* For the handler: the entry of the page and what it writes there. */
uint64_t *cow_entry;
uint64_t cow_value;

asm(".globl cow_handler\n"
    "cow_handler:\n"
    "	push %rax; push %rcx\n"
    "	mov cow_entry(%rip), %rcx; mov cow_value(%rip), %rax; mov %rax, (%rcx)\n"
    "	pop %rcx; pop %rax; add $8, %rsp; iretq\n");
extern char cow_handler[];

struct cow {
	unsigned int written;	/* page that faults */
	unsigned int changed;	/* page that gets another frame */
	void (*guest)(void *);
};

static void cow_guest(void *arg)
{
	const struct cow *c = arg;
	uint64_t *pt = world.root[0].pt;

	touch(rawpt_small(0));
	touch(rawpt_small(1));
	*(volatile char *)rawpt_small(c->written) = 1;
	if (c->changed != c->written)
		set_entry(&pt[c->changed], frame(3) | RAWPT_P);
	tlb_mark_removed(world.root[0].cr3, rawpt_small(0), 2 * RAWPT_PAGE,
			 TICKET);
	tlb_mark_done(TICKET);
	leave();
}

/*
 * Unmapped, and the page fault maps another frame. It came because the emulator
 * forgets its TLB at an exit; a real CPU would have gone on with the old one.
 */
static void unmapped_guest(void *arg)
{
	touch(rawpt_small(0));
	set_entry(cow_entry, 0);
	tlb_mark_removed(world.root[0].cr3, rawpt_small(0), RAWPT_PAGE, TICKET);
	raw_vmcall(DUNE_HC_NOP, 0);
	touch(rawpt_small(0));
	*(volatile char *)rawpt_small(0) = 1;
	tlb_mark_done(TICKET);
	leave();
}

static void cow(const void *arg)
{
	const struct cow *c = arg;
	struct rawvcpu vcpu;

	world.root[0].pt[0] &= ~RAWPT_W;
	world.root[0].pt[1] &= ~RAWPT_W;
	cow_entry = &world.root[0].pt[c->written];
	cow_value = frame(2) | RAWPT_P | RAWPT_W;
	rawidt_build(&tables, stack + STACK);
	rawidt_gate(&tables, 14, cow_handler);
	rawvm_map(&world.vm, &tables);
	guest_prepare(&vcpu, world.root[0].cr3, c->guest, arg);
	rawidt_use(&tables, &world.vm, &vcpu);
	guest_more(&vcpu);
	CHECK_EQ(world.mem[2 * RAWPT_PAGE], 1);
	rawvcpu_destroy(&vcpu);
}

void scenes_fault(void)
{
	static const struct cow same = { 0, 0, cow_guest };
	static const struct cow other = { 0, 1, cow_guest };
	static const struct cow unmapped = { 0, 0, unmapped_guest };

	row("copy on write", "of the page that faulted", CLEAN, cow, &same);
	row("copy on write", "and of one that did not", REPORT, cow, &other);
	row("fault", "that a real CPU does not take", REPORT, cow, &unmapped);
}
