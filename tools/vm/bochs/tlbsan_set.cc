// SPDX-License-Identifier: GPL-2.0 OR MIT
// TLB sanitizer: records of one CPU under one EPT root, and the EPT as memory
// has it now. Reading it here sets no accessed bit and takes no exit.
#include "bochs.h"
#include "cpu/cpu.h"
#include "memory/memory-bochs.h"
#include "tlbsan.h"

#define ADDR_MASK   BX_CONST64(0x000ffffffffff000)
#define RIGHTS      7u
#define LARGE       0x80u
#define MAX_RECORDS (1u << 20)      // of one set: then it starts anew

static inline Bit64u level_size(unsigned level) { return BX_CONST64(4096) << (9 * level); }
static inline Bit64u level_base(Bit64u addr, unsigned level) { return addr & ~(level_size(level) - 1); }

// ---- the EPT in memory ------------------------------------------------------

static const Bit64u *table_ptr(Bit64u hpa)
{
  return (const Bit64u *) BX_MEM(0)->getHostMemAddr(NULL, hpa, BX_READ);
}

static inline unsigned table_slot(Bit64u gpa, unsigned level) { return (gpa >> (12 + 9 * level)) & 511; }

static inline bool is_leaf(Bit64u entry, unsigned level)
{
  return level == 0 || (level < 3 && (entry & LARGE));
}

// Where a walk for gpa ends, not below the level "stop".
struct walk {
  unsigned level;
  Bit64u entry;               // 0 rights: absent
  unsigned rights;            // of all entries, this included
  const Bit64u *table;        // that holds the entry
};

static void walk_memory(Bit64u root, Bit64u gpa, unsigned stop, struct walk *w)
{
  Bit64u table = root;

  w->rights = RIGHTS;
  for (w->level = 3; ; w->level--) {
    w->entry = 0;
    w->table = table_ptr(table);
    if (w->table) w->entry = w->table[table_slot(gpa, w->level)];
    w->rights &= w->entry;
    if (!(w->entry & RIGHTS) || w->level == stop || is_leaf(w->entry, w->level)) return;
    table = w->entry & ADDR_MASK;
  }
}

// A large mapping was split: it still holds if the whole table says the same.
static bool table_covers(Bit64u table_hpa, unsigned level, Bit64u hpa, unsigned need)
{
  const Bit64u *table = table_ptr(table_hpa);

  if (!table) return false;
  for (unsigned i = 0; i < 512; i++, hpa += level_size(level)) {
    Bit64u e = table[i];
    if (need & ~e) return false;
    if (is_leaf(e, level)) {
      if (level_base(e & ADDR_MASK, level) != hpa) return false;
    }
    else if (!table_covers(e & ADDR_MASK, level - 1, hpa, need)) return false;
  }
  return true;
}

static bool walk_agrees(const struct tlbsan_rec *r, const struct walk *w)
{
  if (r->rights & ~w->rights) return false;
  if (r->upper)
    return w->level == r->level && !is_leaf(w->entry, w->level) && (w->entry & ADDR_MASK) == r->hpa;
  if (is_leaf(w->entry, w->level))
    return level_base(w->entry & ADDR_MASK, w->level) + (r->gpa & (level_size(w->level) - 1)) == r->hpa;
  return table_covers(w->entry & ADDR_MASK, r->level - 1, r->hpa, r->rights);
}

void tlbsan_describe(Bit64u root, Bit64u gpa, char *text, size_t size)
{
  struct walk w;

  walk_memory(root, gpa, 0, &w);
  if (!(w.entry & RIGHTS))
    snprintf(text, size, "absent at level %u (entry %llx)", w.level + 1, (unsigned long long) w.entry);
  else
    snprintf(text, size, "level %u hpa %llx %c%c%c", w.level + 1,
             (unsigned long long) level_base(w.entry & ADDR_MASK, w.level),
             w.rights & 1 ? 'r' : '-', w.rights & 2 ? 'w' : '-', w.rights & 4 ? 'x' : '-');
}

// ---- records ----------------------------------------------------------------

static inline Bit64u key_of(Bit64u gpa, unsigned level, unsigned upper)
{
  return level_base(gpa, level) | level << 1 | upper;
}

static Bit32u hash(const struct tlbsan_set *s, Bit64u key)
{
  return (Bit32u) ((key * BX_CONST64(0x9e3779b97f4a7c15)) >> 32) & (s->index_size - 1);
}

// The slot that holds the key, or the free one where it belongs.
static Bit32u find_slot(const struct tlbsan_set *s, Bit64u key)
{
  Bit32u slot = hash(s, key);

  while (s->index[slot]) {
    const struct tlbsan_rec *r = &s->rec[s->index[slot] - 1];
    if (key_of(r->gpa, r->level, r->upper) == key) break;
    slot = (slot + 1) & (s->index_size - 1);
  }
  return slot;
}

static void *must_have(void *p)
{
  if (!p) {
    fprintf(stderr, "emulator: no memory for the TLB sanitizer\n");
    abort();
  }
  return p;
}

static void grow(struct tlbsan_set *s)
{
  if (s->nr == s->room) {
    s->room = s->room ? 2 * s->room : 64;
    s->rec = (struct tlbsan_rec *) must_have(realloc(s->rec, s->room * sizeof *s->rec));
  }
  if (2 * (s->nr + 1) <= s->index_size) return;
  free(s->index);
  s->index_size = s->index_size ? 2 * s->index_size : 256;
  s->index = (Bit32u *) must_have(calloc(s->index_size, sizeof *s->index));
  for (Bit32u i = 0; i < s->nr; i++) {
    struct tlbsan_rec *r = &s->rec[i];
    if (r->detached) continue;
    r->slot = find_slot(s, key_of(r->gpa, r->level, r->upper));
    s->index[r->slot] = i + 1;
  }
}

