// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The guest's descriptor tables: GDT and TSS per thread, one IDT.
 *
 * Selectors follow Linux: SYSCALL loads CS and SS from the host's STAR, and
 * the vDSO reads the limit of entry 15 to learn its CPU. The GDT is in the vCPU's
 * page, where the module keeps that entry.
 */
#include "internal.h"

#define GDT_CODE64(dpl)	(0x00af9b000000ffffull | (uint64_t)(dpl) << 45)
#define GDT_CODE32(dpl)	(0x00cf9b000000ffffull | (uint64_t)(dpl) << 45)
#define GDT_DATA(dpl)	(0x00cf93000000ffffull | (uint64_t)(dpl) << 45)

#define GDT_KERNEL_CODE	(DUNE_GUEST_CS >> 3)
#define GDT_KERNEL_DATA	(DUNE_GUEST_DS >> 3)
#define GDT_USER_CODE32	4
#define GDT_USER_DATA	(DUNE_USER_SS >> 3)
#define GDT_USER_CODE	(DUNE_USER_CS >> 3)
#define GDT_TSS		(DUNE_GUEST_TR >> 3)

#define TSS_BUSY	0x8bull

/* The IST stack of each vector; every one has some, because of the red zone. */
enum {
	IST_PF = 1,
	IST_DF,
	IST_NMI,
	IST_DEBUG,
	IST_GP,
	IST_EXCEPTION,
	IST_INTERRUPT,
};
_Static_assert(IST_INTERRUPT < THREAD_STACKS, "a stack for each IST");

/*
 * All gates turn interrupts off: none may come before the IST is moved
 * (trap.c). INT3 and INT 4 are for ring 3, too.
 */
#define GATE_INTERRUPT	0x8eull
#define GATE_RING3	0xeeull

void dune_gdt_build(struct dune_thread *t)
{
	uint64_t base = (uint64_t)&t->tss;
	uint64_t limit = sizeof(t->tss) - 1;
	__u64 *gdt = t->page->gdt;

	gdt[GDT_KERNEL_CODE] = GDT_CODE64(0);
	gdt[GDT_KERNEL_DATA] = GDT_DATA(0);
	gdt[GDT_USER_CODE32] = GDT_CODE32(3);
	gdt[GDT_USER_DATA] = GDT_DATA(3);
	gdt[GDT_USER_CODE] = GDT_CODE64(3);
	gdt[GDT_TSS] = limit | (base & 0xffffff) << 16 | TSS_BUSY << 40 |
			  (base >> 24 & 0xff) << 56;
	gdt[GDT_TSS + 1] = base >> 32;
}

void dune_tss_build(struct dune_thread *t)
{
	unsigned int i;

	for (i = 1; i < THREAD_STACKS; i++)
		t->tss.ist[i - 1] = t->stacks + THREAD_STACK_TOP(i - 1);
	t->tss.rsp[0] = t->tss.ist[IST_EXCEPTION - 1];
	t->tss.iomap = sizeof(t->tss);		/* no I/O bitmap */
}

unsigned int dune_vector_ist(unsigned int vector)
{
	switch (vector) {
	case DUNE_VECTOR_PF:
		return IST_PF;
	case DUNE_VECTOR_DF:
		return IST_DF;
	case DUNE_VECTOR_NMI:
		return IST_NMI;
	case DUNE_VECTOR_DB:
	case DUNE_VECTOR_BP:
		return IST_DEBUG;
	case DUNE_VECTOR_TS:
	case DUNE_VECTOR_NP:
	case DUNE_VECTOR_SS:
	case DUNE_VECTOR_GP:
		return IST_GP;
	default:
		return vector < 32 ? IST_EXCEPTION : IST_INTERRUPT;
	}
}

void dune_idt_build(void *page)
{
	uint64_t *gate = page;
	unsigned int i;

	for (i = 0; i < 256; i++, gate += 2) {
		uint64_t target = i == DUNE_VECTOR_PF ? (uint64_t)dune_trap_pf :
				  (uint64_t)dune_trap_vectors + i * TRAP_STUB_SIZE;
		bool ring3 = i == DUNE_VECTOR_BP || i == DUNE_VECTOR_OF;
		uint64_t type = ring3 ? GATE_RING3 : GATE_INTERRUPT;

		gate[0] = (target & 0xffff) | (uint64_t)DUNE_GUEST_CS << 16 |
			  (uint64_t)dune_vector_ist(i) << 32 | type << 40 |
			  (target >> 16 & 0xffff) << 48;
		gate[1] = target >> 32;
	}
}
