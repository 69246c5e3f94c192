/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Shared by the files of libdune only.
 *
 * Three kinds of code live in this library:
 *   plain   ordinary C of a Linux thread (init.c, thread.c, stats.c, crash.c)
 *   host    C called by the run stub between two DUNE_RUNs, on the thread's
 *           host stack, while the guest's vector registers are live
 *           (host_exit.c, signal.c): general registers only, raw system calls
 *           only
 *   guest   the guest's exception handlers (trap.c, entry.S): as host, and
 *           outside of a program's handler they must not touch memory whose
 *           1 GiB region may be unmapped in the guest page table, because a
 *           trap of the same IST would overwrite their frame
 */
#ifndef DUNE_INTERNAL_H
#define DUNE_INTERNAL_H

#include <stddef.h>

#pragma GCC visibility push(default)
#include "dune.h"
#pragma GCC visibility pop

#include "asm.h"
#include "ipi.h"
#include "trap_grace.h"
#include "vm/local.h"
#include "uapi/dune_abi_check.h"

#define PAGE_SIZE	4096ul
#define REGION_SIZE	(1ul << DUNE_SLOT_SHIFT)
#define USER_END	(1ul << USER_BITS)

/* Selectors of ring 3: Linux' own. */
#define DUNE_USER_CS		0x33
#define DUNE_USER_SS		0x2b

struct dune_tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t iomap;
} __attribute__((packed));

/*
 * One stay in ring 3. The way in and out touches the thread's area and the
 * vCPU's page only, which cannot fault.
 */
struct user_stay {
	struct dune_regs regs;
	uint64_t iret[5];		/* rip, cs, rflags, rsp, ss */
	uint64_t sp;			/* ring 0's, while ring 3 runs */
	uint32_t mxcsr;			/* ring 0's */
	uint16_t fcw;
	uint16_t reserved;
	int32_t reason;			/* what dune_user_run() returns */
	uint32_t vector;
	uint64_t error_code, fault_addr;
	uint64_t fs_base, gs_base, pkru;	/* ring 3's */
	uint64_t own_fs_base, own_gs_base, own_pkru;
	void *xsave;			/* ring 3's, or NULL */
};

/* Cleared when a thread gets it, but for what is area.c's. */
struct dune_thread {
	int fd;				/* the vCPU */
	uint32_t entered;		/* in Dune mode, or a signal handler's frame is below us */
	struct dune_vcpu_page *page;
	uint64_t host_sp;		/* top of the host stack */
	int64_t enter_error;		/* for HOST_ENTER_FAILED */
	struct trap_grace grace;
	uint32_t in_ring3;		/* ring 3 runs, or is being entered; user_trap.c */
	uint32_t reserved;
	struct dune_tss tss __attribute__((aligned(16)));
	struct user_stay stay;		/* the innermost one, if any */
	struct vm_local vm;		/* guest paging */
	struct ipi_thread ipi;

	/* The last refused access, to notice that nothing moves. */
	uint64_t refused_addr;
	uint64_t refused_rip;
	uint64_t refused_changes;	/* the vm's notifier_calls then */
	uint32_t refused_times;
	uint32_t slot_error;		/* errno of the slot the guest did not get */

	bool runs_ring3;		/* or has done so: no DUNE_RUN_CPL0 any more */

	dune_quantum_fn quantum_fn;	/* or NULL */
	void *quantum_arg;

	struct dune_thread *next;	/* list of all, or of the free ones */
	struct dune_thread *prev;
	uint32_t node;			/* area.c: to whose areas it returns */
	uint64_t stacks;		/* area.c: low end of stack 0 */

	/* dune-run: the thread pointer of our libc, where the program has another. */
	uint64_t own_fs;
	struct dune_regs landing;	/* constant: where a trapped guest leaves to */
	struct dune_crash crash;
};

struct dune_vm {
	int fd;
	uint32_t generation;		/* of this process's vms; see thread_current() */
	const uint32_t *slot_table;
	const struct dune_vm_page *page;
	char *vcpu_pages;		/* DUNE_MMAP_VCPU_PAGES: see dune_vcpu_page() */
	uint64_t idt;
	unsigned int nr_vm_counters;	/* the module's, at most ours */
	unsigned int nr_vcpu_counters;
	uint32_t caps;			/* the module's DUNE_CAP_* */
	uint32_t nr_slots;		/* guest physical space, in regions */
	unsigned int xsave_size;	/* 0: no XSAVE, FXSAVE area */
	bool has_pkru;
	uint32_t run_flags;		/* DUNE_RUN_*, of every thread */
	uint64_t tls_size;		/* of a thread's TLS, below its thread pointer */
};

/*
 * One page that fork() zeroes in the child (MADV_WIPEONFORK), so that a child
 * knows by a load that the vm is not its own, however it was forked.
 */