void tlbsan_set_clear(struct tlbsan_set *s)
{
  // not the whole index: it may be large, and this runs at each INVEPT
  for (Bit32u i = 0; i < s->nr; i++)
    if (!s->rec[i].detached) s->index[s->rec[i].slot] = 0;
  s->nr = s->nr_detached = s->nr_pending = s->nr_condemned = 0;
  s->last_region = ~BX_CONST64(0);
}

void tlbsan_drop(struct tlbsan_set *s, struct tlbsan_rec *r)
{
  if (r->state == TLBSAN_PENDING) s->nr_pending--;
  if (r->state == TLBSAN_CONDEMNED) s->nr_condemned--;
  r->state = TLBSAN_DROPPED;
  s->last_region = ~BX_CONST64(0);
}

void tlbsan_drop_gpa(struct tlbsan_set *s, Bit64u gpa)
{
  if (!s->index_size) return;
  for (unsigned level = 0; level < 4; level++)
    for (unsigned upper = level == 3; upper < 2; upper++) {
      Bit32u n = s->index[find_slot(s, key_of(gpa, level, upper))];
      if (n) tlbsan_drop(s, &s->rec[n - 1]);
    }
  if (!s->nr_detached) return;
  for (Bit32u i = 0; i < s->nr; i++) {
    struct tlbsan_rec *r = &s->rec[i];
    if (r->detached && level_base(gpa, r->level) == r->gpa) tlbsan_drop(s, r);
  }
}

// Keep a translation that a newer walk contradicts: a CPU may still hold it.
static void detach(struct tlbsan_set *s, const struct tlbsan_rec *old)
{
  struct tlbsan_rec copy = *old;

  copy.detached = 1;
  grow(s);
  s->rec[s->nr++] = copy;
  s->nr_detached++;
}

enum tlbsan_note tlbsan_note(struct tlbsan_set *s, Bit64u gpa, unsigned level, unsigned upper,
                             Bit64u hpa, unsigned rights)
{
  enum tlbsan_note what = TLBSAN_NEW;
  Bit64u key = key_of(gpa, level, upper);
  struct tlbsan_rec *r;
  Bit32u slot, n;

  if (s->nr >= MAX_RECORDS) tlbsan_set_clear(s);
  grow(s);
  slot = find_slot(s, key);
  n = s->index[slot];
  if (n) {
    r = &s->rec[n - 1];
    if (r->state == TLBSAN_LIVE && r->hpa == hpa && !(r->rights & ~rights)) {
      r->rights = rights;
      return TLBSAN_KNOWN;
    }
    if (r->state != TLBSAN_DROPPED) {
      if (r->state == TLBSAN_LIVE) what = TLBSAN_CHANGED_NOTE;
      detach(s, r);
      r = &s->rec[n - 1];
    }
  }
  else {
    n = ++s->nr;
    s->index[slot] = n;
    r = &s->rec[n - 1];
    r->slot = slot;
    r->detached = 0;
    r->gpa = level_base(gpa, level);
    r->level = level;
    r->upper = upper;
  }
  r->hpa = hpa;
  r->rights = rights;
  r->gen = 0;
  r->state = TLBSAN_LIVE;
  return what;
}

bool tlbsan_same_upper(struct tlbsan_set *s, Bit64u gpa, unsigned leaf, const Bit64u *entry)
{
  bool same = s->last_region == (level_base(gpa, leaf + 1) | leaf);

  for (unsigned l = leaf + 1; l < 4; l++) {
    Bit64u e = entry[l] & (ADDR_MASK | RIGHTS);
    same &= s->last_upper[l] == e;
    s->last_upper[l] = e;
  }
  s->last_region = level_base(gpa, leaf + 1) | leaf;
  return same;
}

// ---- judging ----------------------------------------------------------------

void tlbsan_scan(struct tlbsan_set *s, Bit64u gen)
{
  struct walk w;
  Bit64u region = ~BX_CONST64(0);     // whose level-0 table w has
  unsigned upper_rights = 0;

  for (Bit32u i = 0; i < s->nr; i++) {
    struct tlbsan_rec *r = &s->rec[i];

    if (r->state == TLBSAN_DROPPED || (r->state != TLBSAN_LIVE && r->gen <= gen)) continue;
    if (r->level == 0 && level_base(r->gpa, 1) == region) {
      w.entry = w.table[table_slot(r->gpa, 0)];
      w.rights = upper_rights & w.entry;
    }
    else {
      region = ~BX_CONST64(0);
      walk_memory(s->root, r->gpa, r->level, &w);
      if (w.level == 0 && w.table) {
        // memory is not written during a scan: the table stays the region's
        struct walk up;
        region = level_base(r->gpa, 1);
        walk_memory(s->root, r->gpa, 1, &up);
        upper_rights = up.rights;
      }
    }
    if (walk_agrees(r, &w)) continue;
    if (r->state == TLBSAN_CONDEMNED) s->nr_condemned--;
    if (r->state != TLBSAN_PENDING) s->nr_pending++;
    r->state = TLBSAN_PENDING;
    r->gen = gen;
  }
}

unsigned tlbsan_condemn(struct tlbsan_set *s, Bit64u gen)
{
  unsigned count = 0;

  for (Bit32u i = 0; s->nr_pending && i < s->nr; i++) {
    struct tlbsan_rec *r = &s->rec[i];
    if (r->state != TLBSAN_PENDING || r->gen > gen) continue;
    r->state = TLBSAN_CONDEMNED;
    s->nr_pending--;
    s->nr_condemned++;
    count++;
  }
  return count;
}
