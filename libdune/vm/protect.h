/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Changing rights, without short ways: protect.c. */
#ifndef DUNE_VM_PROTECT_H
#define DUNE_VM_PROTECT_H

#include "op.h"

#pragma GCC visibility push(hidden)

/* As dune_vm_protect(); prot is valid. */
int vm_protect(struct dune_root *root, u64 start, u64 len, unsigned int prot);

#pragma GCC visibility pop

#endif /* DUNE_VM_PROTECT_H */
