/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the scenes share. Each row of each scene runs in a process of its own,
 * with a vm whose page tables it changes by hand, and says whether the TLB
 * sanitizer must find something in it.
 */
#ifndef TESTS_GTLBSAN_H
#define TESTS_GTLBSAN_H

#include "rawpt.h"
#include "test.h"
#include "tlb_mark.h"

#define LIMIT		30	/* seconds, for each row and each wait in it */
#define TICKET		7	/* of the one shootdown under way */
#define CR3_KEEP	(1ull << 63)
#define CR4_PGE		(1ull << 7)
#define CR4_PCIDE	(1ull << 17)

enum verdict { CLEAN, REPORT };

/* The vm of this process: two roots, and frames, the first of which hold 1, 2, ... */
struct world {
	struct rawvm vm;
	struct rawpt root[2];
	char *mem;		/* 2 MiB, aligned */
	uint64_t mem_gpa;
};
extern struct world world;

/* Guest physical address of frame i. */
static inline uint64_t frame(unsigned int i)
{
	return world.mem_gpa + i * RAWPT_PAGE;
}

/* fn(arg) in a child, in which it finds the world made. */
void row(const char *scene, const char *name, enum verdict want,
	 void (*fn)(const void *), const void *arg);

/*
 * A vCPU of the calling thread is to run fn(arg) under cr3; guest_more(): to its
 * next leave(). guest_begin() is both, guest_once() all of it.
 */
void guest_prepare(struct rawvcpu *vcpu, uint64_t cr3, void (*fn)(void *),
		   const void *arg);
void guest_begin(struct rawvcpu *vcpu, uint64_t cr3, void (*fn)(void *),
		 const void *arg);
void guest_more(struct rawvcpu *vcpu);
void guest_once(uint64_t cr3, void (*fn)(void *), const void *arg);

void scenes_one(void);
void scenes_fault(void);
void scenes_pcid(void);
void scenes_two(void);
void scenes_move(void);
void scenes_vpids(void);

/* ---- for guest code ---- */

static inline void leave(void)
{
	raw_vmcall(DUNE_HC_EXIT, 0);
}

static inline int touch(uint64_t addr)
{
	return *(volatile char *)addr;
}

static inline void invlpg(uint64_t addr)
{
	asm volatile("invlpg (%0)" : : "r"(addr) : "memory");
}

enum { INVPCID_ADDR, INVPCID_ONE, INVPCID_ALL, INVPCID_NOT_GLOBAL };

static inline void invpcid(uint64_t type, uint64_t pcid, uint64_t addr)
{
	struct { uint64_t pcid, addr; } d = { pcid, addr };

	asm volatile("invpcid %0, %1" : : "m"(d), "r"(type) : "memory");
}

static inline uint64_t get_cr3(void)
{
	uint64_t value;

	asm volatile("mov %%cr3, %0" : "=r"(value));
	return value;
}

static inline void set_cr3(uint64_t value)
{
	asm volatile("mov %0, %%cr3" : : "r"(value) : "memory");
}

static inline uint64_t get_cr4(void)
{
	uint64_t value;

	asm volatile("mov %%cr4, %0" : "=r"(value));
	return value;
}

static inline void set_cr4(uint64_t value)
{
	asm volatile("mov %0, %%cr4" : : "r"(value) : "memory");
}

static inline void set_entry(uint64_t *entry, uint64_t value)
{
	__atomic_store_n(entry, value, __ATOMIC_SEQ_CST);
}

#endif /* TESTS_GTLBSAN_H */
