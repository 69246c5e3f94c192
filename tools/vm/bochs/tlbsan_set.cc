// SPDX-License-Identifier: GPL-2.0 OR MIT
// TLB sanitizer: the records of one CPU under one tag. Knows nothing of what
// the tables are that they come from.
#include "bochs.h"
#include "cpu/cpu.h"
#include "tlbsan.h"

#define MAX_RECORDS  (1u << 20)     // of one set: then it starts anew
#define MAX_DETACHED 1024u          // then the oldest makes room
#define NO_REGION    (~BX_CONST64(0))

// ---- index ------------------------------------------------------------------

static inline Bit64u key_of(Bit64u addr, unsigned level, unsigned upper)
{
  return tlbsan_base(addr, level) | level << 1 | upper;
}

static inline Bit64u key_of_map(const struct tlbsan_map *m) { return key_of(m->addr, m->level, m->upper); }

static Bit32u hash(const struct tlbsan_set *s, Bit64u key)
{
  return (Bit32u) ((key * BX_CONST64(0x9e3779b97f4a7c15)) >> 32) & (s->index_size - 1);
}

// The slot that holds the key, or the free one where it belongs.
static Bit32u find_slot(const struct tlbsan_set *s, Bit64u key)
{
  Bit32u slot = hash(s, key);

  while (s->index[slot]) {
    if (key_of_map(&s->rec[s->index[slot] - 1].m) == key) break;
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
    r->slot = find_slot(s, key_of_map(&r->m));
    s->index[r->slot] = i + 1;
  }
}

void tlbsan_set_clear(struct tlbsan_set *s)
{
  // not the whole index: it may be large, and this runs at each flush
  for (Bit32u i = 0; i < s->nr; i++)
    if (!s->rec[i].detached) s->index[s->rec[i].slot] = 0;
  s->nr = s->nr_detached = s->next_detached = s->nr_pending = s->nr_condemned = 0;
  s->last_region = NO_REGION;
}

void tlbsan_set_free(struct tlbsan_set *s)
{
  free(s->rec);
  free(s->index);
  free(s->detached);
  memset(s, 0, sizeof *s);
}

bool tlbsan_set_used(const struct tlbsan_set *s)
{
  for (Bit32u i = 0; i < s->nr; i++)
    if (s->rec[i].state != TLBSAN_DROPPED) return true;
  return false;
}

// ---- states -----------------------------------------------------------------

static void set_state(struct tlbsan_set *s, struct tlbsan_rec *r, enum tlbsan_state state)
{
  if (r->state == TLBSAN_PENDING) s->nr_pending--;
  if (r->state == TLBSAN_CONDEMNED) s->nr_condemned--;
  r->state = state;
  if (state == TLBSAN_PENDING) s->nr_pending++;
  if (state == TLBSAN_CONDEMNED) s->nr_condemned++;
}

void tlbsan_drop(struct tlbsan_set *s, struct tlbsan_rec *r)
{
  set_state(s, r, TLBSAN_DROPPED);
  s->last_region = NO_REGION;
}

void tlbsan_pend(struct tlbsan_set *s, struct tlbsan_rec *r, Bit64u gen)
{
  set_state(s, r, TLBSAN_PENDING);
  r->gen = gen;
  r->also = 0;
}

// What is PENDING is gone from memory for this shootdown too.
void tlbsan_pend_too(struct tlbsan_rec *r, Bit64u gen)
{
  if (r->gen != gen) r->also = gen;
}

void tlbsan_condemn_rec(struct tlbsan_set *s, struct tlbsan_rec *r, unsigned why)
{
  set_state(s, r, TLBSAN_CONDEMNED);
  r->why = why;
}

unsigned tlbsan_condemn(struct tlbsan_set *s, Bit64u first, Bit64u last)
{
  unsigned count = 0;

  for (Bit32u i = 0; s->nr_pending && i < s->nr; i++) {
    struct tlbsan_rec *r = &s->rec[i];
    if (r->state != TLBSAN_PENDING) continue;
    if (r->also && r->also >= first && r->also <= last) r->gen = r->also;
    if (r->gen < first || r->gen > last) continue;
    tlbsan_condemn_rec(s, r, 0);
    count++;
  }
  return count;
}

// ---- finding ----------------------------------------------------------------

static inline bool overlaps(const struct tlbsan_rec *r, Bit64u first, Bit64u last)
{
  return r->m.addr <= last && first <= r->m.addr + tlbsan_size(r->m.level) - 1;
}

