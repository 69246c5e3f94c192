// SPDX-License-Identifier: GPL-2.0 OR MIT
// Where the CPUs' walks go: to memory of their own NUMA node or of another's. The
// nodes are those that tools/vm/lib/numa.py tells Linux of, equal blocks of CPUs
// and of memory; EMU_NODES="NODES CPUS MEM_MB" says how many. 0 nodes: Linux makes
// them otherwise, nothing is counted, and no two CPUs share a cache.
#include "bochs.h"
#include "cpu/cpu.h"

bool emu_nodes_known, emu_nodes_caches;
static Bit64u node_bytes;
static unsigned node_cpus = 1;

void emu_nodes_init(void)
{
  const char *text = getenv("EMU_NODES");
  unsigned nodes, cpus, mem_mb;

  if (!text || sscanf(text, "%u %u %u", &nodes, &cpus, &mem_mb) != 3) return;
  emu_nodes_caches = true;
  if (!nodes || cpus < nodes || mem_mb < nodes) return;
  node_bytes = (Bit64u) (mem_mb / nodes) << 20;
  node_cpus = cpus / nodes;
  emu_nodes_known = true;
}

static bool is_local(unsigned cpu, Bit64u pa)
{
  return pa / node_bytes == cpu / node_cpus;
}

void emu_nodes_access(unsigned cpu, Bit64u pa, unsigned why)
{
  switch (why) {
    case BX_EPT_PTE_ACCESS:
    case BX_EPT_PDE_ACCESS:
    case BX_EPT_PDTE_ACCESS:
    case BX_EPT_PML4E_ACCESS:
      if (is_local(cpu, pa)) EMU_COUNT(cpu, EPT_WALK_LOCAL);
      else EMU_COUNT(cpu, EPT_WALK_REMOTE);
      break;
    case BX_PTE_ACCESS:
    case BX_PDE_ACCESS:
    case BX_PDTE_ACCESS:
    case BX_PML4E_ACCESS:
      if (!BX_CPU(cpu)->in_vmx_guest) break;
      if (is_local(cpu, pa)) EMU_COUNT(cpu, GUEST_WALK_LOCAL);
      else EMU_COUNT(cpu, GUEST_WALK_REMOTE);
      break;
  }
}

// CPUID leaf 4, EAX: who shares a cache. With this CPU model pairs of APIC ids share
// the second level and all the third; Linux warns when these are of two nodes. Here
// every CPU is a core, and a node has a third level of its own.
Bit32u emu_nodes_cache(Bit32u eax)
{
  unsigned level = eax >> 5 & 7, sharing = level == 3 ? node_cpus : 1;

  return level ? (eax & ~(0xfffu << 14)) | (sharing - 1) << 14 : eax;
}
