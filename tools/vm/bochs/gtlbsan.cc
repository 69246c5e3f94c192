// SPDX-License-Identifier: GPL-2.0 OR MIT
// TLB sanitizer, guests' page tables: what CPUs walk, where they are, verdicts.
//
// Each translation that a guest's page walk yields is remembered under the tag
// that a real CPU gives it: EPT root, VPID, PCID (none when global). Only what
// the architecture says drops it (gtlbsan_flush.cc). Marks of the software
// (gtlbsan_marks.cc) say what it removed and when it believes that no CPU can
// use it any more. A CPU that could use it nevertheless is reported: at that
// mark, at a VM entry, at a change of CR3. So is a VPID that comes to another
// vCPU, and a PCID that comes to another root, with translations under it.
// docs/emulator.md has the rules for users.
#include "bochs.h"
#include "cpu/cpu.h"
#include "gtlbsan.h"

// ---- noting -----------------------------------------------------------------

// Where the CPU is now. False: in no guest with an EPT.
static bool locate(const BX_CPU_C *cpu, struct gtlb_here *h)
{
  if (!cpu->in_vmx_guest || !cpu->vmcs.vmexec_ctrls2.EPT_ENABLE()) return false;
  h->in_guest = true;
  h->tag.root = LPFOf(cpu->vmcs.eptptr);
  h->tag.vpid = cpu->vmcs.vmexec_ctrls2.VPID_ENABLE() ? cpu->vmcs.vpid : 0;
  h->tag.pcid = cpu->cr4.get_PCIDE() ? cpu->cr3 & 0xfff : 0;
  h->base = cpu->cr3 & TLBSAN_ADDR;
  h->owner = cpu->vmcsptr;
  return true;
}

static bool same_place(const struct gtlb_here *a, const struct gtlb_here *b)
{
  return a->tag.root == b->tag.root && a->tag.vpid == b->tag.vpid && a->tag.pcid == b->tag.pcid &&
         a->base == b->base && a->owner == b->owner;
}

static void note(unsigned cpu, struct tlbsan_set *s, const struct tlbsan_map *m)
{
  switch (tlbsan_note(s, m)) {
    case TLBSAN_KNOWN: break;
    case TLBSAN_CHANGED_NOTE: EMU_COUNT(cpu, GTLB_CHANGED); // fall through
    case TLBSAN_NEW: EMU_COUNT(cpu, GTLB_RECORDS); break;
  }
}

static struct gtlb_space *space_here(unsigned cpu, unsigned pcid)
{
  struct gtlb_here *h = &gtlb_here[cpu];
  struct gtlb_space *s = gtlb_get(cpu, &h->tag, pcid, h->owner);

  h->own = gtlb_find(cpu, &h->tag, h->tag.pcid);
  h->global = gtlb_find(cpu, &h->tag, GTLB_GLOBAL);
  s->base = h->base;
  return s;
}

static void note_uppers(unsigned cpu, struct gtlb_space *s, Bit64u la, const Bit64u *entry, unsigned leaf)
{
  struct tlbsan_map m = { 0, 0, gtlb_here[cpu].base, 0, 1, GTLB_READ | GTLB_WRITE | GTLB_USER | GTLB_EXEC };

  for (unsigned l = 3; l > leaf; l--) {
    m.rights &= (entry[l] & 7) | (entry[l] >> 63 ? 0 : GTLB_EXEC);
    m.addr = tlbsan_base(la, l);
    m.to = entry[l] & TLBSAN_ADDR;
    m.level = l;
    note(cpu, &s->uppers, &m);
  }
}

// A walk of a guest's page table succeeded. entry[3] is the root's ... entry[leaf],
// accessed and dirty bits set as the access needs.
void emu_gtlb_walk(BX_CPU_C *cpu, Bit64u la, const Bit64u *entry, unsigned leaf, unsigned top)
{
  unsigned c = cpu->bx_cpuid;
  struct gtlb_here *h = &gtlb_here[c];

  if (!tlbsan_on || top != 3 || !h->in_guest) return;
  la &= GTLB_LA_MASK;
  if (!h->own) space_here(c, h->tag.pcid);
  struct tlbsan_map m = { tlbsan_base(la, leaf), tlbsan_base(entry[leaf] & TLBSAN_ADDR, leaf), h->base,
                          (Bit8u) leaf, 0, GTLB_READ | GTLB_WRITE | GTLB_USER | GTLB_EXEC };
  for (unsigned l = leaf; l <= 3; l++) m.rights &= (entry[l] & 7) | (entry[l] >> 63 ? 0 : GTLB_EXEC);
  if (entry[leaf] & 0x40) m.rights |= GTLB_DIRTY;
  if (!tlbsan_same_upper(&h->own->uppers, la, leaf, entry, TLBSAN_ADDR | BX_CONST64(0x8000000000000007)))
    note_uppers(c, h->own, la, entry, leaf);
  if ((entry[leaf] & 0x100) && cpu->cr4.get_PGE()) {
    if (!h->global) space_here(c, GTLB_GLOBAL);
    note(c, &h->global->leaves, &m);
  }
  else note(c, &h->own->leaves, &m);
}

