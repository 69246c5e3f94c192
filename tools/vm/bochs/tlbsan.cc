// SPDX-License-Identifier: GPL-2.0 OR MIT
// TLB sanitizer: follows what the CPUs do and what the module claims.
//
// Bochs drops its own TLB at every VM entry and exit, so a module that forgets
// an INVEPT runs well in it. Here each translation a CPU used under an EPT root
// is remembered until the architecture says that it is gone: INVEPT on that
// CPU, or an EPT violation there for that page. Two markers of the module,
// no-ops on real CPUs, say what it believes:
//   BUMP   what was removed until now belongs to the generation about to begin
//   DONE   no CPU can use what was removed before this generation
// A CPU that runs the guest although a DONE covers something it remembers is
// reported. docs/emulator.md has the rules for users.
#include "bochs.h"
#include "cpu/cpu.h"
#include "memory/memory-bochs.h"
#include "tlbsan.h"

#define MAX_ROOTS   128     // remembered per CPU; the one not used for longest goes
#define MAX_REPORTS 20      // written per run; all are counted

// The records of a CPU under one EPT root.
struct ept_set {
  Bit64u root;
  Bit64u used;                      // for eviction
  struct tlbsan_set s;
};

static struct ept_set sets[EMUCOUNT_MAX_CPUS][MAX_ROOTS];
static unsigned nr_sets[EMUCOUNT_MAX_CPUS], last_set[EMUCOUNT_MAX_CPUS];
static Bit64u clock_of_use;
bool tlbsan_on = true;

void emu_tlbsan_begin()
{
  tlbsan_on = true;
}

void emu_tlbsan_end()
{
  tlbsan_on = false;
}

static struct ept_set *find_set(unsigned cpu, Bit64u root)
{
  struct ept_set *s = &sets[cpu][last_set[cpu]];

  if (s->root == root) return s;
  for (unsigned i = 0; i < nr_sets[cpu]; i++)
    if (sets[cpu][i].root == root) {
      last_set[cpu] = i;
      return &sets[cpu][i];
    }
  return NULL;
}

static struct tlbsan_set *get_set(unsigned cpu, Bit64u root)
{
  struct ept_set *s = find_set(cpu, root);
  unsigned oldest = 0;

  if (!s) {
    if (nr_sets[cpu] < MAX_ROOTS) oldest = nr_sets[cpu]++;
    else
      for (unsigned i = 1; i < MAX_ROOTS; i++)
        if (sets[cpu][i].used < sets[cpu][oldest].used) oldest = i;
    s = &sets[cpu][oldest];
    tlbsan_set_clear(&s->s);
    s->root = root;
    last_set[cpu] = oldest;
  }
  s->used = ++clock_of_use;
  return &s->s;
}

static void note(unsigned cpu, struct tlbsan_set *s, const struct tlbsan_map *m)
{
  switch (tlbsan_note(s, m)) {
    case TLBSAN_KNOWN: break;
    case TLBSAN_CHANGED_NOTE: EMU_COUNT(cpu, TLBSAN_CHANGED); // fall through
    case TLBSAN_NEW: EMU_COUNT(cpu, TLBSAN_RECORDS); break;
  }
}

// A walk of the EPT succeeded. entry[3] is the root's ... entry[leaf].
void emu_tlbsan_walk(unsigned cpu, Bit64u eptp, Bit64u gpa, const Bit64u *entry, unsigned leaf)
{
  if (!tlbsan_on) return;
  struct tlbsan_set *s = get_set(cpu, LPFOf(eptp));
  bool same = tlbsan_same_upper(s, gpa, leaf, entry, TLBSAN_ADDR | 7);
  struct tlbsan_map m = { 0, 0, 0, 0, 1, 7 };

  for (unsigned l = 3; l > leaf; l--) {
    m.rights &= (Bit8u) entry[l];
    if (same) continue;
    m.addr = tlbsan_base(gpa, l);
    m.to = entry[l] & TLBSAN_ADDR;
    m.level = l;
    note(cpu, s, &m);
  }
  m.rights &= (Bit8u) entry[leaf];
  m.addr = tlbsan_base(gpa, leaf);
  m.to = tlbsan_base(entry[leaf] & TLBSAN_ADDR, leaf);
  m.level = leaf;
  m.upper = 0;
  note(cpu, s, &m);
}

// An EPT violation drops what would have translated that address.
void emu_tlbsan_violation(unsigned cpu, Bit64u eptp, Bit64u gpa)
{
  struct ept_set *s = tlbsan_on ? find_set(cpu, LPFOf(eptp)) : NULL;

  if (s) tlbsan_drop_addr(&s->s, gpa);
}

static void drop_all(unsigned cpu)
{
  for (unsigned i = 0; i < nr_sets[cpu]; i++) tlbsan_set_clear(&sets[cpu][i].s);
}

void emu_tlbsan_invept(unsigned cpu, unsigned type, Bit64u eptp)
{
  if (type == BX_INVEPT_INVVPID_ALL_CONTEXT_INVALIDATION) {
    drop_all(cpu);
    return;
  }
  struct ept_set *s = find_set(cpu, LPFOf(eptp));
  if (s) tlbsan_set_clear(&s->s);
}

