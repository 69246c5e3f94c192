// SPDX-License-Identifier: GPL-2.0 OR MIT
// The module's memory, as the module says it with two marker instructions,
// no-ops on real CPUs (smp/plat/kernel/plat.h):
//   OBJECT   it allocated size bytes here and calls them so
//   GONE     it gives them back
// Kept by physical address: CPUs and processes see an object at several linear
// ones, and what is contiguous there need not be here.
//
// A library says the same of its own with two others (smp/plat/guest/plat.h). It
// need not tell when its process ends: who looks has what others left forgotten
// before (EMUCONFLICT_FORGET).
#include "bochs.h"
#include "cpu/cpu.h"
#include "conflict.h"

#include <map>
#include <vector>

#define PAGE 4096
#define MAX_SIZE (1 << 20)      // of an object; more is a wrong mark

struct piece {
  Bit64u len, object;
  unsigned offset, size;        // in the object, of the object
  unsigned library;             // not the module's
  char name[sizeof ((struct emuconflict_site *) 0)->name];
};

static std::map<Bit64u, piece> pieces;                  // by physical address
static std::map<Bit64u, std::vector<Bit64u> > objects;  // address -> its pieces

static void forget(Bit64u object)
{
  std::map<Bit64u, std::vector<Bit64u> >::iterator o = objects.find(object);

  if (o == objects.end()) return;
  for (size_t i = 0; i < o->second.size(); i++) {
    std::map<Bit64u, piece>::iterator p = pieces.find(o->second[i]);
    if (p != pieces.end() && p->second.object == object) pieces.erase(p);
  }
  objects.erase(o);
}

static std::map<Bit64u, piece>::iterator piece_at(Bit64u pa)
{
  std::map<Bit64u, piece>::iterator p = pieces.upper_bound(pa);

  if (p == pieces.begin()) return pieces.end();
  --p;
  return pa < p->first + p->second.len ? p : pieces.end();
}

static void add_piece(Bit64u pa, const piece &p)
{
  // memory that was given back without a mark and has another use now
  for (;;) {
    std::map<Bit64u, piece>::iterator old = piece_at(pa + p.len - 1);
    if (old == pieces.end()) old = piece_at(pa);
    if (old == pieces.end() || old->second.object == p.object) break;
    forget(old->second.object);
  }
  pieces[pa] = p;
  objects[p.object].push_back(pa);
}

static void add_object(BX_CPU_C *cpu, unsigned library, Bit64u object, Bit64u size, Bit64u name)
{
  piece p;

  if (size == 0 || size > MAX_SIZE) return;
  forget(object);
  memset(&p, 0, sizeof p);
  p.object = object;
  p.size = (unsigned) size;
  p.library = library;
  for (size_t i = 0; i < sizeof p.name - 1; i++)
    if (!emu_copy_linear(cpu, name + i, p.name + i, 1, BX_READ) || !p.name[i]) break;
  for (Bit64u done = 0; done < size; done += p.len) {
    bx_phy_address pa;
    p.len = PAGE - ((object + done) & (PAGE - 1));
    if (p.len > size - done) p.len = size - done;
    p.offset = (unsigned) done;
    // a library's need not be there yet
    if (cpu->dbg_xlate_linear2phy(object + done, &pa)) add_piece(pa, p);
  }
}

static bool is_kernel(const BX_CPU_C *cpu)
{
  return !cpu->in_vmx_guest && !cpu->sregs[BX_SEG_REG_CS].selector.rpl;
}

// The marker instruction. Of the module only a kernel's word counts.
void emu_object_mark(BX_CPU_C *cpu, Bit32u what)
{
  Bit64u object = cpu->gen_reg[BX_64BIT_REG_RAX].rrx;
  unsigned library = what >= LIBRARY_MARK;

  if (library == is_kernel(cpu)) return;
  if (what == OBJECT_MARK_GONE || what == LIBRARY_MARK_GONE) forget(object);
  else add_object(cpu, library, object, cpu->gen_reg[BX_64BIT_REG_RDI].rrx,
                  cpu->gen_reg[BX_64BIT_REG_RSI].rrx);
}

void emu_object_forget_libraries(void)
{
  std::vector<Bit64u> gone;

  for (std::map<Bit64u, piece>::iterator p = pieces.begin(); p != pieces.end(); ++p)
    if (p->second.library) gone.push_back(p->second.object);
  for (size_t i = 0; i < gone.size(); i++) forget(gone[i]);
}

void emu_object_find(struct emuconflict_site *site)
{
  std::map<Bit64u, piece>::iterator p = piece_at(site->pa);

  if (p == pieces.end()) return;
  site->object = p->second.object;
  site->offset = p->second.offset + (unsigned) (site->pa - p->first);
  site->object_size = p->second.size;
  site->library = p->second.library;
  memcpy(site->name, p->second.name, sizeof site->name);
}
