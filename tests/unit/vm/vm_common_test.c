// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The PDPT that all views of a root have in common, step by step. */
#include <unistd.h>

#include "check.h"
#include "helper.h"
#include "hw.h"
#include "op.h"
#include "region.h"
#include "soft.h"
#include "steps.h"

#define PAGE	4096ull
#define GIB	(1ull << 30)
#define ALL	(DUNE_R | DUNE_W | DUNE_X | DUNE_U)

static bool is_viewer(const struct dune_root *root, uint32_t id)
{
	return members_word(&root->viewers, id / 64) >> id % 64 & 1;
}

static bool has_own_members(uint64_t addr)
{
	const struct dune_region *region = &dune_root_default()->region[region_index(addr)];

	for (unsigned int i = 0; i < MEMBERS_WORDS; i++)
		if (members_word(&region->members, i))
			return true;
	return false;
}

static void a_fill_is_everybodys(void)
{
	const struct dune_view *mine = soft_self()->vm.view;
	struct helper user;
	uint64_t fills;

	helper_start(&user);
	helper_does(&user, tell_view);
	page = SOFT_PROGRAM + PAGE;
	CHECK_EQ(mine->pml4[vm_state.common], its_view->pml4[vm_state.common]);
	CHECK(mine->pml4[vm_state.common + 1] != its_view->pml4[vm_state.common + 1]);
	helper_does(&user, read_page);
	fills = soft_counts.fills;
	soft_enter();
	read_page();
	CHECK_EQ(soft_counts.fills, fills);
	CHECK_EQ(*view_entry(mine, region_index(page)),
		 dune_root_default()->region[region_index(page)].l3);
	CHECK(!has_own_members(page));
	soft_leave();
	helper_end(&user);
}

/*
 * Both fault by the same missing entry, and the other one fills it: nothing for the
 * program's handler. What is missing below is.
 */
static void a_fill_by_others_is_no_fault(void)
{
	struct helper user;

	page = SOFT_PROGRAM + 6 * GIB;
	helper_start(&user);
	soft_enter();
	CHECK_EQ(dune_vm_unmap(NULL, (void *)page, PAGE), 0);
	for (int i = 0; i < 2; i++) {
		page += PAGE;
		helper_does(&user, read_page);
		CHECK(dune_vm_fill(soft_self(), page, 0));
		/* Again: it is not over by a fill any more. */
		CHECK(!dune_vm_fill(soft_self(), page, 0));
		page = SOFT_PROGRAM + 7 * GIB;
	}
	CHECK(!dune_vm_fill(soft_self(), SOFT_PROGRAM + 6 * GIB, 0));
	page = SOFT_PROGRAM + 8 * GIB;
	helper_does(&user, read_page);
	CHECK(!dune_vm_fill(soft_self(), SOFT_PROGRAM + 6 * GIB, 0));
	soft_leave();
	helper_end(&user);
}

/* Who never used the region is asked as well: it may have the entry cached. */
static void every_viewer_is_asked(void)
{
	struct helper user;
	uint64_t kicks;

	page = SOFT_PROGRAM + GIB;
	soft_enter();
	CHECK_EQ(dune_vm_split(NULL, (void *)page, 512 * PAGE, PAGE), 0);
	write_page();
	helper_start(&user);
	helper_does(&user, write_page);
	kicks = soft_counts.kicks;
	/* One page; some; in a batch. */
	CHECK_EQ(dune_vm_protect(NULL, (void *)page, PAGE, DUNE_R), 0);
	CHECK_EQ(soft_counts.kicks, kicks + 1);
	helper_does(&user, write_faults);
	page += PAGE;
	helper_does(&user, write_page);
	CHECK_EQ(dune_vm_protect(NULL, (void *)page, 2 * PAGE, DUNE_R), 0);
	helper_does(&user, write_faults);
	page += 4 * PAGE;
	helper_does(&user, read_page);
	CHECK_EQ(dune_vm_batch_begin(), 0);
	CHECK_EQ(dune_vm_unmap(NULL, (void *)page, PAGE), 0);
	CHECK_EQ(dune_vm_batch_end(), 0);
	helper_does(&user, read_faults);
	CHECK_EQ(soft_counts.kicks, kicks + 3);
	soft_leave();
	helper_end(&user);
}

