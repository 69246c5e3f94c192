// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Calls of the allow-list that wait, what they wait for, and who brings it. */
#include "sysdiff.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>

#define FIFO	SD_FOLDER "/fifo"
/* Longer than all signals take; passes at once when nothing else runs. */
#define LONG	3

static void ignore(long result)
{
	(void)result;
}

static void number(int fd, int want)
{
	REQUIRE(fd >= 0 && dup2(fd, want) == want);
	close(fd);
}

static void empty_pipe(void)
{
	int fd[2];

	REQUIRE(pipe(fd) == 0);
	number(fd[0], FD_PIPE_R);
	number(fd[1], FD_PIPE_W);
}

static void feed_pipe(void)
{
	ignore(write(FD_PIPE_W, "w", 1));
}

static void full_pipe(void)
{
	static char page[4096];

	empty_pipe();
	fcntl(FD_PIPE_W, F_SETFL, O_NONBLOCK);
	while (write(FD_PIPE_W, page, sizeof(page)) > 0)
		;
	fcntl(FD_PIPE_W, F_SETFL, 0);
}

static void drain_pipe(void)
{
	char page[4096];

	ignore(read(FD_PIPE_R, page, sizeof(page)));
}

static void event(void)
{
	number(eventfd(0, 0), FD_EVENT);
}

static void full_event(void)
{
	event();
	ignore(write(FD_EVENT, &(uint64_t){ -2 }, 8));
}

static void feed_event(void)
{
	ignore(write(FD_EVENT, &(uint64_t){ 3 }, 8));
}

static void drain_event(void)
{
	uint64_t v;

	ignore(read(FD_EVENT, &v, 8));
}

static void event_epoll(void)
{
	struct epoll_event ev = { EPOLLIN, { .u64 = 7 } };

	event();
	number(epoll_create1(0), FD_EPOLL);
	REQUIRE(epoll_ctl(FD_EPOLL, EPOLL_CTL_ADD, FD_EVENT, &ev) == 0);
}

static void timer(void)
{
	struct itimerspec in = { { 0, 0 }, { LONG, 0 } };

	number(timerfd_create(CLOCK_MONOTONIC, 0), FD_TIMER);
	REQUIRE(timerfd_settime(FD_TIMER, 0, &in, NULL) == 0);
}

static void sockets(void)
{
	int fd[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM, 0, fd) == 0);
	number(fd[0], FD_SOCK_A);
	number(fd[1], FD_SOCK_B);
}

static void feed_socket(void)
{
	ignore(send(FD_SOCK_B, "woken", 5, 0));
}

static void full_sockets(void)
{
	static char page[4096];

	sockets();
	while (send(FD_SOCK_A, page, sizeof(page), MSG_DONTWAIT) > 0)
		;
}

static void drain_socket(void)
{
	char c;

	/* All of it: writers wait until most of the buffer is free. */
	while (recv(FD_SOCK_B, &c, 1, MSG_DONTWAIT) >= 0)
		;
}

static void connect_to_it(void)
{
	struct sockaddr_un addr = { AF_UNIX, "\0sysdiff" };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	ignore(connect(fd, (void *)&addr, offsetof(struct sockaddr_un, sun_path) + 8));
}

static void fifo(void)
{
	unlink(FIFO);
	REQUIRE(mkfifo(FIFO, 0600) == 0);
}

static void open_other_end(void)
{
	ignore(open(FIFO, O_WRONLY));
}

static struct flock whole_file = { F_WRLCK, SEEK_SET, 0, 0, 0 };
static int lock_fd;

static void take_lock(void)
{
	lock_fd = open(SD_FOLDER "/file", O_RDWR);
	REQUIRE(fcntl(lock_fd, F_SETLK, &whole_file) == 0);
}

static void drop_lock(void)
{
	close(lock_fd);
}

static void unlock_own(void)
{
	struct flock none = { F_UNLCK, SEEK_SET, 0, 0, 0 };

	fcntl(FD_FILE, F_SETLK, &none);
	fcntl(FD_FILE, F_OFD_SETLK, &none);
}

static void words(void)
{
	SD_SHARED->word = 0;
	SD_SHARED->pi_word = 0;
}

static void wake_word(void)
{
	SD_SHARED->word = 1;
	syscall(SYS_futex, &SD_SHARED->word, FUTEX_WAKE, 9, NULL, NULL, 0);
}

