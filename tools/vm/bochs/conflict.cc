// SPDX-License-Identifier: GPL-2.0 OR MIT
// Conflict detector: the cache lines that operations on different CPUs touch.
//
// A program says where an operation begins and ends on its CPU. Each access
// between is noted, and thrown away at the end if the CPU did something else
// meanwhile: took an interrupt, switched threads, halted. So what is kept needs
// no judgement of what belongs to the operation. At last: which lines did one
// CPU write and another touch? docs/conflicts.md is the user's page.
#include "bochs.h"
#include "cpu/cpu.h"
#include "conflict.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

#define STACK_SHIFT 14          // kernel stacks are 16 KiB, aligned
// Linux' way in and out of user mode uses the CPU's own entry stack for a moment.
#define ENTRY_AREA  BX_CONST64(0xfffffe0000000000)
#define ENTRY_AREA_BITS 39
#define MAX_CALLS   64          // nested, whose callers are known

typedef struct emuconflict_site site;

struct site_key {
  Bit64u pa, rip;
  Bit32u who;                   // cpu, kind, mode

  bool operator==(const site_key &o) const { return pa == o.pa && rip == o.rip && who == o.who; }
};

struct site_hash {
  size_t operator()(const site_key &k) const
  {
    return (k.pa ^ (k.rip << 20) ^ ((Bit64u) k.who << 50)) * BX_CONST64(0x9e3779b97f4a7c15) >> 16;
  }
};

typedef std::unordered_map<site_key, site, site_hash> site_map;

struct operation {
  bool active;
  unsigned disturbed;           // EMUCONFLICT_INTERRUPT...
  Bit64u stack;                 // the kernel stack it runs on; 0: none yet
  Bit64u call[MAX_CALLS];       // call instructions that have not returned
  unsigned depth;
  site_map accesses;
};

unsigned emu_conflict_active;   // CPUs in an operation; 0: accesses are nobody's business
static struct operation operations[EMUCOUNT_MAX_CPUS];
static site_map kept;           // of all operations that count

// ---- accesses ---------------------------------------------------------------

// Does the instruction at rip lock the bus? XCHG with memory always does.
static bool is_locked(BX_CPU_C *cpu, Bit64u rip)
{
  Bit8u byte;

  for (unsigned i = 0; i < 15 && emu_copy_linear(cpu, rip + i, &byte, 1, BX_READ); i++) {
    switch (byte) {
      case 0xf0: case 0x86: case 0x87: return true;
      case 0x66: case 0x67: case 0xf2: case 0xf3: case 0x64: case 0x65: case 0x2e: case 0x3e: break;
      default: if ((byte & 0xf0) != 0x40) return false;  // a REX prefix comes last
    }
  }
  return false;
}

static unsigned mode_of(const BX_CPU_C *cpu)
{
  if (cpu->in_vmx_guest) return EMUCONFLICT_GUEST;
  return cpu->sregs[BX_SEG_REG_CS].selector.rpl ? EMUCONFLICT_USER : EMUCONFLICT_KERNEL;
}

static unsigned kind_of(unsigned rw)
{
  if (rw == BX_RW) return EMUCONFLICT_RMW;
  return rw & 1 ? EMUCONFLICT_WRITE : EMUCONFLICT_READ;
}

static void note(BX_CPU_C *cpu, Bit64u va, Bit64u pa, unsigned len, unsigned kind, unsigned mode)
{
  struct operation *op = &operations[cpu->bx_cpuid];
  site_key key = { pa, cpu->prev_rip, cpu->bx_cpuid | kind << 8 | mode << 16 };
  site &s = op->accesses[key];

  if (s.ops) return;
  s.pa = pa;
  s.va = va;
  s.rip = cpu->prev_rip;
  s.ops = 1;
  s.cpu = cpu->bx_cpuid;
  s.kind = kind;
  s.mode = mode;
  s.len = len;
  for (unsigned i = 0; i < EMUCONFLICT_CALLERS && i < op->depth && op->depth <= MAX_CALLS; i++)
    s.caller[i] = op->call[op->depth - 1 - i];
  if (kind == EMUCONFLICT_RMW && mode != EMUCONFLICT_WALK && is_locked(cpu, s.rip))
    s.kind = EMUCONFLICT_LOCKED;
  emu_object_find(&s);
}

// An access may lie in two lines or more.
static void note_lines(BX_CPU_C *cpu, Bit64u va, Bit64u pa, unsigned len, unsigned kind, unsigned mode)
{
  while (len) {
    unsigned n = EMUCONFLICT_LINE - (pa & (EMUCONFLICT_LINE - 1));
    if (n > len) n = len;
    note(cpu, va, pa, n, kind, mode);
    if (va) va += n;
    pa += n;
    len -= n;
  }
}

// A thread switch without an interrupt shows as another stack. HOST_RSP need not
// be one: it may be where an exit finds its stack, with room for one push.
static void check_stack(struct operation *op, Bit64u rsp, Bit64u host_rsp)
{
  Bit64u stack = (rsp - 1) >> STACK_SHIFT;      // an empty one ends where it points

  if (rsp == host_rsp || rsp == host_rsp - 8) return;
  if (!(rsp >> 63) || rsp >> ENTRY_AREA_BITS == ENTRY_AREA >> ENTRY_AREA_BITS) return;
  if (!op->stack) op->stack = stack;
  if (op->stack != stack) op->disturbed |= EMUCONFLICT_SWITCH;
}

