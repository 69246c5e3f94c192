/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The one interface between the Dune kernel module and user space.
 *
 * Ids and offsets only, never a kernel pointer. Sizes are fixed, padding is
 * explicit, every reserved field must be zero (else -EINVAL). The layout is
 * asserted in dune_abi_check.h; docs/abi.md tells the story.
 *
 *   open("/dev/dune")        a fd bound to the caller's mm
 *   ioctl DUNE_GET_INFO      what this module and CPU offer
 *   ioctl DUNE_CREATE_VM     makes the fd the mm's one vm (-EBUSY: it has one)
 *   ioctl DUNE_CREATE_VCPU   returns a vCPU fd owned by the calling thread
 *   mmap(vcpu fd, 0)         its struct dune_vcpu_page
 *   mmap(vm fd, ...)         struct dune_vm_page, the slot table, all vCPUs' pages
 *   ioctl DUNE_STAT_OPEN     returns a fd for sums of counters; needs no vm
 *   ioctl DUNE_RUN           runs the calling thread in VMX non-root mode
 *
 * Every call checks current->mm: a fd inherited by fork or received over a
 * socket gives -EPERM.
 */
#ifndef _UAPI_DUNE_H
#define _UAPI_DUNE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#include "dune_counters.h"

#define DUNE_API_VERSION	4
#define DUNE_DEVICE_PATH	"/dev/dune"

/* General registers in hardware encoding order, then what the VMCS holds. */
struct dune_regs {
	__u64 rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi;
	__u64 r8, r9, r10, r11, r12, r13, r14, r15;
	__u64 rip, rflags;
};

/* Guest system state. Loaded when DUNE_SYNC_SREGS is set. */
struct dune_sregs {
	__u64 cr3;		/* guest physical address of the PML4 */
	__u64 fs_base;
	__u64 gs_base;
	__u64 gdt_base;
	__u64 idt_base;
	__u64 tss_base;
	__u32 gdt_limit;
	__u32 idt_limit;
	__u32 tss_limit;
	__u32 reserved;
};

/* Fixed guest selectors: the Linux layout, because SYSCALL loads them. */
#define DUNE_GUEST_CS		0x10
#define DUNE_GUEST_DS		0x18
#define DUNE_GUEST_TR		0x40

/* What DUNE_RUN returns (>= 0), also in dune_exit.kind. */
enum dune_exit_kind {
	/*
	 * The guest made a Linux system call. Unless DUNE_RUN_RECORD is set,
	 * the caller's own user registers are, on return of the ioctl: rdi,
	 * rsi, rdx, r10, r8, r9 the arguments, rbx the call's number, rbp and
	 * rsp the guest's, r13 the address of a struct dune_fork_frame when
	 * the call creates a task and else 0. r12, r14, r15 and rip are kept.
	 * The next DUNE_RUN's argument is the call's result.
	 */
	DUNE_EXIT_SYSCALL	= 0,
	/* Host work (signal, task work) was pending: just call DUNE_RUN again. */
	DUNE_EXIT_RETRY		= 1,
	/* The mm refuses this access: addr, access. Retried on the next run. */
	DUNE_EXIT_FAULT		= 2,
	/* The guest asked for its DUNE_RUN caller (DUNE_HC_EXIT). */
	DUNE_EXIT_HYPERCALL	= 3,
	/* Triple fault. The vCPU cannot continue unless its state is reset. */
	DUNE_EXIT_CRASH		= 4,
	/* VM entry failed; hw_reason and qualification say why. vCPU is dead. */
	DUNE_EXIT_ENTRY_FAILED	= 5,
	/* An exit this module does not know. vCPU is dead. */
	DUNE_EXIT_UNKNOWN	= 6,
	/* quantum_us of guest time are over, and the next quantum has begun. */
	DUNE_EXIT_QUANTUM	= 7,
};

/* dune_exit.access */
#define DUNE_ACCESS_READ	(1u << 0)
#define DUNE_ACCESS_WRITE	(1u << 1)
#define DUNE_ACCESS_EXEC	(1u << 2)

