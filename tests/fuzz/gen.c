// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Makes guest cases: registers, tables and code of each class. */
#include "fuzz.h"
#include "insn.h"

#include <string.h>
#include <sys/syscall.h>

#define NR(a) (sizeof(a) / sizeof(*(a)))

const char *const class_names[NR_CLASSES] = {
	[CLASS_PROGRAM] = "program", [CLASS_RANDOM] = "random",
	[CLASS_FORBIDDEN] = "forbidden", [CLASS_VMCALL] = "vmcall",
	[CLASS_STATE] = "state", [CLASS_TABLES] = "tables",
	[CLASS_HUGE] = "huge", [CLASS_STORM] = "storm", [CLASS_CPL3] = "cpl3",
	[CLASS_LEAVE] = "leave", [CLASS_UNMAP] = "unmap",
};

static void put(struct guest_case *c, const void *bytes, uint32_t n)
{
	if (c->code_len + n <= MAX_CODE) {
		memcpy(c->code + c->code_len, bytes, n);
		c->code_len += n;
	}
}

static void put_mov(struct guest_case *c, unsigned int reg, uint64_t value)
{
	uint8_t head[2] = { reg & 8 ? 0x49 : 0x48, 0xb8 | (reg & 7) };

	put(c, head, 2);
	put(c, &value, 8);
}

/* rdi = value; VMCALL: the case ends here. */
static void put_end(struct guest_case *c, uint64_t value)
{
	put_mov(c, 7, value);
	put_mov(c, 0, DUNE_HC_EXIT);
	put(c, "\x0f\x01\xc1\xeb\xfe", 5);
}

void guest_defaults(struct guest_case *c)
{
	c->runs = 4;
	c->sync = DUNE_SYNC_REGS | DUNE_SYNC_SREGS;
	c->run_flags = DUNE_RUN_RECORD;
	c->quantum_us = 60;
	c->reg[4] = ARENA + ARENA_STACK;
	c->reg[16] = ARENA + ARENA_CODE;
	c->reg[17] = 0x202;
	c->sreg[0] = ARENA_PML4;
	c->sreg[1] = ARENA + ARENA_DATA;
	c->sreg[2] = ARENA + ARENA_DATA;
	c->sreg[3] = ARENA + ARENA_GDT;
	c->sreg[4] = ARENA + ARENA_IDT;
	c->sreg[5] = ARENA + ARENA_TSS;
	c->sreg[6] = 0x5full | 0xfffull << 32;	/* gdt_limit, idt_limit */
	c->sreg[7] = 0x67;
}

static void random_regs(struct guest_case *c, struct rng *r)
{
	for (unsigned int i = 0; i < 16; i++)
		if (i != 4 && rng_one_in(r, 2))
			c->reg[i] = rng_weird(r);
}

static uint32_t random_msr(struct rng *r)
{
	static const uint32_t msrs[] = {
		0x10, 0x1b, 0x3a, 0x48, 0x49, 0x79, 0x8b, 0xc1, 0x10a, 0x10b,
		0x122, 0x174, 0x175, 0x176, 0x179, 0x186, 0x199, 0x1a0, 0x1d9,
		0x1db, 0x277, 0x2ff, 0x309, 0x345, 0x38d, 0x38f, 0x400, 0x480,
		0x485, 0x48c, 0x491, 0x570, 0x600, 0x6a0, 0x6a2, 0x6e0, 0x800,
		0x80b, 0x830, 0x83f, 0xd90, 0xda0, 0xc0000080, 0xc0000081,
		0xc0000082, 0xc0000083, 0xc0000084, 0xc0000103, 0xc0010015,
		0x40000000, 0x4b564d01, 0x1fff, 0x2000, 0xc0001fff, 0xc0002000,
		0x80000000, 0xffffffff,
	};

	switch (rng_below(r, 4)) {
	case 0: return rng_next(r);
	case 1: return rng_below(r, 0x2000);
	case 2: return 0xc0000000 + rng_below(r, 0x2000);
	default: return msrs[rng_below(r, NR(msrs))];
	}
}

static bool msr_is_the_guests(uint32_t msr, bool write)
{
	return (msr >= 0xc0000100 && msr <= 0xc0000102) ||
	       (!write && (msr == 0x10 || msr == 0xc0000080));
}

