// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Views, members, and who waits for whom: step by step, with two more threads. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "helper.h"
#include "hw.h"
#include "op.h"
#include "region.h"
#include "soft.h"
#include "steps.h"
#include "space.h"

#define PAGE	4096ull
#define GIB	(1ull << 30)
#define BASE	0x100000000000ull
#define ALL	(DUNE_R | DUNE_W | DUNE_X | DUNE_U)

static struct dune_region *region_of(uint64_t addr)
{
	return &dune_root_default()->region[region_index(addr)];
}

static bool is_member(uint64_t addr, uint32_t id)
{
	return members_word(&region_of(addr)->members, id / 64) >> id % 64 & 1;
}

static void members_are_who_has_a_copy(void)
{
	uint64_t addr = BASE + 7;
	const struct dune_view *view = soft_self()->vm.view;
	uint32_t id = soft_self()->vm.id;

	soft_enter();
	CHECK(!is_member(addr, id));
	CHECK(soft_access(addr, SOFT_READ) != SOFT_FAULT);
	CHECK(is_member(addr, id));
	CHECK_EQ(*view_entry(view, region_index(addr)), region_of(addr)->l3);
	/* Split: still one, of the PD now. */
	CHECK_EQ(dune_vm_protect(NULL, (void *)BASE, PAGE, DUNE_R), 0);
	CHECK(is_member(addr, id));
	CHECK_EQ(*view_entry(view, region_index(addr)), region_of(addr)->l3);
	/* As a whole: a leaf that goes. */
	CHECK(soft_access(BASE + GIB, SOFT_READ) != SOFT_FAULT);
	CHECK(is_member(BASE + GIB, id));
	CHECK_EQ(dune_vm_unmap(NULL, (void *)(BASE + GIB), GIB), 0);
	CHECK(!is_member(BASE + GIB, id));
	CHECK_EQ(*view_entry(view, region_index(BASE + GIB)), 0);
	CHECK_EQ(soft_access(BASE + GIB, SOFT_READ), SOFT_FAULT);
	soft_leave();
}

/* --- a view's entry and its membership change under the region's lock --- */

/* Else it could take what the holder is about to change, and not be told. */
static void a_fill_waits_for_the_region(void)
{
	struct vm_local *local = &soft_self()->vm;
	struct helper user;

	helper_start(&user);
	helper_does(&user, tell_view);
	page = BASE + 8 * GIB;
	CHECK_EQ(region_lock(region_of(page), local), REGION_LOCKED);
	tell(&user, read_page);
	sleep_ms(300);
	CHECK(user.done != user.todo);
	CHECK_EQ(plat_load(view_entry(its_view, region_index(page))), 0);
	CHECK(!is_member(page, its_view->id));
	region_unlock(region_of(page));
	while (user.done != user.todo)
		sched_yield();
	CHECK(is_member(page, its_view->id));
	helper_end(&user);
}

/* What one vCPU touches is in no other's view. */
static void views_have_tables_of_their_own(void)
{
	const struct dune_view *mine = soft_self()->vm.view;
	struct helper user;

	helper_start(&user);
	helper_does(&user, tell_view);
	page = BASE + 9 * GIB;
	helper_does(&user, read_page);
	CHECK_EQ(*view_entry(its_view, region_index(page)), region_of(page)->l3);
	CHECK(is_member(page, its_view->id));
	CHECK_EQ(*view_entry(mine, region_index(page)), 0);
	CHECK(!is_member(page, mine->id));
	helper_end(&user);
}

/* --- a change that is made and not flushed, and others who find it made --- */

static void begin_and_protect(void)
{
	CHECK_EQ(dune_vm_batch_begin(), 0);
	CHECK_EQ(dune_vm_protect(NULL, (void *)page, PAGE, DUNE_R), 0);
}

static void begin_and_unmap(void)
{
	CHECK_EQ(dune_vm_batch_begin(), 0);
	CHECK_EQ(dune_vm_unmap(NULL, (void *)page, PAGE), 0);
}

