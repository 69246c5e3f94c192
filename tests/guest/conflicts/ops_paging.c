// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Operations of libdune: guest page tables, interrupts. See conflicts.h. */
#include "test.h"

#include <pthread.h>
#include <unistd.h>

#include "conflicts.h"

#define RW	(DUNE_R | DUNE_W)
/* As far from each area as this, in the root only: addresses Linux gives to nobody. */
#define FAR	0x100000000000ul

static __thread uint64_t succeeded;

static uint64_t nr_succeeded(void)
{
	return succeeded;
}

/* ---- guest page tables: each in a region of its own ---- */

static void protect(volatile char *place)
{
	int err = dune_vm_protect(NULL, (void *)place, PAGE, DUNE_R);

	if (!err)
		err = dune_vm_protect(NULL, (void *)place, PAGE, RW);
	succeeded += !err;
}

static void *far_of(volatile char *place)
{
	return (void *)((uint64_t)place - FAR);
}

static void map_unmap(volatile char *place)
{
	int err = dune_vm_map(NULL, far_of(place), PAGE, (void *)place, RW, DUNE_VM_4K);

	if (!err)
		err = dune_vm_unmap(NULL, far_of(place), PAGE);
	succeeded += !err;
}

/* One page of the table stays, and so does the table. */
static void map_begin(volatile char *area)
{
	char *last = far_of(area + 2 * MIB - PAGE);

	CHECK_EQ(dune_vm_unmap(NULL, far_of(area), GIB), 0);
	CHECK_EQ(dune_vm_map(NULL, last, PAGE, (void *)area, RW, DUNE_VM_4K), 0);
	*last = 1;
}

/* The EPT has the page. */
static void read_only(volatile char *place)
{
	*place = 1;
	CHECK_EQ(dune_vm_protect(NULL, (void *)place, PAGE, DUNE_R), 0);
}

/* The handler gives the right. */
static void write_to(volatile char *place)
{
	*place = 2;
}

static enum dune_trap_action on_fault(struct dune_trap *trap, void *arg)
{
	if (!(trap->error_code & DUNE_PF_WRITE) ||
	    dune_vm_protect(NULL, (void *)(trap->fault_addr & ~(PAGE - 1)), PAGE, RW))
		return DUNE_TRAP_DELIVER;
	succeeded++;
	return DUNE_TRAP_RESUME;
}

/* ---- interrupts: each sends to a thread of its own ---- */

#define FIRST_VECTOR	32u
#define LAST_VECTOR	254u

static __thread struct partner {
	pthread_t thread;
	volatile dune_ipi_id id;
	int pipe[2];
	unsigned int vector;
} partner;

static void *partner_main(void *arg)
{
	struct partner *self = arg;
	char byte;

	mode_enter();
	self->id = dune_ipi_self();
	/* It is outside of the guest until the test has ended. */
	CHECK_EQ(read(self->pipe[0], &byte, 1), 0);
	mode_exit();
	return NULL;
}

static void partner_begin(volatile char *area)
{
	REQUIRE(pipe(partner.pipe) == 0);
	partner.id = 0;
	partner.vector = FIRST_VECTOR;
	REQUIRE(pthread_create(&partner.thread, NULL, partner_main, &partner) == 0);
	while (!partner.id)
		sched_yield();
	/* Until it sleeps in read(). */
	for (int i = 0; i < 20; i++)
		usleep(100);
}

static void partner_end(volatile char *area)
{
	close(partner.pipe[1]);
	REQUIRE(pthread_join(partner.thread, NULL) == 0);
	close(partner.pipe[0]);
}

/* Of each vector one is pending: 223 sends. */
static void send(volatile char *place)
{
	succeeded += dune_ipi_send(partner.id, partner.vector) >= 0;
	if (++partner.vector > LAST_VECTOR)
		partner.vector = FIRST_VECTOR;
}

void paging_handlers(void)
{
	REQUIRE(dune_trap_register(DUNE_VECTOR_PF, on_fault, NULL, 0) == 0);
}

const struct op paging_ops[] = {
	/* Rights of a page are taken and given back. */
	{ "protect", protect, .step = PAGE, .populate = all_pages, .done = nr_succeeded,
	  .shares = STAYS_INSIDE },
	{ "map_unmap", map_unmap, .begin = map_begin, .step = PAGE, .populate = all_pages,
	  .done = nr_succeeded, .shares = STAYS_INSIDE },
	{ "guest_fault", write_to, .prepare = read_only, .step = PAGE,
	  .populate = all_pages, .done = nr_succeeded, .shares = STAYS_INSIDE },
	{ "ipi_send", send, .begin = partner_begin, .end = partner_end,
	  .done = nr_succeeded, .shares = STAYS_INSIDE },
};
const int nr_paging_ops = sizeof(paging_ops) / sizeof(*paging_ops);