// INIT keeps the TLBs of a CPU, a reset does not.
void emu_tlbsan_reset(unsigned cpu, unsigned type)
{
  if (type == BX_RESET_HARDWARE) drop_all(cpu);
}

// ---- verdict ----------------------------------------------------------------

static unsigned reports, expected;

// So many of the next reports are what a test is about: they are not errors and
// not shown. How many of the former wish are left.
unsigned emu_tlbsan_expect(unsigned count)
{
  unsigned left = expected;

  expected = count;
  return left;
}

void tlbsan_report(unsigned cpu, tlbsan_text_fn *describe, void *arg)
{
  char text[512];

  if (expected) {
    expected--;
    return;
  }
  EMU_COUNT(cpu, TLBSAN_ERRORS);
  if (reports++ == MAX_REPORTS) emu_console_line("tlbsan: more reports are counted, not shown");
  if (reports > MAX_REPORTS) return;
  describe(arg, text, sizeof text);
  emu_console_line(text);
}

struct finding {
  BX_CPU_C *cpu;
  const struct ept_set *s;
  const struct tlbsan_rec *r;
  const char *what;
};

static void describe(void *arg, char *text, size_t size)
{
  const struct finding *f = (const struct finding *) arg;
  const struct tlbsan_map *m = &f->r->m;
  char now[96];

  tlbsan_ept_describe(f->s->root, m->addr, now, sizeof now);
  snprintf(text, size,
           "tlbsan: CPU %u %s with a removed translation: EPT root %llx gpa %llx level %u %s hpa %llx "
           "%c%c%c, removed before generation %llu, whose shootdown is over; memory has: %s; guest rip %llx",
           f->cpu->bx_cpuid, f->what, (unsigned long long) f->s->root, (unsigned long long) m->addr, m->level + 1,
           m->upper ? "table" : "page", (unsigned long long) m->to, m->rights & 1 ? 'r' : '-',
           m->rights & 2 ? 'w' : '-', m->rights & 4 ? 'x' : '-', (unsigned long long) f->r->gen, now,
           (unsigned long long) f->cpu->gen_reg[BX_64BIT_REG_RIP].rrx);
}

static void report_condemned(BX_CPU_C *cpu, struct ept_set *es, const char *what)
{
  struct tlbsan_set *s = &es->s;

  for (Bit32u i = 0; s->nr_condemned && i < s->nr; i++) {
    struct finding f = { cpu, es, &s->rec[i], what };
    if (s->rec[i].state != TLBSAN_CONDEMNED) continue;
    tlbsan_report(cpu->bx_cpuid, describe, &f);
    tlbsan_drop(s, &s->rec[i]);
  }
}

// The CPU is about to run a guest, or its guest took another EPT (VMFUNC).
void emu_tlbsan_entry(BX_CPU_C *cpu)
{
  if (!tlbsan_on || !cpu->vmcs.vmexec_ctrls2.EPT_ENABLE()) return;
  struct ept_set *s = find_set(cpu->bx_cpuid, LPFOf(cpu->vmcs.eptptr));
  if (s && s->s.nr_condemned) report_condemned(cpu, s, "enters the guest");
}

static bool in_guest_under(const BX_CPU_C *cpu, Bit64u root)
{
  return cpu->in_vmx_guest && cpu->vmcs.vmexec_ctrls2.EPT_ENABLE() && LPFOf(cpu->vmcs.eptptr) == root;
}

static void mark_bump(BX_CPU_C *cpu, Bit64u root, Bit64u gen_addr)
{
  Bit64u gen;

  EMU_COUNT(cpu->bx_cpuid, TLBSAN_BUMPS);
  if (!emu_read_linear(cpu, gen_addr, &gen)) return;
  for (unsigned c = 0; c < (unsigned) BX_SMP_PROCESSORS; c++) {
    struct ept_set *s = find_set(c, root);
    if (s) tlbsan_ept_scan(&s->s, root, gen + 1);
  }
}

static void mark_done(BX_CPU_C *cpu, Bit64u root, Bit64u gen)
{
  EMU_COUNT(cpu->bx_cpuid, TLBSAN_DONES);
  for (unsigned c = 0; c < (unsigned) BX_SMP_PROCESSORS; c++) {
    struct ept_set *s = find_set(c, root);
    if (!s || !s->s.nr_pending) continue;
    emu_counts[c][EMU_TLBSAN_CONDEMNED] += tlbsan_condemn(&s->s, 0, gen);
    if (s->s.nr_condemned && in_guest_under(BX_CPU(c), root))
      report_condemned(BX_CPU(c), s, "is in the guest");
  }
}

// The marker instruction. Only a kernel's word counts.
void emu_tlbsan_mark(BX_CPU_C *cpu, Bit32u what)
{
  Bit64u root = LPFOf(cpu->gen_reg[BX_64BIT_REG_RDI].rrx);
  Bit64u value = cpu->gen_reg[BX_64BIT_REG_RAX].rrx;

  if (!tlbsan_on || !cpu->in_vmx || cpu->in_vmx_guest || cpu->sregs[BX_SEG_REG_CS].selector.rpl) return;
  if (what == TLBSAN_MARK_BUMP) mark_bump(cpu, root, value);
  else mark_done(cpu, root, value);
}
