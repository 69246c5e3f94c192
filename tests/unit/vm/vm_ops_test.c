// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Operations of one thread against a model, and every allocation that may fail. */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "hw.h"
#include "model.h"

#define ALL	(DUNE_R | DUNE_W | DUNE_X | DUNE_U)
#define PAGE	4096ull
#define MIB2	(2ull << 20)
#define GIB	(1ull << 30)

static uint64_t seed = 88172645463325252ull;

static uint64_t rnd(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

struct call {
	enum { PROTECT, UNMAP, MAP, SPLIT_4K, SPLIT_2M, MERGE_2M, MERGE_1G, NR_CALLS } what;
	uint64_t start, len, mem;
	unsigned int prot;
};

static unsigned int some_prot(void)
{
	static const unsigned int prots[] = {
		0, DUNE_R, DUNE_R | DUNE_W, DUNE_R | DUNE_X, ALL, ALL & ~DUNE_U,
		DUNE_R | DUNE_U, ALL & ~DUNE_X,
	};

	return prots[rnd(8)];
}

/* Small, in 2 MiB, across 2 MiB, across regions, whole ones. */
static void some_range(struct call *c)
{
	uint64_t unit = rnd(3) ? PAGE : rnd(3) ? MIB2 : GIB;
	uint64_t window = MODEL_END - MODEL_BASE;

	c->start = MODEL_BASE + rnd(window / unit) * unit;
	c->len = (1 + rnd(rnd(4) ? 8 : unit == PAGE ? 2000 : 3)) * unit;
	if (rnd(5) == 0)
		c->start = MODEL_BASE + (1 + rnd(MODEL_REGIONS - 1)) * GIB - PAGE * rnd(9);
	if (c->start + c->len > MODEL_END)
		c->len = MODEL_END - c->start;
}

static struct call some_call(void)
{
	struct call c = { .what = rnd(NR_CALLS), .prot = some_prot() };

	some_range(&c);
	/* Sometimes such that large pages fit, and across regions of the host. */
	c.mem = c.start + (rnd(2) ? 0 : rnd(3) ? GIB : 5 * PAGE + 3 * MIB2);
	return c;
}

static int make(struct dune_root *root, const struct call *c)
{
	void *start = (void *)c->start;

	switch (c->what) {
	case PROTECT:
		return dune_vm_protect(root, start, c->len, c->prot);
	case UNMAP:
		return dune_vm_unmap(root, start, c->len);
	case MAP:
		return dune_vm_map(root, start, c->len, (void *)c->mem, c->prot,
				   c->prot & DUNE_X ? 0 : DUNE_VM_2M);
	case SPLIT_4K:
		/* Of much that would be very many tables. */
		return dune_vm_split(root, start, c->len < 8 * MIB2 ? c->len : MIB2, PAGE);
	case SPLIT_2M:
		return dune_vm_split(root, start, c->len, MIB2);
	case MERGE_2M:
		return dune_vm_merge(root, start, c->len, MIB2);
	default:
		return dune_vm_merge(root, start, c->len, GIB);
	}
}

static int expected(const struct call *c)
{
	return c->what == MAP && !model_is_empty(c->start, c->len) ? -EEXIST : 0;
}

static void follow(const struct call *c)
{
	if (c->what == PROTECT)
		model_protect(c->start, c->len, c->prot);
	else if (c->what == UNMAP)
		model_unmap(c->start, c->len);
	else if (c->what == MAP)
		model_map(c->start, c->len, c->mem, c->prot);
}

/* At the range's ends and anywhere. */
static void check_pages(struct dune_root *root, const struct call *c)
{
	const uint64_t addrs[] = {
		c->start, c->start + c->len - PAGE, c->start - PAGE, c->start + c->len,
		c->start + rnd(c->len / PAGE) * PAGE + rnd(PAGE),
		MODEL_BASE + rnd(MODEL_PAGES) * PAGE,
	};

	for (unsigned int i = 0; i < sizeof(addrs) / sizeof(*addrs); i++)
		if (addrs[i] >= MODEL_BASE && addrs[i] < MODEL_END)
			CHECK(model_page_holds(root, addrs[i]));
}

static void random_calls_do_what_the_model_does(void)
{
	model_init();
	for (int i = 0; i < 20000 && !check_failed(); i++) {
		struct call c = some_call();

		CHECK_EQ(make(NULL, &c), expected(&c));
		if (!expected(&c))
			follow(&c);
		check_pages(NULL, &c);
		if (i % 500 == 0)
			CHECK(model_holds(NULL));
		if (check_failed())
			printf("# call %d: %d at %#llx len %#llx mem %#llx prot %u\n", i, c.what,
			       (unsigned long long)c.start, (unsigned long long)c.len,
			       (unsigned long long)c.mem, c.prot);
	}
	CHECK(model_holds(NULL));
}

/* Each allocation of a call in turn; then it works. */
static void with_failures(struct dune_root *root, const struct call *c)
{
	for (uint64_t nth = 1;; nth++) {
		int ret;

		soft_fail_nth(nth);
		ret = make(root, c);
		if (!soft_failed()) {
			CHECK_EQ(ret, expected(c));
			break;
		}
		if (ret == expected(c))
			break;		/* it could do without */
		CHECK_EQ(ret, -ENOMEM);
		CHECK(model_holds(root));
		if (check_failed())
			return;
	}
	soft_fail_nth(0);
	if (!expected(c))
		follow(c);
	CHECK(model_holds(root));
}

static void out_of_memory_leaves_nothing_half_done(void)
{
	struct dune_root *root;

	soft_leave();
	CHECK_EQ(dune_root_create(&root), 0);
	soft_enter();
	CHECK_EQ(dune_root_switch(root), 0);
	model_init();
	for (int i = 0; i < 300 && !check_failed(); i++) {
		struct call c = some_call();

		with_failures(root, &c);
		check_pages(root, &c);
	}
	CHECK_EQ(dune_root_switch(NULL), 0);
	CHECK_EQ(dune_root_free(root), 0);
}

static void wrong_arguments_are_refused(void)
{
	char *base = (char *)MODEL_BASE;
	struct dune_vm_entry entry;
	struct dune_root *root;

	CHECK_EQ(dune_vm_protect(NULL, base + 1, PAGE, DUNE_R), -EINVAL);
	CHECK_EQ(dune_vm_protect(NULL, base, PAGE + 1, DUNE_R), -EINVAL);
	CHECK_EQ(dune_vm_protect(NULL, base, 0, DUNE_R), -EINVAL);
	CHECK_EQ(dune_vm_protect(NULL, base, PAGE, 16), -EINVAL);
	CHECK_EQ(dune_vm_protect(NULL, base, PAGE, DUNE_W), -EINVAL);
	CHECK_EQ(dune_vm_protect(NULL, base, PAGE, DUNE_X | DUNE_U), -EINVAL);
	CHECK_EQ(dune_vm_protect(NULL, (void *)(1ull << 47), PAGE, DUNE_R), -ERANGE);
	CHECK_EQ(dune_vm_protect(NULL, (void *)((1ull << 47) - PAGE), 2 * PAGE, DUNE_R), -ERANGE);
	CHECK_EQ(dune_vm_protect(NULL, base, -PAGE, DUNE_R), -ERANGE);
	CHECK_EQ(dune_vm_unmap(NULL, base + 1, PAGE), -EINVAL);
	CHECK_EQ(dune_vm_unmap(NULL, base, -PAGE), -ERANGE);
	CHECK_EQ(dune_vm_map(NULL, base, PAGE, base + 1, DUNE_R, 0), -EINVAL);
	CHECK_EQ(dune_vm_map(NULL, base, PAGE, base, DUNE_R, 4), -EINVAL);
	CHECK_EQ(dune_vm_map(NULL, base, PAGE, (void *)(1ull << 47), DUNE_R, 0), -ERANGE);
	CHECK_EQ(dune_vm_map(NULL, base, PAGE, base, DUNE_U, 0), -EINVAL);
	CHECK_EQ(dune_vm_split(NULL, base, PAGE, GIB), -EINVAL);
	CHECK_EQ(dune_vm_merge(NULL, base, PAGE, PAGE), -EINVAL);
	CHECK_EQ(dune_vm_lookup(NULL, (void *)(1ull << 47), &entry), -ERANGE);
	CHECK_EQ(dune_vm_scan(NULL, base, PAGE, DUNE_SCAN_CLEAR, NULL), -EINVAL);
	CHECK_EQ(dune_vm_scan(NULL, base, PAGE, 8 | DUNE_SCAN_DIRTY, NULL), -EINVAL);
	CHECK_EQ(dune_vm_batch_end(), -EINVAL);
	CHECK_EQ(dune_root_free(NULL), -EINVAL);
	CHECK_EQ(dune_root_free(dune_root_default()), -EINVAL);
	CHECK_EQ(dune_root_create(&root), 0);
	CHECK_EQ(dune_root_switch(root), 0);
	CHECK(dune_root_current() == root);
	CHECK_EQ(dune_root_free(root), -EBUSY);
	CHECK_EQ(dune_root_switch(NULL), 0);
	CHECK(dune_root_current() == dune_root_default());
	CHECK_EQ(dune_root_free(root), 0);
}

/* The library's own memory: the pool, which soft_self()'s view is in. */
static void own_memory_is_refused(void)
{
	uint64_t own = (uint64_t)soft_self()->vm.view & ~(GIB - 1);
	uint64_t pinned = (uint64_t)vm_state.slot_hva & ~(GIB - 1);

	CHECK_EQ(dune_vm_protect(NULL, (void *)own, PAGE, DUNE_R), -EPERM);
	CHECK_EQ(dune_vm_unmap(NULL, (void *)(own + 5 * PAGE), PAGE), -EPERM);
	CHECK_EQ(dune_vm_unmap(NULL, (void *)(own - GIB), 3 * GIB), -EPERM);
	CHECK_EQ(dune_vm_map(NULL, (void *)own, PAGE, (void *)MODEL_BASE, DUNE_R, 0), -EPERM);
	CHECK_EQ(dune_vm_split(NULL, (void *)own, PAGE, PAGE), -EPERM);
	if (pinned != own)
		CHECK_EQ(dune_vm_unmap(NULL, (void *)pinned, GIB), -EBUSY);
}

static void no_slot_is_an_error(void)
{
	char *far = (char *)0x200000000000;

	soft_limit_slots(0);
	CHECK_EQ(dune_vm_protect(NULL, far, PAGE, DUNE_R), -ENOSPC);
	CHECK_EQ(soft_access((uint64_t)far, SOFT_READ), SOFT_FAULT);
	CHECK_EQ(soft_self()->slot_error, ENOSPC);
	/* Nothing of it is needed to say that nothing is there. */
	CHECK_EQ(dune_vm_unmap(NULL, far, GIB), 0);
	CHECK_EQ(dune_vm_map(NULL, far, PAGE, far + GIB, DUNE_R, 0), -ENOSPC);
	soft_limit_slots(1);
	CHECK_EQ(dune_vm_map(NULL, far, PAGE, far + GIB, DUNE_R, 0), 0);
	CHECK_EQ(soft_access((uint64_t)far + 5, SOFT_READ), soft_gpa(far + GIB + 5));
	/* The second region of two has none: the first one stays as it is. */
	soft_limit_slots(1);
	CHECK_EQ(dune_vm_protect(NULL, far + 5 * GIB - PAGE, 2 * PAGE, DUNE_R), -ENOSPC);
	CHECK(soft_access((uint64_t)far + 5 * GIB - PAGE, SOFT_WRITE) != SOFT_FAULT);
	soft_limit_slots(1000);
}

static void everything_can_be_protected(void)
{
	struct dune_root *root;

	model_init();
	CHECK_EQ(dune_root_create(&root), 0);
	CHECK_EQ(dune_root_switch(root), 0);
	/* One untouched, one a leaf, one a table. */
	CHECK(soft_access(MODEL_BASE + GIB, SOFT_READ) != SOFT_FAULT);
	CHECK_EQ(dune_vm_protect(root, (void *)(MODEL_BASE + 2 * GIB), PAGE, 0), 0);
	CHECK_EQ(dune_vm_protect(root, NULL, 1ull << 47, ALL & ~DUNE_U), 0);
	model_protect(MODEL_BASE, MODEL_PAGES << 12, ALL & ~DUNE_U);
	for (uint64_t addr = MODEL_BASE; addr < MODEL_END; addr += GIB / 2)
		CHECK(model_page_holds(root, addr));
	/* The library's own keeps what it has. */
	CHECK(soft_access((uint64_t)soft_self()->vm.view, SOFT_USER_READ) != SOFT_FAULT);
	CHECK_EQ(dune_root_switch(NULL), 0);
	CHECK_EQ(dune_root_free(root), 0);
}

static void scan_finds_what_was_used(void)
{
	uint64_t base = MODEL_BASE + 8 * GIB, bitmap[8] = { 0 };
	char *p = (char *)base;

	CHECK_EQ(dune_vm_split(NULL, p, 512 * PAGE, PAGE), 0);
	/* What came of a page of 1 GiB counts as used. */
	CHECK_EQ(dune_vm_scan(NULL, p, 512 * PAGE, DUNE_SCAN_DIRTY, NULL), 512);
	CHECK_EQ(dune_vm_scan(NULL, p, 512 * PAGE, DUNE_SCAN_DIRTY | DUNE_SCAN_ACCESSED |
			      DUNE_SCAN_CLEAR, NULL), 512);
	CHECK_EQ(dune_vm_scan(NULL, p, 512 * PAGE, DUNE_SCAN_ACCESSED, NULL), 0);
	soft_access(base + 3 * PAGE, SOFT_READ);
	soft_access(base + 70 * PAGE, SOFT_WRITE);
	CHECK_EQ(dune_vm_scan(NULL, p, 512 * PAGE, DUNE_SCAN_ACCESSED, bitmap), 2);
	CHECK_EQ(bitmap[0], 1 << 3);
	CHECK_EQ(bitmap[1], 1 << 6);
	bitmap[0] = bitmap[1] = 0;
	CHECK_EQ(dune_vm_scan(NULL, p, 512 * PAGE, DUNE_SCAN_DIRTY | DUNE_SCAN_CLEAR, bitmap), 1);
	CHECK_EQ(bitmap[0], 0);
	CHECK_EQ(bitmap[1], 1 << 6);
	/* Flushed: the next write is seen. */
	soft_access(base + 70 * PAGE, SOFT_WRITE);
	CHECK_EQ(dune_vm_scan(NULL, p, 512 * PAGE, DUNE_SCAN_DIRTY, NULL), 1);
	/* A large page that sticks out is split. */
	soft_access(base + 3 * MIB2, SOFT_WRITE);
	CHECK_EQ(dune_vm_scan(NULL, p + MIB2 + PAGE, 2 * PAGE, DUNE_SCAN_DIRTY | DUNE_SCAN_CLEAR,
			      NULL), 2);
	CHECK_EQ(dune_vm_scan(NULL, p + MIB2, 4 * PAGE, DUNE_SCAN_DIRTY, NULL), 2);
}

/* How many of the pages from addr on can be written? */
static int writable(uint64_t addr, int pages)
{
	int nr = 0;

	for (int i = 0; i < pages; i++)
		nr += soft_access(addr + i * PAGE, SOFT_WRITE) != SOFT_FAULT;
	return nr;
}

static void pages_of_two_tables_change_at_once(void)
{
	uint64_t base = MODEL_BASE + 10 * GIB, from = base + MIB2 - 3 * PAGE;

	CHECK_EQ(dune_vm_split(NULL, (void *)base, 2 * MIB2, PAGE), 0);
	/* After the split the short way has too few tables. */
	CHECK_EQ(dune_vm_protect(NULL, (void *)from, 6 * PAGE, DUNE_R), 0);
	CHECK_EQ(dune_vm_protect(NULL, (void *)from, 6 * PAGE, ALL), 0);
	CHECK_EQ(writable(from - PAGE, 8), 8);
	CHECK_EQ(dune_vm_protect(NULL, (void *)from, 6 * PAGE, DUNE_R), 0);
	CHECK_EQ(writable(from, 6), 0);
	CHECK_EQ(writable(from - PAGE, 8), 2);
	/* With a hole it is the long way, after the short one has begun. */
	CHECK_EQ(dune_vm_unmap(NULL, (void *)(from + 5 * PAGE), PAGE), 0);
	CHECK_EQ(dune_vm_split(NULL, (void *)(base + 2 * MIB2), MIB2, PAGE), 0);
	soft_fail_nth(1);
	CHECK_EQ(dune_vm_protect(NULL, (void *)from, 6 * PAGE, ALL), -ENOMEM);
	CHECK_EQ(writable(from, 6), 0);
	CHECK_EQ(dune_vm_protect(NULL, (void *)from, 6 * PAGE, ALL), 0);
	CHECK_EQ(writable(from, 6), 5);
}

/* The short way remembers tables; each change is seen all the same. */
static void remembered_tables_die(void)
{
	uint64_t base = MODEL_BASE + 11 * GIB;
	char *p = (char *)base;

	CHECK_EQ(dune_vm_split(NULL, p, MIB2, PAGE), 0);
	for (int i = 0; i < 100; i++) {
		CHECK_EQ(dune_vm_protect(NULL, p, PAGE, DUNE_R), 0);
		CHECK_EQ(dune_vm_protect(NULL, p, PAGE, DUNE_R), 0);
		CHECK_EQ(writable(base, 2), 1);
		CHECK_EQ(dune_vm_unmap(NULL, p, MIB2), 0);
		CHECK_EQ(dune_vm_protect(NULL, p, PAGE, ALL), 0);
		CHECK_EQ(writable(base, 2), 0);
		CHECK_EQ(dune_vm_map(NULL, p, MIB2, p, ALL, 0), 0);
		CHECK_EQ(writable(base, 2), 2);
		CHECK_EQ(dune_vm_protect(NULL, p, PAGE, DUNE_R), 0);
		CHECK_EQ(writable(base, 2), 1);
		CHECK_EQ(dune_vm_protect(NULL, p, PAGE, ALL), 0);
		CHECK_EQ(dune_vm_merge(NULL, p, MIB2, MIB2), 0);
		CHECK_EQ(dune_vm_protect(NULL, p, PAGE, DUNE_R), 0);
		CHECK_EQ(writable(base, 2), 1);
		CHECK_EQ(dune_vm_protect(NULL, p, PAGE, ALL), 0);
	}
}

static void remembered_tables_are_of_one_root(void)
{
	uint64_t base = MODEL_BASE + 12 * GIB;
	struct dune_root *other;
	char *p = (char *)base;

	CHECK_EQ(dune_root_create(&other), 0);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(dune_vm_split(NULL, p, MIB2, PAGE), 0);
		CHECK_EQ(dune_vm_protect(NULL, p, 2 * PAGE, ALL), 0);
		CHECK_EQ(dune_vm_protect(NULL, p, PAGE, DUNE_R), 0);
		CHECK_EQ(writable(base, 2), 1);
		CHECK_EQ(dune_root_switch(other), 0);
		CHECK_EQ(dune_vm_protect(other, p, 2 * PAGE, ALL), 0);
		CHECK_EQ(dune_vm_protect(other, p + PAGE, PAGE, DUNE_R), 0);
		CHECK_EQ(writable(base, 1), 1);
		CHECK_EQ(writable(base + PAGE, 1), 0);
		CHECK_EQ(dune_root_switch(NULL), 0);
		CHECK_EQ(writable(base, 1), 0);
		CHECK_EQ(writable(base + PAGE, 1), 1);
	}
	CHECK_EQ(dune_root_free(other), 0);
}

