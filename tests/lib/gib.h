/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Memory that shares none of the guest's 1 GiB regions with anything else. */
#ifndef TESTS_GIB_H
#define TESTS_GIB_H

#include <stddef.h>

#define GIB	(1ul << 30)

/* nr regions in a row, none of it is there yet; munmap() frees it. */
void *gib_map(unsigned int nr);
/* Rights DUNE_R | ... of one region in the default root. */
void gib_protect(void *region, unsigned int prot);

#endif /* TESTS_GIB_H */
