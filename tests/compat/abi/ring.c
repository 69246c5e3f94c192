// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "ring.h"

#include <sys/mman.h>
#include <sys/syscall.h>

static uint32_t *sq_word(struct ring *r, uint32_t offset)
{
	return (uint32_t *)(r->sq + offset);
}

static uint32_t *cq_word(struct ring *r, uint32_t offset)
{
	return (uint32_t *)(r->cq + offset);
}

static void *ring_map(struct ring *r, size_t size, off_t what)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd, what);

	REQUIRE(p != MAP_FAILED);
	return p;
}

void ring_open(struct ring *r, uint32_t flags)
{
	memset(r, 0, sizeof(*r));
	r->p.flags = flags;
	r->p.sq_thread_idle = 5;
	r->fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &r->p);
	if (r->fd < 0 && (errno == ENOSYS || errno == EPERM))
		SKIP("no io_uring");
	REQUIRE(r->fd >= 0);
	r->sq = ring_map(r, r->p.sq_off.array + r->p.sq_entries * 4, IORING_OFF_SQ_RING);
	r->cq = ring_map(r, r->p.cq_off.cqes + r->p.cq_entries * sizeof(struct io_uring_cqe),
			 IORING_OFF_CQ_RING);
	r->sqes = ring_map(r, r->p.sq_entries * sizeof(*r->sqes), IORING_OFF_SQES);
}

struct io_uring_sqe *prepare(struct ring *r, int op, int fd, const void *address,
			     uint32_t size, uint64_t offset)
{
	uint32_t *tail = sq_word(r, r->p.sq_off.tail);
	uint32_t at = *tail & (r->p.sq_entries - 1);
	struct io_uring_sqe *sqe = &r->sqes[at];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = (uint8_t)op;
	sqe->fd = fd;
	sqe->addr = (uint64_t)address;
	sqe->len = size;
	sqe->off = offset;
	sqe->user_data = op;
	sq_word(r, r->p.sq_off.array)[at] = at;
	return sqe;
}

void advance(struct ring *r)
{
	uint32_t *tail = sq_word(r, r->p.sq_off.tail);

	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
}

bool needs_wakeup(struct ring *r)
{
	/* The tail is stored before the flag is looked at. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(sq_word(r, r->p.sq_off.flags), __ATOMIC_ACQUIRE) &
	       IORING_SQ_NEED_WAKEUP;
}

long enter(struct ring *r, unsigned int submit, unsigned int wait)
{
	return syscall(SYS_io_uring_enter, r->fd, submit, wait,
		       wait ? IORING_ENTER_GETEVENTS : 0, NULL, 0);
}

bool take(struct ring *r, struct io_uring_cqe *cqe)
{
	uint32_t *head = cq_word(r, r->p.cq_off.head);

	if (*head == __atomic_load_n(cq_word(r, r->p.cq_off.tail), __ATOMIC_ACQUIRE))
		return false;
	*cqe = ((struct io_uring_cqe *)(r->cq + r->p.cq_off.cqes))[*head & (r->p.cq_entries - 1)];
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return true;
}

int result_of(struct ring *r, int op)
{
	struct io_uring_cqe cqe = { 0 };

	if (!take(r, &cqe)) {
		CHECK_EQ(enter(r, 0, 1), 0);
		REQUIRE(take(r, &cqe));
	}
	CHECK_EQ(cqe.user_data, op);
	return cqe.res;
}

int one(struct ring *r, int op, int fd, const void *address, uint32_t size, uint64_t offset)
{
	prepare(r, op, fd, address, size, offset);
	advance(r);
	CHECK_EQ(enter(r, 1, 1), 1);
	return result_of(r, op);
}