/* Of a region as one: the only copy goes, before the shootdown, each time. */
static void a_region_goes_and_comes(void)
{
	struct helper user;

	page = SOFT_PROGRAM + 3 * GIB;
	helper_start(&user);
	soft_enter();
	for (int i = 0; i < 2; i++) {
		helper_does(&user, write_page);
		write_page();
		CHECK_EQ(dune_vm_protect(NULL, (void *)page, GIB, DUNE_R), 0);
		helper_does(&user, write_faults);
		CHECK_EQ(dune_vm_unmap(NULL, (void *)page, GIB), 0);
		CHECK_EQ(dune_root_default()->common[region_index(page) % PT_ENTRIES], 0);
		helper_does(&user, read_faults);
		read_faults();
		CHECK_EQ(dune_vm_map(NULL, (void *)page, GIB, (void *)page, ALL, 0), 0);
	}
	helper_does(&user, write_page);
	/* A leaf that becomes a PD: in place, nobody faults. */
	CHECK_EQ(dune_vm_protect(NULL, (void *)(page + PAGE), PAGE, DUNE_R), 0);
	CHECK_EQ(dune_root_default()->common[region_index(page) % PT_ENTRIES],
		 dune_root_default()->region[region_index(page)].l3);
	helper_does(&user, write_page);
	page += PAGE;
	helper_does(&user, write_faults);
	soft_leave();
	helper_end(&user);
}

static void who_comes_later_is_asked(void)
{
	struct helper user;
	uint64_t fills;

	page = SOFT_PROGRAM + 4 * GIB;
	soft_enter();
	CHECK_EQ(dune_vm_split(NULL, (void *)page, 512 * PAGE, PAGE), 0);
	write_page();
	helper_start(&user);
	helper_does(&user, tell_view);
	CHECK(is_viewer(dune_root_default(), its_view->id));
	fills = soft_counts.fills;
	helper_does(&user, write_page);
	CHECK_EQ(soft_counts.fills, fills);
	CHECK_EQ(dune_vm_protect(NULL, (void *)page, PAGE, DUNE_R), 0);
	helper_does(&user, write_faults);
	soft_leave();
	helper_end(&user);
}

static uint32_t its_id;

static void tell_id(void)
{
	its_id = soft_self()->vm.id;
}

static void who_ends_is_no_viewer(void)
{
	struct helper user;

	helper_start(&user);
	helper_does(&user, tell_id);
	CHECK(is_viewer(dune_root_default(), its_id));
	helper_end(&user);
	CHECK(!is_viewer(dune_root_default(), its_id));
	CHECK(is_viewer(dune_root_default(), soft_self()->vm.id));
}

static struct dune_root *other;

static void to_other(void)
{
	CHECK_EQ(dune_root_switch(other), 0);
}

static void back(void)
{
	CHECK_EQ(dune_root_switch(NULL), 0);
}

static void roots_have_their_own(void)
{
	struct helper user;

	page = SOFT_PROGRAM + 5 * GIB;
	CHECK_EQ(dune_root_create(&other), 0);
	CHECK(other->common != dune_root_default()->common);
	helper_start(&user);
	helper_does(&user, tell_view);
	CHECK(!is_viewer(other, its_view->id));
	helper_does(&user, write_page);
	helper_does(&user, to_other);
	CHECK(is_viewer(other, its_view->id));
	helper_does(&user, write_page);
	CHECK_EQ(dune_vm_unmap(other, (void *)page, GIB), 0);
	helper_does(&user, read_faults);
	helper_does(&user, back);
	helper_does(&user, write_page);
	helper_end(&user);
	CHECK_EQ(dune_root_free(other), 0);
}

int main(void)
{
	alarm(100);	/* somebody waits for ever */
	soft_init(DUNE_CAP_INVPCID);
	soft_begin();
	CHECK_EQ(vm_state.common, region_index(SOFT_PROGRAM) / PT_ENTRIES);
	CASE(a_fill_is_everybodys);
	CASE(a_fill_by_others_is_no_fault);
	CASE(every_viewer_is_asked);
	CASE(a_region_goes_and_comes);
	CASE(who_comes_later_is_asked);
	CASE(who_ends_is_no_viewer);
	CASE(roots_have_their_own);
	soft_end();
	return CHECK_EXIT();
}
