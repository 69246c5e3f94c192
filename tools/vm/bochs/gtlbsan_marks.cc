// SPDX-License-Identifier: GPL-2.0 OR MIT
// TLB sanitizer, guests' page tables: what the software says, with marker
// instructions that are no-ops on real CPUs (libdune/tlb_mark.h):
//   VIEW     the table with this CR3 shows this address space
//   REMOVED  of these addresses there, what memory no longer says was removed;
//            the shootdown with this ticket begins
//   DONE     no CPU can use what belongs to this ticket
//   GONE     nobody uses the table with this CR3 any more, nor what came of it
// Each is about the vm of who executes it: ring 0 of a guest, or ring 3 of a
// process that has a vm.
#include "bochs.h"
#include "cpu/cpu.h"
#include "gtlbsan.h"

#include <map>
#include <utility>

typedef std::map<std::pair<Bit64u, Bit64u>, Bit64u> view_map;

static view_map views;                          // vm, table -> address space
static std::map<Bit64u, Bit64u> vm_of_host;     // host's table -> EPT root
static std::map<Bit64u, Bit64u> host_of_vm;

// A vm is known by its EPT root, before its first entry by its host's table:
#define YOUNG_VM(host) ((host) | 1)
// Of that, user mode may have the second of two pages (page table isolation).
#define USER_HALF BX_CONST64(0x1000)

bool gtlb_view(Bit64u root, Bit64u base, Bit64u *id)
{
  view_map::const_iterator v = views.find(std::make_pair(root, base));

  *id = v == views.end() ? base : v->second;
  return v != views.end();
}

// ---- whose mark it is -------------------------------------------------------

// Another process has this EPT root now: what was said of it was of an old one.
static void forget_vm(Bit64u root, Bit64u host)
{
  std::map<Bit64u, Bit64u>::iterator old = vm_of_host.find(host);

  if (old != vm_of_host.end() && old->second == root) vm_of_host.erase(old);
  views.erase(views.lower_bound(std::make_pair(root, BX_CONST64(0))),
              views.upper_bound(std::make_pair(root, ~BX_CONST64(0))));
}

static void grow_up(Bit64u young, Bit64u root)
{
  view_map::iterator v = views.lower_bound(std::make_pair(young, BX_CONST64(0)));

  while (v != views.end() && v->first.first == young) {
    views[std::make_pair(root, v->first.second)] = v->second;
    views.erase(v++);
  }
}

void gtlb_note_host(unsigned cpu, Bit64u host_cr3, Bit64u root)
{
  static struct { Bit64u host, root; } last[EMUCOUNT_MAX_CPUS];
  Bit64u host = host_cr3 & TLBSAN_ADDR;

  if (last[cpu].host == host && last[cpu].root == root) return;
  last[cpu].host = host;
  last[cpu].root = root;
  std::map<Bit64u, Bit64u>::iterator h = vm_of_host.find(host);
  if (h != vm_of_host.end() && h->second == root) return;
  vm_of_host[host] = root;
  h = host_of_vm.find(root);
  if (h != host_of_vm.end() && h->second != host) forget_vm(root, h->second);
  host_of_vm[root] = host;
  grow_up(YOUNG_VM(host), root);
  grow_up(YOUNG_VM(host | USER_HALF), root);
}

static bool vm_of(const BX_CPU_C *cpu, Bit64u *root)
{
  const struct gtlb_here *h = &gtlb_here[cpu->bx_cpuid];
  unsigned cpl = cpu->sregs[BX_SEG_REG_CS].selector.rpl;

  if (cpu->in_vmx_guest) {
    *root = h->tag.root;
    return h->in_guest && cpl == 0;
  }
  if (cpl != 3) return false;
  Bit64u host = cpu->cr3 & TLBSAN_ADDR;
  std::map<Bit64u, Bit64u>::const_iterator v = vm_of_host.find(host);
  if (v == vm_of_host.end()) v = vm_of_host.find(host & ~USER_HALF);
  *root = v == vm_of_host.end() ? YOUNG_VM(host) : v->second;
  return true;
}

// ---- the marks --------------------------------------------------------------

struct removal {
  Bit64u root, id, first, last, ticket;
};

static void judge_removed(struct tlbsan_set *s, struct tlbsan_rec *r, void *arg)
{
  const struct removal *m = (const struct removal *) arg;
  Bit64u id;

  if (r->state == TLBSAN_CONDEMNED) return;
  gtlb_view(m->root, r->m.base, &id);
  if (id != m->id || gtlb_memory_says(m->root, r->m.base, &r->m, m->first, m->last) != GTLB_NO) return;
  // removed by somebody else before: whoever finds that so promises the same
  if (r->state == TLBSAN_PENDING) tlbsan_pend_too(r, m->ticket);
  else tlbsan_pend(s, r, m->ticket);
}

