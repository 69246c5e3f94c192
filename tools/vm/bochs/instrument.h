// SPDX-License-Identifier: GPL-2.0 OR MIT
// The project's Bochs instrumentation: hooks the emulator's core calls.
// Hooks not used here are empty, so they cost nothing.
#ifndef DUNE_INSTRUMENT_H
#define DUNE_INSTRUMENT_H

#if BX_INSTRUMENTATION

#define EMUCOUNT_IN_EMULATOR
#include "emucount.h"
#include "emuconflict.h"

class bxInstruction_c;
class BX_CPU_C;
struct cpuid_function_t;

extern Bit64u emu_counts[EMUCOUNT_MAX_CPUS][EMU_NR];

// Count one event on the CPU whose code is running.
#define EMU_COUNT(cpu_id, what) (emu_counts[cpu_id][EMU_##what]++)

void emu_initialize(unsigned cpu);
void emu_tlb_cntrl(unsigned cpu, unsigned what, Bit64u value);
void emu_vmexit(unsigned cpu, Bit32u reason);
void emu_vmentry(BX_CPU_C *cpu);
void emu_invept(unsigned cpu, unsigned type, Bit64u eptp);
void emu_reset(unsigned cpu, unsigned type);
void emu_mark(BX_CPU_C *cpu, Bit32u what);
bool emu_rdpmc(BX_CPU_C *cpu);
void emu_cpuid(unsigned cpu, Bit32u leaf, struct cpuid_function_t *out);
bool emu_console(unsigned port, Bit8u byte);

// hostchan.cc
Bit64s emu_hostcall(BX_CPU_C *cpu, unsigned op, Bit64u a0, Bit64u a1);
void emu_channel_init(void);
void emu_channel_poll(void);
bool emu_console_write(Bit8u byte);
void emu_console_line(const char *text);
bool emu_read_linear(BX_CPU_C *cpu, Bit64u laddr, Bit64u *value);
bool emu_copy_linear(BX_CPU_C *cpu, Bit64u laddr, void *data, Bit64u len, unsigned rw);
// hangdump.cc
void emu_hangdump_init(void);
void emu_hangdump_poll(void);
// tlbsan.cc
void emu_tlbsan_begin();
void emu_tlbsan_end();
void emu_tlbsan_walk(unsigned cpu, Bit64u eptp, Bit64u gpa, const Bit64u *entry, unsigned leaf);
void emu_tlbsan_violation(unsigned cpu, Bit64u eptp, Bit64u gpa);
void emu_tlbsan_invept(unsigned cpu, unsigned type, Bit64u eptp);
void emu_tlbsan_reset(unsigned cpu, unsigned type);
void emu_tlbsan_entry(BX_CPU_C *cpu);
void emu_tlbsan_mark(BX_CPU_C *cpu, Bit32u what);
unsigned emu_tlbsan_expect(unsigned count);
// gtlbsan.cc, gtlbsan_flush.cc, gtlbsan_marks.cc
void emu_gtlb_walk(BX_CPU_C *cpu, Bit64u la, const Bit64u *entry, unsigned leaf, unsigned top);
void emu_gtlb_entry(BX_CPU_C *cpu);
void emu_gtlb_exit(unsigned cpu);
void emu_gtlb_cr0(BX_CPU_C *cpu, Bit32u old);
enum emu_cr3_write { EMU_CR3_FLUSHES, EMU_CR3_KEEPS };
void emu_gtlb_cr3(BX_CPU_C *cpu, enum emu_cr3_write write);
void emu_gtlb_cr4(BX_CPU_C *cpu, Bit32u old);
void emu_gtlb_invlpg(unsigned cpu, Bit64u la);
void emu_gtlb_invpcid(unsigned cpu, unsigned type, unsigned pcid, Bit64u la);
void emu_gtlb_invvpid(unsigned cpu, unsigned type, unsigned vpid, Bit64u la);
void emu_gtlb_invept(unsigned cpu, unsigned type, Bit64u eptp);
void emu_gtlb_fault(BX_CPU_C *cpu, Bit64u la, unsigned user, unsigned rw);
void emu_gtlb_reset(unsigned cpu, unsigned type);
void emu_gtlb_mark(BX_CPU_C *cpu, Bit32u what);
// conflict.cc
extern unsigned emu_conflict_active;
void emu_conflict_lin(unsigned cpu, Bit64u va, Bit64u pa, unsigned len, unsigned rw);
void emu_conflict_phy(unsigned cpu, Bit64u pa, unsigned len, unsigned rw, unsigned why);
void emu_conflict_disturb(unsigned cpu, unsigned why);
void emu_conflict_branch(unsigned cpu, unsigned what, Bit64u rip);
void emu_conflict_world_switch(unsigned cpu);
Bit64s emu_conflict_call(BX_CPU_C *cpu, unsigned op, Bit64u a0, Bit64u a1);
// nodes.cc
extern bool emu_nodes_known, emu_nodes_caches;
void emu_nodes_init(void);
void emu_nodes_access(unsigned cpu, Bit64u pa, unsigned why);
Bit32u emu_nodes_cache(Bit32u eax);
// conflict_objects.cc
void emu_object_mark(BX_CPU_C *cpu, Bit32u what);

