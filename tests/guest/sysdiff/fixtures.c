// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Files, pipes, sockets: made anew before each call, looked at after it. */
#include "sysdiff.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>

static char contents[SD_FILE_SIZE];
/* The standard ones and Dune's own. */
static bool was_open[FD_FILE];

/* Make fd have this number. */
static void number(int fd, int want)
{
	REQUIRE(fd >= 0 && dup2(fd, want) == want);
	close(fd);
}

static void make_file(const char *name, int fd, int flags)
{
	int w = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);

	REQUIRE(w >= 0 && write(w, contents, sizeof(contents)) == sizeof(contents));
	close(w);
	number(open(name, flags), fd);
}

static struct sockaddr_un listen_addr = { AF_UNIX, "\0sysdiff" };
#define LISTEN_LEN (offsetof(struct sockaddr_un, sun_path) + 8)

void sd_fixtures_once(void)
{
	for (size_t i = 0; i < sizeof(contents); i++)
		contents[i] = i * 31 + i / 256;
	mkdir(SD_FOLDER, 0755);
	mkdir(SD_FOLDER "/dir", 0755);
	mkdir(SD_FOLDER "/dir/a", 0755);
	mkdir(SD_FOLDER "/dir/b", 0755);
	unlink(SD_FOLDER "/link");
	REQUIRE(symlink("where/it/points", SD_FOLDER "/link") == 0);
	make_file(SD_FOLDER "/file", FD_FILE, O_RDWR);
	make_file(SD_FOLDER "/ro", FD_RO, O_RDONLY | O_NOATIME);
	number(open(SD_FOLDER "/dir", O_RDONLY | O_DIRECTORY), FD_DIR);
	number(open(SD_FOLDER "/ro", O_PATH), FD_PATH);
	number(socket(AF_UNIX, SOCK_STREAM, 0), FD_LISTEN);
	REQUIRE(bind(FD_LISTEN, (void *)&listen_addr, LISTEN_LEN) == 0);
	REQUIRE(listen(FD_LISTEN, 4) == 0);
	for (int fd = 0; fd < FD_FILE; fd++)
		was_open[fd] = fcntl(fd, F_GETFD) >= 0;
}

static void make_file_fixture(void)
{
	fcntl(FD_FILE, F_SETFL, 0);
	fcntl(FD_FILE, F_SETFD, 0);
	REQUIRE(pwrite(FD_FILE, contents, sizeof(contents), 0) == sizeof(contents));
	REQUIRE(ftruncate(FD_FILE, sizeof(contents)) == 0);
	REQUIRE(lseek(FD_FILE, 100, SEEK_SET) == 100);
	REQUIRE(lseek(FD_RO, 200, SEEK_SET) == 200);
}

static void make_pipe(void)
{
	int fd[2];

	REQUIRE(pipe(fd) == 0);
	number(fd[0], FD_PIPE_R);
	number(fd[1], FD_PIPE_W);
	REQUIRE(write(FD_PIPE_W, "inside the pipe.", 16) == 16);
}

static void make_sockets(void)
{
	int fd[2];

	REQUIRE(socketpair(AF_UNIX, SOCK_DGRAM, 0, fd) == 0);
	number(fd[0], FD_SOCK_A);
	number(fd[1], FD_SOCK_B);
	REQUIRE(send(FD_SOCK_B, "first datagram", 14, 0) == 14);
	REQUIRE(send(FD_SOCK_B, "second", 6, 0) == 6);
}

static void make_connection(void)
{
	int fd;

	/* The last one may wait still. */
	fcntl(FD_LISTEN, F_SETFL, O_NONBLOCK);
	while ((fd = accept(FD_LISTEN, NULL, NULL)) >= 0)
		close(fd);
	fcntl(FD_LISTEN, F_SETFL, 0);
	number(socket(AF_UNIX, SOCK_STREAM, 0), FD_CLIENT);
	REQUIRE(connect(FD_CLIENT, (void *)&listen_addr, LISTEN_LEN) == 0);
}

static void make_epoll(void)
{
	struct epoll_event ev = { EPOLLIN, { .u64 = 0x1234567890 } };

	number(epoll_create1(0), FD_EPOLL);
	REQUIRE(epoll_ctl(FD_EPOLL, EPOLL_CTL_ADD, FD_EVENT, &ev) == 0);
}

