// SPDX-License-Identifier: GPL-2.0 OR MIT
// TLB sanitizer, guests' page tables: the records of each CPU, by tag.
#include "bochs.h"
#include "cpu/cpu.h"
#include "gtlbsan.h"

#define MAX_SPACES 256      // of a CPU; the one not used for longest goes

struct gtlb_here gtlb_here[EMUCOUNT_MAX_CPUS];

static struct gtlb_space spaces[EMUCOUNT_MAX_CPUS][MAX_SPACES];
static unsigned nr_spaces[EMUCOUNT_MAX_CPUS];
static Bit64u clock_of_use;

struct gtlb_space *gtlb_find(unsigned cpu, const struct gtlb_tag *tag, unsigned pcid)
{
  for (unsigned i = 0; i < nr_spaces[cpu]; i++) {
    struct gtlb_space *s = &spaces[cpu][i];
    if (s->tag.root == tag->root && s->tag.vpid == tag->vpid && s->tag.pcid == pcid) return s;
  }
  return NULL;
}

void gtlb_touch(struct gtlb_space *s)
{
  s->used = ++clock_of_use;
}

void gtlb_clear(struct gtlb_space *s)
{
  tlbsan_set_clear(&s->leaves);
  tlbsan_set_clear(&s->uppers);
}

bool gtlb_used(const struct gtlb_space *s)
{
  return tlbsan_set_used(&s->leaves) || tlbsan_set_used(&s->uppers);
}

void gtlb_each_space(unsigned cpu, gtlb_space_fn *fn, void *arg)
{
  for (unsigned i = 0; i < nr_spaces[cpu]; i++) fn(cpu, &spaces[cpu][i], arg);
}

static void remove_space(unsigned cpu, unsigned i)
{
  struct gtlb_space *s = &spaces[cpu][i];

  tlbsan_set_free(&s->leaves);
  tlbsan_set_free(&s->uppers);
  *s = spaces[cpu][--nr_spaces[cpu]];
}

// A vCPU has a new VPID for each stay on a CPU. Keep those of this stay and of
// the one before, for the vCPU that wrongly comes back with that.
static void forget_old_stays(unsigned cpu, const struct gtlb_tag *tag, Bit64u owner)
{
  const struct gtlb_space *latest = NULL;

  for (unsigned i = 0; i < nr_spaces[cpu]; i++) {
    const struct gtlb_space *s = &spaces[cpu][i];
    if (s->owner != owner || s->tag.vpid == tag->vpid) continue;
    if (!latest || s->used > latest->used) latest = s;
  }
  if (!latest) return;
  Bit16u before = latest->tag.vpid;
  for (unsigned i = nr_spaces[cpu]; i-- > 0; ) {
    const struct gtlb_space *s = &spaces[cpu][i];
    if (s->owner == owner && s->tag.vpid != tag->vpid && s->tag.vpid != before) remove_space(cpu, i);
  }
}

struct gtlb_space *gtlb_get(unsigned cpu, const struct gtlb_tag *tag, unsigned pcid, Bit64u owner)
{
  struct gtlb_space *s = gtlb_find(cpu, tag, pcid);

  if (s) return s;
  forget_old_stays(cpu, tag, owner);
  if (nr_spaces[cpu] == MAX_SPACES) {
    unsigned oldest = 0;
    for (unsigned i = 1; i < MAX_SPACES; i++)
      if (spaces[cpu][i].used < spaces[cpu][oldest].used) oldest = i;
    remove_space(cpu, oldest);
  }
  s = &spaces[cpu][nr_spaces[cpu]++];
  memset(s, 0, sizeof *s);
  s->tag = *tag;
  s->tag.pcid = pcid;
  s->owner = owner;
  gtlb_clear(s);
  gtlb_touch(s);
  return s;
}
