/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * struct dune_vcpu: one per thread that enters Dune mode, behind a fd of its
 * own. Only its owner runs it; flushers know CPUs, not vCPUs.
 *
 * Lifetime: VMCS, table pages, the id and with it the page go when the owner exits
 * or the fd is closed, whichever is first (vcpu_retire()); the object goes with the
 * fd. DUNE_RUN holds the file and runs on the owner, so both find the vCPU outside of
 * it. A re-entry (reenter.h) holds nothing: it has irqs off, and retiring waits for
 * its CPU. After it nothing touches the page: it may be another vCPU's.
 */
#ifndef KMOD_VCPU_H
#define KMOD_VCPU_H

#include <linux/pid.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/workqueue.h>

#include "vm.h"
#include "vmx/vmx.h"

/* What the next DUNE_RUN continues. Owner only. */
enum vcpu_phase {
	VCPU_READY,	/* enter the guest */
	VCPU_SYSCALL,	/* its argument is a system call's result */
	VCPU_DEAD,	/* an entry failed or an exit was unknown: -EIO */
};

struct dune_vcpu {
	struct dune_vm *vm;		/* constant, holds a reference */
	struct pid *owner;		/* constant, the creating thread */
	struct dune_vcpu_page *page;	/* the id's; user space writes it too; see vcpu_move_page() */
	u32 id;				/* constant; its own in the vm until retired */

	/* Owner only. */
	struct vmx_vcpu vmx;
	struct preempt_notifier preempt;
	struct replica *replica;	/* the EPT that it runs with; see placement.h */
	struct pt_cache tables;		/* for EPT faults */
	struct pt_map_op map;		/* the current one; its out fields are 0 between */
	u32 place;			/* of its next tables, as pt_cache.place */
	int node;			/* of the CPU that it was loaded on last */
	int next_node;			/* INTERLEAVE: after this one */
	int home;			/* node of its memory; follow.h */
	unsigned long away_since;	/* jiffies; 0: it is at home */
	u64 follow_cursor[2];
	bool page_waits;		/* to follow: something else referred to it */
	enum vcpu_phase phase;
	unsigned long late_work;	/* thread flags that wait for the next exit */
	u32 quantum_us;			/* what the VMCS was told */
	bool initialised;		/* the VMCS has been filled once */
	u32 calls_in_a_row;		/* re-issued, no other exit between; reenter.h */
	/* The mmap(), munmap() or madvise() that is made for the guest now; see ride.c. */
	const struct pt_regs *zapping;
	bool deferred;			/* deferred_exit is to be handled first */
	struct vmx_exit deferred_exit;	/* of a re-entry; see reenter.h */

	/* Others write the links: a line that no exit touches. */
	struct hlist_node by_owner ____cacheline_aligned; /* thread_exit_linux.c */
	struct list_head of_stats;	/* vm->stats->lock */
	struct work_struct retire;	/* queued by the owner's exit */
	bool retired;			/* set by release or retire work; page faults read it */
	bool leaked;			/* release and retire work only: in use for ever */
};

static __always_inline void vcpu_count_n(struct dune_vcpu *vcpu,
					 enum dune_vcpu_counter c, u64 n)
{
	/*
	 * Owner writes; user space sees whole values. One instruction, which
	 * WRITE_ONCE(READ_ONCE() + n) is not.
	 */
	asm volatile("addq %1, %0"
		     : "+m" (vcpu->page->counters[c]) : "er" (n) : "cc");
}

static inline void vcpu_count(struct dune_vcpu *vcpu, enum dune_vcpu_counter c)
{
	asm volatile("incq %0" : "+m" (vcpu->page->counters[c]) : : "cc");
}

/* vcpu.c: a new vCPU of vm for current; its file or ERR_PTR. *id is what it got. */
struct file *vcpu_create_file(struct dune_vm *vm, u64 *id);

/* sched-hooks/preempt_linux.c; owner only. */
void vcpu_load(struct dune_vcpu *vcpu);
void vcpu_put(struct dune_vcpu *vcpu);
void vcpu_preempt_init(struct dune_vcpu *vcpu);
/* That is loaded by this thread; NULL: none is. Process context. */
struct dune_vcpu *vcpu_of_current(void);
/* Its VMCS into *page, and the old one's page into that. Loaded, also after it. */
void vcpu_move_vmcs(struct dune_vcpu *vcpu, void **page);
/* After a run, before user mode or another thread; preemption off. */
void vcpu_restore_host(struct dune_vcpu *vcpu);

