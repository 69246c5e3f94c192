/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * libdune/vm/hw/hw.h for tests on any machine: a thread is a soft vCPU (soft.h),
 * whose guest is made of soft accesses. Slots are given out in an odd order, any
 * allocation may be made to fail.
 */
#ifndef DUNE_VM_HW_H
#define DUNE_VM_HW_H

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

#include <linux/membarrier.h>

#define HW_CR3_NOFLUSH	(1ull << 63)

bool hw_in_guest(void);
struct vm_local *hw_local(void);
struct vm_local *hw_local_plain(void);
uint64_t hw_irq_save(void);
void hw_irq_restore(uint64_t flags);
void hw_invlpg(uint64_t addr);
void hw_set_cr3(uint64_t cr3);
void hw_invpcid_all(void);
bool hw_has_pcid(void);
bool hw_kick(const struct dune_kick *kick);
void hw_end_run(const struct dune_kick *kick);
void hw_notify(void);
bool hw_interrupt_all(void);
void hw_yield(void);
void hw_wait(uint32_t *word, uint32_t value);
void hw_wake(uint32_t *word);
long hw_slot(uint64_t addr);
uint32_t hw_slot_entry(uint64_t region);
bool hw_out_of_memory(void);

static inline uint64_t hw_thread_pointer(void)
{
	return (uint64_t)__builtin_frame_address(0);
}

static inline bool hw_alive(void)
{
	return true;
}

static inline uint32_t hw_generation(void)
{
	return 1;
}

static inline void hw_thread_ends(struct vm_local *local)
{
	(void)local;
}

/* Makes system calls: outside of the guest meanwhile. */
void hw_call(void (*fn)(void *), void *arg);

static inline long hw_syscall(long nr, long a1, long a2, long a3, long a4, long a5, long a6)
{
	long ret = syscall(nr, a1, a2, a3, a4, a5, a6);

	return ret == -1 ? -errno : ret;
}

unsigned int hw_cpu_node(void);

#endif /* DUNE_VM_HW_H */
