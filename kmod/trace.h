/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints of the group "dune", for tracefs, perf and trace-cmd;
 * docs/observability.md tells how. Switched off, each is one NOP: what an
 * event needs beyond its arguments is read in TP_fast_assign, by VMREAD where
 * need be. Their number agrees with the counters: see tests/guest/tracing.c.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM dune

#if !defined(KMOD_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define KMOD_TRACE_H

#include <linux/tracepoint.h>

#include "vcpu.h"

/* How a removal of EPT leaves was made known to the CPUs. */
#ifndef KMOD_TRACE_ENUMS
#define KMOD_TRACE_ENUMS
enum trace_shootdown {
	TRACE_SHOOTDOWN_NOW,		/* flushed by the module: kicks are its */
	TRACE_SHOOTDOWN_DEFERRED,	/* left to Linux' own flush */
	TRACE_SHOOTDOWN_SETTLED,	/* a deferred one, finished by the module */
};

/* What became of a request for an interrupt. */
enum trace_irq {
	TRACE_IRQ_INJECTED,	/* with the next entry */
	TRACE_IRQ_WAITS,	/* until the guest can take it */
	TRACE_IRQ_IGNORED,	/* not a vector for interrupts */
};
#endif

#define DUNE_TRACE_EXITS(X)						\
	X(UNKNOWN) X(ENTRY_FAILED) X(INTERRUPT) X(NMI) X(MACHINE_CHECK)	\
	X(EXCEPTION) X(TRIPLE_FAULT) X(EPT_VIOLATION) X(EPT_MISCONFIG)	\
	X(HYPERCALL) X(CPUID) X(RDMSR) X(WRMSR) X(CR) X(DR) X(XSETBV)	\
	X(IO) X(HLT) X(MWAIT) X(RDPMC) X(WBINVD) X(QUANTUM)	\
	X(IRQ_WINDOW) X(INVALID_INSN)

/* Names for programs that read print_fmt: enumerators are unknown to them. */
#define DUNE_TRACE_DEFINE(name)	TRACE_DEFINE_ENUM(VMX_EXIT_##name);
#define DUNE_TRACE_SYMBOL(name)	{ VMX_EXIT_##name, #name },
DUNE_TRACE_EXITS(DUNE_TRACE_DEFINE)
TRACE_DEFINE_ENUM(PT_MAP_INSTALLED);
TRACE_DEFINE_ENUM(PT_MAP_UPGRADED);
TRACE_DEFINE_ENUM(PT_MAP_SPURIOUS);
TRACE_DEFINE_ENUM(TRACE_SHOOTDOWN_NOW);
TRACE_DEFINE_ENUM(TRACE_SHOOTDOWN_DEFERRED);
TRACE_DEFINE_ENUM(TRACE_SHOOTDOWN_SETTLED);
TRACE_DEFINE_ENUM(TRACE_IRQ_INJECTED);
TRACE_DEFINE_ENUM(TRACE_IRQ_WAITS);
TRACE_DEFINE_ENUM(TRACE_IRQ_IGNORED);

/* The vCPU is loaded; right before its VM entry. */
TRACE_EVENT(dune_entry,
	TP_PROTO(const struct dune_vcpu *vcpu),
	TP_ARGS(vcpu),
	TP_STRUCT__entry(
		__field(u64, rip)
	),
	TP_fast_assign(
		__entry->rip = vmx_guest_rip(&vcpu->vmx);
	),
	TP_printk("rip=%#llx", __entry->rip)
);

/* After the VM exit: what it was and where the guest stands. */
TRACE_EVENT(dune_exit,
	TP_PROTO(const struct dune_vcpu *vcpu, enum vmx_exit_kind kind),
	TP_ARGS(vcpu, kind),
	TP_STRUCT__entry(
		__field(u32, kind)
		__field(u32, hw_reason)
		__field(u64, rip)
	),
	TP_fast_assign(
		__entry->kind = kind;
		__entry->hw_reason = vmx_exit_reason(&vcpu->vmx);
		__entry->rip = vmx_guest_rip(&vcpu->vmx);
	),
	TP_printk("kind=%s hw_reason=%#x rip=%#llx",
		  __print_symbolic(__entry->kind,
				   DUNE_TRACE_EXITS(DUNE_TRACE_SYMBOL)
				   { VMX_NR_EXIT_KINDS, "?" }),
		  __entry->hw_reason, __entry->rip)
);
TRACE_DEFINE_ENUM(VMX_NR_EXIT_KINDS);

/*
 * The end of an EPT violation's handling: mapped at this level (result is an
 * enum pt_map_result), or not (result is a negative errno, level 0).
 */