struct dune_forkpage {
	uint32_t alive;			/* dune_vm is ready for this mm */
	uint32_t lock;			/* futex: 0 free, 1 held, 2 held and waited for */
};

#define ASM_AT(type, member, offset) \
	_Static_assert(offsetof(struct type, member) == (offset), #member)
ASM_AT(dune_thread, fd, THREAD_FD);
ASM_AT(dune_thread, entered, THREAD_ENTERED);
ASM_AT(dune_thread, page, THREAD_PAGE);
ASM_AT(dune_thread, host_sp, THREAD_HOST_SP);
ASM_AT(dune_thread, enter_error, THREAD_ENTER_ERROR);
ASM_AT(dune_thread, grace.depth, THREAD_TRAP_DEPTH);
ASM_AT(dune_thread, in_ring3, THREAD_IN_RING3);
ASM_AT(dune_thread, tss, THREAD_TSS);
ASM_AT(dune_thread, tss.ist[0], THREAD_IST_PF);
ASM_AT(dune_thread, stay.regs, THREAD_STAY);
ASM_AT(dune_thread, stay.iret, THREAD_STAY_IRET);
ASM_AT(dune_thread, stay.sp, THREAD_STAY_SP);
ASM_AT(dune_thread, stay.reason, THREAD_STAY_REASON);
ASM_AT(dune_thread, stay.mxcsr, THREAD_STAY_MXCSR);
ASM_AT(dune_thread, stay.fcw, THREAD_STAY_FCW);
ASM_AT(dune_thread, grace.epoch, THREAD_TRAP_EPOCH);
ASM_AT(dune_regs, rax, REGS_RAX);
ASM_AT(dune_regs, rcx, REGS_RCX);
ASM_AT(dune_regs, rdx, REGS_RDX);
ASM_AT(dune_regs, rbx, REGS_RBX);
ASM_AT(dune_regs, rsp, REGS_RSP);
ASM_AT(dune_regs, rbp, REGS_RBP);
ASM_AT(dune_regs, rsi, REGS_RSI);
ASM_AT(dune_regs, rdi, REGS_RDI);
ASM_AT(dune_regs, r8, REGS_R8);
ASM_AT(dune_regs, r9, REGS_R9);
ASM_AT(dune_regs, r10, REGS_R10);
ASM_AT(dune_regs, r11, REGS_R11);
ASM_AT(dune_regs, r12, REGS_R12);
ASM_AT(dune_regs, r13, REGS_R13);
ASM_AT(dune_regs, r14, REGS_R14);
ASM_AT(dune_regs, r15, REGS_R15);
ASM_AT(dune_regs, rip, REGS_RIP);
ASM_AT(dune_regs, rflags, REGS_RFLAGS);
ASM_AT(dune_vcpu_page, regs, 0);
ASM_AT(dune_vcpu_page, sync, PAGE_SYNC);
ASM_AT(dune_vcpu_page, exit.addr, PAGE_EXIT_ADDR);
/* stub.S pops a dune_fork_frame in this order, then returns by its rip. */
ASM_AT(dune_fork_frame, rbx, 0);
ASM_AT(dune_fork_frame, rbp, 8);
ASM_AT(dune_fork_frame, r12, 16);
ASM_AT(dune_fork_frame, r13, 24);
ASM_AT(dune_fork_frame, r14, 32);
ASM_AT(dune_fork_frame, r15, 40);
ASM_AT(dune_fork_frame, rcx, 48);
ASM_AT(dune_fork_frame, r11, 56);
ASM_AT(dune_fork_frame, rip, 64);
_Static_assert(DUNE_SYNC_REGS == ASM_SYNC_REGS, "stub.S");
_Static_assert(DUNE_RUN == ASM_DUNE_RUN, "stub.S");
_Static_assert(DUNE_EXIT_SYSCALL == 0, "stub.S");
_Static_assert(DUNE_EXIT_RETRY == ASM_EXIT_RETRY, "stub.S");
_Static_assert(sizeof(struct dune_tss) == 104, "TSS layout");
_Static_assert(!(WINDOW_SIZE & (WINDOW_SIZE - 1)) && !(GROUP_SIZE & (GROUP_SIZE - 1)) &&
	       !(THREAD_STACK_STRIDE & (THREAD_STACK_STRIDE - 1)),
	       "a trap finds its thread by its stack");
_Static_assert(GROUP_THREADS * WINDOW_GROUPS >= DUNE_MAX_VCPUS, "areas for all");
_Static_assert(sizeof(struct dune_thread) <= THREAD_SIZE, "area.c");
_Static_assert(TRAP_LEVELS == DUNE_TRAP_NESTING + 1, "trap_entry.S");
_Static_assert(DUNE_IPI_NESTING < DUNE_TRAP_NESTING, "leaves INT some levels");
_Static_assert(sizeof(struct dune_trap) % 16 == 0, "trap_entry.S: the handler's stack");
ASM_AT(dune_trap, xsave, 8);
ASM_AT(dune_trap, r15, TRAP_R15);
ASM_AT(dune_trap, rax, TRAP_RAX);
ASM_AT(dune_trap, vector, TRAP_VECTOR);
ASM_AT(dune_trap, error_code, TRAP_ERROR);
ASM_AT(dune_trap, rip, TRAP_RIP);
ASM_AT(dune_trap, cs, TRAP_CS);
ASM_AT(dune_trap, rflags, TRAP_RFLAGS);
ASM_AT(dune_trap, rsp, TRAP_RSP);
ASM_AT(dune_trap, ss, TRAP_SS);
_Static_assert(TRAP_ALLOW == DUNE_TRAP_ALLOW && DUNE_TRAP_ALLOW > 15, "trap_entry.S");
_Static_assert(offsetof(struct dune_trap, fault_addr) == TRAP_FAULT_ADDR, "trap_entry.S");
_Static_assert(VECTOR_PF == DUNE_VECTOR_PF && VECTOR_DB == DUNE_VECTOR_DB,
	       "trap_entry.S");
_Static_assert(TRAP_INT_N == DUNE_TRAP_INT_N, "trap_entry.S");
_Static_assert(PF_NO_FILL == (DUNE_PF_PRESENT | DUNE_PF_RESERVED | DUNE_PF_REFUSED |
			      DUNE_TRAP_INT_N), "trap_entry.S");
_Static_assert(DUNE_PF_REFUSED == DUNE_PF_ERROR_REFUSED, "what the module sets");
#undef ASM_AT

#pragma GCC visibility push(hidden)

extern struct dune_vm dune_vm;
extern struct dune_forkpage *dune_forkpage;
extern dune_crash_fn dune_crash_handler;

/* stub.S */
int dune_enter_asm(struct dune_thread *t);
void dune_entered(void);		/* a label: the first guest instruction */
void dune_trap_landing(void);		/* a label */
extern const char dune_stub_syscall_end[];	/* behind its second SYSCALL */
void dune_call_on_stack(void (*fn)(void *), void *arg, uint64_t sp);
_Noreturn void dune_replay(struct dune_thread *t, const struct dune_regs *regs);

/* entry.S: labels, for who finds the guest between them */
extern const char dune_syscall_shifted[], dune_syscall_packed[], dune_syscall_unpacked[],
	dune_syscall_made[], dune_syscall_lowered[], dune_syscall_pushed[],
	dune_syscall_popped[], dune_syscall_raised[];

/* host_exit.c, for the stub */
int dune_host_exit(struct dune_thread *t, long ret);
_Noreturn void dune_host_trap(struct dune_thread *t);

/*
 * signal.c: all signals blocked; the mask before. If not NULL the hook, given that
 * mask, says with which one a thread goes on natively.
 */
uint64_t dune_block_signals(void);
extern uint64_t (*dune_mask_hook)(struct dune_thread *t, uint64_t mask);
/* Returns when Linux does not let it. */
void dune_signal_fault(struct dune_thread *t);
/*
 * All signals are blocked; the thread goes on in plain mode with these registers, this
 * mask and the vector registers that it has.
 */
_Noreturn void dune_sigreturn(struct dune_thread *t, const struct dune_regs *regs,
			      uint64_t mask);

/* entry.S, trap_entry.S */
void dune_syscall_entry(void);
extern const char dune_trap_vectors[];
void dune_trap_pf(void);		/* a label */

/* The linker's: this library, or the program it is linked into. */
extern const char __ehdr_start[], _end[];

/* area.c: where the threads' structs begin, asm.h. 0: there is none yet */
extern uint64_t dune_heads;

/* init.c */
__attribute__((format(printf, 1, 2))) void dune_why_set(const char *fmt, ...);
/* init.c: what dune_lock() needs; 0 or a negative errno with a reason. Any thread. */
int dune_forkpage_init(void);
/* placement.c: what was asked for, dune_lock held; -EINVAL with a reason: DUNE_NUMA. */
int dune_placement_get(struct dune_create_vm *create);
void dune_lock(void);
void dune_unlock(void);

/* own_memory.c: 0 or a negative errno */
int dune_own_memory(struct dune_vm *vm);

/* thread.c */
int dune_threads_init(void);
void dune_threads_forget(void);
extern __thread struct dune_thread *dune_self __attribute__((tls_model("initial-exec")));
struct dune_thread *dune_thread_current(void);
void dune_thread_ends(void *local);	/* has vm_plain_end() called at the end */
void dune_thread_exit(struct dune_thread *t);	/* for the stub */
/* The calling thread's vCPU, ready to run but for its registers: dune_enter()'s errors */
int dune_thread_prepare(struct dune_thread **thread);
/*
 * The child of a vfork() uses the thread pointer of its parent, which waits. The
 * child, first: as if it had no vCPU. The parent, afterwards: t is its own; child is
 * the child's, or NULL. Their descriptors are not in one table.
 */
void dune_thread_lend(void);
void dune_thread_return(struct dune_thread *t, struct dune_thread *child);
bool dune_threads_passed(uint32_t epoch);
bool dune_in_handler(const struct dune_thread *t);	/* t is the caller's */

/* #DB of a single step? DR6, which knows, is not the guest's. */
static inline bool dune_is_step(uint64_t vector, uint64_t rflags)
{
	return vector == DUNE_VECTOR_DB && rflags & FLAG_TF;
}

/* trap.c: vector registers as Linux starts a program, protection keys apart */
void dune_fpu_init(void);

/* desc.c */
void dune_gdt_build(struct dune_thread *t);
void dune_tss_build(struct dune_thread *t);
void dune_idt_build(void *page);
unsigned int dune_vector_ist(unsigned int vector);

/* trap_register.c */
void dune_traps_init(void);

/* quantum.c */
void dune_quantum_call(void *thread);

/* vm/fault.c: true: try the access again */
bool dune_vm_fill(struct dune_thread *t, uint64_t addr, uint64_t error);
bool dune_vm_spurious(struct dune_thread *t, uint64_t addr, uint64_t error);

/*
 * vm/allow.c: in a trap, with interrupts off; prot < 16. After the short way the
 * thread is still in Dune mode; otherwise ALLOW_SLOWLY + the handler's verdict.
 */
enum dune_allowed {
	ALLOW_QUICKLY,
	ALLOW_SLOWLY,
	ALLOW_FAILED = ALLOW_SLOWLY + DUNE_TRAP_DELIVER,
};
_Static_assert(ALLOW_QUICKLY == 0 && ALLOW_SLOWLY + DUNE_TRAP_RESUME == 1, "trap_entry.S");
enum dune_allowed dune_vm_allow(struct dune_thread *t, uint64_t addr, uint64_t prot);

/* vm/cow.c: true: the page was copied, try the access again */
bool dune_vm_cow(struct dune_thread *t, uint64_t addr, uint64_t error);
extern int dune_vm_cow_used;		/* there was a clone; never 0 again */

/* call_saved.c: fn(arg), with the vector registers kept */
void dune_call_saved(void (*fn)(void *), void *arg);

/* crash.c */
void dune_crash_call(void *thread);
void dune_crash_report(void *thread);
void dune_refused_report(void *thread);
void dune_slot_report(void *thread);
_Noreturn void dune_crash_die(struct dune_thread *t);
_Noreturn void dune_run_failed_die(struct dune_thread *t, long err);
const char *dune_kind_name(unsigned int kind);

#pragma GCC visibility pop

/* This process, not its parent, has a vm. */
static inline bool dune_alive(void)
{
	struct dune_forkpage *page = __atomic_load_n(&dune_forkpage, __ATOMIC_ACQUIRE);

	return page && __atomic_load_n(&page->alive, __ATOMIC_ACQUIRE);
}

/* Of the vCPU with that id; of the last one that had it; or no memory. */
static inline struct dune_vcpu_page *dune_vcpu_page(uint64_t id)
{
	return (struct dune_vcpu_page *)(dune_vm.vcpu_pages + id * DUNE_VCPU_PAGE_SIZE);
}

/* Whose stack this is, if it is a run stub's or a trap's: else anybody's, or nobody's. */
static inline struct dune_thread *dune_thread_at(const void *sp)
{
	return (void *)(dune_heads + ((uintptr_t)sp >> THREAD_SHIFT & THREAD_MASK));
}

/* Is this in one of the thread's own stacks? */
static inline bool dune_in_stacks(const struct dune_thread *t, const void *sp)
{
	return (uintptr_t)sp - (t->stacks & -GROUP_SIZE) < GROUP_SIZE && dune_thread_at(sp) == t;
}

static inline bool dune_crash_wanted(void)
{
	return __atomic_load_n(&dune_crash_handler, __ATOMIC_RELAXED) != NULL;
}

static inline bool dune_in_guest(void)
{
#ifdef DUNE_TEST_CPU
	extern bool fake_in_guest(void);

	return fake_in_guest();
#else
	uint16_t cs;

	asm volatile("mov %%cs, %0" : "=r" (cs));
	return (cs & 3) == 0;
#endif
}

static inline long dune_vmcall(uint64_t nr, uint64_t arg)
{
	long ret;

	asm volatile(VMCALL_STR
		     : "=a" (ret)
		     : "a" (nr), "D" (arg)
		     : "rcx", "r11", "memory");
	return ret;
}

#endif /* DUNE_INTERNAL_H */
