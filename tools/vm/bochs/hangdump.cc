// SPDX-License-Identifier: GPL-2.0 OR MIT
// What every CPU is doing, for a run that hangs. SIGUSR1: dump registers and
// kernel-looking stack words to the file $EMU_DUMP.PID. SIGUSR2: NMI to CPU 0.
#include "bochs.h"
#include "cpu/cpu.h"
#include "memory/memory-bochs.h"
#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t want_dump, want_nmi;

static void on_signal(int sig)
{
  if (sig == SIGUSR1) want_dump = 1;
  else want_nmi = 1;
}

void emu_hangdump_init(void)
{
  signal(SIGUSR1, on_signal);
  signal(SIGUSR2, on_signal);
}

static bool read_word(BX_CPU_C *cpu, Bit64u laddr, Bit64u *value)
{
  bx_phy_address paddr;

  return cpu->dbg_xlate_linear2phy(laddr, &paddr) &&
         BX_MEM(0)->dbg_fetch_mem(cpu, paddr, 8, (Bit8u *) value);
}

static void dump_cpu(FILE *f, BX_CPU_C *cpu)
{
  Bit64u rsp = cpu->gen_reg[BX_64BIT_REG_RSP].rrx, word;

  fprintf(f, "cpu %u rip %llx rsp %llx cpl %u flags %x cr3 %llx guest %u state %u insn %llu\n",
          cpu->bx_cpuid, (unsigned long long) cpu->gen_reg[BX_64BIT_REG_RIP].rrx,
          (unsigned long long) rsp, cpu->sregs[BX_SEG_REG_CS].selector.rpl,
          (unsigned) cpu->read_eflags(), (unsigned long long) cpu->cr3,
          (unsigned) cpu->in_vmx_guest, cpu->activity_state,
          (unsigned long long) cpu->get_icount());
  if (cpu->sregs[BX_SEG_REG_CS].selector.rpl) return;
  for (unsigned i = 0; i < 512; i++) {
    if ((((rsp & ~7ull) + 8 * i) & 0x3fff) == 0 && i) break;
    if (!read_word(cpu, (rsp & ~7ull) + 8 * i, &word)) break;
    if (word >> 31 == 0x1ffffffffull) fprintf(f, "  %llx\n", (unsigned long long) word);
  }
}

void emu_hangdump_poll(void)
{
  if (want_nmi) {
    want_nmi = 0;
    BX_CPU(0)->deliver_NMI();
  }
  if (!want_dump) return;
  want_dump = 0;
  char path[4096];
  snprintf(path, sizeof path, "%s.%d", getenv("EMU_DUMP") ? getenv("EMU_DUMP") : "emu-cpus", getpid());
  FILE *f = fopen(path, "w");
  if (!f) return;
  for (int i = 0; i < BX_SMP_PROCESSORS; i++) dump_cpu(f, BX_CPU(i));
  fprintf(f, "end\n");
  fclose(f);
}