static void batches_flush_at_the_end(void)
{
	uint64_t base = MODEL_BASE + 9 * GIB;
	char *p = (char *)base;

	CHECK_EQ(dune_vm_split(NULL, p, 512 * PAGE, PAGE), 0);
	for (int i = 0; i < 20; i++)
		CHECK(soft_access(base + i * PAGE, SOFT_WRITE) != SOFT_FAULT);
	CHECK_EQ(dune_vm_batch_begin(), 0);
	CHECK_EQ(dune_vm_batch_begin(), 0);
	CHECK_EQ(dune_vm_protect(NULL, p, PAGE, DUNE_R), 0);
	CHECK(soft_access(base, SOFT_WRITE) != SOFT_FAULT);
	CHECK_EQ(dune_vm_batch_end(), 0);
	CHECK(soft_access(base, SOFT_WRITE) != SOFT_FAULT);
	/* More than it can remember. */
	for (int i = 1; i < 20; i++)
		CHECK_EQ(dune_vm_unmap(NULL, p + i * PAGE, PAGE), 0);
	CHECK(soft_access(base + 19 * PAGE, SOFT_READ) != SOFT_FAULT);
	CHECK_EQ(dune_vm_batch_end(), 0);
	CHECK_EQ(soft_access(base, SOFT_WRITE), SOFT_FAULT);
	for (int i = 1; i < 20; i++)
		CHECK_EQ(soft_access(base + i * PAGE, SOFT_READ), SOFT_FAULT);
}

