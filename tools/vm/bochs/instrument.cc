// SPDX-License-Identifier: GPL-2.0 OR MIT
// Event counters and the RDPMC/CPUID doors through which the guest reads them.
#include "bochs.h"
#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "pc_system.h"
#include "hostcall.h"

Bit64u emu_counts[EMUCOUNT_MAX_CPUS][EMU_NR];

static void emu_timer(void *)
{
  emu_hangdump_poll();
  emu_channel_poll();
}

void emu_initialize(unsigned cpu)
{
  if (cpu != 0) return;
  emu_channel_init();
  emu_hangdump_init();
  emu_nodes_init();
  if (getenv("EMU_TLBSAN") && !strcmp(getenv("EMU_TLBSAN"), "0")) emu_tlbsan_end();
  // emulated time; a few times per second of real time
  bx_pc_system.register_timer(NULL, emu_timer, 200000, 1, 1, "dune-poll");
}

void emu_tlb_cntrl(unsigned cpu, unsigned what, Bit64u value)
{
  switch (what) {
    case BX_INSTR_MOV_CR3:
      EMU_COUNT(cpu, MOV_CR3);
      emu_conflict_disturb(cpu, EMUCONFLICT_SWITCH);
      break;
    case BX_INSTR_INVLPG:
      EMU_COUNT(cpu, INVLPG);
      emu_gtlb_invlpg(cpu, value);
      break;
    case BX_INSTR_INVEPT:  EMU_COUNT(cpu, INVEPT);  break;
    case BX_INSTR_INVVPID: EMU_COUNT(cpu, INVVPID); break;
    case BX_INSTR_INVPCID: EMU_COUNT(cpu, INVPCID); break;
  }
}

void emu_vmexit(unsigned cpu, Bit32u reason)
{
  EMU_COUNT(cpu, VMEXIT);
  emu_gtlb_exit(cpu);
  emu_conflict_world_switch(cpu);
  reason &= 0xffff;
  if (reason < EMU_NR_EXITS) emu_counts[cpu][EMU_EXIT(reason)]++;
  if (reason == VMX_VMEXIT_EXTERNAL_INTERRUPT) emu_conflict_disturb(cpu, EMUCONFLICT_INTERRUPT);
}

void emu_vmentry(BX_CPU_C *cpu)
{
  emu_conflict_world_switch(cpu->bx_cpuid);
  emu_tlbsan_entry(cpu);
  emu_gtlb_entry(cpu);
}

void emu_invept(unsigned cpu, unsigned type, Bit64u eptp)
{
  emu_tlbsan_invept(cpu, type, eptp);
  emu_gtlb_invept(cpu, type, eptp);
}

void emu_reset(unsigned cpu, unsigned type)
{
  emu_tlbsan_reset(cpu, type);
  emu_gtlb_reset(cpu, type);
}

// A marker instruction, by its displacement.
void emu_mark(BX_CPU_C *cpu, Bit32u what)
{
  if (what >= LIBRARY_MARK) emu_object_mark(cpu, what);
  else if (what >= GTLB_MARK_VIEW) emu_gtlb_mark(cpu, what);
  else if (what >= OBJECT_MARK) emu_object_mark(cpu, what);
  else emu_tlbsan_mark(cpu, what);
}

static Bit64u read_counter(unsigned self, Bit32u ecx)
{
  unsigned cpu = (ecx >> 8) & 0xff, id = ecx & 0xff;

  if (id == 0xff) return BX_SMP_PROCESSORS;
  if (cpu == EMUCOUNT_SELF) cpu = self;
  if (cpu >= (unsigned) BX_SMP_PROCESSORS || id >= EMU_NR) return 0;
  if (id == EMU_INSN) return BX_CPU(cpu)->get_icount();
  return emu_counts[cpu][id];
}

// true: handled, registers are set
bool emu_rdpmc(BX_CPU_C *cpu)
{
  Bit32u ecx = cpu->gen_reg[BX_32BIT_REG_ECX].dword.erx;
  Bit64u value;

  switch (ecx & 0xffff0000) {
    case EMUCOUNT_RDPMC:
      value = (ecx & 0xff) == EMUCOUNT_EXPECT ? emu_tlbsan_expect(cpu->gen_reg[BX_32BIT_REG_EDI].dword.erx)
                                             : read_counter(cpu->bx_cpuid, ecx);
      cpu->gen_reg[BX_64BIT_REG_RAX].rrx = GET32L(value);
      cpu->gen_reg[BX_64BIT_REG_RDX].rrx = GET32H(value);
      return true;
    case HOSTCALL:
      value = emu_hostcall(cpu, ecx & 0xffff, cpu->gen_reg[BX_64BIT_REG_RDI].rrx,
                           cpu->gen_reg[BX_64BIT_REG_RSI].rrx);
      cpu->gen_reg[BX_64BIT_REG_RAX].rrx = value;
      return true;
    case EMUCONFLICT:
      value = emu_conflict_call(cpu, ecx & 0xffff, cpu->gen_reg[BX_64BIT_REG_RDI].rrx,
                                cpu->gen_reg[BX_64BIT_REG_RSI].rrx);
      cpu->gen_reg[BX_64BIT_REG_RAX].rrx = value;
      return true;
  }
  return false;
}

void emu_cpuid(unsigned cpu, Bit32u leaf, struct cpuid_function_t *out)
{
  EMU_COUNT(cpu, CPUID);
  if (leaf == EMUCOUNT_CPUID_LEAF) {
    out->eax = EMUCOUNT_VERSION;
    out->ebx = EMUCOUNT_SIG_EBX;
    out->ecx = EMUCOUNT_SIG_ECX;
    out->edx = EMUCOUNT_SIG_EDX;
  }
  if (leaf == 4 && emu_nodes_caches) out->eax = emu_nodes_cache(out->eax);
}

bool emu_console(unsigned port, Bit8u byte)
{
  return port == 0 && emu_console_write(byte);
}
