/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * EPT TLB shootdown: when it is over, no CPU can use a translation that was
 * removed before it began.
 *
 * CPU, about to run a vCPU (irqs off)   flusher
 *   mode = ENTERING                       entries = 0
 *   full fence            [SD-1]          gen++, full fence        [SD-2]
 *   read gen                              read mode; ENTERING: wait, it is short
 *   seen < gen: INVEPT, seen = gen        IN_GUEST and seen < gen:
 *   mode = IN_GUEST (release) [SD-5]        -> EXITING, kick (one for all CPUs)
 *   VM entry ... VM exit                    wait until it left (acquire) [SD-4]
 *   mode = OUTSIDE (release) [SD-3]
 *
 * Either the CPU sees the new generation or the flusher sees that it is not
 * outside. A CPU outside the guest gets no interrupt: the generation catches
 * it at its next entry. One that is ENTERING says within a few instructions
 * which generation it has seen: no kick for a CPU that has just flushed. All of this belongs to (vm, physical CPU), because cached
 * translations do: two threads on one CPU share what it has seen.
 *
 * Which CPUs: those in vm->cpus, the mm's own mask. A CPU that runs a vCPU has
 * the mm loaded, so Linux keeps it in there; no mask of our own is written on
 * any entry.
 *
 * Two ways to finish:
 *   shootdown_run()    kicks at once, returns when it is over;
 *   shootdown_defer()  bumps the generation only. For an invalidation after
 *                      which Linux is sure to interrupt, before a page is
 *                      freed, every CPU that runs a thread of the mm: its own
 *                      TLB flush ends the guest runs. inval.h remembers what
 *                      was deferred; shootdown_settle() kicks who is left.
 */
#ifndef SMP_SHOOTDOWN_H
#define SMP_SHOOTDOWN_H

#include "gather.h"
#include "inval.h"

enum sd_mode { SD_OUTSIDE, SD_ENTERING, SD_IN_GUEST, SD_EXITING };

/* One line per (vm, CPU). The CPU writes it, irqs off; flushers read it. */
struct sd_cpu {
	u32 mode;	/* enum sd_mode; flushers: IN_GUEST -> EXITING only */
	u32 who;	/* in a run: id of the vCPU, for kick.h */
	u64 seen;	/* generation that it has flushed to; 0: none yet */
	u64 run;	/* number of the run, for kick.h */
	u32 replica;	/* which table it uses, for replicas.h */
} __attribute__((aligned(64)));

struct sd_vm {
	u64 gen;			/* bumped by each removal; never wraps */
	u64 root_pa;			/* constant; names the table to tools */
	const plat_cpumask_t *cpus;	/* constant */
	struct sd_cpu plat_percpu *cpu;	/* constant */
};

/* cpu: zeroed lines. */
void sd_vm_init(struct sd_vm *vm, u64 root_pa, const plat_cpumask_t *cpus,
		struct sd_cpu plat_percpu *cpu);

/* Whose run begins; right before sd_enter(), irqs off. */
static inline void sd_begin(struct sd_cpu *cpu, u32 who)
{
	plat_store(&cpu->who, who);
	/* Also a release of what earlier guest runs accessed, as [SD-3]. */
	plat_inc64_owner(&cpu->run);
}

/*
 * About to enter the guest here; irqs off. Returns the generation that a flush
 * now would bring this CPU to, or 0 when it is up to date. When not 0 the
 * caller flushes this CPU by EPT root, then calls sd_flushed(). In both cases
 * sd_entered() follows at once, with nothing in between that waits for anyone:
 * flushers wait for it.
 */
u64 sd_enter(const struct sd_vm *vm, struct sd_cpu *cpu);
void sd_flushed(struct sd_cpu *cpu, u64 gen);
void sd_entered(struct sd_cpu *cpu);
/* Left the guest, or did not enter. irqs off. Was it a kick that ended it? */
enum sd_end { SD_END_OTHER, SD_END_KICKED };
enum sd_end sd_exit(struct sd_cpu *cpu);

