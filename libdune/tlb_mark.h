/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the emulator's TLB sanitizer is told about guest page tables; NOPs for
 * hardware, a handful of instructions. docs/emulator.md says what it judges.
 *
 * Context: any thread of a process that has a vm, in ring 0 of its guest or in
 * plain Linux mode. Memory and registers stay as they are. No errors.
 *
 * An address space is a number of the caller's choice, unique in its vm: the
 * address of what describes it serves. It may have several page tables (views),
 * one for each thread. Without tlb_mark_view() a page table is an address space
 * of its own, whose number is its CR3 without the low 12 bits.
 */
#ifndef LIBDUNE_TLB_MARK_H
#define LIBDUNE_TLB_MARK_H

#include <stdint.h>

#define TLB_MARK_VIEW		0x44554e05
#define TLB_MARK_REMOVED	0x44554e06
#define TLB_MARK_DONE		0x44554e07
#define TLB_MARK_GONE		0x44554e08

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The page table at cr3 (its low 12 bits do not matter) shows the address space.
 * Before its first use. From then on a CPU that comes to this table must not
 * be able to use translations of another one that it contradicts: PCIDs that
 * change hands, global translations that are not the same everywhere.
 */
static inline void tlb_mark_view(uint64_t space, uint64_t cr3)
{
	__asm__ volatile("nopl %c0(%%rax)"
			 : : "i"(TLB_MARK_VIEW), "a"(cr3), "D"(space)
			 : "memory");
}

/*
 * No CPU uses the page table at cr3 any more, and none may use a translation that
 * came of it: whoever gets its PCID next flushes first. Before the memory of
 * the table is put to another use.
 */
static inline void tlb_mark_gone(uint64_t cr3)
{
	__asm__ volatile("nopl %c0(%%rax)"
			 : : "i"(TLB_MARK_GONE), "a"(cr3) : "memory");
}

/*
 * The shootdown with this ticket begins: what the page tables of the address space
 * do not say any more of the addresses va to va + len - 1 (absent, another page
 * or table, fewer rights, dirty bit cleared) is to be forgotten by every CPU.
 * After the change of the tables, before the first flush. Changes that only add
 * need no mark. Who finds a change made already, by a shootdown that may not be
 * over, promises as much as who made it: the mark is due as well. Several marks may have one ticket. A ticket is any number that
 * no other shootdown under way in this vm has: the address of a variable on the
 * stack serves.
 */
static inline void tlb_mark_removed(uint64_t space, uint64_t va, uint64_t len,
				    uint64_t ticket)
{
	__asm__ volatile("nopl %c0(%%rax)"
			 : : "i"(TLB_MARK_REMOVED), "a"(va), "S"(len),
			     "D"(space), "d"(ticket)
			 : "memory");
}

/*
 * The shootdown with this ticket is over: no CPU that is in a guest can use what
 * was removed, and each of the others forgets it before it could. Before what
 * was removed is put to another use.
 */
static inline void tlb_mark_done(uint64_t ticket)
{
	__asm__ volatile("nopl %c0(%%rax)"
			 : : "i"(TLB_MARK_DONE), "a"(ticket) : "memory");
}

#ifdef __cplusplus
}
#endif

#endif /* LIBDUNE_TLB_MARK_H */