/* The neutral exit record: no VMCS encodings but hw_reason. */
struct dune_exit {
	__u32 kind;		/* enum dune_exit_kind */
	__u32 hw_reason;	/* the CPU's exit reason, for messages only */
	__u64 addr;		/* FAULT: host virtual address */
	__u64 gpa;		/* FAULT: guest physical address */
	__u64 qualification;	/* the CPU's exit qualification */
	__u32 access;		/* FAULT: DUNE_ACCESS_* */
	__u32 insn_len;		/* bytes, where the CPU gives it */
	__u64 gva;		/* FAULT: guest virtual address */
	__u64 reserved[2];
};

/* dune_vcpu_page.sync, set by user space, consumed by the next DUNE_RUN */
#define DUNE_SYNC_REGS		(1u << 0)	/* rip, rsp, rflags */
#define DUNE_SYNC_SREGS		(1u << 1)	/* and CPL 0, whatever it was */
/*
 * The access of the last DUNE_EXIT_FAULT gets #PF in the guest: exit.gva in CR2;
 * the error code has exit.access, the guest's CPL, and DUNE_PF_ERROR_REFUSED, which
 * no CPU sets. With DUNE_SYNC_REGS: not.
 */
#define DUNE_SYNC_FAULT		(1u << 2)
#define DUNE_PF_ERROR_REFUSED	(1u << 14)

/* dune_vcpu_page.run_flags, set by user space, read by every DUNE_RUN */
#define DUNE_RUN_RECORD		(1u << 0)	/* system calls as records only:
						 * number in regs.rax, result is
						 * stored there by the caller */
#define DUNE_RUN_REISSUE	(1u << 1)	/* every system call is re-issued
						 * by the thread in user mode */
#define DUNE_RUN_CPL0		(1u << 2)	/* the guest has no code above CPL
						 * 0: VMCALL need not check */
#define DUNE_RUN_REENTER	(1u << 3)	/* run the guest on the way back from
						 * a call; needs DUNE_CAP_REENTER */
#define DUNE_RUN_NO_HLT		(1u << 4)	/* HLT is #GP, as in a process */
#define DUNE_RUN_FLAGS		(DUNE_RUN_RECORD | DUNE_RUN_REISSUE | \
				 DUNE_RUN_CPL0 | DUNE_RUN_REENTER | \
				 DUNE_RUN_NO_HLT)

/* dune_vcpu_page.quantum_us, if not 0; needs DUNE_CAP_QUANTUM */
#define DUNE_QUANTUM_MIN_US	20u
#define DUNE_QUANTUM_MAX_US	10000000u

/*
 * dune_vcpu_page.requests, set by any thread of the process with a locked OR,
 * consumed by the module at the begin of a run, or by the owner while it polls.
 * Other bits are ignored.
 */
#define DUNE_REQ_FLUSH		(1u << 0)	/* forget all translations of the
						 * guest's own page tables */
#define DUNE_REQ_IRQ		(1u << 1)	/* interrupt notify_vector */
#define DUNE_REQ_FLUSHING	(1u << 2)	/* the owner has taken FLUSH while it
						 * polls, and is about to flush; the
						 * module: as FLUSH */
#define DUNE_REQUESTS		(DUNE_REQ_FLUSH | DUNE_REQ_IRQ | DUNE_REQ_FLUSHING)

/* vCPUs of a vm: their ids are below it. */
#define DUNE_MAX_VCPUS		1024u

/* What DUNE_HC_KICK reads: bit n % 64 of word n / 64 is the vCPU with id n. */
struct dune_kick {
	__u64 ids[DUNE_MAX_VCPUS / 64];
};

/*
 * Shared by the module and the owning process, one page per vCPU, zeroed when the
 * vCPU is created. After its end the page is the next one's with its id. General
 * registers live here always; rip, rsp, rflags are written back on every
 * return of DUNE_RUN (>= 0). Unless DUNE_RUN_RECORD is set the caller's own
 * rsp is then the guest's, so that Linux delivers signals below the guest's
 * live stack. User space may scribble anything: it can only harm its own guest.
 */
