// SPDX-License-Identifier: GPL-2.0 OR MIT
// TLB sanitizer: an EPT as memory has it now, and which records it contradicts.
// Reading it here sets no accessed bit and takes no exit.
#include "bochs.h"
#include "cpu/cpu.h"
#include "memory/memory-bochs.h"
#include "tlbsan.h"

#define RIGHTS      7u
#define LARGE       0x80u

static const Bit64u *table_ptr(Bit64u hpa)
{
  return (const Bit64u *) BX_MEM(0)->getHostMemAddr(NULL, hpa, BX_READ);
}

static inline bool is_leaf(Bit64u entry, unsigned level)
{
  return level == 0 || (level < 3 && (entry & LARGE));
}

void tlbsan_ept_walk(Bit64u root, Bit64u gpa, unsigned stop, struct tlbsan_walk *w)
{
  Bit64u table = root;

  w->rights = RIGHTS;
  for (w->level = 3; ; w->level--) {
    w->entry = 0;
    w->table = table_ptr(table);
    if (w->table) w->entry = w->table[tlbsan_slot(gpa, w->level)];
    w->rights &= w->entry;
    if (!(w->entry & RIGHTS) || w->level == stop || is_leaf(w->entry, w->level)) return;
    table = w->entry & TLBSAN_ADDR;
  }
}

const void *tlbsan_ept_memory(Bit64u root, Bit64u gpa)
{
  struct tlbsan_walk w;

  tlbsan_ept_walk(root, gpa, 0, &w);
  if (!(w.entry & RIGHTS)) return NULL;
  Bit64u hpa = tlbsan_base(w.entry & TLBSAN_ADDR, w.level) + (gpa & (tlbsan_size(w.level) - 1));
  return BX_MEM(0)->getHostMemAddr(NULL, hpa, BX_READ);
}

// A large mapping was split: it still holds if the whole table says the same.
static bool table_covers(Bit64u table_hpa, unsigned level, Bit64u hpa, unsigned need)
{
  const Bit64u *table = table_ptr(table_hpa);

  if (!table) return false;
  for (unsigned i = 0; i < 512; i++, hpa += tlbsan_size(level)) {
    Bit64u e = table[i];
    if (need & ~e) return false;
    if (is_leaf(e, level)) {
      if (tlbsan_base(e & TLBSAN_ADDR, level) != hpa) return false;
    }
    else if (!table_covers(e & TLBSAN_ADDR, level - 1, hpa, need)) return false;
  }
  return true;
}

static bool walk_agrees(const struct tlbsan_map *m, const struct tlbsan_walk *w)
{
  if (m->rights & ~w->rights) return false;
  if (m->upper)
    return w->level == m->level && !is_leaf(w->entry, w->level) && (w->entry & TLBSAN_ADDR) == m->to;
  if (is_leaf(w->entry, w->level))
    return tlbsan_base(w->entry & TLBSAN_ADDR, w->level) + (m->addr & (tlbsan_size(w->level) - 1)) == m->to;
  return table_covers(w->entry & TLBSAN_ADDR, m->level - 1, m->to, m->rights);
}

void tlbsan_ept_describe(Bit64u root, Bit64u gpa, char *text, size_t size)
{
  struct tlbsan_walk w;

  tlbsan_ept_walk(root, gpa, 0, &w);
  if (!(w.entry & RIGHTS))
    snprintf(text, size, "absent at level %u (entry %llx)", w.level + 1, (unsigned long long) w.entry);
  else
    snprintf(text, size, "level %u hpa %llx %c%c%c", w.level + 1,
             (unsigned long long) tlbsan_base(w.entry & TLBSAN_ADDR, w.level),
             w.rights & 1 ? 'r' : '-', w.rights & 2 ? 'w' : '-', w.rights & 4 ? 'x' : '-');
}

void tlbsan_ept_scan(struct tlbsan_set *s, Bit64u root, Bit64u gen)
{
  struct tlbsan_walk w;
  Bit64u region = ~BX_CONST64(0);     // whose level-0 table w has
  unsigned upper_rights = 0;

  for (Bit32u i = 0; i < s->nr; i++) {
    struct tlbsan_rec *r = &s->rec[i];
    const struct tlbsan_map *m = &r->m;

    if (r->state == TLBSAN_DROPPED || (r->state != TLBSAN_LIVE && r->gen <= gen)) continue;
    if (m->level == 0 && tlbsan_base(m->addr, 1) == region) {
      w.entry = w.table[tlbsan_slot(m->addr, 0)];
      w.rights = upper_rights & w.entry;
    }
    else {
      region = ~BX_CONST64(0);
      tlbsan_ept_walk(root, m->addr, m->level, &w);
      if (w.level == 0 && w.table) {
        // memory is not written during a scan: the table stays the region's
        struct tlbsan_walk up;
        region = tlbsan_base(m->addr, 1);
        tlbsan_ept_walk(root, m->addr, 1, &up);
        upper_rights = up.rights;
      }
    }
    if (!walk_agrees(m, &w)) tlbsan_pend(s, r, gen);
  }
}
