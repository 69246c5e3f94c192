/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What libdune/vm asks of the CPU, the module and Linux. Tests put a header of
 * the same name first on the include path, with a soft CPU behind it.
 *
 * Callable where vector registers are live: by a trap's fast handler, by the #PF
 * handler. System calls are raw, and in the guest VMCALLs.
 */
#ifndef DUNE_VM_HW_H
#define DUNE_VM_HW_H

#include "internal.h"
#include "rawsys.h"

#include <linux/futex.h>
#include <linux/membarrier.h>

#define HW_CR3_NOFLUSH	(1ull << 63)
#define HW_CR4_PCIDE	(1ull << 17)
#define HW_INVPCID_ALL	3ul	/* every PCID, all but global pages */

static inline bool hw_in_guest(void)
{
	return dune_in_guest();
}

/* The calling thread's, in the guest. */
static inline struct vm_local *hw_local(void)
{
	return &dune_self->vm;
}

/* The same in plain mode; NULL: it has no vCPU. */
static inline struct vm_local *hw_local_plain(void)
{
	struct dune_thread *t = dune_thread_current();

	return t ? &t->vm : NULL;
}

/* Where the thread's TLS is, in the guest. */
static inline uint64_t hw_thread_pointer(void)
{
	uint64_t self;

	asm("mov %%fs:0, %0" : "=r" (self));
	return self;
}

static inline bool hw_alive(void)
{
	return dune_alive();
}

/* Of this process's vms: state of threads of another one is not valid. */
static inline uint32_t hw_generation(void)
{
	return dune_vm.generation;
}

/* vm_plain_end() is called at the end of this thread. */
static inline void hw_thread_ends(struct vm_local *local)
{
	dune_thread_ends(local);
}

/* One of the allocations that a test lets fail. */
static inline bool hw_out_of_memory(void)
{
	return false;
}

/* --- the guest alone --- */

/* Interrupts off; the value is for hw_irq_restore(). */
static inline uint64_t hw_irq_save(void)
{
	uint64_t flags;

	asm volatile("pushfq; popq %0; cli" : "=r" (flags) : : "memory");
	return flags & FLAG_IF;
}

static inline void hw_irq_restore(uint64_t flags)
{
	if (flags)
		asm volatile("sti" : : : "memory");
}

static inline void hw_invlpg(uint64_t addr)
{
	asm volatile("invlpg (%0)" : : "r" (addr) : "memory");
}

static inline void hw_set_cr3(uint64_t cr3)
{
	asm volatile("mov %0, %%cr3" : : "r" (cr3) : "memory");
}

static inline void hw_invpcid_all(void)
{
	const uint64_t none[2] = { 0, 0 };

	asm volatile("invpcid %0, %1" : : "m" (none), "r" (HW_INVPCID_ALL) : "memory");
}

static inline bool hw_has_pcid(void)
{
	uint64_t cr4;

	asm volatile("mov %%cr4, %0" : "=r" (cr4));
	return cr4 & HW_CR4_PCIDE;
}

/* End the runs of these vCPUs: they have been outside when it returns true. */
static inline bool hw_kick(const struct dune_kick *kick)
{
	return (long)dune_vmcall(DUNE_HC_KICK, (uint64_t)kick) >= 0;
}

/* This run alone: what is requested of this vCPU is done. kick is empty. */
static inline void hw_end_run(const struct dune_kick *kick)
{
	hw_kick(kick);
}

/* As if the module had injected it; interrupts are on. */
static inline void hw_notify(void)
{
	asm volatile("int %0" : : "i" (DUNE_VECTOR_IPI) : "memory");
}

/* --- either mode --- */

static inline long hw_syscall(long nr, long a1, long a2, long a3, long a4, long a5, long a6)
{
	if (hw_in_guest())
		return raw_vmcall6(nr, a1, a2, a3, a4, a5, a6);
	return raw_syscall6(nr, a1, a2, a3, a4, a5, a6);
}

static inline void hw_yield(void)
{
	hw_syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}

/* Sleeps while *word is value; may return earlier. */
static inline void hw_wait(uint32_t *word, uint32_t value)
{
	hw_syscall(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, value, 0, 0, 0);
}

/* One that sleeps there. */
static inline void hw_wake(uint32_t *word)
{
	hw_syscall(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}

/*
 * In plain Linux mode, instead of hw_kick(): interrupts each CPU that runs a
 * thread of this process, which ends runs. False: this kernel cannot.
 */
static inline bool hw_interrupt_all(void)
{
	return !hw_syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0, 0, 0, 0);
}

/* Guest physical base of addr's 1 GiB; or a negative errno. */
static inline long hw_slot(uint64_t addr)
{
	struct dune_slot slot = { .hva = addr & ~(REGION_SIZE - 1) };
	long ret;

	if (hw_in_guest())
		return dune_vmcall(DUNE_HC_SLOT, addr);
	ret = raw_syscall3(SYS_ioctl, dune_vm.fd, DUNE_GET_SLOT, (long)&slot);
	return ret ? ret : (long)slot.gpa;
}

/* fn(arg), which may use vector registers; the caller's survive in the guest. */
static inline void hw_call(void (*fn)(void *), void *arg)
{
	if (hw_in_guest())
		dune_call_saved(fn, arg);
	else
		fn(arg);
}

/* The module's table of slots. */
static inline uint32_t hw_slot_entry(uint64_t region)
{
	return __atomic_load_n(&dune_vm.slot_table[region], __ATOMIC_RELAXED);
}

static inline unsigned int hw_cpu_node(void)
{
	unsigned int cpu = 0, node = 0;

	if (hw_syscall(SYS_getcpu, (long)&cpu, (long)&node, 0, 0, 0, 0))
		return 0;
	return node;
}

#endif /* DUNE_VM_HW_H */