/* One instruction whose exception is known; rdi says which came. */
static void make_forbidden(struct guest_case *c, struct rng *r)
{
	const struct forbidden *f = &forbidden[rng_below(r, NR_FORBIDDEN)];
	uint8_t vector = rng_next(r);
	uint32_t msr;

	random_regs(c, r);
	c->reg[7] = ARENA + ARENA_DATA;
	switch (rng_below(r, 4)) {
	case 0:
		msr = random_msr(r);
		if (msr_is_the_guests(msr, vector & 1))
			msr = 0x174;
		put_mov(c, 1, msr);
		put(c, vector & 1 ? "\x0f\x30" : "\x0f\x32", 2);
		c->want = STOP_VECTOR + 13;
		break;
	case 1:		/* INT n */
		put(c, "\xcd", 1);
		put(c, &vector, 1);
		c->want = STOP_VECTOR + vector;
		break;
	default:
		if (f->set_regs) {
			put_mov(c, 0, f->rax);
			put_mov(c, 1, f->rcx);
		}
		put(c, f->bytes, f->len);
		c->want = STOP_VECTOR + f->vector;
		c->want2 = STOP_VECTOR + f->vector2;
	}
	put_end(c, STOP_END);
	c->runs = 8;
	c->quantum_us = 0;
}

static void put_insn(struct guest_case *c, struct rng *r)
{
	const struct insn *i = &insns[rng_below(r, NR_INSNS)];
	uint8_t imm[8];

	put(c, i->bytes, i->len);
	for (uint32_t n = 0; n < i->imm; n++)
		imm[n] = rng_next(r);
	put(c, imm, i->imm);
}

static void make_program(struct guest_case *c, struct rng *r)
{
	uint32_t n = 1 + rng_below(r, 14);

	random_regs(c, r);
	while (n--) {
		switch (rng_below(r, 8)) {
		case 0: put_mov(c, rng_below(r, 16), rng_weird(r)); break;
		case 1: put_mov(c, 1, random_msr(r)); break;
		default: put_insn(c, r);
		}
	}
	put_end(c, STOP_END);
	c->spoils = 1;
	c->idt = rng_one_in(r, 4) ? rng_below(r, NR_IDTS) : IDT_STOP;
}

static void make_random(struct guest_case *c, struct rng *r)
{
	uint64_t word;

	random_regs(c, r);
	while (c->code_len + 8 <= 64) {
		word = rng_next(r);
		put(c, &word, 8);
	}
	c->idt = rng_one_in(r, 4) ? rng_below(r, NR_IDTS) : IDT_STOP;
	c->spoils = 1;
}

static uint64_t random_call(struct rng *r)
{
	switch (rng_below(r, 6)) {
	case 0: return DUNE_HC(rng_below(r, 16));
	case 1: return DUNE_HC(0) ^ 1ull << rng_below(r, 64);
	case 2: return rng_weird(r);
	default: return rng_below(r, 470);
	}
}

static void make_vmcall(struct guest_case *c, struct rng *r)
{
	uint32_t n = 1 + rng_below(r, 4);

	random_regs(c, r);
	if (rng_one_in(r, 2))
		c->reg[4] = rng_weird(r);
	while (n--) {
		uint64_t nr = random_call(r);

		/* Only CLASS_LEAVE leaves: it costs a signal. */
		put_mov(c, 0, nr == DUNE_HC_LEAVE ? DUNE_HC_NOP : nr);
		if (rng_one_in(r, 2))
			put_mov(c, 7, rng_weird(r));
		if (rng_one_in(r, 2))
			put_mov(c, 6, rng_weird(r));
		put(c, "\x0f\x01\xc1", 3);
	}
	put_end(c, STOP_END);
	switch (rng_below(r, 4)) {
	case 0: break;
	case 1: c->run_flags = DUNE_RUN_REISSUE; break;
	default:
		c->run_flags = rng_next(r) & (DUNE_RUN_CPL0 | DUNE_RUN_REISSUE |
					      DUNE_RUN_NO_HLT);
		c->syscall_ip = rng_one_in(r, 8) ? rng_weird(r) : ~0ull;
	}
}

static void make_state(struct guest_case *c, struct rng *r)
{
	uint32_t n = 1 + rng_below(r, 3);

	put(c, "\x90\x90", 2);
	put_end(c, STOP_END);
	c->spoils = 1;
	while (n--) {
		switch (rng_below(r, 8)) {
		case 0: c->reg[16] = rng_weird(r); break;
		case 1: c->reg[4] = rng_weird(r); break;
		case 2: c->reg[17] = rng_weird(r); break;
		case 3: c->sreg[rng_below(r, 8)] = rng_weird(r); break;
		case 4: c->sreg[1 + rng_below(r, 2)] = rng_weird(r); break;
		case 5: c->quantum_us = (uint32_t)rng_weird(r); break;
		case 6: c->sync = rng_one_in(r, 2) ? DUNE_SYNC_SREGS | DUNE_SYNC_FAULT :
						     (uint32_t)rng_weird(r); break;
		default: c->run_flags = (uint32_t)rng_weird(r);
		}
	}
	if (rng_one_in(r, 4))
		c->page_seed = rng_next(r);
	if (rng_one_in(r, 500))
		c->no_page = 1;
	if (rng_one_in(r, 4))
		c->racer = RACER_SCRIBBLE;
	if (!(c->run_flags & DUNE_RUN_RECORD))
		c->syscall_ip = ~0ull;
}

