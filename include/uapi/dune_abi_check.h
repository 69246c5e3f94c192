/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The ABI's layout, asserted. Include it once in the module and in libdune. */
#ifndef _UAPI_DUNE_ABI_CHECK_H
#define _UAPI_DUNE_ABI_CHECK_H

#include "dune.h"

#ifdef __cplusplus
#define DUNE_ABI_ASSERT(cond) static_assert(cond, #cond)
#else
#define DUNE_ABI_ASSERT(cond) _Static_assert(cond, #cond)
#endif
#define DUNE_ABI_AT(type, member, offset) \
	DUNE_ABI_ASSERT(__builtin_offsetof(struct type, member) == (offset))

DUNE_ABI_ASSERT(sizeof(struct dune_regs) == 144);
DUNE_ABI_AT(dune_regs, rsp, 32);
DUNE_ABI_AT(dune_regs, r8, 64);
DUNE_ABI_AT(dune_regs, rip, 128);
DUNE_ABI_ASSERT(sizeof(struct dune_sregs) == 64);
DUNE_ABI_ASSERT(sizeof(struct dune_exit) == 64);
DUNE_ABI_AT(dune_vcpu_page, sync, 144);
DUNE_ABI_AT(dune_vcpu_page, run_flags, 148);
DUNE_ABI_AT(dune_vcpu_page, syscall_ip, 152);
DUNE_ABI_AT(dune_vcpu_page, quantum_us, 160);
DUNE_ABI_AT(dune_vcpu_page, user_sp, 168);
DUNE_ABI_AT(dune_vcpu_page, sregs, 256);
DUNE_ABI_AT(dune_vcpu_page, id, 320);
DUNE_ABI_AT(dune_vcpu_page, mode, 324);
DUNE_ABI_AT(dune_vcpu_page, requests, 328);
DUNE_ABI_AT(dune_vcpu_page, polling, 332);
DUNE_ABI_AT(dune_vcpu_page, notify_vector, 336);
DUNE_ABI_AT(dune_vcpu_page, irr, 352);
DUNE_ABI_AT(dune_vcpu_page, reserved1, 384);
DUNE_ABI_AT(dune_vcpu_page, exit, 512);
DUNE_ABI_AT(dune_vcpu_page, gdt, 576);
DUNE_ABI_AT(dune_vcpu_page, cpu_desc, 696);
DUNE_ABI_AT(dune_vcpu_page, counters, 1024);
DUNE_ABI_ASSERT(sizeof(struct dune_vcpu_page) <= DUNE_VCPU_PAGE_SIZE);
DUNE_ABI_ASSERT(sizeof(struct dune_vm_page) <= 4096);
DUNE_ABI_ASSERT(sizeof(struct dune_kick) == 128);
DUNE_ABI_ASSERT(sizeof(struct dune_fork_frame) == 72);
DUNE_ABI_ASSERT(sizeof(struct dune_info) == 64);
DUNE_ABI_ASSERT(sizeof(struct dune_create_vm) == 64);
DUNE_ABI_ASSERT(sizeof(struct dune_create_vcpu) == 32);
DUNE_ABI_ASSERT(sizeof(struct dune_place) == 32);
DUNE_ABI_ASSERT(sizeof(struct dune_places) == 48);
DUNE_ABI_ASSERT(sizeof(struct dune_slot) == 16);
DUNE_ABI_ASSERT(sizeof(struct dune_stat_open) == 32);
DUNE_ABI_ASSERT(sizeof(struct dune_stat_header) == 32);

#undef DUNE_ABI_AT
#undef DUNE_ABI_ASSERT

#endif /* _UAPI_DUNE_ABI_CHECK_H */