/* Mode (acquire) of a CPU, but never ENTERING: that is over very soon. */
static inline u32 sd_settled_mode(const struct sd_cpu *cpu)
{
	u32 mode;

	while ((mode = plat_load_acquire(&cpu->mode)) == SD_ENTERING)
		plat_cpu_relax();
	return mode;
}

/*
 * Is this CPU in a guest run that began before gen? A run that begins later
 * flushes first, because it reads the generation [SD-1].
 */
static inline bool sd_must_leave(const struct sd_cpu *cpu, u64 gen)
{
	/*
	 * [SD-4] mode (acquire): what the guest did before it left comes
	 * before what the flusher does next; pairs with [SD-3].
	 */
	u32 mode = sd_settled_mode(cpu);

	/* [SD-6] mode before seen; pairs with [SD-5]. */
	return mode != SD_OUTSIDE && plat_load_acquire(&cpu->seen) < gen;
}

/* What one look at all CPUs found; for shootdown.c, replicas.c and kick.c. */
struct sd_asked {
	unsigned int running;	/* CPUs that had to leave */
	unsigned int kicks;	/* of these, in the mask: this caller's to kick */
	plat_cpumask_t *mask;	/* if there are any */
};
#define SD_ASKED_NONE { 0, 0, NULL }

/* Make this CPU leave. EXITING already: another one's kick serves this one. */
static inline void sd_ask_to_exit(struct sd_asked *asked, struct sd_cpu *line,
				  unsigned int cpu)
{
	u32 in_guest = SD_IN_GUEST;

	asked->running++;
	if (!plat_cas32(&line->mode, &in_guest, SD_EXITING))
		return;
	if (!asked->kicks++) {
		asked->mask = plat_kick_mask();
		plat_cpumask_clear(asked->mask);
	}
	plat_cpumask_set(asked->mask, cpu);
}

/*
 * Finish a gather now. What it holds was removed before the call. Preemption
 * off, irqs on: it waits for other CPUs' exits. Returns the number of kicks.
 */
unsigned int shootdown_run(struct sd_vm *vm, struct gather *gather);

/* For shootdown_run() and shootdown_defer(): covers everything removed so far. */
static inline u64 sd_bump(struct sd_vm *vm)
{
	plat_mark_bump(vm->root_pa, &vm->gen);
	/*
	 * [SD-7] Removed entries before gen; pairs with [SD-8] in sd_enter().
	 * Shape: MP.
	 * [SD-2] gen before any CPU's mode; pairs with [SD-1] in sd_enter():
	 * else a CPU counts as outside and enters with the old generation.
	 * Shape: SB.
	 */
	return plat_add64_full(&vm->gen, 1);
}

/* A gather with tables needs a flush now. */
static inline bool sd_can_defer(const struct gather *gather)
{
	if (gather->tables)
		plat_warn_once("shootdown_defer: tables need a flush now");
	return !gather->tables;
}

/*
 * Bump the generation for what was removed and leave the flush to Linux; see
 * above. Only for a gather without tables: with one it does nothing and the
 * gather stays unflushed. Between inval_begin() and inval_end() of the range.
 * Any context.
 */
static inline void shootdown_defer(struct sd_vm *vm, struct inval *inval,
				   u64 start, u64 end, struct gather *gather)
{
	if (!sd_can_defer(gather))
		return;
	inval_defer(inval, start, end, sd_bump(vm));
	gather_flushed(gather);
}

/* The same for a range in one region: its bucket. */
static inline void shootdown_defer_one(struct sd_vm *vm,
				       struct inval_bucket *bucket,
				       struct gather *gather)
{
	if (!sd_can_defer(gather))
		return;
	inval_raise(&bucket->need, sd_bump(vm));
	gather_flushed(gather);
}

/*
 * Make sure that every CPU has seen gen, which was given by shootdown_defer()
 * or inval_pending(). As shootdown_run() otherwise.
 */
unsigned int shootdown_settle(struct sd_vm *vm, u64 gen);

/* Has every CPU seen gen, or is outside? Any context; no kick. */
enum sd_progress { SD_OVER, SD_GOES_ON };
enum sd_progress shootdown_progress(const struct sd_vm *vm, u64 gen);

#endif /* SMP_SHOOTDOWN_H */