static void end_batch(void)
{
	CHECK_EQ(dune_vm_batch_end(), 0);
}

static void found_made_is_not_flushed(void)
{
	struct helper user, changer;

	helper_start(&user);
	helper_start(&changer);
	soft_enter();
	CHECK_EQ(dune_vm_split(NULL, (void *)(BASE + 2 * GIB), 512 * PAGE, PAGE), 0);

	page = BASE + 2 * GIB;
	helper_does(&user, write_page);
	helper_does(&changer, begin_and_protect);
	helper_does(&user, write_page);		/* its translation is old */
	CHECK_EQ(dune_vm_protect(NULL, (void *)page, PAGE, DUNE_R), 0);
	helper_does(&user, write_faults);
	helper_does(&changer, end_batch);

	page += PAGE;
	helper_does(&user, write_page);
	helper_does(&changer, begin_and_protect);
	/* More than a few pages: the long way. */
	CHECK_EQ(dune_vm_protect(NULL, (void *)(page - PAGE), 600 * PAGE, DUNE_R), 0);
	helper_does(&user, write_faults);
	helper_does(&changer, end_batch);

	page += PAGE;
	helper_does(&user, read_page);
	helper_does(&changer, begin_and_unmap);
	helper_does(&user, read_page);
	CHECK_EQ(dune_vm_unmap(NULL, (void *)page, PAGE), 0);
	helper_does(&user, read_faults);
	helper_does(&changer, end_batch);

	/* Mapped anew: nobody finds the old one. */
	page += PAGE;
	helper_does(&user, read_page);
	helper_does(&changer, begin_and_unmap);
	CHECK_EQ(dune_vm_map(NULL, (void *)page, PAGE, (void *)(page + 8 * GIB), DUNE_R, 0), 0);
	helper_does(&user, write_faults);
	helper_does(&changer, end_batch);
	soft_leave();
	helper_end(&user);
	helper_end(&changer);
}

/* --- no kick for who is outside, or polls --- */

static void poll_begin(void)
{
	dune_vm_poll_begin();
	write_page();
}

static void poll_until_flushed(void)
{
	while (!dune_vm_poll())
		sched_yield();
	write_faults();
	dune_vm_poll_end();
}

static void leave(void)
{
	write_page();
	soft_leave();
}

static void nobody_is_kicked_for_nothing(void)
{
	struct helper user;
	uint64_t kicks;

	helper_start(&user);
	soft_enter();
	page = BASE + 2 * GIB + 100 * PAGE;
	CHECK_EQ(dune_vm_protect(NULL, (void *)page, PAGE, ALL), 0);
	helper_does(&user, write_page);
	kicks = soft_counts.kicks;
	CHECK_EQ(dune_vm_protect(NULL, (void *)page, PAGE, DUNE_R), 0);
	CHECK_EQ(soft_counts.kicks, kicks + 1);
	/* Gained: nobody hears of it. */
	CHECK_EQ(dune_vm_protect(NULL, (void *)page, PAGE, ALL), 0);
	/* Not used since: nobody can have it. */
	CHECK_EQ(soft_counts.kicks, kicks + 1);
	/* Another region. */
	CHECK(soft_access(BASE + 3 * GIB, SOFT_WRITE) != SOFT_FAULT);
	CHECK_EQ(dune_vm_protect(NULL, (void *)(BASE + 3 * GIB), GIB, DUNE_R), 0);
	CHECK_EQ(soft_counts.kicks, kicks + 1);

	helper_does(&user, poll_begin);
	tell(&user, poll_until_flushed);
	CHECK_EQ(dune_vm_protect(NULL, (void *)page, PAGE, DUNE_R), 0);
	while (user.done != user.todo)
		sched_yield();
	CHECK_EQ(soft_counts.kicks, kicks + 1);

	CHECK_EQ(dune_vm_protect(NULL, (void *)page, PAGE, ALL), 0);
	user.in_guest = false;
	helper_does(&user, leave);
	CHECK_EQ(dune_vm_protect(NULL, (void *)page, PAGE, DUNE_R), 0);
	CHECK_EQ(soft_counts.kicks, kicks + 1);
	helper_does(&user, soft_enter);
	helper_does(&user, write_faults);
	helper_does(&user, soft_leave);
	soft_leave();
	helper_end(&user);
}

