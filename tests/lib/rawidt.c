// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "rawidt.h"

void rawidt_gate(struct rawidt *t, unsigned int vector, const void *handler)
{
	uint64_t to = (uint64_t)handler;

	t->idt[2 * vector] = (to & 0xffff) | (uint64_t)DUNE_GUEST_CS << 16 |
			     1ull << 32 | 0x8eull << 40 |
			     (to >> 16 & 0xffff) << 48;
	t->idt[2 * vector + 1] = to >> 32;
}

void rawidt_build(struct rawidt *t, void *stack_top)
{
	uint64_t tss = (uint64_t)&t->tss;

	t->gdt[DUNE_GUEST_CS >> 3] = 0x00af9b000000ffff;
	t->gdt[DUNE_GUEST_DS >> 3] = 0x00cf93000000ffff;
	t->gdt[RAWIDT_USER_SS >> 3] = 0x00cff3000000ffff;
	t->gdt[RAWIDT_USER_CS >> 3] = 0x00affb000000ffff;
	t->gdt[DUNE_GUEST_TR >> 3] = (sizeof(t->tss) - 1) | (tss & 0xffffff) << 16 |
				     0x8bull << 40 | (tss >> 24 & 0xff) << 56;
	t->gdt[(DUNE_GUEST_TR >> 3) + 1] = tss >> 32;
	t->tss.ist[0] = (uint64_t)stack_top;
}

void rawidt_use(struct rawidt *t, struct rawvm *vm, struct rawvcpu *vcpu)
{
	struct dune_sregs *s = &vcpu->page->sregs;

	rawvm_map(vm, t);
	s->idt_base = (uint64_t)t->idt;
	s->idt_limit = sizeof(t->idt) - 1;
	s->gdt_base = (uint64_t)t->gdt;
	s->gdt_limit = sizeof(t->gdt) - 1;
	s->tss_base = (uint64_t)&t->tss;
	s->tss_limit = sizeof(t->tss) - 1;
}
