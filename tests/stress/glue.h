/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What kmod does with smp/, step by step in its order: each function here is
 * one of kmod/{ept_notifier,ept_fault,flush,run}.c with the Linux parts taken
 * out. A change there is a change here.
 */
#ifndef STRESS_GLUE_H
#define STRESS_GLUE_H

#include "world.h"

/* Is Linux sure to interrupt every CPU before it frees or returns? */
enum glue_ride { GLUE_RIDE_SURE, GLUE_RIDE_NOT };

void glue_range_start(u64 start, u64 end, enum glue_ride ride);
void glue_range_end(u64 start, u64 end);
void glue_after_flush(u64 start, u64 end);
void glue_mm_release(void);
int glue_age(u64 start, u64 end, enum pt_age_mode mode);

/* An EPT violation of a CPU that uses pt. The access is tried again whatever comes of it. */
void glue_fault(struct pt *pt, struct pt_cache *cache, u64 hva, unsigned int want);

u64 glue_gpa(u64 hva);

#endif /* STRESS_GLUE_H */
