// SPDX-License-Identifier: GPL-2.0 OR MIT
// TLB sanitizer: a guest's page table as memory has it now. It is read through
// the EPT as memory has that, without accessed bits, faults or exits.
#include "bochs.h"
#include "cpu/cpu.h"
#include "gtlbsan.h"

#define LARGE        0x80u
#define DIRTY        0x40u
#define NX           (BX_CONST64(1) << 63)

struct walk {
  bool known;         // false: the EPT has no page where a table is
  unsigned level;     // where it ends
  Bit64u entry;
  unsigned rights;    // 0: absent
};

static inline bool is_leaf(Bit64u entry, unsigned level)
{
  return level == 0 || (level < 3 && (entry & LARGE));
}

// Not below the level "stop".
static void walk_memory(Bit64u root, Bit64u base, Bit64u la, unsigned stop, struct walk *w)
{
  Bit64u table = base;

  w->rights = GTLB_READ | GTLB_WRITE | GTLB_USER | GTLB_EXEC;
  for (w->level = 3; ; w->level--) {
    const Bit64u *e = (const Bit64u *) tlbsan_ept_memory(root, table + 8 * tlbsan_slot(la, w->level));
    w->known = e != NULL;
    if (!e) return;
    w->entry = *e;
    if (!(*e & 1)) {
      w->rights = 0;
      return;
    }
    w->rights &= (*e & 7) | (*e & NX ? 0 : GTLB_EXEC);
    if (w->level == stop || is_leaf(*e, w->level)) break;
    table = *e & TLBSAN_ADDR;
  }
  if (is_leaf(w->entry, w->level) && (w->entry & DIRTY)) w->rights |= GTLB_DIRTY;
}

static Bit64u target(const struct walk *w, Bit64u la)
{
  return tlbsan_base(w->entry & TLBSAN_ADDR, w->level) + (la & (tlbsan_size(w->level) - 1));
}

static bool upper_agrees(const struct tlbsan_map *m, const struct walk *w)
{
  return w->level == m->level && !(m->rights & ~w->rights) && !is_leaf(w->entry, w->level) &&
         (w->entry & TLBSAN_ADDR) == m->to;
}

enum gtlb_says gtlb_memory_says(Bit64u root, Bit64u base, const struct tlbsan_map *m, Bit64u first, Bit64u last)
{
  enum gtlb_says says = GTLB_YES;
  struct walk w;

  if (m->upper) {
    walk_memory(root, base, m->addr, m->level, &w);
    if (!w.known) return GTLB_UNKNOWN;
    return upper_agrees(m, &w) ? GTLB_YES : GTLB_NO;
  }
  if (first < m->addr) first = m->addr;
  if (last > m->addr + tlbsan_size(m->level) - 1) last = m->addr + tlbsan_size(m->level) - 1;
  // a large page may have been split into pages that say the same
  for (Bit64u a = tlbsan_base(first, 0); a <= last; a = tlbsan_base(a, w.level) + tlbsan_size(w.level)) {
    walk_memory(root, base, a, 0, &w);
    if (!w.known) says = GTLB_UNKNOWN;
    else if (m->rights & ~w.rights || target(&w, a) != m->to + (a - m->addr)) return GTLB_NO;
  }
  return says;
}

void gtlb_describe_memory(Bit64u root, Bit64u base, Bit64u la, char *text, size_t size)
{
  struct walk w;

  walk_memory(root, base, la, 0, &w);
  if (!w.known)
    snprintf(text, size, "a table at level %u that the EPT does not have", w.level + 1);
  else if (!w.rights)
    snprintf(text, size, "absent at level %u (entry %llx)", w.level + 1, (unsigned long long) w.entry);
  else
    snprintf(text, size, "level %u gpa %llx (entry %llx)", w.level + 1,
             (unsigned long long) tlbsan_base(w.entry & TLBSAN_ADDR, w.level), (unsigned long long) w.entry);
}