void sd_fixtures_make(unsigned int which)
{
	if (which & FIX_FILE)
		make_file_fixture();
	if (which & FIX_PIPE)
		make_pipe();
	if (which & (FIX_EVENT | FIX_EPOLL))
		number(eventfd(3, EFD_NONBLOCK), FD_EVENT);
	if (which & FIX_SOCK)
		make_sockets();
	if (which & FIX_LISTEN)
		make_connection();
	if (which & FIX_EPOLL)
		make_epoll();
	if (which & FIX_TIMER)
		number(timerfd_create(CLOCK_MONOTONIC, 0), FD_TIMER);
	if (which & FIX_MAPS)
		sd_maps_make();
	if (which & FIX_DIR) {
		unlink(SD_FOLDER "/new");
		lseek(FD_DIR, 0, SEEK_SET);
	}
}

/* All that can be read without waiting. */
static uint64_t drain(uint64_t digest, int fd, bool is_socket)
{
	char buf[256];
	ssize_t n;

	if (is_socket)
		while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) >= 0)
			digest = sd_mix(sd_mix_number(digest, n), buf, n);
	else
		while (fcntl(fd, F_SETFL, O_NONBLOCK) == 0 &&
		       (n = read(fd, buf, sizeof(buf))) > 0)
			digest = sd_mix(sd_mix_number(digest, n), buf, n);
	return digest;
}

static uint64_t digest_file(uint64_t digest)
{
	static char buf[SD_FILE_SIZE + 1000];
	struct stat st;
	ssize_t n;

	REQUIRE(fstat(FD_FILE, &st) == 0);
	digest = sd_mix_number(digest, st.st_size);
	digest = sd_mix_number(digest, lseek(FD_FILE, 0, SEEK_CUR));
	digest = sd_mix_number(digest, lseek(FD_RO, 0, SEEK_CUR));
	digest = sd_mix_number(digest, fcntl(FD_FILE, F_GETFL));
	digest = sd_mix_number(digest, fcntl(FD_FILE, F_GETFD));
	n = pread(FD_FILE, buf, sizeof(buf), 0);
	return n > 0 ? sd_mix(digest, buf, n) : digest;
}

/* Which fds a call made and how they were opened; they are closed. */
static uint64_t digest_fds(uint64_t digest)
{
	for (int fd = 0; fd < FD_FILE; fd++) {
		int flags = was_open[fd] ? -1 : fcntl(fd, F_GETFD);

		if (flags < 0)
			continue;
		digest = sd_mix_number(digest, fd * 4 + flags);
		digest = sd_mix_number(digest, fcntl(fd, F_GETFL));
		close(fd);
	}
	return digest;
}

static uint64_t digest_dir(uint64_t digest)
{
	struct stat st;

	if (stat(SD_FOLDER "/new", &st))
		return sd_mix_number(digest, errno);
	return sd_mix_number(sd_mix_number(digest, st.st_mode), st.st_size);
}

uint64_t sd_fixtures_digest(unsigned int which)
{
	struct itimerspec timer = { 0 };
	struct epoll_event ev[4];
	uint64_t digest = SD_DIGEST_SEED;
	int n;

	if (which & FIX_FILE)
		digest = digest_file(digest);
	if (which & FIX_EPOLL) {
		n = epoll_wait(FD_EPOLL, ev, 4, 0);
		digest = sd_mix_number(digest, n);
		for (int i = 0; i < n; i++)
			digest = sd_mix(digest, &ev[i], sizeof(ev[i]));
	}
	if (which & FIX_PIPE)
		digest = drain(digest, FD_PIPE_R, false);
	if (which & (FIX_EVENT | FIX_EPOLL))
		digest = drain(digest, FD_EVENT, false);
	if (which & FIX_SOCK) {
		digest = drain(digest, FD_SOCK_A, true);
		digest = drain(digest, FD_SOCK_B, true);
	}
	if (which & FIX_TIMER) {
		REQUIRE(timerfd_gettime(FD_TIMER, &timer) == 0);
		digest = sd_mix(digest, &timer.it_interval, sizeof(timer.it_interval));
		digest = sd_mix_number(digest, timer.it_value.tv_sec > 10);
	}
	if (which & FIX_MAPS)
		digest = sd_mix_number(digest, sd_maps_digest());
	if (which & FIX_DIR)
		digest = digest_dir(digest);
	if (which & FIX_FDS)
		digest = digest_fds(digest);
	return digest;
}
