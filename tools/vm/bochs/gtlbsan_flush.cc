// SPDX-License-Identifier: GPL-2.0 OR MIT
// TLB sanitizer, guests' page tables: what makes a CPU forget translations, and
// no more than the architecture promises: what the instructions below name, a
// page fault for its page, and VM entry and exit without VPIDs. Instructions of
// the host do nothing here but INVEPT and INVVPID: it runs under VPID 0.
#include "bochs.h"
#include "cpu/cpu.h"
#include "gtlbsan.h"

// Which spaces an instruction is about, and what of them it drops.
struct flush {
  int vpid;             // -1: any
  int pcid;             // -1: any
  bool global;          // the global ones too
  bool all;             // everything, or what translates la:
  Bit64u la;
  bool all_uppers;      // every upper entry nevertheless
};

static void flush_space(unsigned, struct gtlb_space *s, void *arg)
{
  const struct flush *f = (const struct flush *) arg;

  if (f->vpid >= 0 && s->tag.vpid != f->vpid) return;
  if (s->tag.pcid == GTLB_GLOBAL ? !f->global : f->pcid >= 0 && s->tag.pcid != f->pcid) return;
  if (f->all) {
    gtlb_clear(s);
    return;
  }
  tlbsan_drop_addr(&s->leaves, f->la & GTLB_LA_MASK);
  if (f->all_uppers) tlbsan_set_clear(&s->uppers);
  else tlbsan_drop_addr(&s->uppers, f->la & GTLB_LA_MASK);
}

static void flush_spaces(unsigned cpu, struct flush f)
{
  gtlb_each_space(cpu, flush_space, &f);
}

static struct flush whole(int vpid, int pcid, bool global)
{
  struct flush f = { vpid, pcid, global, true, 0, true };
  return f;
}

// ---- by the guest -----------------------------------------------------------

// After MOV to CR3; it keeps: bit 63 of the source, with CR4.PCIDE.
void emu_gtlb_cr3(BX_CPU_C *cpu, enum emu_cr3_write write)
{
  unsigned c = cpu->bx_cpuid;

  if (!tlbsan_on || !gtlb_here[c].in_guest) return;
  if (write == EMU_CR3_FLUSHES)
    flush_spaces(c, whole(gtlb_here[c].tag.vpid, cpu->cr4.get_PCIDE() ? cpu->cr3 & 0xfff : 0, false));
  gtlb_switch(cpu, "changes CR3");
}

// After MOV to CR4.
void emu_gtlb_cr4(BX_CPU_C *cpu, Bit32u old)
{
  unsigned c = cpu->bx_cpuid;
  Bit32u now = cpu->cr4.get32(), changed = old ^ now;
  const struct gtlb_tag *tag = &gtlb_here[c].tag;

  if (!tlbsan_on || !gtlb_here[c].in_guest) return;
  if ((changed & BX_CR4_PGE_MASK) || (changed & old & BX_CR4_PCIDE_MASK))
    flush_spaces(c, whole(tag->vpid, -1, true));
  else if ((changed & BX_CR4_PAE_MASK) || (changed & now & BX_CR4_SMEP_MASK))
    flush_spaces(c, whole(tag->vpid, tag->pcid, false));
  gtlb_switch(cpu, "changes CR4");
}

// After MOV to CR0.
void emu_gtlb_cr0(BX_CPU_C *cpu, Bit32u old)
{
  unsigned c = cpu->bx_cpuid;

  if (!tlbsan_on || !gtlb_here[c].in_guest) return;
  if ((old & ~cpu->cr0.get32()) >> 31) flush_spaces(c, whole(gtlb_here[c].tag.vpid, -1, true));
}

void emu_gtlb_invlpg(unsigned cpu, Bit64u la)
{
  const struct gtlb_tag *tag = &gtlb_here[cpu].tag;

  if (!tlbsan_on || !gtlb_here[cpu].in_guest) return;
  struct flush f = { tag->vpid, tag->pcid, true, false, la, true };
  flush_spaces(cpu, f);
}

