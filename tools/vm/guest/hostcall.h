/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Host calls of the project's emulator build: RDPMC with ECX = HOSTCALL | op.
 * Arguments in RDI, RSI; result in RAX (negative: -errno). Shared by the
 * emulator, the boot sector and the guest agent.
 *
 * Buffers must be present in the caller's page table (touch them first); a
 * hole gives -EFAULT, never a fault.
 */
#ifndef DUNE_HOSTCALL_H
#define DUNE_HOSTCALL_H

#define HOSTCALL		0xd0e10000u

#define HOSTCALL_READ		1	/* (buf, len): bytes from the runner, waits for >= 1; 0: runner gone */
#define HOSTCALL_TRYREAD	2	/* same, -EAGAIN instead of waiting */
#define HOSTCALL_WRITE		3	/* (buf, len): bytes to the runner, all of them */
#define HOSTCALL_EXIT		4	/* (status): the emulator ends at once */
#define HOSTCALL_FORKPOINT	5	/* (): server mode: wait for jobs; returns in each job's child. else -ENOSYS */
#define HOSTCALL_LOAD		6	/* (): boot sector: copy the boot images into RAM */

#endif
