/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What the operations have in common. */
#ifndef STRESS_GUEST_OPS_H
#define STRESS_GUEST_OPS_H

#include "guest.h"

static inline bool is_x86(void)
{
	return w.pt.geom == &pt_x86;
}

static inline unsigned int all_rights(void)
{
	return is_x86() ? PT_RIGHTS : PT_RWX;
}

static inline struct pt_range range_of(const struct span *span,
				       struct pt_cache *cache,
				       struct gather *gather)
{
	return (struct pt_range){
		.addr = span->start, .end = span->end, .cache = cache,
		.gather = gather,
	};
}

/* Some tables, or the end of the operation: none were to be had. */
bool refill(struct pt_cache *cache);

#define run_op(call, cache) ({						\
	enum pt_result result_;						\
	while ((result_ = (call)) == PT_NEED_TABLES && refill(cache))	\
		;							\
	if (result_ == PT_INVALID)					\
		fail("arguments were refused");				\
	result_; })

/* The flush, if one is needed, and the end of the gather. */
void finish(struct gather *gather);
/* What CPUs may do, from what the owner knows: before and after a change. */
void allow(struct unit *unit, unsigned int rights);
void forbid_rest(const struct span *span);
unsigned int random_rights(void);

/* Of spans that are the caller's (rights.c). */
void op_protect(struct pt_cache *cache, const struct span *span);
void op_mark_cow(struct pt_cache *cache, const struct span *span);
void op_copy(struct pt_cache *cache, const struct span *span);
void op_scan(const struct span *span);

#endif /* STRESS_GUEST_OPS_H */
