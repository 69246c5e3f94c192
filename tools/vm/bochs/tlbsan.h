// SPDX-License-Identifier: GPL-2.0 OR MIT
// TLB sanitizer: what each emulated CPU could have cached of each EPT, as a
// real CPU would keep it. tlbsan_set.cc: the records and the EPT in memory;
// tlbsan.cc: when a record is made, dropped, judged, reported.
#ifndef DUNE_TLBSAN_H
#define DUNE_TLBSAN_H

// What a CPU may hold: DROPPED nothing any more; LIVE a translation; PENDING
// one that is gone from memory, its shootdown under way; CONDEMNED one whose
// shootdown is said to be over.
enum tlbsan_state { TLBSAN_DROPPED, TLBSAN_LIVE, TLBSAN_PENDING, TLBSAN_CONDEMNED };

// One guest-physical mapping: a leaf (of its own size), or an upper entry,
// which real CPUs cache too and walk on from.
struct tlbsan_rec {
  Bit64u gpa;         // first address it translates
  Bit64u hpa;         // the page, or the table
  Bit64u gen;         // PENDING, CONDEMNED: removed before this generation
  Bit8u level;        // of the entry: 0 maps 4 KiB ... 3
  Bit8u upper;        // 1: leads to a table
  Bit8u rights;       // EPT bits 2:0, of all entries down to this
  Bit8u state;
  Bit8u detached;     // replaced by a newer walk of the same page
  Bit32u slot;        // where the index has it
};

// The records of one CPU under one EPT root.
struct tlbsan_set {
  Bit64u root;
  Bit64u used;                      // for eviction
  struct tlbsan_rec *rec;
  Bit32u nr, room;
  Bit32u *index;                    // record number + 1; open addressing
  Bit32u index_size;                // power of two
  Bit32u nr_detached, nr_pending, nr_condemned;
  Bit64u last_upper[4];             // upper entries of the walk noted last
  Bit64u last_region;
};

// Which record a walk makes or refreshes.
enum tlbsan_note { TLBSAN_KNOWN, TLBSAN_NEW, TLBSAN_CHANGED_NOTE };

void tlbsan_set_clear(struct tlbsan_set *s);
enum tlbsan_note tlbsan_note(struct tlbsan_set *s, Bit64u gpa, unsigned level, unsigned upper,
                             Bit64u hpa, unsigned rights);
// True when the upper entries are those of the walk noted last.
bool tlbsan_same_upper(struct tlbsan_set *s, Bit64u gpa, unsigned leaf, const Bit64u *entry);
void tlbsan_drop(struct tlbsan_set *s, struct tlbsan_rec *r);
// All records that translate gpa, upper entries included.
void tlbsan_drop_gpa(struct tlbsan_set *s, Bit64u gpa);
// What is gone from memory becomes PENDING.
void tlbsan_scan(struct tlbsan_set *s, Bit64u gen);
// PENDING of a generation up to gen becomes CONDEMNED; how many.
unsigned tlbsan_condemn(struct tlbsan_set *s, Bit64u gen);
// What memory says of gpa, as text.
void tlbsan_describe(Bit64u root, Bit64u gpa, char *text, size_t size);

#endif