static uint64_t random_table_offset(struct rng *r)
{
	switch (rng_below(r, 6)) {
	case 0: return ARENA_PML4 + (ARENA >> 39 & 511) * 8;
	case 1: return ARENA_PDPT + (ARENA >> 30 & 511) * 8;
	case 2: return ARENA_PD + (ARENA >> 21 & 511) * 8;
	case 3: return ARENA_GDT + rng_below(r, 12) * 8;
	case 4: return ARENA_TSS + rng_below(r, 13) * 8;
	default: return ARENA_PT + rng_below(r, 80) * 8;
	}
}

/* Touches memory in turns, so that tables are walked again and again. */
static void put_walk(struct guest_case *c, struct rng *r)
{
	uint32_t page = rng_below(r, ARENA_SIZE / 4096 - 64) * 4096;

	put_mov(c, 3, ARENA + page);
	put_mov(c, 2, 30 + rng_below(r, 60));
	/* 1: mov %cr3,%rax; mov %rax,%cr3; incl (%rbx); add $4096,%rbx; dec; jnz */
	put(c, "\x0f\x20\xd8\x0f\x22\xd8\xff\x03\x48\x81\xc3\x00\x10\x00\x00"
	       "\x48\xff\xca\x75\xec", 20);
}

static void make_tables(struct guest_case *c, struct rng *r)
{
	random_regs(c, r);
	put_walk(c, r);
	put_insn(c, r);
	put_end(c, STOP_END);
	c->nr_pokes = rng_below(r, MAX_POKES + 1);
	for (uint32_t i = 0; i < c->nr_pokes; i++) {
		c->poke[i].offset = random_table_offset(r);
		c->poke[i].value = rng_one_in(r, 2) ? rng_weird(r) :
				   rng_weird(r) | 0x27;
	}
	c->spoils = 1;
	c->idt = rng_one_in(r, 2) ? rng_below(r, NR_IDTS) : IDT_STOP;
	if (rng_one_in(r, 3)) {
		c->racer = RACER_TABLES;
		c->runs = 2;
		c->quantum_us = 200;
	}
}

/* An address that only the slot table's bounds keep from being used. */
static void make_huge(struct guest_case *c, struct rng *r)
{
	uint64_t gpa = 1ull << 39 | (rng_next(r) & 0x7ffffff000ull);

	put_walk(c, r);
	put_end(c, STOP_END);
	if (rng_one_in(r, 2)) {
		c->sreg[0] = gpa;
		return;
	}
	c->nr_pokes = 1;
	switch (rng_below(r, 3)) {
	case 0:
		c->poke[0].offset = ARENA_PML4 + (ARENA >> 39 & 511) * 8;
		c->poke[0].value = gpa | 0x27;
		break;
	case 1:
		c->poke[0].offset = ARENA_PD + (ARENA >> 21 & 511) * 8;
		c->poke[0].value = (gpa & ~0x1fffffull) | 0xe7;
		break;
	default:
		c->poke[0].offset = ARENA_PT + ARENA_CODE / 512;
		c->poke[0].value = gpa | 0x67;
	}
}

static void make_storm(struct guest_case *c, struct rng *r)
{
	static const uint64_t flags[] = { 0x100, 0x40000, 0x40100, 0x10100,
					  0x4100, 0x3100 };

	c->idt = rng_one_in(r, 8) ? rng_below(r, NR_IDTS) : IDT_IRET;
	c->reg[17] |= flags[rng_below(r, NR(flags))];
	random_regs(c, r);
	switch (rng_below(r, 6)) {
	case 0: put(c, "\xf1", 1); break;			/* int1 */
	case 1: put(c, "\x8e\xd0\xf1", 3); break;		/* mov %eax,%ss */
	case 2: put(c, "\x0f\x0b", 2); break;			/* ud2 */
	case 3: put(c, "\x66\x8c\xd0\x8e\xd0\x0f\x01\xc1", 8); break;
	case 4: put(c, "\xcc\xcd\x80", 3); break;
	default: put_insn(c, r);
	}
	put_insn(c, r);
	put(c, "\xeb", 1);		/* jmp to the start */
	put(c, &(int8_t){ -1 - (int)c->code_len }, 1);
	c->quantum_us = rng_one_in(r, 64) ? 0 : 20 + rng_below(r, 100);
	c->runs = 2;
	c->spoils = 1;
}

