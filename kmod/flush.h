/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KMOD_FLUSH_H
#define KMOD_FLUSH_H

#include "vm.h"

/*
 * Complete a gather: shootdown if something was unlinked, then release. Under
 * ept_lock. Spins for other CPUs' exits; does not sleep. After it no CPU can
 * use what the gather held.
 */
void ept_flush_locked(struct dune_vm *vm, struct gather *gather);

/* Copy the EPT's counts to the page that user space sees. Under ept_lock. */
void ept_publish_counts_locked(struct dune_vm *vm);

#endif /* KMOD_FLUSH_H */