// Markers: "nopl MARK(%rax)". Of the module, as smp/plat/kernel/plat.h has them:
#define TLBSAN_MARK_BUMP 0x44554e01u   // rax: address of the generation, rdi: EPT root
#define TLBSAN_MARK_DONE  0x44554e02u   // rax: generation, rdi: EPT root
#define OBJECT_MARK       0x44554e03u   // rax: address, rdi: size, rsi: name
#define OBJECT_MARK_GONE  0x44554e04u   // rax: address
// and of who manages a guest's page tables, as libdune/tlb_mark.h has them:
#define GTLB_MARK_VIEW    0x44554e05u   // rax: CR3, rdi: address space
#define GTLB_MARK_REMOVED 0x44554e06u   // rax: address, rsi: length, rdi: address space, rdx: ticket
#define GTLB_MARK_DONE    0x44554e07u   // rax: ticket
#define GTLB_MARK_GONE    0x44554e08u   // rax: CR3
// and of a library, as smp/plat/guest/plat.h has them:
#define LIBRARY_MARK      0x44554e09u   // as OBJECT_MARK
#define LIBRARY_MARK_GONE 0x44554e0au   // as OBJECT_MARK_GONE

// Is an access of anybody's interest? Asked at every access of every CPU.
#define EMU_CONFLICT_ON() __builtin_expect(emu_conflict_active != 0, 0)

#define BX_INSTR_INIT_ENV()
#define BX_INSTR_EXIT_ENV()
#define BX_INSTR_INITIALIZE(cpu_id)      emu_initialize(cpu_id)
#define BX_INSTR_EXIT(cpu_id)
#define BX_INSTR_RESET(cpu_id, type)     emu_reset(cpu_id, type)
#define BX_INSTR_HLT(cpu_id) \
	(EMU_COUNT(cpu_id, HLT), emu_conflict_disturb(cpu_id, EMUCONFLICT_HALT))
#define BX_INSTR_MWAIT(cpu_id, addr, len, flags) emu_conflict_disturb(cpu_id, EMUCONFLICT_HALT)
#define BX_INSTR_DEBUG_PROMPT()
#define BX_INSTR_DEBUG_CMD(cmd)
#define BX_INSTR_CNEAR_BRANCH_TAKEN(cpu_id, branch_eip, new_eip)
#define BX_INSTR_CNEAR_BRANCH_NOT_TAKEN(cpu_id, branch_eip)
#define BX_INSTR_UCNEAR_BRANCH(cpu_id, what, branch_eip, new_eip) \
	if (EMU_CONFLICT_ON()) emu_conflict_branch(cpu_id, what, branch_eip)
#define BX_INSTR_FAR_BRANCH(cpu_id, what, prev_cs, prev_eip, new_cs, new_eip)
#define BX_INSTR_OPCODE(cpu_id, i, opcode, len, is32, is64)
#define BX_INSTR_EXCEPTION(cpu_id, vector, error_code) EMU_COUNT(cpu_id, EXCEPTION)
#define BX_INSTR_INTERRUPT(cpu_id, vector)
#define BX_INSTR_HWINTERRUPT(cpu_id, vector, cs, eip) \
	(emu_conflict_disturb(cpu_id, EMUCONFLICT_INTERRUPT), \
	 (vector) == 2 ? EMU_COUNT(cpu_id, NMI) : EMU_COUNT(cpu_id, EXTINT))