// ---- verdict ----------------------------------------------------------------

struct finding {
  BX_CPU_C *cpu;
  const struct gtlb_space *s;
  const struct tlbsan_rec *r;       // NULL: all of a former vCPU
  const char *what;
};

static void why_text(const struct finding *f, char *text, size_t size)
{
  switch (f->r->why) {
    case GTLB_REMOVED:
      snprintf(text, size, "removed in shootdown %llx, which is over", (unsigned long long) f->r->gen);
      break;
    case GTLB_TABLE_GONE:
      snprintf(text, size, "of a table that is gone");
      break;
    case GTLB_OTHER_ROOT:
      snprintf(text, size, "of another root than the one in CR3");
      break;
  }
}

static void describe(void *arg, char *text, size_t size)
{
  const struct finding *f = (const struct finding *) arg;
  const struct tlbsan_map *m = &f->r->m;
  Bit64u la = m->addr | (m->addr >> 47 ? ~GTLB_LA_MASK : 0);
  char now[96], why[64], pcid[16];

  gtlb_describe_memory(f->s->tag.root, gtlb_here[f->cpu->bx_cpuid].base, m->addr, now, sizeof now);
  why_text(f, why, sizeof why);
  if (f->s->tag.pcid == GTLB_GLOBAL) snprintf(pcid, sizeof pcid, "global");
  else snprintf(pcid, sizeof pcid, "pcid %x", f->s->tag.pcid);
  snprintf(text, size,
           "tlbsan: CPU %u %s with a guest translation %s: EPT root %llx vpid %u %s walked from cr3 %llx, "
           "address %llx level %u %s gpa %llx %c%c%c%c%c; memory has: %s; guest rip %llx",
           f->cpu->bx_cpuid, f->what, why, (unsigned long long) f->s->tag.root, f->s->tag.vpid, pcid,
           (unsigned long long) m->base, (unsigned long long) la, m->level + 1, m->upper ? "table" : "page",
           (unsigned long long) m->to, m->rights & GTLB_READ ? 'r' : '-', m->rights & GTLB_WRITE ? 'w' : '-',
           m->rights & GTLB_EXEC ? 'x' : '-', m->rights & GTLB_USER ? 'u' : '-',
           m->rights & GTLB_DIRTY ? 'd' : '-', now, (unsigned long long) f->cpu->gen_reg[BX_64BIT_REG_RIP].rrx);
}

static void describe_vpid(void *arg, char *text, size_t size)
{
  const struct finding *f = (const struct finding *) arg;

  snprintf(text, size,
           "tlbsan: CPU %u %s with guest translations of another vCPU: EPT root %llx vpid %u, VMCS %llx, "
           "was that of VMCS %llx; guest rip %llx",
           f->cpu->bx_cpuid, f->what, (unsigned long long) f->s->tag.root, f->s->tag.vpid,
           (unsigned long long) f->cpu->vmcsptr, (unsigned long long) f->s->owner,
           (unsigned long long) f->cpu->gen_reg[BX_64BIT_REG_RIP].rrx);
}

static void report_set(BX_CPU_C *cpu, struct gtlb_space *gs, struct tlbsan_set *s, const char *what)
{
  for (Bit32u i = 0; s->nr_condemned && i < s->nr; i++) {
    struct finding f = { cpu, gs, &s->rec[i], what };
    if (s->rec[i].state != TLBSAN_CONDEMNED) continue;
    tlbsan_report(cpu->bx_cpuid, describe, &f);
    tlbsan_drop(s, &s->rec[i]);
  }
}

void gtlb_report_condemned(unsigned cpu, struct gtlb_space *s, const char *what)
{
  report_set(BX_CPU(cpu), s, &s->leaves, what);
  report_set(BX_CPU(cpu), s, &s->uppers, what);
}

