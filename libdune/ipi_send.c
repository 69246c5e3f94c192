// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The sending side of dune_ipi.h: the bit in irr, the request, and a kick for who
 * is in the guest (smp/vcpu_requests.h). Code of kind "guest" (internal.h).
 */
#include "ipi.h"
#include "op.h"
#include "vcpu_requests.h"
#include "vcpus.h"

/* Who sends, if it has a vCPU: where it counts. */
static struct dune_thread *sender(struct vm_local *local)
{
	if (!local->page)
		return NULL;
	return plat_container_of(local, struct dune_thread, vm);
}

static bool is_alive(dune_ipi_id id)
{
	return __atomic_load_n(&ipi_threads[ipi_vcpu(id)], __ATOMIC_ACQUIRE) == id;
}

/*
 * NULL: it has ended. Under RCU, so what it points to stays this one's. Not so the
 * page: it is the next one's when this one ends, and then that looks at its own.
 */
static struct vcpu_irr *irr_of(dune_ipi_id id)
{
	struct vcpu_irr *irr;

	/* Births are counted from 1. */
	if (!(id >> 32) || ipi_vcpu(id) >= DUNE_MAX_VCPUS || !is_alive(id))
		return NULL;
	irr = vcpu_irr(ipi_vcpu(id));
	/* Alive before and after: it is this one's, not that of the next. */
	return is_alive(id) ? irr : NULL;
}

struct sends {
	struct vm_op op;
	unsigned int vector;
	uint64_t sent, coalesced, kicks;
};

static int begin(struct sends *s, unsigned int vector)
{
	s->vector = vector;
	s->sent = s->coalesced = s->kicks = 0;
	if (vector < DUNE_VECTOR_USER || vector >= DUNE_VECTOR_IPI)
		return -EINVAL;
	return vm_op_begin(&s->op, NULL);
}

static int post(struct sends *s, dune_ipi_id to)
{
	struct vcpu_irr *irr = irr_of(to);

	if (!irr)
		return -ESRCH;
	switch (vreq_post_irq(dune_vcpu_page(ipi_vcpu(to)), irr->word, s->vector)) {
	case VREQ_COALESCED:
		/*
		 * [IPI-2] The bit before the look (locked OR, acquire); pairs with
		 * [IPI-1] in dune_ipi_thread_ends(), which sets all of them.
		 */
		if (!is_alive(to))
			return -ESRCH;
		s->coalesced++;
		return DUNE_IPI_COALESCED;
	case VREQ_RUNS:
		vreq_kick_add(&s->op.local->kick, ipi_vcpu(to));
		s->kicks++;
		break;
	case VREQ_OUTSIDE:
	case VREQ_POLLS:
		break;
	}
	s->sent++;
	return 0;
}

/* In plain mode there is no hypercall; the tick of each CPU ends runs as well. */
static void kick(struct sends *s)
{
	if (s->op.guest)
		hw_kick(&s->op.local->kick);
	else
		hw_interrupt_all();
	for (u32 i = 0; i < plat_load(&vm_state.nr_words); i++)
		s->op.local->kick.ids[i] = 0;
}

static void end(struct sends *s)
{
	struct dune_thread *t = sender(s->op.local);

	if (s->kicks)
		kick(s);
	if (t) {
		t->ipi.counts.sent += s->sent;
		t->ipi.counts.coalesced += s->coalesced;
		t->ipi.counts.kicks += s->kicks;
	}
	vm_op_end(&s->op);
}

int dune_ipi_send(dune_ipi_id to, unsigned int vector)
{
	struct sends s;
	int ret = begin(&s, vector);

	if (ret)
		return ret;
	ret = post(&s, to);
	end(&s);
	return ret;
}

int dune_ipi_multicast(const dune_ipi_id *to, unsigned int n, unsigned int vector,
		       int *results)
{
	struct sends s;
	int err = n > DUNE_MAX_VCPUS ? -EINVAL : begin(&s, vector);

	if (err)
		return err;
	for (unsigned int i = 0; i < n; i++) {
		int ret = post(&s, to[i]);

		if (results)
			results[i] = ret;
		if (ret < 0)
			err = ret;
	}
	end(&s);
	return err;
}