void emu_gtlb_invpcid(unsigned cpu, unsigned type, unsigned pcid, Bit64u la)
{
  int vpid = gtlb_here[cpu].tag.vpid;

  if (!tlbsan_on || !gtlb_here[cpu].in_guest) return;
  switch (type) {
    case 0: {   // one address of one PCID
      struct flush f = { vpid, (int) pcid, false, false, la, false };
      flush_spaces(cpu, f);
      break;
    }
    case 1: flush_spaces(cpu, whole(vpid, pcid, false)); break;
    case 2: flush_spaces(cpu, whole(vpid, -1, true)); break;
    case 3: flush_spaces(cpu, whole(vpid, -1, false)); break;
  }
}

static void drop_unless_allowed(struct tlbsan_set *s, struct tlbsan_rec *r, void *arg)
{
  unsigned need = *(const unsigned *) arg;

  // of a large page, the CPU may keep the parts of other addresses
  if (r->m.level == 0 && (need & ~r->m.rights)) tlbsan_drop(s, r);
}

// A page fault drops what did not allow the access. A translation that allows it
// would not have led to the fault in a real CPU, and stays.
void emu_gtlb_fault(BX_CPU_C *cpu, Bit64u la, unsigned user, unsigned rw)
{
  struct gtlb_here *h = &gtlb_here[cpu->bx_cpuid];
  unsigned need = GTLB_READ | (user ? GTLB_USER : 0);

  if (!tlbsan_on || !h->in_guest) return;
  if (rw == BX_EXECUTE) need |= GTLB_EXEC;
  else if ((rw & 1) && (user || cpu->cr0.get_WP())) need |= GTLB_WRITE;
  la &= GTLB_LA_MASK;
  if (h->own) {
    tlbsan_each(&h->own->leaves, la, la, drop_unless_allowed, &need);
    tlbsan_drop_addr(&h->own->uppers, la);
  }
  if (h->global) tlbsan_each(&h->global->leaves, la, la, drop_unless_allowed, &need);
}

// ---- by the host ------------------------------------------------------------

void emu_gtlb_invvpid(unsigned cpu, unsigned type, unsigned vpid, Bit64u la)
{
  switch (type) {
    case BX_INVEPT_INVVPID_INDIVIDUAL_ADDRESS_INVALIDATION: {
      struct flush f = { (int) vpid, -1, true, false, la, false };
      flush_spaces(cpu, f);
      break;
    }
    case BX_INVEPT_INVVPID_SINGLE_CONTEXT_INVALIDATION:
      flush_spaces(cpu, whole(vpid, -1, true));
      break;
    case BX_INVEPT_INVVPID_ALL_CONTEXT_INVALIDATION:
      flush_spaces(cpu, whole(-1, -1, true));
      break;
    case BX_INVEPT_INVVPID_SINGLE_CONTEXT_NON_GLOBAL_INVALIDATION:
      flush_spaces(cpu, whole(vpid, -1, false));
      break;
  }
}

static void flush_root(unsigned, struct gtlb_space *s, void *arg)
{
  if (s->tag.root == *(const Bit64u *) arg) gtlb_clear(s);
}

void emu_gtlb_invept(unsigned cpu, unsigned type, Bit64u eptp)
{
  Bit64u root = LPFOf(eptp);

  if (type == BX_INVEPT_INVVPID_ALL_CONTEXT_INVALIDATION) flush_spaces(cpu, whole(-1, -1, true));
  else gtlb_each_space(cpu, flush_root, &root);
}

// The CPU leaves the guest. Without VPIDs that drops everything, as an entry does.
void emu_gtlb_exit(unsigned cpu)
{
  struct gtlb_here *h = &gtlb_here[cpu];

  if (h->in_guest && !h->tag.vpid) flush_spaces(cpu, whole(0, -1, true));
  h->in_guest = false;
}

// INIT keeps the TLBs of a CPU, a reset does not.
void emu_gtlb_reset(unsigned cpu, unsigned type)
{
  gtlb_here[cpu].in_guest = false;
  if (type == BX_RESET_HARDWARE) flush_spaces(cpu, whole(-1, -1, true));
}
