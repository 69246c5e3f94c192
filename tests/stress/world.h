/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The simulated machine: threads are CPUs that run vCPUs of one vm, other
 * threads are its mm. The core of smp/ is the real one.
 *
 *   cpu.c    a CPU: software TLB, walks, the run loop
 *   kick.c   interrupts between CPUs
 *   glue.c   what kmod does with smp/, in kmod's order
 *   mm.c     host memory and host page table
 *   ops.c    what Linux does to them, between notifier callbacks
 *   stress.c rounds, and what must be true between them
 *
 * The CPUs are of one or more NUMA nodes, each with a table of its own, and change
 * node now and then.
 *
 * Host virtual space has a few hot 2 MiB regions with a few hot pages each; the
 * last one lies alone in a 1 GiB slot that can be mapped by one leaf.
 */
#ifndef STRESS_WORLD_H
#define STRESS_WORLD_H

#include "fail.h"
#include "fanout.h"
#include "inval.h"
#include "pt.h"
#include "random.h"
#include "replicas.h"

#define MAX_CPUS	64
#define MAX_NODES	4
#define MAX_VCPUS	(MAX_CPUS + 2)
#define FAN_NODES	3	/* whose leaders are called; have nothing to do with tables */
#define NR_SLOTS	3
#define NR_REGIONS	7
#define NR_HOT		8	/* hot pages of a region */
#define GIANT_SLOT	2
#define GIANT_REGION	6
#define REGION_SIZE	(1ull << INVAL_REGION_SHIFT)
#define SLOT_SHIFT	30
#define SLOT_SIZE	(1ull << SLOT_SHIFT)
#define HVA_END		(NR_SLOTS * SLOT_SIZE)

/* --- host memory (mm.c) --- */

/* What guests write of one hot page: each CPU has its own counter. */
struct cell {
	u64 content;		/* same after a copy, new after zeroing */
	u64 data[MAX_CPUS];
};

/*
 * One allocation of host memory. Plain fields, so that the thread sanitizer
 * judges every access of a guest against the reuse of the memory.
 */
struct frame {
	u64 stamp;		/* new at each allocation; poison when free */
	u64 tag;		/* what it backs: frame_tag() */
	u64 pa;
	unsigned int level;	/* 1: 4 KiB, 2: 2 MiB, 3: 1 GiB */
	unsigned int refs;	/* host entries that map it; its ptl */
	struct cell *cell;	/* one, or NR_HOT */
	struct frame *next;
};

/* Host page-table entries: pa and these; a table: HOST_TABLE alone. */
#define HOST_PRESENT	(1ull << 0)
#define HOST_WRITE	(1ull << 1)
#define HOST_BUSY	(1ull << 2)	/* under migration; its number above */
#define HOST_TABLE	(1ull << 3)
#define HOST_LARGE	(1ull << 7)
#define HOST_PA		0x000ffffffffff000ull

struct host_region {
	u64 hva;		/* constant */
	u32 ptl;		/* taken by host_lock() */
	u64 pmd;		/* ptl to write */
	u64 pte[NR_HOT];	/* ptl to write */
	u64 floor[NR_HOT];	/* older stamps must not be used any more */
} __attribute__((aligned(64)));

void mm_init(void);
void mm_fini(void);
struct frame *frame_alloc(unsigned int level, u64 tag);
/* About to be mapped: newer than whatever was complete before. ptl held. */
void frame_publish(struct frame *frame);
void frame_free(struct frame *frame);
u64 mm_used_frames(void);
struct frame *frame_of(u64 pa);
u64 frame_tag(unsigned int level, unsigned int region, unsigned int hot);
struct cell *frame_cell(struct frame *frame, unsigned int hot);
/* New memory with what the old has. */
void cell_copy(struct cell *to, const struct cell *from);
u64 stamp_now(void);
/* Takes interrupts while it waits. */
void host_lock(struct host_region *region);
void host_unlock(struct host_region *region);
u64 host_hva(unsigned int region, unsigned int hot);
/* What the host maps at hva: 0, or -EAGAIN when nothing or too little. */
int host_leaf(u64 hva, unsigned int want, struct pt_leaf *leaf);
/* Linux' page fault: 0, or -EAGAIN. May invalidate. */
int host_populate(u64 hva, unsigned int want);
/* Linux' TLB flush: interrupts every CPU that has the mm loaded, and waits. */
void linux_flush(void);