void emu_conflict_lin(unsigned id, Bit64u va, Bit64u pa, unsigned len, unsigned rw)
{
  struct operation *op = &operations[id];
  BX_CPU_C *cpu = BX_CPU(id);

  if (!op->active) return;
  unsigned mode = mode_of(cpu);
  if (mode == EMUCONFLICT_KERNEL) {
    check_stack(op, cpu->gen_reg[BX_64BIT_REG_RSP].rrx, cpu->vmcs.host_state.rsp);
  }
  note_lines(cpu, va, pa, len, kind_of(rw), mode);
}

void emu_conflict_phy(unsigned id, Bit64u pa, unsigned len, unsigned rw, unsigned why)
{
  if (!operations[id].active) return;
  note_lines(BX_CPU(id), 0, pa, len, kind_of(rw),
             why >= BX_VMCS_ACCESS ? EMUCONFLICT_VMCS : EMUCONFLICT_WALK);
}

void emu_conflict_disturb(unsigned id, unsigned why)
{
  operations[id].disturbed |= why;
}

void emu_conflict_branch(unsigned id, unsigned what, Bit64u rip)
{
  struct operation *op = &operations[id];

  switch (what) {
    case BX_INSTR_IS_CALL: case BX_INSTR_IS_CALL_INDIRECT:
      if (op->depth < MAX_CALLS) op->call[op->depth] = rip;
      op->depth++;
      break;
    case BX_INSTR_IS_RET:
      if (op->depth) op->depth--;
      break;
  }
}

// Into the guest or out of it: nobody there was called by code here.
void emu_conflict_world_switch(unsigned id)
{
  operations[id].depth = 0;
}

// ---- operations -------------------------------------------------------------

static void begin(unsigned id)
{
  struct operation *op = &operations[id];

  if (!op->active) emu_conflict_active++;
  op->active = true;
  op->disturbed = 0;
  op->stack = 0;
  op->depth = 0;
  op->accesses.clear();
}

static Bit64s end(unsigned id)
{
  struct operation *op = &operations[id];

  if (!op->active) return EMUCONFLICT_NOT_BEGUN;
  op->active = false;
  emu_conflict_active--;
  if (op->disturbed) return op->disturbed;
  for (site_map::iterator i = op->accesses.begin(); i != op->accesses.end(); ++i) {
    std::pair<site_map::iterator, bool> r = kept.insert(*i);
    if (!r.second) r.first->second.ops++;
  }
  return 0;
}

static void reset(void)
{
  kept.clear();
  for (unsigned i = 0; i < EMUCOUNT_MAX_CPUS; i++) {
    if (operations[i].active) emu_conflict_active--;
    operations[i].active = false;
  }
}

// ---- verdict ----------------------------------------------------------------

static Bit64u line_of(const site &s)
{
  return s.pa / EMUCONFLICT_LINE;
}

static bool before(const site &a, const site &b)
{
  if (line_of(a) != line_of(b)) return line_of(a) < line_of(b);
  if ((a.kind == EMUCONFLICT_READ) != (b.kind == EMUCONFLICT_READ)) return a.kind != EMUCONFLICT_READ;
  if (a.cpu != b.cpu) return a.cpu < b.cpu;
  if (a.rip != b.rip) return a.rip < b.rip;
  return a.pa < b.pa;
}

struct users { Bit32u writers, all; };  // CPUs, as bits

static Bit64s sites(BX_CPU_C *cpu, Bit64u buf, Bit64u bytes)
{
  std::unordered_map<Bit64u, users> lines;
  std::vector<site> found;

  for (site_map::iterator i = kept.begin(); i != kept.end(); ++i) {
    const site &s = i->second;
    users &u = lines[line_of(s)];
    u.all |= 1u << s.cpu;
    if (s.kind != EMUCONFLICT_READ) u.writers |= 1u << s.cpu;
  }
  for (site_map::iterator i = kept.begin(); i != kept.end(); ++i) {
    const users &u = lines[line_of(i->second)];
    if (u.writers && (u.all & (u.all - 1))) found.push_back(i->second);
  }
  std::sort(found.begin(), found.end(), before);
  Bit64u n = found.size() * sizeof(site);
  if (n > bytes) n = bytes;
  if (n && !emu_copy_linear(cpu, buf, &found[0], n, BX_WRITE)) return -1;
  return found.size();
}

Bit64s emu_conflict_call(BX_CPU_C *cpu, unsigned op, Bit64u a0, Bit64u a1)
{
  switch (op) {
    case EMUCONFLICT_RESET: reset(); return 0;
    case EMUCONFLICT_BEGIN: begin(cpu->bx_cpuid); return 0;
    case EMUCONFLICT_END:   return end(cpu->bx_cpuid);
    case EMUCONFLICT_SITES: return sites(cpu, a0, a1);
    case EMUCONFLICT_FORGET: emu_object_forget_libraries(); return 0;
  }
  return -1;
}