static void each_indexed(struct tlbsan_set *s, Bit64u first, Bit64u last, tlbsan_fn *fn, void *arg)
{
  for (unsigned level = 0; level < TLBSAN_LEVELS; level++)
    for (Bit64u a = tlbsan_base(first, level); a <= last; a += tlbsan_size(level))
      for (unsigned upper = level == TLBSAN_LEVELS - 1; upper <= (level > 0); upper++) {
        Bit32u n = s->index[find_slot(s, key_of(a, level, upper))];
        if (n && s->rec[n - 1].state != TLBSAN_DROPPED) fn(s, &s->rec[n - 1], arg);
      }
  for (Bit32u i = 0; i < s->nr_detached; i++) {
    struct tlbsan_rec *r = &s->rec[s->detached[i]];
    if (r->state != TLBSAN_DROPPED && overlaps(r, first, last)) fn(s, r, arg);
  }
}

void tlbsan_each(struct tlbsan_set *s, Bit64u first, Bit64u last, tlbsan_fn *fn, void *arg)
{
  if (!s->nr) return;
  if ((last - first) / 4096 < s->nr / 4) {
    each_indexed(s, first, last, fn, arg);
    return;
  }
  for (Bit32u i = 0; i < s->nr; i++) {
    struct tlbsan_rec *r = &s->rec[i];
    if (r->state != TLBSAN_DROPPED && overlaps(r, first, last)) fn(s, r, arg);
  }
}

static void drop_it(struct tlbsan_set *s, struct tlbsan_rec *r, void *)
{
  tlbsan_drop(s, r);
}

void tlbsan_drop_addr(struct tlbsan_set *s, Bit64u addr)
{
  tlbsan_each(s, addr, addr, drop_it, NULL);
}

// ---- noting -----------------------------------------------------------------

static bool same_map(const struct tlbsan_map *a, const struct tlbsan_map *b)
{
  return a->addr == b->addr && a->to == b->to && a->base == b->base && a->level == b->level &&
         a->upper == b->upper && a->rights == b->rights;
}

// The place for a detached record: one whose contents nobody can use or that
// says the same, a new one, or that of the oldest.
static struct tlbsan_rec *place_detached(struct tlbsan_set *s, const struct tlbsan_rec *old)
{
  for (Bit32u i = 0; i < s->nr_detached; i++) {
    struct tlbsan_rec *r = &s->rec[s->detached[i]];
    if (r->state == TLBSAN_DROPPED) return r;
    if (r->state == old->state && r->gen == old->gen && same_map(&r->m, &old->m)) return r;
  }
  if (s->nr_detached < MAX_DETACHED) {
    if (!s->detached) s->detached = (Bit32u *) must_have(malloc(MAX_DETACHED * sizeof *s->detached));
    grow(s);
    s->detached[s->nr_detached++] = s->nr;
    s->rec[s->nr].state = TLBSAN_DROPPED;
    return &s->rec[s->nr++];
  }
  s->next_detached = (s->next_detached + 1) % MAX_DETACHED;
  return &s->rec[s->detached[s->next_detached]];
}

// Keep a translation that a newer walk contradicts: a CPU may still hold it.
static void detach(struct tlbsan_set *s, const struct tlbsan_rec *old)
{
  struct tlbsan_rec copy = *old, *place = place_detached(s, &copy);

  copy.detached = 1;
  set_state(s, place, (enum tlbsan_state) copy.state);
  *place = copy;
}

enum tlbsan_note tlbsan_note(struct tlbsan_set *s, const struct tlbsan_map *m)
{
  enum tlbsan_note what = TLBSAN_NEW;
  struct tlbsan_rec *r;
  Bit32u slot, n;

  if (s->nr >= MAX_RECORDS) tlbsan_set_clear(s);
  grow(s);
  slot = find_slot(s, key_of_map(m));
  n = s->index[slot];
  if (n) {
    r = &s->rec[n - 1];
    if (r->state == TLBSAN_LIVE && r->m.to == m->to && !(r->m.rights & ~m->rights)) {
      r->m = *m;
      return TLBSAN_KNOWN;
    }
    if (r->state != TLBSAN_DROPPED) {
      if (r->state == TLBSAN_LIVE) what = TLBSAN_CHANGED_NOTE;
      detach(s, r);
      r = &s->rec[n - 1];
      set_state(s, r, TLBSAN_DROPPED);    // the copy is counted now
    }
  }
  else {
    n = ++s->nr;
    s->index[slot] = n;
    r = &s->rec[n - 1];
    r->slot = slot;
    r->detached = 0;
  }
  r->m = *m;
  r->gen = r->also = 0;
  r->why = 0;
  r->state = TLBSAN_LIVE;
  return what;
}

bool tlbsan_same_upper(struct tlbsan_set *s, Bit64u addr, unsigned leaf, const Bit64u *entry, Bit64u kept)
{
  Bit64u region = tlbsan_base(addr, leaf + 1) | leaf;
  bool same = s->last_region == region;

  for (unsigned l = leaf + 1; l < TLBSAN_LEVELS; l++) {
    Bit64u e = entry[l] & kept;
    same &= s->last_upper[l] == e;
    s->last_upper[l] = e;
  }
  s->last_region = region;
  return same;
}