static void remove_from(unsigned, struct gtlb_space *s, void *arg)
{
  const struct removal *m = (const struct removal *) arg;

  if (s->tag.root != m->root) return;
  tlbsan_each(&s->leaves, m->first, m->last, judge_removed, arg);
  tlbsan_each(&s->uppers, m->first, m->last, judge_removed, arg);
}

static void each_cpu(gtlb_space_fn *fn, void *arg)
{
  for (unsigned c = 0; c < (unsigned) BX_SMP_PROCESSORS; c++) gtlb_each_space(c, fn, arg);
}

static void mark_removed(Bit64u root, Bit64u id, Bit64u addr, Bit64u len, Bit64u ticket)
{
  struct removal m = { root, id, addr & GTLB_LA_MASK, 0, ticket };

  if (!len) return;
  m.last = len > GTLB_LA_LAST - m.first ? GTLB_LA_LAST : m.first + len - 1;
  each_cpu(remove_from, &m);
}

static void condemn(unsigned cpu, struct gtlb_space *s, void *arg)
{
  const struct removal *m = (const struct removal *) arg;
  unsigned count = 0;

  if (s->tag.root != m->root) return;
  count += tlbsan_condemn(&s->leaves, m->ticket, m->ticket);
  count += tlbsan_condemn(&s->uppers, m->ticket, m->ticket);
  emu_counts[cpu][EMU_GTLB_CONDEMNED] += count;
  if (count && gtlb_usable(cpu, s)) gtlb_report_condemned(cpu, s, "is in the guest");
}

static void mark_done(Bit64u root, Bit64u ticket)
{
  struct removal m = { root, 0, 0, 0, ticket };

  each_cpu(condemn, &m);
}

static void judge_gone(struct tlbsan_set *s, struct tlbsan_rec *r, void *arg)
{
  if (r->m.base == ((const struct removal *) arg)->id) tlbsan_condemn_rec(s, r, GTLB_TABLE_GONE);
}

static void gone_from(unsigned cpu, struct gtlb_space *s, void *arg)
{
  if (s->tag.root != ((const struct removal *) arg)->root) return;
  tlbsan_each(&s->leaves, 0, GTLB_LA_LAST, judge_gone, arg);
  tlbsan_each(&s->uppers, 0, GTLB_LA_LAST, judge_gone, arg);
  if (gtlb_usable(cpu, s)) gtlb_report_condemned(cpu, s, "is in the guest");
}

static void mark_gone(Bit64u root, Bit64u base)
{
  struct removal m = { root, base, 0, 0, 0 };

  each_cpu(gone_from, &m);
  views.erase(std::make_pair(root, base));
}

// In plain mode nobody knows whether the vm that was last seen with this host's
// table is still that of a process before: then it is the young one's too.
static void note_young(const BX_CPU_C *cpu, Bit64u base, Bit64u id)
{
  if (!cpu->in_vmx_guest) views[std::make_pair(YOUNG_VM(cpu->cr3 & TLBSAN_ADDR), base)] = id;
}

static void mark_view(Bit64u root, Bit64u base, Bit64u id)
{
  Bit64u old;

  if (gtlb_view(root, base, &old) && old != id) mark_gone(root, base);
  views[std::make_pair(root, base)] = id;
}

void emu_gtlb_mark(BX_CPU_C *cpu, Bit32u what)
{
  Bit64u rax = cpu->gen_reg[BX_64BIT_REG_RAX].rrx, rdi = cpu->gen_reg[BX_64BIT_REG_RDI].rrx;
  Bit64u root;

  if (!tlbsan_on || !vm_of(cpu, &root)) return;
  switch (what) {
    case GTLB_MARK_VIEW:
      mark_view(root, rax & TLBSAN_ADDR, rdi);
      note_young(cpu, rax & TLBSAN_ADDR, rdi);
      break;
    case GTLB_MARK_REMOVED:
      EMU_COUNT(cpu->bx_cpuid, GTLB_REMOVALS);
      mark_removed(root, rdi, rax, cpu->gen_reg[BX_64BIT_REG_RSI].rrx, cpu->gen_reg[BX_64BIT_REG_RDX].rrx);
      break;
    case GTLB_MARK_DONE:
      EMU_COUNT(cpu->bx_cpuid, GTLB_DONES);
      mark_done(root, rax);
      break;
    case GTLB_MARK_GONE:
      mark_gone(root, rax & TLBSAN_ADDR);
      break;
  }
}
