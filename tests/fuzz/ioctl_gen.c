// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Makes cases of the ioctl engine. */
#include "fuzz.h"

#include <fcntl.h>
#include <sys/mman.h>

#define NR(a) (sizeof(a) / sizeof(*(a)))

static const uint32_t cmds[] = {
	DUNE_GET_INFO, DUNE_CREATE_VM, DUNE_CREATE_VCPU, DUNE_GET_SLOT,
	DUNE_SYNC_COUNTERS, DUNE_STAT_OPEN, DUNE_RUN, DUNE_GET_PLACES,
};

static void make_ioctl(struct ioctl_op *op, struct rng *r)
{
	op->cmd = cmds[rng_below(r, NR(cmds))];
	switch (rng_below(r, 8)) {
	case 0: op->cmd ^= 1u << rng_below(r, 32); break;
	case 1: op->cmd = _IOC(rng_below(r, 4), DUNE_IOC_MAGIC,
			       rng_below(r, 256), rng_below(r, 1 << 14)); break;
	default: break;
	}
	op->arg = rng_one_in(r, 3) ? rng_below(r, NR_ARGS) : ARG_GOOD;
	if (rng_one_in(r, 2)) {
		op->word = rng_below(r, 8);
		op->value = rng_weird(r);
	}
	if (op->cmd == DUNE_SYNC_COUNTERS && rng_one_in(r, 2))
		op->arg = ARG_NUMBER;
}

static void make_mmap(struct ioctl_op *op, struct rng *r)
{
	static const uint64_t offsets[] = {
		DUNE_MMAP_VM_PAGE, DUNE_MMAP_SLOT_TABLE, DUNE_MMAP_VCPU_PAGES, 4096,
		DUNE_MMAP_SLOT_TABLE + DUNE_SLOT_TABLE_SIZE, 1ul << 62,
	};
	static const uint64_t sizes[] = {
		4096, DUNE_SLOT_TABLE_SIZE, DUNE_VCPU_PAGES_SIZE, 8192, 1, 0,
	};

	op->offset = rng_one_in(r, 8) ? rng_weird(r) & ~4095ull :
		     offsets[rng_below(r, rng_one_in(r, 2) ? 3 : NR(offsets))];
	op->value = rng_one_in(r, 8) ? rng_weird(r) :
		    sizes[rng_below(r, rng_one_in(r, 2) ? 3 : NR(sizes))];
	op->cmd = rng_one_in(r, 2) ? PROT_READ : rng_below(r, 8);
	op->arg = rng_one_in(r, 4) ? MAP_PRIVATE : MAP_SHARED;
	if (rng_one_in(r, 8))
		op->arg |= rng_one_in(r, 2) ? MAP_POPULATE : MAP_LOCKED;
}

static void make_op(struct ioctl_op *op, struct rng *r)
{
	/* Out of 64. */
	static const uint8_t mix[NR_WHATS] = {
		[DO_IOCTL] = 30, [DO_MMAP] = 8, [DO_MREMAP] = 2,
		[DO_MPROTECT] = 2, [DO_MADVISE] = 3, [DO_TOUCH] = 4,
		[DO_DUP] = 3, [DO_CLOSE] = 3, [DO_OPEN] = 3, [DO_READ] = 2,
		[DO_OTHER] = 3, [DO_FORK] = 0, [DO_NOFILE] = 0, [DO_RUN] = 1,
	};
	uint32_t n = rng_below(r, 64);

	op->what = rng_one_in(r, 400) ? DO_FORK :
		   rng_one_in(r, 100) ? DO_NOFILE : DO_IOCTL;
	for (unsigned int w = 0; op->what == DO_IOCTL && w < NR_WHATS; w++) {
		if (n < mix[w]) {
			op->what = w;
			break;
		}
		n -= mix[w];
	}
	op->fd = rng_below(r, NR_FDS);
	switch (op->what) {
	case DO_IOCTL: make_ioctl(op, r); break;
	case DO_MMAP: make_mmap(op, r); break;
	case DO_MADVISE: op->cmd = rng_below(r, 26); break;
	case DO_MPROTECT: op->cmd = rng_below(r, 8); break;
	default:
		op->cmd = rng_below(r, 16);
		op->value = rng_weird(r);
	}
}

void ioctl_make(struct ioctl_case *c, struct rng *r)
{
	c->nr = 1 + rng_below(r, MAX_OPS);
	for (uint32_t i = 0; i < c->nr; i++)
		make_op(&c->op[i], r);
	if (rng_one_in(r, 32))
		c->racer = rng_one_in(r, 2) ? RACER_ARGS :
			   RACER_PAGE + rng_below(r, 3);
	if (c->racer != RACER_NONE)
		c->racer_seed = rng_next(r);
}
