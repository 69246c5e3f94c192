// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Waiting: here nothing waits long; restart.c has the rest. */
#include "sysdiff.h"

#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/timerfd.h>

#define MICRO		IN(struct timespec, 0, 1000)
#define WORD(v)		INOUT(uint32_t, v)
/* Op with its values fixed, and a word. */
#define FUTEX(op, word, val, ...)	{ .arg = { WORD(word), CONST(op), val, __VA_ARGS__ } }
#define WAKE_ADD_1	(FUTEX_OP_ADD << 28 | FUTEX_OP_CMP_EQ << 24 | 1 << 12 | 5)

/* Futex words stay equal to nothing that a varied value may become. */
SIG(futex,
    { .arg = { WORD(5), NUM(FUTEX_WAIT), NUM(4), MICRO, CONST(0), CONST(0) } },
    FUTEX(FUTEX_WAIT, 5, CONST(5), MEM(struct timespec, 0, 1000), CONST(0), CONST(0)),
    { .arg = { WORD(5), CONST(FUTEX_WAIT), CONST(4), IN(struct timespec, 0, -1) } },
    FUTEX(FUTEX_WAKE, 5, NUM(1), CONST(0), CONST(0), CONST(0)),
    FUTEX(FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 5, NUM(1), CONST(0), CONST(0), CONST(0)),
    FUTEX(FUTEX_REQUEUE, 5, NUM(1), NUM(1), WORD(6), CONST(0)),
    FUTEX(FUTEX_CMP_REQUEUE, 5, NUM(1), NUM(1), WORD(6), NUM(5)),
    FUTEX(FUTEX_WAKE_OP, 5, NUM(1), NUM(1), WORD(5), NUM(WAKE_ADD_1)),
    FUTEX(FUTEX_WAIT_BITSET, 5, NUM(4), MICRO, CONST(0), NUM(2)),
    FUTEX(FUTEX_WAKE_BITSET, 5, NUM(1), CONST(0), CONST(0), NUM(2)),
    FUTEX(FUTEX_LOCK_PI, 0, CONST(0), CONST(0), CONST(0), CONST(0)),
    FUTEX(FUTEX_TRYLOCK_PI, 0, CONST(0), CONST(0), CONST(0), CONST(0)),
    FUTEX(FUTEX_UNLOCK_PI, 1, CONST(0), CONST(0), CONST(0), CONST(0)),
    FUTEX(FUTEX_WAIT_REQUEUE_PI, 5, CONST(4), MICRO, WORD(0), CONST(0)),
    FUTEX(99, 5, CONST(1), MICRO, WORD(6), CONST(0)));

struct polls { struct pollfd fd[2]; };
#define POLLS	INOUT(struct polls, { { FD_EVENT, POLLIN | POLLOUT }, { FD_PIPE_R, POLLIN } })
#define NO_FDS	INOUT(struct polls, { { FD_BAD, POLLIN }, { -1, POLLIN } })
#define READY	(FIX_EVENT | FIX_PIPE)
#define MASK	IN(uint64_t, 0x200)

SIG(poll, { READY, .arg = { POLLS, NUM(2), NUM(0) } },
    { READY, .arg = { NO_FDS, CONST(2), CONST(0) } },
    { .arg = { CONST(0), CONST(0), CONST(1) } });
SIG(ppoll, { READY, .arg = { POLLS, NUM(2), INOUTV(struct timespec, 0, 1000), MASK, SIZE(8) } },
    { .arg = { CONST(0), CONST(0), MEM(struct timespec, 0, 1000), CONST(0), CONST(0) } },
    { .arg = { CONST(0), CONST(0), MEM(struct timespec, 0, 1000000000), CONST(0), CONST(0) } });

/* fd_set with FD_PIPE_R, FD_EVENT (of the second word) and FD_BAD's are words. */
struct set { uint64_t word[16]; };
#define BIT(fd)		(1ul << ((fd) - 64))
#define READY_SET	INOUT(struct set, { 0, BIT(FD_EVENT) | BIT(FD_PIPE_R) })
#define OPEN_SET	INOUT(struct set, { 0, BIT(FD_EVENT) })
#define CLOSED_SET	MEM(struct set, { 0, BIT(120) })
#define SHORT_TIME	INOUTV(struct timespec, 0, 1000)

