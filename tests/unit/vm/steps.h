/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What tests tell a helper's thread to do, with the address in page. */
#ifndef UNIT_VM_STEPS_H
#define UNIT_VM_STEPS_H

#include "check.h"
#include "soft.h"

static uint64_t page;
static const struct dune_view *its_view;

static inline void tell_view(void)
{
	its_view = soft_self()->vm.view;
}

static inline void read_page(void)
{
	CHECK(soft_access(page, SOFT_READ) != SOFT_FAULT);
}

static inline void write_page(void)
{
	CHECK(soft_access(page, SOFT_WRITE) != SOFT_FAULT);
}

static inline void read_faults(void)
{
	CHECK_EQ(soft_access(page, SOFT_READ), SOFT_FAULT);
}

static inline void write_faults(void)
{
	CHECK_EQ(soft_access(page, SOFT_WRITE), SOFT_FAULT);
}

#endif /* UNIT_VM_STEPS_H */