#define BX_INSTR_CLFLUSH(cpu_id, laddr, paddr)
#define BX_INSTR_CACHE_CNTRL(cpu_id, what)
#define BX_INSTR_TLB_CNTRL(cpu_id, what, value) emu_tlb_cntrl(cpu_id, what, value)
#define BX_INSTR_PREFETCH_HINT(cpu_id, what, seg, offset)
#define BX_INSTR_BEFORE_EXECUTION(cpu_id, i)
#define BX_INSTR_AFTER_EXECUTION(cpu_id, i)
#define BX_INSTR_REPEAT_ITERATION(cpu_id, i)
#define BX_INSTR_LIN_ACCESS(cpu_id, lin, phy, len, memtype, rw) \
	if (EMU_CONFLICT_ON()) emu_conflict_lin(cpu_id, lin, phy, len, rw)
#define BX_INSTR_PHY_ACCESS(cpu_id, phy, len, memtype, rw)
#define BX_INSTR_INP(addr, len)
#define BX_INSTR_INP2(addr, len, val)
#define BX_INSTR_OUTP(addr, len, val)
#define BX_INSTR_WRMSR(cpu_id, addr, value)
#define BX_INSTR_VMEXIT(cpu_id, reason, qualification) emu_vmexit(cpu_id, reason)

// hooks added by hooks.patch
#define BX_INSTR_RDPMC(cpu)              emu_rdpmc(cpu)
#define BX_INSTR_CPUID(cpu_id, leaf, out) emu_cpuid(cpu_id, leaf, out)
#define BX_INSTR_CONSOLE(port, byte)     emu_console(port, byte)
#define BX_INSTR_VMENTRY(cpu)            emu_vmentry(cpu)
#define BX_INSTR_INVEPT_DONE(cpu_id, type, eptp) emu_invept(cpu_id, type, eptp)
#define BX_INSTR_INVVPID_DONE(cpu_id, type, vpid, la) emu_gtlb_invvpid(cpu_id, type, vpid, la)
#define BX_INSTR_INVPCID_DONE(cpu_id, type, pcid, la) emu_gtlb_invpcid(cpu_id, type, pcid, la)
#define BX_INSTR_CR0_WRITTEN(cpu, old)   emu_gtlb_cr0(cpu, old)
#define BX_INSTR_CR3_WRITTEN(cpu, kept)  emu_gtlb_cr3(cpu, (kept) ? EMU_CR3_KEEPS : EMU_CR3_FLUSHES)
#define BX_INSTR_CR4_WRITTEN(cpu, old)   emu_gtlb_cr4(cpu, old)
// cpu in a guest
#define BX_INSTR_GUEST_WALK(cpu, la, entry, leaf, top) emu_gtlb_walk(cpu, la, entry, leaf, top)
#define BX_INSTR_PAGE_FAULT(cpu, la, user, rw) emu_gtlb_fault(cpu, la, user, rw)
#define BX_INSTR_EPT_WALK(cpu_id, eptp, gpa, entry, leaf) \
	emu_tlbsan_walk(cpu_id, eptp, gpa, entry, leaf)
#define BX_INSTR_EPT_VIOLATION(cpu_id, eptp, gpa) emu_tlbsan_violation(cpu_id, eptp, gpa)
// at decode time: is "nop with this displacement" a marker?
#define BX_INSTR_IS_MARK(displ)          ((Bit32u) (displ) - TLBSAN_MARK_BUMP <= 7)
#define BX_INSTR_MARK(cpu, displ)        emu_mark(cpu, displ)
// as BX_INSTR_PHY_ACCESS, and what for (enum AccessReason)
#define BX_INSTR_PHY_ACCESS_FOR(cpu_id, phy, len, rw, why) \
	do { \
		if (EMU_CONFLICT_ON()) emu_conflict_phy(cpu_id, phy, len, rw, why); \
		if (emu_nodes_known) emu_nodes_access(cpu_id, phy, why); \
	} while (0)
// string instructions go around the access hooks otherwise
#define BX_INSTR_EVERY_ACCESS()          EMU_CONFLICT_ON()

#endif
#endif