static volatile int blocked, released;

/* Neither polls nor can be kicked. */
static void poll_late(void)
{
	poll_begin();
	blocked = 1;
	while (!released)
		sched_yield();
	CHECK_EQ(dune_vm_poll(), 1);
	write_faults();
	dune_vm_poll_end();
}

static void protect_page(void)
{
	CHECK_EQ(dune_vm_protect(NULL, (void *)page, PAGE, DUNE_R), 0);
}

static void take_all(void)
{
	CHECK_EQ(dune_vm_protect(NULL, (void *)page, PAGE, 0), 0);
}

/*
 * The change waits for somebody who polls. So does a second one that finds by it
 * what it has to take gone from the entry, and cannot know of the flush.
 */
static void both_wait(void (*change)(void))
{
	struct helper user, changer, second;

	helper_start(&user);
	helper_start(&changer);
	helper_start(&second);
	CHECK_EQ(dune_vm_protect(NULL, (void *)page, PAGE, ALL), 0);
	blocked = released = 0;
	tell(&user, poll_late);
	while (!blocked)
		sched_yield();
	tell(&changer, change);
	sleep_ms(300);
	CHECK(changer.done != changer.todo);
	tell(&second, protect_page);
	sleep_ms(300);
	CHECK(second.done != second.todo);
	released = 1;
	while (changer.done != changer.todo || second.done != second.todo ||
	       user.done != user.todo)
		sched_yield();
	helper_end(&second);
	helper_end(&changer);
	helper_end(&user);
}

static void who_polls_is_waited_for(void)
{
	page = BASE + 2 * GIB + 101 * PAGE;
	both_wait(protect_page);
	/* From nothing to "read" is a gain. */
	page += PAGE;
	both_wait(take_all);
}

static struct dune_root *cloned;

static void clone_base(void)
{
	CHECK_EQ(dune_root_clone(NULL, &cloned), 0);
}

/* It takes writing from every page, and the right to write from none. */
static void a_clone_is_waited_for(void)
{
	page = BASE + 2 * GIB + 103 * PAGE;
	both_wait(clone_base);
	CHECK_EQ(dune_root_free(cloned), 0);
}

static void poll_end(void)
{
	while (!(soft_self()->vm.page->requests & DUNE_REQ_FLUSH))
		sched_yield();
	sleep_ms(100);		/* it looks whether this one polls */
	dune_vm_poll_end();
	write_faults();
}

/* Whoever found it polling waits for its last look. */
static void the_end_of_polling_serves(void)
{
	struct helper user, changer;
	uint64_t kicks;

	helper_start(&user);
	helper_start(&changer);
	page = BASE + 2 * GIB + 104 * PAGE;
	CHECK_EQ(dune_vm_protect(NULL, (void *)page, PAGE, ALL), 0);
	helper_does(&user, poll_begin);
	kicks = soft_counts.kicks;
	tell(&user, poll_end);
	helper_does(&changer, protect_page);
	while (user.done != user.todo)
		sched_yield();
	CHECK_EQ(soft_counts.kicks, kicks);
	helper_end(&changer);
	helper_end(&user);
}

/* --- roots --- */

static struct dune_root *other;

static void switch_to_other(void)
{
	CHECK_EQ(dune_root_switch(other), 0);
}

static void switch_back(void)
{
	CHECK_EQ(dune_root_switch(NULL), 0);
}

static void other_and_write(void)
{
	switch_to_other();
	write_page();
}

static void other_and_fault(void)
{
	switch_to_other();
	write_faults();
}