TRACE_EVENT(dune_fault,
	TP_PROTO(const struct vmx_exit *exit, u64 hva, u32 level, int result),
	TP_ARGS(exit, hva, level, result),
	TP_STRUCT__entry(
		__field(u64, gpa)
		__field(u64, hva)
		__field(u32, access)
		__field(u32, level)
		__field(int, result)
	),
	TP_fast_assign(
		__entry->gpa = exit->gpa;
		__entry->hva = hva;
		__entry->access = exit->access;
		__entry->level = level;
		__entry->result = result;
	),
	TP_printk("gpa=%#llx hva=%#llx access=%s level=%u result=%s",
		  __entry->gpa, __entry->hva,
		  __print_flags(__entry->access, "|",
				{ DUNE_ACCESS_READ, "read" },
				{ DUNE_ACCESS_WRITE, "write" },
				{ DUNE_ACCESS_EXEC, "exec" }),
		  __entry->level,
		  __print_symbolic(__entry->result,
				   { PT_MAP_INSTALLED, "installed" },
				   { PT_MAP_UPGRADED, "upgraded" },
				   { PT_MAP_SPURIOUS, "spurious" },
				   { -EFAULT, "refused" },
				   { -EAGAIN, "again" }))
);

/* EPT leaves of [start, end) of host virtual space were removed. */
TRACE_EVENT(dune_shootdown,
	TP_PROTO(const struct dune_vm *vm, u64 start, u64 end,
		 unsigned int kicks, enum trace_shootdown how),
	TP_ARGS(vm, start, end, kicks, how),
	TP_STRUCT__entry(
		__field(pid_t, vm)
		__field(u64, start)
		__field(u64, end)
		__field(u32, kicks)
		__field(u32, how)
	),
	TP_fast_assign(
		__entry->vm = vm->tgid;
		__entry->start = start;
		__entry->end = end;
		__entry->kicks = kicks;
		__entry->how = how;
	),
	TP_printk("vm=%d start=%#llx end=%#llx kicks=%u how=%s", __entry->vm,
		  __entry->start, __entry->end, __entry->kicks,
		  __print_symbolic(__entry->how,
				   { TRACE_SHOOTDOWN_NOW, "now" },
				   { TRACE_SHOOTDOWN_DEFERRED, "deferred" },
				   { TRACE_SHOOTDOWN_SETTLED, "settled" }))
);

/* DUNE_HC_KICK of the current thread: it interrupted so many vCPUs. */
TRACE_EVENT(dune_kick,
	TP_PROTO(const struct dune_vm *vm, unsigned int kicks),
	TP_ARGS(vm, kicks),
	TP_STRUCT__entry(
		__field(pid_t, vm)
		__field(u32, kicks)
	),
	TP_fast_assign(
		__entry->vm = vm->tgid;
		__entry->kicks = kicks;
	),
	TP_printk("vm=%d kicks=%u", __entry->vm, __entry->kicks)
);

/* The current thread's vCPU forgets the guest's own translations, as requested. */
TRACE_EVENT(dune_guest_flush,
	TP_PROTO(const struct dune_vcpu *vcpu),
	TP_ARGS(vcpu),
	TP_STRUCT__entry(
		__field(u32, id)
	),
	TP_fast_assign(
		__entry->id = vcpu->id;
	),
	TP_printk("id=%u", __entry->id)
);

/* A request for an interrupt of the current thread's guest. */
TRACE_EVENT(dune_irq,
	TP_PROTO(u32 vector, enum trace_irq how),
	TP_ARGS(vector, how),
	TP_STRUCT__entry(
		__field(u32, vector)
		__field(u32, how)
	),
	TP_fast_assign(
		__entry->vector = vector;
		__entry->how = how;
	),
	TP_printk("vector=%#x how=%s", __entry->vector,
		  __print_symbolic(__entry->how,
				   { TRACE_IRQ_INJECTED, "injected" },
				   { TRACE_IRQ_WAITS, "waits" },
				   { TRACE_IRQ_IGNORED, "ignored" }))
);

/* The VMCS of the current thread moved here from another CPU. */
TRACE_EVENT(dune_migrate,
	TP_PROTO(int from, int to),
	TP_ARGS(from, to),
	TP_STRUCT__entry(
		__field(int, from)
		__field(int, to)
	),
	TP_fast_assign(
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("from=%d to=%d", __entry->from, __entry->to)
);

/* A Linux system call of the guest, made inside the kernel. */
TRACE_EVENT(dune_syscall_fast,
	TP_PROTO(u64 nr, long ret),
	TP_ARGS(nr, ret),
	TP_STRUCT__entry(
		__field(u64, nr)
		__field(long, ret)
	),
	TP_fast_assign(
		__entry->nr = nr;
		__entry->ret = ret;
	),
	TP_printk("nr=%llu ret=%ld", __entry->nr, __entry->ret)
);

#endif /* KMOD_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
