/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Every counter, once: X(name, "meaning"). The module, libdune, the tools and
 * docs/counters.md are made from these two lists. Append only.
 */
#ifndef _UAPI_DUNE_COUNTERS_H
#define _UAPI_DUNE_COUNTERS_H

/* Written by the owning thread only. */
#define DUNE_VCPU_COUNTERS(X)							\
	X(runs,		"DUNE_RUN calls")					\
	X(entries,	"VM entries")						\
	X(syscalls,	"Linux system calls made by the guest")			\
	X(hypercalls,	"DUNE_HC_* calls")					\
	X(ept_faults,	"EPT violations")					\
	X(ept_installs,	"EPT leaves this thread installed or upgraded")		\
	X(ept_spurious,	"EPT violations another thread had already resolved")	\
	X(ept_retries,	"EPT faults restarted because the mm changed meanwhile")\
	X(ept_refused,	"EPT violations the mm refused (signal follows)")	\
	X(interrupts,	"exits for host interrupts")				\
	X(nmis,		"exits for host NMIs")					\
	X(host_work,	"returns to user mode for signals and task work")	\
	X(resched,	"reschedules between exit and entry")			\
	X(cpuid,	"CPUID exits")						\
	X(msr,		"RDMSR and WRMSR exits")				\
	X(exceptions,	"exception exits (#DB, #AC, #MC)")			\
	X(injected,	"exceptions injected into the guest")			\
	X(reinjected,	"events whose delivery an exit interrupted, redelivered")\
	X(hlt,		"HLT exits")						\
	X(other_exits,	"all other exits")					\
	X(preempted,	"times the thread was scheduled out with its vCPU loaded")\
	X(migrated,	"times the VMCS moved to another CPU")			\
	X(invept,	"INVEPT executed before an entry of this vCPU")		\
	X(invvpid,	"INVVPID of all VPIDs: this CPU had given out its last")	\
	X(kicked,	"times a flusher or DUNE_HC_KICK kicked this vCPU out")		\
	X(ept_contended,"EPT table locks that another thread held")		\
	X(ept_restarts,	"EPT walks begun anew: a table was being dismantled")	\
	X(ept_conflicts,"EPT faults that had to remove something else first")	\
	X(fast_syscalls,"of the system calls, made inside the kernel")		\
	X(guest_tsc,	"TSC cycles in guest mode, inner exits included")	\
	X(quanta,	"quanta of guest time that ran out")			\
	X(vpids,	"VPIDs taken: at the first load, at each move, after an invvpid") \
	X(reentries,	"runs begun on the way back from a re-issued call, without DUNE_RUN") \
	X(kick_calls,	"of the hypercalls, DUNE_HC_KICK")			\
	X(kicks_sent,	"vCPUs that those interrupted in the guest")		\
	X(guest_flushes,"flushes of the guest's own translations, as requested by another thread") \
	X(irqs,		"notification interrupts injected into the guest")	\
	X(irq_windows,	"exits because the guest could take interrupts again")

/*
 * The first two are live; the others are brought up to date by
 * DUNE_SYNC_COUNTERS.
 */
#define DUNE_VM_COUNTERS(X)							\
	X(vcpus,		"vCPUs alive now")				\
	X(vcpus_created,	"vCPUs created so far")				\
	X(slots,		"1 GiB slots in use")				\
	X(ept_tables,		"EPT table pages now, the root included")	\
	X(ept_4k,		"4 KiB EPT leaves now")				\
	X(ept_2m,		"2 MiB EPT leaves now")				\
	X(ept_1g,		"1 GiB EPT leaves now")				\
	X(ept_installed,	"EPT leaves installed so far")			\
	X(ept_removed,		"EPT leaves removed so far")			\
	X(ept_upgraded,		"EPT leaves given more rights so far")		\
	X(notifier_calls,	"mmu notifier invalidations")			\
	X(notifier_hits,	"of those, with something mapped in the range")	\
	X(flushes,		"EPT TLB shootdowns")				\
	X(kicks,		"vCPUs kicked out of the guest by shootdowns")	\
	X(deferred,		"shootdowns left to Linux' own TLB flush")	\
	X(stragglers,		"vCPUs that such a flush of Linux missed: kicked")\
	X(raced,		"flushes because another invalidation was in progress")\
	X(settled,		"waits for a deferred shootdown of someone else")\
	X(tables_near,		"EPT table pages taken from the node they are for")\
	X(tables_far,		"EPT table pages taken from another: that had none")\
	X(tables_followed,	"EPT table pages given up: their thread has moved to another node")\
	X(tables_reclaimed,	"EPT table pages of replicas given up for lack of memory")\
	X(leaders,		"vCPUs kicked to pass the kick on to others of their NUMA node")\
	X(forwarded,		"vCPUs to which those passed it on")		\
	X(vcpu_pages_followed,	"vCPU pages copied to the node to which their thread has moved")

#define DUNE_COUNTER_ENUM_VCPU(name, text) DUNE_VCPU_##name,
#define DUNE_COUNTER_ENUM_VM(name, text) DUNE_VM_##name,

enum dune_vcpu_counter {
	DUNE_VCPU_COUNTERS(DUNE_COUNTER_ENUM_VCPU)
	DUNE_NR_VCPU_COUNTERS
};

enum dune_vm_counter {
	DUNE_VM_COUNTERS(DUNE_COUNTER_ENUM_VM)
	DUNE_NR_VM_COUNTERS,
	DUNE_VM_FIRST_PER_CPU = DUNE_VM_ept_tables
};

/*
 * Levels: what is now, not what happened so far. The others only grow, and go
 * on counting in a sum when their vm has ended.
 */
#define DUNE_VM_LEVELS							\
	(1ull << DUNE_VM_vcpus | 1ull << DUNE_VM_slots |		\
	 1ull << DUNE_VM_ept_tables | 1ull << DUNE_VM_ept_4k |		\
	 1ull << DUNE_VM_ept_2m | 1ull << DUNE_VM_ept_1g)

static inline int dune_vm_counter_is_level(unsigned int i)
{
	return i < 64 && (DUNE_VM_LEVELS >> i & 1);
}

#endif /* _UAPI_DUNE_COUNTERS_H */
