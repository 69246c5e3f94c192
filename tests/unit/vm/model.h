/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What a window of a root should map, page by page; and whether it does. */
#ifndef UNIT_VM_MODEL_H
#define UNIT_VM_MODEL_H

#include "soft.h"

#define MODEL_BASE	0x100000000000ull	/* nothing of Linux' is there */
#define MODEL_REGIONS	3ull
#define MODEL_PAGES	(MODEL_REGIONS << 18)
#define MODEL_END	(MODEL_BASE + (MODEL_PAGES << 12))
#define MODEL_NONE	(~0ull)

/* By page: the host's address | rights (DUNE_R | ...), or MODEL_NONE. */
extern uint64_t *model;

/* Every address to itself, with all rights. */
void model_init(void);
void model_protect(uint64_t start, uint64_t len, unsigned int prot);
void model_unmap(uint64_t start, uint64_t len);
void model_map(uint64_t start, uint64_t len, uint64_t mem, unsigned int prot);
bool model_is_empty(uint64_t start, uint64_t len);

/* Does the root, by dune_vm_walk()? Of all pages. Says where not. */
bool model_holds(struct dune_root *root);
/* One page, by soft accesses of this vCPU and by dune_vm_lookup(). */
bool model_page_holds(struct dune_root *root, uint64_t addr);

#endif /* UNIT_VM_MODEL_H */