struct dune_vcpu_page {
	struct dune_regs regs;			/* offset 0 */
	__u32 sync;				/* 144: DUNE_SYNC_* */
	__u32 run_flags;			/* 148: DUNE_RUN_* */
	/*
	 * Where the caller's SYSCALL instruction that re-issues calls ends. 0:
	 * a call that sleeps or touches memory is always re-issued. A call made
	 * inside the kernel that a signal interrupts is finished as if it had
	 * been made there: Linux restarts it or not.
	 *
	 * With DUNE_RUN_REENTER: when a re-issued call returns here and r13 is
	 * 0, the guest may run at once. Then the thread is either at the next
	 * call's SYSCALL instruction, 2 bytes before, with its registers as at
	 * DUNE_EXIT_SYSCALL and rax the number; or still here, with any rax, and
	 * DUNE_RUN, whose argument then does not matter, goes on.
	 */
	__u64 syscall_ip;			/* 152 */
	/*
	 * Time in the guest after which DUNE_RUN returns DUNE_EXIT_QUANTUM, 0
	 * for never. A changed value starts a new quantum at the next DUNE_RUN.
	 */
	__u32 quantum_us;			/* 160 */
	__u32 reserved3;			/* 164 */
	/*
	 * Not 0: the guest's rsp and FS base are those of code that the process
	 * does not trust, ring 3 say. Then on each return of DUNE_RUN the
	 * caller's rsp is this one instead, and its FS base stays its own.
	 */
	__u64 user_sp;				/* 168 */
	__u64 reserved0[10];			/* 176 */
	struct dune_sregs sregs;		/* 256 */
	/*
	 * Requests of other threads, a line of its own.
	 *
	 * A run is one stay of the module's loop around the guest. Its begin:
	 * mode = 1, full fence, requests are read, once. Its end: mode = 0. So
	 * who sets a request, then makes a full fence, then reads mode as 0 need
	 * do nothing: the next run sees it. Else DUNE_HC_KICK ends the run.
	 */
	__u32 id;		/* 320: of this vCPU in its vm; the module sets it */
	__u32 mode;		/* 324: 1 during a run, else 0; by the module */
	__u32 requests;		/* 328: DUNE_REQ_* */
	__u32 polling;		/* 332: user space's own: the owner looks at
				 * requests by itself; ignored by the module */
	__u32 notify_vector;	/* 336: 32..255; other values: DUNE_REQ_IRQ is
				 * consumed and nothing happens */
	__u32 reserved4;	/* 340 */
	__u64 reserved5;	/* 344 */
	__u64 irr[4];		/* 352: user space's own: pending vectors */
	__u64 reserved1[16];			/* 384 */
	struct dune_exit exit;			/* 512 */
	/*
	 * User space's own: a GDT for the guest, say. Its 16th entry, where the
	 * vDSO's getcpu() looks (LSL), is the module's, which keeps it at the CPU
	 * and node that the vCPU is on: Linux' format.
	 */
	__u64 gdt[15];				/* 576 */
	__u64 cpu_desc;				/* 696 */
	__u64 reserved2[40];			/* 704 */
	__u64 counters[DUNE_NR_VCPU_COUNTERS];	/* 1024: enum dune_vcpu_counter */
};

/* Page of the vm; see dune_counters.h for what DUNE_SYNC_COUNTERS does to it. */
struct dune_vm_page {
	__u64 counters[DUNE_NR_VM_COUNTERS];	/* enum dune_vm_counter */
};

/*
 * What a task created by clone/clone3/fork/vfork needs to go on after the
 * call in plain Linux mode. The module stores it 128 bytes below the new
 * task's stack pointer, ready to be popped, and 'ret $128' ends it.
 */
struct dune_fork_frame {
	__u64 rbx, rbp, r12, r13, r14, r15;
	__u64 rcx, r11;
	__u64 rip;
};

/*
 * Guest physical space is made of 1 GiB slots, given to 1 GiB regions of host
 * virtual space on first use and kept for the vm's life. The slot table has
 * one __u32 for each region below 2^47: DUNE_SLOT_VALID | slot, or 0.
 */
#define DUNE_SLOT_SHIFT		30
#define DUNE_NR_REGIONS		(1u << (47 - DUNE_SLOT_SHIFT))
#define DUNE_SLOT_VALID		(1u << 31)

/* mmap() offsets of the vm fd; all mappings are shared and not inherited. */
#define DUNE_MMAP_VM_PAGE	0ul			/* 4096 bytes, read-only */
#define DUNE_MMAP_SLOT_TABLE	0x100000ul		/* read-only */
#define DUNE_SLOT_TABLE_SIZE	(DUNE_NR_REGIONS * 4u)	/* bytes */
#define DUNE_VCPU_PAGE_SIZE	4096u
/*
 * Page i is the struct dune_vcpu_page of the vCPU with id i, read and write. It stays
 * when that ends, as it was, and is zeroed for the next vCPU with the id. Before the
 * first one an access is SIGBUS.
 */
