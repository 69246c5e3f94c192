// SPDX-License-Identifier: GPL-2.0 OR MIT
// TLB sanitizer: what each emulated CPU could have cached, as a real CPU would
// keep it. tlbsan_set.cc: the records; tlbsan_ept.cc: the EPT in memory;
// tlbsan.cc: when a record of the EPT is made, dropped, judged, reported.
// gtlbsan.h has what is there for the guests' own page tables.
#ifndef DUNE_TLBSAN_H
#define DUNE_TLBSAN_H

#define TLBSAN_ADDR   BX_CONST64(0x000ffffffffff000)    // of an entry of a table
#define TLBSAN_LEVELS 4

static inline Bit64u tlbsan_size(unsigned level) { return BX_CONST64(4096) << (9 * level); }
static inline Bit64u tlbsan_base(Bit64u addr, unsigned level) { return addr & ~(tlbsan_size(level) - 1); }
static inline unsigned tlbsan_slot(Bit64u addr, unsigned level) { return (addr >> (12 + 9 * level)) & 511; }

// What a CPU may hold: DROPPED nothing any more; LIVE a translation; PENDING
// one that is gone from memory, its shootdown under way; CONDEMNED one whose
// shootdown is said to be over.
enum tlbsan_state { TLBSAN_DROPPED, TLBSAN_LIVE, TLBSAN_PENDING, TLBSAN_CONDEMNED };

// What a table's entry says: a leaf (of its own size), or an upper entry, which
// real CPUs cache too and walk on from.
struct tlbsan_map {
  Bit64u addr;        // first address it translates
  Bit64u to;          // the page, or the table
  Bit64u base;        // the table that the walk began at
  Bit8u level;        // of the entry: 0 maps 4 KiB ... 3
  Bit8u upper;        // 1: leads to a table
  Bit8u rights;       // of all entries down to this
};

struct tlbsan_rec {
  struct tlbsan_map m;
  Bit64u gen;         // PENDING, CONDEMNED: whose shootdown drops it
  Bit64u also;        // PENDING: a later one that drops it too; 0: none
  Bit8u state;
  Bit8u why;          // CONDEMNED: for the report
  Bit8u detached;     // replaced by a newer walk of the same page
  Bit32u slot;        // where the index has it
};

// The records of one CPU under one tag.
struct tlbsan_set {
  struct tlbsan_rec *rec;
  Bit32u nr, room;
  Bit32u *index;                    // record number + 1; open addressing
  Bit32u index_size;                // power of two
  Bit32u *detached;                 // numbers of the detached records
  Bit32u nr_detached, next_detached;
  Bit32u nr_pending, nr_condemned;
  Bit64u last_upper[TLBSAN_LEVELS]; // upper entries of the walk noted last
  Bit64u last_region;
};

// Which record a walk makes or refreshes.
enum tlbsan_note { TLBSAN_KNOWN, TLBSAN_NEW, TLBSAN_CHANGED_NOTE };

void tlbsan_set_clear(struct tlbsan_set *s);
void tlbsan_set_free(struct tlbsan_set *s);
// False: it holds nothing that a CPU could use.
bool tlbsan_set_used(const struct tlbsan_set *s);
enum tlbsan_note tlbsan_note(struct tlbsan_set *s, const struct tlbsan_map *m);
// True when the upper entries are those of the walk noted last; kept: their
// bits that count.
bool tlbsan_same_upper(struct tlbsan_set *s, Bit64u addr, unsigned leaf, const Bit64u *entry, Bit64u kept);
// Every record, dropped ones aside, that translates an address of first..last,
// upper entries included. fn may drop it or change its state.
typedef void tlbsan_fn(struct tlbsan_set *s, struct tlbsan_rec *r, void *arg);
void tlbsan_each(struct tlbsan_set *s, Bit64u first, Bit64u last, tlbsan_fn *fn, void *arg);
void tlbsan_drop(struct tlbsan_set *s, struct tlbsan_rec *r);
void tlbsan_drop_addr(struct tlbsan_set *s, Bit64u addr);
void tlbsan_pend(struct tlbsan_set *s, struct tlbsan_rec *r, Bit64u gen);
void tlbsan_pend_too(struct tlbsan_rec *r, Bit64u gen);
void tlbsan_condemn_rec(struct tlbsan_set *s, struct tlbsan_rec *r, unsigned why);
// PENDING of a generation first..last becomes CONDEMNED; how many.
unsigned tlbsan_condemn(struct tlbsan_set *s, Bit64u first, Bit64u last);

// ---- tlbsan_ept.cc ----

// Where a walk ends.
struct tlbsan_walk {
  unsigned level;
  Bit64u entry;               // without rights: absent
  unsigned rights;            // of all entries, this included
  const Bit64u *table;        // that holds the entry
};

// In memory: neither accessed bit nor exit. Not below the level "stop".
void tlbsan_ept_walk(Bit64u root, Bit64u gpa, unsigned stop, struct tlbsan_walk *w);
// The memory at gpa, NULL where the EPT has none; up to the end of the page.
const void *tlbsan_ept_memory(Bit64u root, Bit64u gpa);
// What is gone from memory becomes PENDING.
void tlbsan_ept_scan(struct tlbsan_set *s, Bit64u root, Bit64u gen);
// What memory says of gpa, as text.
void tlbsan_ept_describe(Bit64u root, Bit64u gpa, char *text, size_t size);

// ---- tlbsan.cc ----

extern bool tlbsan_on;
// The text comes from describe(arg), and only when it is shown.
typedef void tlbsan_text_fn(void *arg, char *text, size_t size);
void tlbsan_report(unsigned cpu, tlbsan_text_fn *describe, void *arg);

#endif
