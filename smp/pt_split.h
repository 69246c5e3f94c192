/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Splitting one leaf; private to smp/. */
#ifndef SMP_PT_SPLIT_H
#define SMP_PT_SPLIT_H

#include "pt_range.h"

/*
 * Put a table of smaller leaves in the place of the leaf in *entry of this
 * table, whose lock is held. PT_DONE, PT_NEED_TABLES.
 */
enum pt_result pt_split_locked(const struct pt_geometry *geom,
			       struct pt_table *table, u64 *entry,
			       struct pt_range *range);

#endif /* SMP_PT_SPLIT_H */