static void take_pi(void)
{
	syscall(SYS_futex, &SD_SHARED->pi_word, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
}

static void drop_pi(void)
{
	syscall(SYS_futex, &SD_SHARED->pi_word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0);
}

static void nothing(void)
{
}

#define SECONDS		IN(struct timespec, LONG, 0)
#define SECONDS_BACK	INOUTV(struct timespec, LONG, 0)
#define LATER		IN(struct timespec, 1ul << 33, 0)	/* absolute */
#define WORD_AT		CONST(&SD_SHARED->word)
#define IOV1		INOUT(struct iovec, (void *)SD_AT(6, 16), 16)
#define POLL_PIPE	INOUT(struct pollfd, FD_PIPE_R, POLLIN)
#define SIGSET		IN(uint64_t, 0)
struct set { uint64_t word[16]; };
#define PIPE_SET	INOUT(struct set, { 0, 1ul << (FD_PIPE_R - 64) })
struct mask_arg { uint64_t addr, size; };
struct message { struct msghdr m; };
struct messages { struct mmsghdr m[1]; };
struct piece { uint64_t addr, size; };
#define MESSAGE		{ NULL, 0, (void *)SD_AT(6, 16), 1, NULL, 0, 0 }
#define PIECE		.more = { MORE(struct piece, SD_AT(8, 32), 32) }
#define LOCK		INOUT(struct flock, F_WRLCK, SEEK_SET, 0, 0, 0)
#define EVENTS		OUT(2 * sizeof(struct epoll_event))

#define SCENE(name, prepare, hold, wake, ...) \
	{ #name, SYS_##name, prepare, hold, wake, { __VA_ARGS__ } }
#define ARGS(...) .arg = { __VA_ARGS__ }

const struct sd_scene sd_scenes[] = {
	SCENE(read, empty_pipe, nothing, feed_pipe, ARGS(CONST(FD_PIPE_R), OUT(64), CONST(64))),
	SCENE(read, event, nothing, feed_event, ARGS(CONST(FD_EVENT), OUT(8), CONST(8))),
	SCENE(read, timer, nothing, nothing, ARGS(CONST(FD_TIMER), OUT(8), CONST(8))),
	SCENE(readv, empty_pipe, nothing, feed_pipe, ARGS(CONST(FD_PIPE_R), IOV1, CONST(1))),
	SCENE(preadv2, empty_pipe, nothing, feed_pipe, ARGS(CONST(FD_PIPE_R), IOV1, CONST(1), CONST(-1), CONST(0), CONST(0))),
	SCENE(write, full_pipe, nothing, drain_pipe, ARGS(CONST(FD_PIPE_W), OUT(64), CONST(64))),
	SCENE(write, full_event, nothing, drain_event, ARGS(CONST(FD_EVENT), IN(uint64_t, 5), CONST(8))),
	SCENE(writev, full_pipe, nothing, drain_pipe, ARGS(CONST(FD_PIPE_W), IOV1, CONST(1))),
	SCENE(pwritev2, full_pipe, nothing, drain_pipe, ARGS(CONST(FD_PIPE_W), IOV1, CONST(1), CONST(-1), CONST(0), CONST(0))),
	SCENE(sendfile, full_pipe, nothing, drain_pipe, ARGS(CONST(FD_PIPE_W), CONST(FD_RO), INOUT(uint64_t, 5), CONST(10))),
	SCENE(open, fifo, nothing, open_other_end, FIX_FDS, ARGS(STR(FIFO), CONST(O_RDONLY))),
	SCENE(openat, fifo, nothing, open_other_end, FIX_FDS, ARGS(CONST(AT_FDCWD), STR(FIFO), CONST(O_RDONLY))),
	SCENE(fcntl, unlock_own, take_lock, drop_lock, ARGS(CONST(FD_FILE), CONST(F_SETLKW), LOCK)),
	SCENE(fcntl, unlock_own, take_lock, drop_lock, ARGS(CONST(FD_FILE), CONST(F_OFD_SETLKW), LOCK)),
	SCENE(recvfrom, sockets, nothing, feed_socket, ARGS(CONST(FD_SOCK_A), OUT(32), CONST(32), CONST(0), CONST(0), CONST(0))),
	SCENE(recvmsg, sockets, nothing, feed_socket, ARGS(CONST(FD_SOCK_A), INOUT(struct message, MESSAGE), CONST(0)), PIECE),
	SCENE(recvmmsg, sockets, nothing, feed_socket,
	      ARGS(CONST(FD_SOCK_A), INOUT(struct messages, { { MESSAGE, 0 } }), CONST(1), CONST(0), CONST(0)), PIECE),
	SCENE(sendto, full_sockets, nothing, drain_socket, ARGS(CONST(FD_SOCK_A), OUT(16), CONST(16), CONST(0), CONST(0), CONST(0))),
	SCENE(sendmsg, full_sockets, nothing, drain_socket, ARGS(CONST(FD_SOCK_A), INOUT(struct message, MESSAGE), CONST(0)), PIECE),
	SCENE(sendmmsg, full_sockets, nothing, drain_socket,
	      ARGS(CONST(FD_SOCK_A), INOUT(struct messages, { { MESSAGE, 0 } }), CONST(1), CONST(0), CONST(0)), PIECE),
	SCENE(accept, nothing, nothing, connect_to_it, FIX_FDS, ARGS(CONST(FD_LISTEN), CONST(0), CONST(0))),
	SCENE(accept4, nothing, nothing, connect_to_it, FIX_FDS, ARGS(CONST(FD_LISTEN), CONST(0), CONST(0), CONST(SOCK_CLOEXEC))),
	SCENE(futex, words, nothing, wake_word, ARGS(WORD_AT, CONST(FUTEX_WAIT), CONST(0), CONST(0))),
	SCENE(futex, words, nothing, wake_word, ARGS(WORD_AT, CONST(FUTEX_WAIT), CONST(0), SECONDS)),
	SCENE(futex, words, nothing, nothing, ARGS(WORD_AT, CONST(FUTEX_WAIT), CONST(0), SECONDS)),
	SCENE(futex, words, nothing, wake_word, ARGS(WORD_AT, CONST(FUTEX_WAIT_BITSET), CONST(0), LATER, CONST(0), CONST(1))),
	SCENE(futex, words, take_pi, drop_pi, ARGS(CONST(&SD_SHARED->pi_word), CONST(FUTEX_LOCK_PI), CONST(0), CONST(0))),
	SCENE(nanosleep, nothing, nothing, nothing, ARGS(SECONDS, OUTV(16))),
	SCENE(nanosleep, nothing, nothing, nothing, ARGS(SECONDS, CONST(SD_HOLE))),
	SCENE(clock_nanosleep, nothing, nothing, nothing, ARGS(CONST(CLOCK_MONOTONIC), CONST(0), SECONDS, OUTV(16))),
	SCENE(poll, empty_pipe, nothing, feed_pipe, ARGS(POLL_PIPE, CONST(1), CONST(-1))),
	SCENE(poll, empty_pipe, nothing, feed_pipe, ARGS(POLL_PIPE, CONST(1), CONST(LONG * 1000))),
	SCENE(poll, empty_pipe, nothing, nothing, ARGS(POLL_PIPE, CONST(1), CONST(LONG * 1000))),
	SCENE(ppoll, empty_pipe, nothing, feed_pipe, ARGS(POLL_PIPE, CONST(1), SECONDS_BACK, SIGSET, CONST(8))),
	SCENE(ppoll, empty_pipe, nothing, feed_pipe, ARGS(POLL_PIPE, CONST(1), CONST(0), CONST(0), CONST(0))),
	SCENE(select, empty_pipe, nothing, feed_pipe, ARGS(CONST(128), PIPE_SET, CONST(0), CONST(0), SECONDS_BACK)),
	SCENE(pselect6, empty_pipe, nothing, feed_pipe,
	      ARGS(CONST(128), PIPE_SET, CONST(0), CONST(0), SECONDS_BACK, IN(struct mask_arg, SD_AT(6, 8), 8)),
	      .more = { MORE(uint64_t, 0) }),
	SCENE(epoll_wait, event_epoll, nothing, feed_event, ARGS(CONST(FD_EPOLL), EVENTS, CONST(2), CONST(-1))),
	SCENE(epoll_pwait, event_epoll, nothing, feed_event, ARGS(CONST(FD_EPOLL), EVENTS, CONST(2), CONST(LONG * 1000), SIGSET, CONST(8))),
	SCENE(epoll_pwait2, event_epoll, nothing, feed_event, ARGS(CONST(FD_EPOLL), EVENTS, CONST(2), SECONDS, SIGSET, CONST(8))),
};
const unsigned int sd_nr_scenes = ARRAY_SIZE(sd_scenes);