bool gtlb_usable(unsigned cpu, const struct gtlb_space *s)
{
  const struct gtlb_here *h = &gtlb_here[cpu];

  return h->in_guest && (s == h->own || s == h->global);
}

// ---- where CPUs are ---------------------------------------------------------

struct arrival {
  const struct gtlb_here *h;
  bool unknown;
};

// Translations of another table, under this tag: they must be this one's too.
static void judge_foreign(struct tlbsan_set *s, struct tlbsan_rec *r, void *arg)
{
  struct arrival *a = (struct arrival *) arg;
  const struct gtlb_here *h = a->h;
  struct tlbsan_map m = r->m;

  if (r->state == TLBSAN_CONDEMNED || m.base == h->base) return;
  m.rights &= ~GTLB_DIRTY;    // each table has dirty bits of its own
  switch (gtlb_memory_says(h->tag.root, h->base, &m, 0, GTLB_LA_LAST)) {
    case GTLB_NO: tlbsan_condemn_rec(s, r, GTLB_OTHER_ROOT); break;
    case GTLB_YES: r->m.base = h->base; break;
    case GTLB_UNKNOWN: a->unknown = true; break;
  }
}

// Who said nothing of its tables may switch them as it likes. False: the next
// arrival, which comes when the EPT has more of the table, must ask again.
static bool judge_switch(const struct gtlb_here *h, struct gtlb_space *s)
{
  struct arrival a = { h, false };
  Bit64u id;

  if (!gtlb_view(h->tag.root, h->base, &id)) return true;
  tlbsan_each(&s->leaves, 0, GTLB_LA_LAST, judge_foreign, &a);
  tlbsan_each(&s->uppers, 0, GTLB_LA_LAST, judge_foreign, &a);
  return !a.unknown;
}

static void arrive(BX_CPU_C *cpu, struct gtlb_space *s, const char *what)
{
  struct gtlb_here *h = &gtlb_here[cpu->bx_cpuid];

  if (!s) return;
  gtlb_touch(s);
  if (s->base != h->base && judge_switch(h, s)) s->base = h->base;
  if (s->leaves.nr_condemned || s->uppers.nr_condemned) gtlb_report_condemned(cpu->bx_cpuid, s, what);
}

struct newcomer {
  BX_CPU_C *cpu;
  const char *what;
  bool reported;
};

// Nothing of a vCPU may be left when its VPID comes to another one.
static void check_owner(unsigned cpu, struct gtlb_space *s, void *arg)
{
  const struct gtlb_here *h = &gtlb_here[cpu];
  struct newcomer *n = (struct newcomer *) arg;

  if (s->tag.root != h->tag.root || s->tag.vpid != h->tag.vpid || s->owner == h->owner) return;
  if (gtlb_used(s) && !n->reported) {
    struct finding f = { n->cpu, s, NULL, n->what };
    tlbsan_report(cpu, describe_vpid, &f);
    n->reported = true;
  }
  gtlb_clear(s);
  s->owner = h->owner;
}

void gtlb_switch(BX_CPU_C *cpu, const char *what)
{
  unsigned c = cpu->bx_cpuid;
  struct gtlb_here *h = &gtlb_here[c], now = { };

  if (!locate(cpu, &now)) {
    h->in_guest = false;
    return;
  }
  if (!h->own || !same_place(h, &now)) {
    struct newcomer n = { cpu, what, false };
    bool stranger = h->owner != now.owner || h->tag.vpid != now.tag.vpid || h->tag.root != now.tag.root;
    *h = now;
    if (stranger && now.tag.vpid) gtlb_each_space(c, check_owner, &n);
    h->own = gtlb_find(c, &h->tag, h->tag.pcid);
    h->global = gtlb_find(c, &h->tag, GTLB_GLOBAL);
  }
  h->in_guest = true;
  arrive(cpu, h->own, what);
  arrive(cpu, h->global, what);
}

// The CPU is about to run a guest, or its guest took another EPT (VMFUNC).
void emu_gtlb_entry(BX_CPU_C *cpu)
{
  if (!tlbsan_on) return;
  gtlb_switch(cpu, "enters the guest");
  if (gtlb_here[cpu->bx_cpuid].in_guest)
    gtlb_note_host(cpu->bx_cpuid, cpu->vmcs.host_state.cr3, gtlb_here[cpu->bx_cpuid].tag.root);
}
