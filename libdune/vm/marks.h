/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What the emulator's TLB sanitizer is told of guest paging (tlb_mark.h), in the
 * build for tests; nothing in others: docs/decisions/007-marks.md.
 *
 * begin comes after the change and before the look whether somebody else's flush
 * of the range is still under way: what that one has changed already is judged
 * with this operation's, and flushed by it or over; what it changes later is not.
 */
#ifndef DUNE_VM_MARKS_H
#define DUNE_VM_MARKS_H

#include "tlb_mark.h"
#include "vm.h"

#ifndef VM_MARKS
#define VM_MARKS 0
#endif

static inline void vm_mark_view(const struct dune_view *view)
{
	if (VM_MARKS)
		tlb_mark_view((uint64_t)view->root, view->cr3);
}

static inline void vm_mark_gone(const struct dune_view *view)
{
	if (VM_MARKS)
		tlb_mark_gone(view->cr3);
}

/* ticket: an object that the caller alone has now, the same for both. */
static inline void vm_mark_begin(const struct dune_root *root, uint64_t start,
				 uint64_t end, const void *ticket)
{
	if (VM_MARKS)
		tlb_mark_removed((uint64_t)root, start, end - start, (uint64_t)ticket);
}

static inline void vm_mark_end(const void *ticket)
{
	if (VM_MARKS)
		tlb_mark_done((uint64_t)ticket);
}

#endif /* DUNE_VM_MARKS_H */