/*
 * vcpu.c: its vCPU page into *page, and the old one into that. False: something else
 * refers to it now. Owner, loaded; may sleep. Others look at it under stats_vm.lock.
 */
bool vcpu_move_page(struct dune_vcpu *vcpu, void **page);
/* vcpu.c: give back all but the object. Process context; idle vCPU; once. */
void vcpu_retire(struct dune_vcpu *vcpu);

/*
 * sched-hooks/thread_exit_linux.c: vcpu->retire is queued when the owner
 * exits. After unwatch() it neither runs nor is queued. May sleep.
 */
int thread_exit_setup(void);
void thread_exit_teardown(void);
void thread_exit_watch(struct dune_vcpu *vcpu);
void thread_exit_unwatch(struct dune_vcpu *vcpu);

/* run.c: the DUNE_RUN ioctl. */
long vcpu_run(struct dune_vcpu *vcpu, unsigned long arg);

/*
 * exits.c and below: handle one exit. VCPU_CONTINUE enters again; anything
 * else ends DUNE_RUN.
 */
#define VCPU_CONTINUE	(-1)
#define VCPU_LEFT	(-2)	/* the user registers are set, rax included */
int vcpu_handle_exit(struct dune_vcpu *vcpu, const struct vmx_exit *exit);

/* It ended the vCPU: no state that user space sets lets it go on. */
static inline bool vcpu_exit_is_fatal(const struct vmx_exit *exit)
{
	return exit->kind == VMX_EXIT_ENTRY_FAILED ||
	       exit->kind == VMX_EXIT_EPT_MISCONFIG ||
	       exit->kind == VMX_EXIT_UNKNOWN;
}

/* The same for what needs nothing of the host: inside a run, irqs off. */
enum vcpu_inner {
	VCPU_INNER_DONE,	/* handled: enter again */
	VCPU_INNER_LEAVE,	/* nothing was done: vcpu_handle_exit()'s */
};
enum vcpu_inner vcpu_handle_inner(struct dune_vcpu *vcpu,
				  const struct vmx_exit *exit);

/* CPUID: what the guest may know of the CPU. Inside a run too. */
void vcpu_cpuid(struct dune_vcpu *vcpu);

/*
 * run_inner.c: a run. irqs and preemption off, FPU loaded, the shootdown mode
 * IN_GUEST. *exit is for vcpu_handle_exit().
 */
void vcpu_run_inner(struct dune_vcpu *vcpu, struct vmx_exit *exit);

/* hypercall.c; at CPL 0. */
int vcpu_hypercall(struct dune_vcpu *vcpu);

/*
 * hypercall.c, irqs off: if the guest's hypercall is a system call that is to
 * be re-issued, give the thread the registers for it. False: nothing was done.
 */
bool vcpu_reissue_here(struct dune_vcpu *vcpu);

/* The owner may vouch that its guest has no code at another CPL. */
static inline bool vcpu_at_cpl0(struct dune_vcpu *vcpu)
{
	return READ_ONCE(vcpu->page->run_flags) & DUNE_RUN_CPL0 ||
	       vmx_guest_cpl(&vcpu->vmx) == 0;
}
/* ept_fault.c */
int vcpu_ept_fault(struct dune_vcpu *vcpu, const struct vmx_exit *exit);

/*
 * Work that only the way back to user mode does. Rescheduling is done in
 * DUNE_RUN; FPU state is loaded there; user-return notifiers wait.
 */
#define VCPU_HOST_WORK (_TIF_SIGPENDING | _TIF_NOTIFY_SIGNAL | \
			_TIF_NOTIFY_RESUME | _TIF_UPROBE | _TIF_PATCH_PENDING)
/* What ends a run between an exit and the next entry. */
#define VCPU_RUN_WORK (VCPU_HOST_WORK | _TIF_NEED_RESCHED)

static inline bool vcpu_work_pending(unsigned long mask)
{
	return READ_ONCE(current_thread_info()->flags) & mask;
}

/* Ends DUNE_RUN with a record; extra fields are set by the caller before. */
int vcpu_record(struct dune_vcpu *vcpu, enum dune_exit_kind kind,
		const struct vmx_exit *exit);

#endif /* KMOD_VCPU_H */