/* --- the mm's threads (ops.c) --- */

/* Copy-on-write of a page that is not writable; ptl not held. */
void op_cow(unsigned int region, unsigned int hot);
/* One operation of the mm, at random. */
void op_random(struct pt_cache *cache);
/* Everything goes. */
void op_unmap_all(void);

/* --- CPUs (cpu.c) --- */

struct tlb_leaf {
	u64 stamp;		/* 0: nothing cached */
	u64 pa;			/* of the leaf */
	bool write;		/* may write, and dirty is set */
};

/*
 * Of one table: leaves and upper entries that it has ever seen since it was last
 * flushed.
 */
struct tlb {
	struct tlb_leaf page[NR_REGIONS][NR_HOT], large[NR_REGIONS],
			giant[NR_SLOTS];
	u64 *pt[NR_REGIONS], *pd[NR_SLOTS], *pdpt;
	u64 gen;		/* the table's generation when it was emptied */
};

struct written {
	u64 content, value;
};

#define USING_NOTHING	(~0ull)

struct cpu {
	struct replica *replica;	/* its node's; owner only, as what follows */
	struct tlb tlb[MAX_NODES];	/* by table, as tagged with its root */
	struct written written[NR_REGIONS][NR_HOT];
	unsigned int number;
	u64 runs, accesses, walks, violations, kicked, moved;
	/* In guest: generation * MAX_NODES + table */
	u64 using_gen __attribute__((aligned(64)));
	u64 irq_raised;		/* by others */
	u64 irq_handled;	/* by the owner, outside of the guest */
	plat_call_t *calls;	/* atomic; by others, taken by the owner */
} __attribute__((aligned(64)));

struct vcpu {
	u32 taken;
	struct pt_cache tables;
} __attribute__((aligned(64)));

void *cpu_thread(void *cpu);
bool cpu_irq_pending(const struct cpu *cpu);
/* In guest: when a flusher has asked for this CPU, its interrupt has to come. */
void cpu_wait_for_kick(const struct cpu *cpu);
/* At the end: others may still wait for this CPU's interrupts. */
void cpu_park(struct cpu *cpu);
void cpu_relax_hook(void);
void cpu_mark_done_hook(u64 root_pa, u64 gen);
void cpu_mark_bump_hook(u64 root_pa, const u64 *gen);

/* --- interrupts (kick.c) --- */

void kick_world_init(void);
/* CPUs belong to other nodes from now on. */
void kick_move_cpus(void);
/* What interrupts have brought; by their CPU, outside of the guest. */
void kick_run_calls(struct cpu *cpu);
/* One to each; on return their handlers have run. */
void kick_each(const plat_cpumask_t *mask);
void kick_hook(const plat_cpumask_t *mask);
void kick_multicast_hook(const plat_cpumask_t *mask);
bool kick_call_hook(unsigned int cpu, plat_call_t *call);

/* --- the world --- */

struct counts {
	u64 installed, upgraded, spurious, stale, conflicts, restarts, contended;
	u64 leaves[4], tables, removed;
	u64 flushes, deferred, kicks, settled, raced, widened, retries;
	u64 leaders, forwarded;
};

struct world {
	struct replicas ept;
	struct replica other[MAX_NODES - 1], *more[MAX_NODES - 1];
	struct inval inval;
	struct sd_cpu sd_cpu[MAX_CPUS];
	plat_cpumask_t cpus;		/* that have the mm loaded */
	struct cpu cpu[MAX_CPUS];
	struct fanout_topology topo;
	u32 node_of[MAX_CPUS + 1];	/* the last: threads of the mm */
	unsigned int fanout_from;	/* so many are kicked by leaders */
	struct vcpu vcpu[MAX_VCPUS];
	struct host_region region[NR_REGIONS];
	u64 pud[NR_SLOTS];
	u64 bumped;			/* the last generation that was marked */
	u32 stop_mm, stop_cpus, nr_parked;
	unsigned int nr_cpus, nr_nodes, nr_vcpus, nr_mm;
	u32 chaos;
	struct counts counts;		/* atomic */
	u64 ops;			/* atomic */
};

extern struct world w;
extern _Thread_local struct cpu *this_cpu;	/* NULL: a thread of the mm */

#define count(field, n) \
	__atomic_fetch_add(&w.counts.field, (n), __ATOMIC_RELAXED)

#endif /* STRESS_WORLD_H */
