// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What the guest has: page tables, GDT, IDT, TSS, handlers, code, stacks. It
 * maps nothing of the fuzzer itself, so a wild guest spoils only this.
 */
#include "fuzz.h"

#include <string.h>
#include <sys/mman.h>

#include "check.h"

#define PTE_TABLE	0x27ull		/* present, writable, user, accessed */
#define PTE_PAGE	0x67ull		/* and dirty */
#define GATE_INTERRUPT	0x8eull
#define GDT_CODE64	0x00af9b000000ffffull
#define GDT_DATA	0x00cf93000000ffffull
#define GDT_CODE32	0x00cf9b000000ffffull
#define DPL3		0x0000600000000000ull

static uint8_t pristine[ARENA_TABLES] __attribute__((aligned(64)));

static void set(uint64_t offset, uint64_t value)
{
	memcpy(pristine + offset, &value, 8);
}

static void make_page_tables(void)
{
	set(ARENA_PML4 + (ARENA >> 39 & 511) * 8, ARENA_PDPT | PTE_TABLE);
	set(ARENA_PDPT + (ARENA >> 30 & 511) * 8, ARENA_PD | PTE_TABLE);
	set(ARENA_PD + (ARENA >> 21 & 511) * 8, ARENA_PT | PTE_TABLE);
	for (uint64_t i = 0; i < ARENA_SIZE / 4096; i++)
		set(ARENA_PT + i * 8, i * 4096 | PTE_PAGE);
}

static void make_gdt(void)
{
	uint64_t tss = ARENA + ARENA_TSS;

	set(ARENA_GDT + DUNE_GUEST_CS, GDT_CODE64);
	set(ARENA_GDT + DUNE_GUEST_DS, GDT_DATA);
	set(ARENA_GDT + 0x20, GDT_CODE64 | DPL3);
	set(ARENA_GDT + 0x28, GDT_DATA | DPL3);
	set(ARENA_GDT + 0x30, GDT_CODE32);
	set(ARENA_GDT + 0x38, GDT_CODE32 | DPL3);
	set(ARENA_GDT + DUNE_GUEST_TR, 0x67 | (tss & 0xffffff) << 16 |
	    0x8bull << 40 | (tss >> 24 & 0xff) << 56);
	set(ARENA_GDT + DUNE_GUEST_TR + 8, tss >> 32);
	/* A second TSS, not busy, for LTR. */
	set(ARENA_GDT + 0x50, 0x67 | (tss & 0xffffff) << 16 | 0x89ull << 40 |
	    (tss >> 24 & 0xff) << 56);
	set(ARENA_GDT + 0x58, tss >> 32);
}

static void make_tss(void)
{
	set(ARENA_TSS + 4, ARENA + ARENA_IST);		/* rsp0 */
	set(ARENA_TSS + 36, ARENA + ARENA_IST);		/* ist1 */
}

/* push $number; jmp common */
static void make_stub(uint8_t *stub, uint32_t number, int32_t distance)
{
	stub[0] = 0x68;
	memcpy(stub + 1, &number, 4);
	stub[5] = 0xe9;
	distance -= 10;
	memcpy(stub + 6, &distance, 4);
}

static void make_handlers(void)
{
	static const uint64_t stop = DUNE_HC_EXIT;
	uint8_t *p = pristine + ARENA_COMMON;

	for (uint32_t v = 0; v < 256; v++)
		make_stub(pristine + ARENA_STUBS + v * 16, STOP_VECTOR + v,
			  ARENA_COMMON - ARENA_STUBS - v * 16);
	*p++ = 0x5f;			/* pop %rdi */
	*p++ = 0x48;			/* movabs $DUNE_HC_EXIT, %rax */
	*p++ = 0xb8;
	memcpy(p, &stop, 8);
	p += 8;
	memcpy(p, "\x0f\x01\xc1\xeb\xfe", 5);	/* vmcall; jmp . */
	p = pristine + ARENA_COMMON + 0x40;
	memcpy(p, "\x48\xcf", 2);		/* iretq */
	p = pristine + ARENA_COMMON + 0x60;
	memcpy(p, "\x48\x83\xc4\x08\x48\xcf", 6);	/* pop the error code */
}

static void set_gate(uint8_t *idt, uint64_t vector, uint64_t handler, uint64_t ist)
{
	uint64_t low = (handler & 0xffff) | DUNE_GUEST_CS << 16 | ist << 32 |
		       GATE_INTERRUPT << 40 | (handler >> 16 & 0xffff) << 48;

	memcpy(idt + vector * 16, &low, 8);
	handler >>= 32;
	memcpy(idt + vector * 16 + 8, &handler, 8);
}

static bool has_error_code(unsigned int vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 ||
	       vector == 21;
}

static void make_idt(void)
{
	for (unsigned int v = 0; v < 256; v++)
		set_gate(pristine + ARENA_IDT, v, ARENA + ARENA_STUBS + v * 16, 1);
}

void arena_idt(enum idt_mode mode, uint64_t seed)
{
	uint8_t *idt = (uint8_t *)ARENA + ARENA_IDT;
	struct rng r = { seed };

	if (mode == IDT_STOP || mode == IDT_NONE)
		return;		/* as restored */

	for (unsigned int v = 0; v < 256; v++) {
		uint64_t stub = ARENA + ARENA_STUBS + v * 16;

		switch (mode) {
		case IDT_IRET:
			set_gate(idt, v, ARENA + ARENA_COMMON +
				 (has_error_code(v) ? 0x60 : 0x40), 0);
			break;
		case IDT_JUNK:
			set_gate(idt, v, rng_one_in(&r, 4) ? rng_weird(&r) : stub,
				 rng_next(&r) & 7);
			break;
		default:
			set_gate(idt, v, ARENA + ARENA_SIZE + v,
				 rng_next(&r) & 1);
		}
	}
}

static void map_arena(void)
{
	void *p = mmap((void *)ARENA, ARENA_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	REQUIRE(p == (void *)ARENA);
	/* Small pages: the racers take some of them away. */
	madvise(p, ARENA_SIZE, MADV_NOHUGEPAGE);
}

void arena_setup(void)
{
	make_page_tables();
	make_gdt();
	make_tss();
	make_handlers();
	make_idt();
	map_arena();
}

/* memcpy() goes by bytes here, and each is an emulated instruction. */
static void copy_words(void *to, const void *from, unsigned long n)
{
	asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
}

void arena_restore(void)
{
	if (child.dirty)
		map_arena();
	child.dirty = false;
	copy_words((void *)(ARENA + ARENA_PML4), pristine + ARENA_PML4,
		   (ARENA_TABLES - ARENA_PML4) / 8);
}
