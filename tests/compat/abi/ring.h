/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* io_uring without a library. */
#ifndef COMPAT_RING_H
#define COMPAT_RING_H

#include "abi.h"

#include <linux/io_uring.h>

#define ENTRIES	8u

struct ring {
	int fd;
	struct io_uring_params p;
	char *sq, *cq;
	struct io_uring_sqe *sqes;
};

/* Flags: IORING_SETUP_*. Skips the part where there is none. */
void ring_open(struct ring *r, uint32_t flags);
/* One more that is not submitted yet, and may be changed; user_data is op. */
struct io_uring_sqe *prepare(struct ring *r, int op, int fd, const void *address,
			     uint32_t size, uint64_t offset);
void advance(struct ring *r);
/* With IORING_SETUP_SQPOLL, behind advance(): Linux' thread sleeps. */
bool needs_wakeup(struct ring *r);
long enter(struct ring *r, unsigned int submit, unsigned int wait);
bool take(struct ring *r, struct io_uring_cqe *cqe);
/* The result of the next one, which must be of this operation. */
int result_of(struct ring *r, int op);
/* prepare(), and wait for its result. */
int one(struct ring *r, int op, int fd, const void *address, uint32_t size, uint64_t offset);

/* A part of uring_parts. */
void uring_masks(void);

#endif /* COMPAT_RING_H */