#define DUNE_MMAP_VCPU_PAGES	0x200000ul
#define DUNE_VCPU_PAGES_SIZE	(DUNE_MAX_VCPUS * DUNE_VCPU_PAGE_SIZE)

/*
 * Hypercalls: VMCALL (0f 01 c1, no prefix) at CPL 0 with rax = number, rdi = argument, result in
 * rax (a value or -errno). Any other rax is a Linux system call, the number in
 * its lower half, with the Linux register convention. VMCALL at CPL > 0 gets
 * #UD.
 *
 * A system call whose rax has bit 33 set is packed: what SYSCALL left behind
 * has been put where the module finds it without asking the CPU. The upper half
 * of rax is the lower half of RFLAGS (whose bit 1 is always 1), r11 is rsp, and
 * rcx is where the guest goes on, with r11 = those flags. Otherwise it goes on
 * behind the VMCALL.
 *
 * A system call is made inside the kernel, without leaving DUNE_RUN, if it is
 * on a list of calls for which that makes no difference, no seccomp filter,
 * tracer or tracepoint wants to see it, no signal is pending, and
 * DUNE_RUN_REISSUE and DUNE_RUN_RECORD are clear.
 */
#define DUNE_HC(n)		(0x44554e4500000000ull | (n))
/*
 * Leave guest mode: DUNE_RUN does not return; the thread continues in plain
 * Linux mode with the guest's registers (rdi = 0; rax = 0, after the VMCALL)
 * or with the struct dune_regs at rdi.
 */
#define DUNE_HC_LEAVE		DUNE_HC(1)
#define DUNE_HC_SLOT		DUNE_HC(2)	/* rdi = address; its region's base GPA */
#define DUNE_HC_EXIT		DUNE_HC(3)	/* DUNE_RUN returns DUNE_EXIT_HYPERCALL */
#define DUNE_HC_NOP		DUNE_HC(4)	/* returns 0; the cost of a round trip */
/*
 * rdi = address of a struct dune_kick. Ends the runs of these vCPUs of the vm,
 * and returns when each has been outside the guest since the call; how many it
 * interrupted, or -EFAULT. The caller's own id, ids that no vCPU has, and vCPUs
 * outside the guest are skipped.
 */
#define DUNE_HC_KICK		DUNE_HC(5)

/* dune_info.caps: what the CPU offers and the module uses */
#define DUNE_CAP_EPT_AD		(1u << 0)
#define DUNE_CAP_EPT_2M		(1u << 1)
#define DUNE_CAP_EPT_1G		(1u << 2)
#define DUNE_CAP_VPID		(1u << 3)
#define DUNE_CAP_QUANTUM	(1u << 4)
#define DUNE_CAP_REENTER	(1u << 5)
#define DUNE_CAP_INVPCID	(1u << 6)	/* the guest may execute INVPCID */
#define DUNE_CAP_REQUESTS	(1u << 7)	/* requests, DUNE_HC_KICK */

struct dune_info {
	__u32 api_version;	/* DUNE_API_VERSION */
	__u32 caps;		/* DUNE_CAP_* */
	__u32 phys_bits;	/* guest physical address width */
	__u32 nr_slots;
	__u32 nr_vcpu_counters;
	__u32 nr_vm_counters;
	__u32 max_vcpus;	/* of one vm: DUNE_MAX_VCPUS */
	__u32 reserved[9];
};

/*
 * Which NUMA node the EPT's table pages come from. A node without free memory is
 * replaced by one near it.
 */
enum dune_placement {
	DUNE_PLACE_LOCAL	= 0,	/* where the thread runs that needs it; follows it */
	DUNE_PLACE_INTERLEAVE	= 1,	/* nodes in turn; 0: all */
	DUNE_PLACE_BIND		= 2,	/* of nodes the one nearest to the thread */
	DUNE_PLACE_REPLICATE	= 3,	/* an EPT for each node; nodes: 0 */
};

struct dune_create_vm {
	__u64 flags;		/* in: 0 */
	/*
	 * out: where SYSCALL lands in the guest (the host's LSTAR, which is
	 * not switched): map the guest's system call entry there.
	 */
	__u64 syscall_entry;
	/* in: bit n is node n. EINVAL: none of them has memory. */
	__u64 nodes;
	__u32 placement;	/* in: enum dune_placement */
	__u32 reserved0;	/* in: 0 */
	__u64 reserved[4];	/* in: 0 */
};

