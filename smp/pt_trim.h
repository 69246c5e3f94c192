/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Unlinking one empty table; private to smp/. */
#ifndef SMP_PT_TRIM_H
#define SMP_PT_TRIM_H

#include "pt_range.h"

enum pt_trimmed { PT_TRIMMED, PT_IN_USE };

/*
 * Unlink the table that *entry leads to, if it maps nothing and has no tables
 * below it; the lock of the table that *entry is in is held. TRIMMED: *entry is
 * 0, the table is in the gather.
 */
enum pt_trimmed pt_trim_locked(u64 *entry, struct pt_table *child,
			       struct gather *gather);

#endif /* SMP_PT_TRIM_H */