SIG(select,
    { READY, .arg = { NUM(128), READY_SET, OPEN_SET, OPEN_SET, SHORT_TIME } },
    { READY, .arg = { CONST(128), CLOSED_SET, CONST(0), CONST(0), CONST(0) } },
    { READY, .arg = { CONST(0), CONST(0), CONST(0), CONST(0), MEM(struct timespec, 0, 1000) } });

struct mask_arg { uint64_t addr, size; };
#define MASK_ARG(a, n)	IN(struct mask_arg, a, n)
SIG(pselect6,
    { READY, .arg = { NUM(128), READY_SET, OPEN_SET, OPEN_SET, SHORT_TIME,
		      MASK_ARG(SD_AT(6, 8), 8) }, .more = { MORE(uint64_t, 0x200) } },
    { READY, .arg = { CONST(128), READY_SET, CONST(0), CONST(0), CONST(0), MASK_ARG(SD_HOLE, 8) } },
    { READY, .arg = { CONST(128), READY_SET, CONST(0), CONST(0), CONST(0), MASK_ARG(SD_AT(6, 8), 7) } });

#define EVENTS	OUT(4 * sizeof(struct epoll_event))
SIG(epoll_wait, { FIX_EPOLL, .arg = { FD(FD_EPOLL), EVENTS, NUM(4), NUM(0) } },
    { FIX_EVENT, .arg = { CONST(FD_EVENT), EVENTS, CONST(4), CONST(0) } });
SIG(epoll_pwait,
    { FIX_EPOLL, .arg = { FD(FD_EPOLL), EVENTS, NUM(4), NUM(0), MASK, SIZE(8) } });
SIG(epoll_pwait2,
    { FIX_EPOLL, .arg = { FD(FD_EPOLL), EVENTS, NUM(4), MICRO, MASK, SIZE(8) } });

#define EVENT	IN(struct epoll_event, EPOLLIN | EPOLLOUT, { .u64 = 77 })
SIG(epoll_ctl,
    { FIX_EPOLL | FIX_PIPE, .arg = { FD(FD_EPOLL), CONST(EPOLL_CTL_ADD), FD(FD_PIPE_R), EVENT } },
    { FIX_EPOLL, .arg = { CONST(FD_EPOLL), CONST(EPOLL_CTL_ADD), CONST(FD_EVENT), EVENT } },
    { FIX_EPOLL, .arg = { CONST(FD_EPOLL), CONST(EPOLL_CTL_MOD), FD(FD_EVENT), EVENT } },
    { FIX_EPOLL, .arg = { CONST(FD_EPOLL), CONST(EPOLL_CTL_DEL), FD(FD_EVENT), EVENT } },
    { FIX_EPOLL, .arg = { CONST(FD_EPOLL), NUM(77), CONST(FD_EVENT), EVENT } },
    { FIX_EPOLL, .arg = { CONST(FD_EPOLL), CONST(EPOLL_CTL_ADD), CONST(FD_EPOLL), EVENT } });
SIG(eventfd2, { FIX_FDS, .arg = { NUM(5), FLAGS(0) } });

#define TIMER(...) IN(struct itimerspec, __VA_ARGS__)
SIG(timerfd_settime,
    { FIX_TIMER, .arg = { FD(FD_TIMER), FLAGS(0), TIMER({ 7, 0 }, { 100, 0 }), OUT(32) } },
    { FIX_TIMER, .arg = { CONST(FD_TIMER), CONST(0), TIMER({ 7, -1 }, { 100, 0 }), OUT(32) } },
    { FIX_EVENT, .arg = { CONST(FD_EVENT), CONST(0), TIMER({ 7, 0 }, { 100, 0 }), OUT(32) } });
SIG(timerfd_gettime, { FIX_TIMER, .arg = { FD(FD_TIMER), OUT(32) } });