static void waits_in_switch(void)
{
	if (soft_self()->vm.view->root == other || !blocked)
		return;
	blocked = 2;
	while (!released) {
		soft_exit();
		sched_yield();
	}
}

static void roots_begin(struct helper *user)
{
	CHECK_EQ(dune_root_create(&other), 0);
	CHECK_EQ(dune_vm_split(other, (void *)page, PAGE, PAGE), 0);
	helper_start(user);
	helper_does(user, other_and_write);
	helper_does(user, switch_back);
}

static void roots_end(struct helper *user)
{
	helper_does(user, switch_back);
	helper_end(user);
	CHECK_EQ(dune_root_free(other), 0);
}

/* Its translations stay, under their PCID, and are not used: no kick. */
static void a_root_that_is_not_active_is_flushed_later(void)
{
	struct helper user;
	uint64_t kicks;

	page = BASE + 2 * GIB;
	roots_begin(&user);
	kicks = soft_counts.kicks;
	CHECK_EQ(dune_vm_protect(other, (void *)page, PAGE, DUNE_R), 0);
	CHECK_EQ(soft_counts.kicks, kicks);
	helper_does(&user, other_and_fault);
	roots_end(&user);
}

/* In the middle of a switch either root may be in use. */
static void who_switches_is_kicked(void)
{
	struct helper user;
	uint64_t kicks;

	page = BASE + 2 * GIB;
	roots_begin(&user);
	blocked = 1;
	released = 0;
	soft_before_cr3 = waits_in_switch;
	tell(&user, other_and_fault);
	while (blocked != 2)
		sched_yield();
	kicks = soft_counts.kicks;
	CHECK_EQ(dune_vm_protect(other, (void *)page, PAGE, DUNE_R), 0);
	CHECK_EQ(soft_counts.kicks, kicks + 1);
	blocked = 0;
	soft_before_cr3 = NULL;
	released = 1;
	while (user.done != user.todo)
		sched_yield();
	roots_end(&user);
}

/* --- ends --- */

static uint32_t its_id;

static void tell_id(void)
{
	write_page();
	its_id = soft_self()->vm.id;
}

static void who_ends_is_no_member(void)
{
	struct helper user;

	helper_start(&user);
	page = BASE + 5 * GIB;
	helper_does(&user, tell_id);
	CHECK(is_member(page, its_id));
	helper_end(&user);
	CHECK(!is_member(page, its_id));
	CHECK(dune_root_default()->view[its_id] == NULL);
	CHECK(vm_vcpus[its_id].page == NULL);
}

/* --- the pool grows into every view --- */

static void new_space_is_in_every_view(void)
{
	struct helper user;
	uint64_t index, entry;
	void *blocks;

	helper_start(&user);
	helper_does(&user, tell_view);
	blocks = space_get(&soft_self()->vm, 400);
	blocks = space_get(&soft_self()->vm, 400);
	CHECK(blocks != NULL);
	index = region_index((uint64_t)blocks);
	entry = dune_root_default()->region[index].l3;
	CHECK(entry & 1);
	CHECK_EQ(*view_entry(soft_self()->vm.view, index), entry);
	CHECK_EQ(*view_entry(its_view, index), entry);
	helper_end(&user);
}

int main(void)
{
	alarm(100);	/* somebody waits for ever */
	soft_init(DUNE_CAP_INVPCID);
	soft_begin();
	CASE(members_are_who_has_a_copy);
	CASE(a_fill_waits_for_the_region);
	CASE(views_have_tables_of_their_own);
	CASE(found_made_is_not_flushed);
	CASE(nobody_is_kicked_for_nothing);
	CASE(who_polls_is_waited_for);
	CASE(the_end_of_polling_serves);
	CASE(a_root_that_is_not_active_is_flushed_later);
	CASE(who_switches_is_kicked);
	CASE(who_ends_is_no_member);
	CASE(new_space_is_in_every_view);
	CASE(a_clone_is_waited_for);
	soft_end();
	return CHECK_EXIT();
}