/* IRETQ to ring 3 and VMCALL there: must be #UD. */
static void make_cpl3(struct guest_case *c, struct rng *r)
{
	static const uint8_t iret[] = {
		0x6a, 0x2b,					/* push $ss */
		0x54, 0x68, 0x02, 0x02, 0x00, 0x00,		/* rsp, flags */
		0x6a, 0x23,					/* push $cs */
		0x48, 0x8d, 0x05, 0x03, 0x00, 0x00, 0x00,	/* lea 3(%rip) */
		0x50, 0x48, 0xcf,				/* push; iretq */
	};
	/* Those that are handled in three different places. */
	static const uint64_t calls[] = { DUNE_HC_EXIT, DUNE_HC_NOP, SYS_getppid,
					  SYS_read, DUNE_HC_SLOT };

	put(c, iret, sizeof(iret));
	put_mov(c, 0, rng_one_in(r, 3) ? random_call(r) :
				 calls[rng_below(r, NR(calls))]);
	put(c, "\x0f\x01\xc1\xf4", 4);	/* hlt: #GP, had VMCALL worked */
	c->want = STOP_VECTOR + 6;
	c->spoils = 1;
	c->runs = 8;
	c->quantum_us = 0;
	if (rng_one_in(r, 2))
		c->run_flags = 0;
}

static void make_leave(struct guest_case *c, struct rng *r)
{
	uint32_t at;

	random_regs(c, r);
	c->reg[4] = rng_one_in(r, 2) ? rng_weird(r) : c->reg[4];
	put_mov(c, 0, DUNE_HC_LEAVE);
	put_mov(c, 7, rng_one_in(r, 2) ? 0 : rng_one_in(r, 2) ? rng_weird(r) :
		      ARENA + ARENA_CODE);
	put(c, "\x0f\x01\xc1", 3);
	at = c->code_len;
	put_insn(c, r);
	/* In plain Linux nothing ends a jump to itself. */
	if (c->code[at] == 0xeb && c->code[at + 1] == 0xfe)
		c->code[at + 1] = 0;
	put(c, "\x0f\x0b", 2);		/* ud2: SIGILL in plain Linux */
	c->reg[17] |= rng_weird(r) & 0xff;
}

static void make_unmap(struct guest_case *c, struct rng *r)
{
	random_regs(c, r);
	put_walk(c, r);
	put(c, "\x50\x58\x0f\x0b", 4);
	put_end(c, STOP_END);
	c->racer = RACER_UNMAP;
	c->quantum_us = 400;
	c->idt = rng_one_in(r, 3) ? IDT_NONE : IDT_STOP;
}

void guest_make(struct guest_case *c, struct rng *r)
{
	/* Out of 64; what a class costs is why they differ. */
	static const struct {
		uint8_t until;
		enum guest_class class;
		void (*make)(struct guest_case *c, struct rng *r);
	} mix[] = {
		{ 14, CLASS_PROGRAM, make_program },
		{ 22, CLASS_RANDOM, make_random },
		{ 32, CLASS_FORBIDDEN, make_forbidden },
		{ 38, CLASS_VMCALL, make_vmcall },
		{ 46, CLASS_STATE, make_state },
		{ 50, CLASS_TABLES, make_tables },
		{ 53, CLASS_HUGE, make_huge },
		{ 58, CLASS_STORM, make_storm },
		{ 61, CLASS_CPL3, make_cpl3 },
		{ 63, CLASS_LEAVE, make_leave },
		{ 64, CLASS_UNMAP, make_unmap },
	};
	uint32_t n = rng_below(r, 64);
	unsigned int i = 0;

	while (n >= mix[i].until)
		i++;
	guest_defaults(c);
	c->class = mix[i].class;
	mix[i].make(c, r);
	if (c->racer == RACER_NONE && rng_one_in(r, 64))
		c->racer = RACER_PAGE + rng_below(r, 3);
	if (c->racer != RACER_NONE)
		c->racer_seed = rng_next(r);
	if (c->idt == IDT_JUNK)
		c->idt_seed = rng_next(r);
	if (c->idt == IDT_NONE)
		c->sreg[6] &= 0xffffffff;
}
