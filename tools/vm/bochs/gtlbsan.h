// SPDX-License-Identifier: GPL-2.0 OR MIT
// TLB sanitizer, guests' own page tables: what each emulated CPU could have
// cached of them. gtlbsan_space.cc: the records by tag; gtlbsan_pt.cc: the page
// tables in memory; gtlbsan_flush.cc: what drops records; gtlbsan_marks.cc: what
// the software says; gtlbsan.cc: when a record is made, judged, reported.
#ifndef DUNE_GTLBSAN_H
#define DUNE_GTLBSAN_H

#include "tlbsan.h"

// Rights of a guest translation. DIRTY: a write through it sets no dirty bit.
#define GTLB_READ    1u
#define GTLB_WRITE   2u
#define GTLB_USER    4u
#define GTLB_EXEC    8u
#define GTLB_DIRTY   16u

#define GTLB_GLOBAL  0x1000u    // as PCID: translations that every PCID uses
#define GTLB_LA_MASK BX_CONST64(0x0000ffffffffffff)     // linear addresses are kept so
#define GTLB_LA_LAST GTLB_LA_MASK

// Why a record is CONDEMNED.
enum gtlb_why { GTLB_REMOVED, GTLB_TABLE_GONE, GTLB_OTHER_ROOT };

// What decides whether a cached translation can be used.
struct gtlb_tag {
  Bit64u root;        // EPT
  Bit16u vpid;        // 0: no VPIDs
  Bit16u pcid;        // 0: no PCIDs
};

// The records of one CPU under one tag.
struct gtlb_space {
  struct gtlb_tag tag;
  Bit64u owner;       // the VMCS that made them
  Bit64u base;        // CR3's table when it was last current
  Bit64u used;        // for eviction
  struct tlbsan_set leaves, uppers;
};

// Where a CPU is: the tag it uses, and the spaces of it; NULL: nothing noted.
struct gtlb_here {
  bool in_guest;
  struct gtlb_tag tag;
  Bit64u owner, base;
  struct gtlb_space *own, *global;
};

extern struct gtlb_here gtlb_here[EMUCOUNT_MAX_CPUS];

// ---- gtlbsan_space.cc ----

struct gtlb_space *gtlb_find(unsigned cpu, const struct gtlb_tag *tag, unsigned pcid);
// May take the place of another one: pointers to spaces of this CPU are stale.
struct gtlb_space *gtlb_get(unsigned cpu, const struct gtlb_tag *tag, unsigned pcid, Bit64u owner);
void gtlb_touch(struct gtlb_space *s);
typedef void gtlb_space_fn(unsigned cpu, struct gtlb_space *s, void *arg);
// All spaces of a CPU, empty ones too.
void gtlb_each_space(unsigned cpu, gtlb_space_fn *fn, void *arg);
void gtlb_clear(struct gtlb_space *s);
bool gtlb_used(const struct gtlb_space *s);

// ---- gtlbsan_pt.cc ----

// Does memory say what the record does, for the addresses first..last of it,
// under the table at base? Nobody knows where the EPT does not have that: the
// guest has not used it yet, or the EPT was flushed.
enum gtlb_says { GTLB_NO, GTLB_YES, GTLB_UNKNOWN };
enum gtlb_says gtlb_memory_says(Bit64u root, Bit64u base, const struct tlbsan_map *m, Bit64u first, Bit64u last);
void gtlb_describe_memory(Bit64u root, Bit64u base, Bit64u la, char *text, size_t size);

// ---- gtlbsan.cc ----

// Could the CPU use what this space has, right now?
bool gtlb_usable(unsigned cpu, const struct gtlb_space *s);
void gtlb_report_condemned(unsigned cpu, struct gtlb_space *s, const char *what);
// The CPU's tag or table may be another one.
void gtlb_switch(BX_CPU_C *cpu, const char *what);

// ---- gtlbsan_marks.cc ----

// The address space that the page table at base shows; false: nobody said.
bool gtlb_view(Bit64u root, Bit64u base, Bit64u *id);
void gtlb_note_host(unsigned cpu, Bit64u host_cr3, Bit64u root);

#endif