/* --- interrupts: in a poll, and not while they are off --- */

static void interrupts_are_taken_in_polls(void)
{
	struct dune_vcpu_page *mine;
	uint64_t notified, ended, irq;

	mine = hw_local()->page;
	notified = soft_counts.notified;
	ended = soft_counts.ended_runs;
	/* It does not poll: whoever asks kicks. */
	plat_or32_full(&mine->requests, DUNE_REQ_IRQ);
	CHECK_EQ(dune_vm_poll(), 0);
	CHECK_EQ(soft_counts.notified, notified);
	CHECK_EQ(dune_vm_poll_begin(), 0);
	CHECK_EQ(dune_vm_poll(), 1);
	CHECK_EQ(soft_counts.notified, notified + 1);
	CHECK_EQ(mine->requests, 0);
	CHECK_EQ(dune_vm_poll(), 0);

	irq = hw_irq_save();
	plat_or32_full(&mine->requests, DUNE_REQ_IRQ);
	CHECK_EQ(dune_vm_poll(), 0);
	CHECK_EQ(mine->requests, DUNE_REQ_IRQ);
	CHECK_EQ(soft_counts.ended_runs, ended);
	CHECK_EQ(dune_vm_poll_end(), 0);
	CHECK_EQ(soft_counts.ended_runs, ended + 1);
	CHECK_EQ(soft_counts.notified, notified + 1);
	hw_irq_restore(irq);
	CHECK_EQ(dune_vm_poll_begin(), 0);
	CHECK_EQ(dune_vm_poll_end(), 0);
	CHECK_EQ(soft_counts.ended_runs, ended + 1);
}

int main(void)
{
	soft_init(DUNE_CAP_INVPCID);
	soft_begin();
	soft_enter();
	CASE(wrong_arguments_are_refused);
	CASE(own_memory_is_refused);
	CASE(no_slot_is_an_error);
	CASE(everything_can_be_protected);
	CASE(scan_finds_what_was_used);
	CASE(pages_of_two_tables_change_at_once);
	CASE(remembered_tables_die);
	CASE(remembered_tables_are_of_one_root);
	CASE(batches_flush_at_the_end);
	CASE(interrupts_are_taken_in_polls);
	CASE(random_calls_do_what_the_model_does);
	CASE(out_of_memory_leaves_nothing_half_done);
	soft_leave();
	soft_end();
	return CHECK_EXIT();
}