struct dune_create_vcpu {
	__u64 flags;		/* in: 0 */
	__u64 id;		/* out: as in its page */
	__u64 reserved[2];	/* in: 0 */
};

struct dune_slot {
	__u64 hva;		/* in: any address below 2^47 */
	__u64 gpa;		/* out: guest physical address of exactly hva */
};

/*
 * DUNE_STAT_OPEN returns a fd for sums of counters. Every read() of it gives a
 * struct dune_stat_header, then nr_vcpu_counters and nr_vm_counters __u64 in
 * the order of dune_counters.h, as of now; a buffer that is too small, EINVAL.
 * What a read means is the difference to an earlier one: events of vCPUs and
 * vms that have ended since the open are in it, levels are those of live vms.
 */
enum dune_stat_scope {
	DUNE_STAT_USER		= 0,	/* all vms of the caller's effective uid */
	DUNE_STAT_PROCESS	= 1,	/* the vm of process pid, until it ends */
};

struct dune_stat_open {
	__u32 scope;		/* in: enum dune_stat_scope */
	__s32 pid;		/* in: PROCESS: its pid; USER: 0 */
	__u64 reserved[3];	/* in: 0 */
};

struct dune_stat_header {
	__u32 size;		/* bytes of this header: where the counters begin */
	__u32 nr_vcpu_counters;
	__u32 nr_vm_counters;
	__u32 nr_vms;		/* live ones summed up */
	__u32 nr_vcpus;		/* not yet ended ones */
	__u32 reserved[3];
};

/*
 * On the fd of DUNE_STAT_OPEN, scope PROCESS: where the memory of the process's vm
 * is. Each call gives the next of them, in the order of kind, user and address;
 * tables come and go meanwhile.
 */
enum dune_place_kind {
	DUNE_PLACE_VMCS		= 0,
	DUNE_PLACE_VCPU_PAGE	= 1,
	DUNE_PLACE_EPT		= 2,
};

struct dune_place {
	__u64 hva;		/* EPT: what it maps begins here; levels 3, 4: guest physical */
	__u32 kind;		/* enum dune_place_kind */
	__u32 level;		/* EPT: 1 (maps 2 MiB) to 4 (the root); else 0 */
	__s32 node;		/* the page's */
	__s32 user_node;	/* of the CPU that the vCPU was on last; of the replica;
				 * -1: not known */
	__u32 vcpu;		/* whose; EPT: who linked it; ~0: nobody */
	__u32 replica;		/* EPT: index; else 0 */
};

struct dune_places {
	__u64 places;		/* in: address of nr struct dune_place */
	__u32 nr;		/* in: room, 1 to 256; out: filled; less than asked: the end */
	__u32 reserved0;	/* in: 0 */
	__u64 cursor[2];	/* in: 0 to begin, then as it came back */
	__u64 reserved[2];	/* in: 0 */
};

#define DUNE_IOC_MAGIC		0xD5
/* vm fd */
#define DUNE_GET_INFO		_IOR(DUNE_IOC_MAGIC, 0x00, struct dune_info)
#define DUNE_CREATE_VM		_IOWR(DUNE_IOC_MAGIC, 0x01, struct dune_create_vm)
#define DUNE_CREATE_VCPU	_IOWR(DUNE_IOC_MAGIC, 0x02, struct dune_create_vcpu)
#define DUNE_GET_SLOT		_IOWR(DUNE_IOC_MAGIC, 0x03, struct dune_slot)
#define DUNE_SYNC_COUNTERS	_IO(DUNE_IOC_MAGIC, 0x04)	/* argument: 0 */
#define DUNE_STAT_OPEN		_IOW(DUNE_IOC_MAGIC, 0x05, struct dune_stat_open)
/* fd of DUNE_STAT_OPEN */
#define DUNE_GET_PLACES		_IOWR(DUNE_IOC_MAGIC, 0x06, struct dune_places)
/* vCPU fd; argument: result of the last DUNE_EXIT_SYSCALL, else ignored */
#define DUNE_RUN		_IO(DUNE_IOC_MAGIC, 0x10)

#endif /* _UAPI_DUNE_H */
