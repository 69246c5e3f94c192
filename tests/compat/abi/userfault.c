// SPDX-License-Identifier: GPL-2.0 OR MIT
/* userfaultfd: page faults that somebody else has to resolve. */
#include "abi.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define WATCHED	8
#define SIZE	(WATCHED * PAGE)

static int uffd, stop_pipe[2];
static char *watched;
/* How many faults of each page there were, and of what kind. */
static volatile int faults[WATCHED], with_flag[WATCHED];

static void uffd_open(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };

	uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (uffd < 0 && (errno == ENOSYS || errno == EPERM))
		SKIP("no userfaultfd");
	REQUIRE(uffd >= 0);
	if (ioctl(uffd, UFFDIO_API, &api))
		SKIP("userfaultfd without the features %#llx", (unsigned long long)features);
	REQUIRE(!pipe(stop_pipe));
}

static void watch(char *p, uint64_t mode)
{
	struct uffdio_register reg = { .range = { (uint64_t)p, SIZE }, .mode = mode };

	watched = p;
	if (ioctl(uffd, UFFDIO_REGISTER, &reg))
		SKIP("userfaultfd without mode %llu", (unsigned long long)mode);
}

#define content(page)	((char)((page) + 1))

static void fill(int fd, int page, bool zero)
{
	char text[PAGE] __attribute__((aligned(4096)));
	uint64_t at = (uint64_t)watched + page * PAGE;
	struct uffdio_copy copy = { .dst = at, .src = (uint64_t)text, .len = PAGE };
	struct uffdio_zeropage zeropage = { .range = { at, PAGE } };
	struct uffdio_range range = { at, PAGE };
	int ret;

	memset(text, content(page), PAGE);
	ret = zero ? ioctl(fd, UFFDIO_ZEROPAGE, &zeropage) : ioctl(fd, UFFDIO_COPY, &copy);
	/* A second fault of a page came before the first one was resolved. */
	if (ret && errno == EEXIST)
		CHECK_EQ(ioctl(fd, UFFDIO_WAKE, &range), 0);
	else
		CHECK_EQ(ret, 0);
}

/* The page of the next fault, counted; -1: there will be none; -2: a fork. */
static int next_fault(int fd, struct uffd_msg *message)
{
	struct pollfd p[2] = { { fd, POLLIN, 0 }, { stop_pipe[0], POLLIN, 0 } };
	ssize_t n;
	int page;

	do {
		CHECK(poll(p, 2, 60000) > 0);
		if (!(p[0].revents & POLLIN))
			return -1;
		n = read(fd, message, sizeof(*message));
	} while (n < 0 && errno == EAGAIN);
	REQUIRE(n == sizeof(*message));
	if (message->event == UFFD_EVENT_FORK)
		return -2;
	REQUIRE(message->event == UFFD_EVENT_PAGEFAULT);
	page = (int)((message->arg.pagefault.address - (uint64_t)watched) / PAGE);
	REQUIRE(page >= 0 && page < WATCHED);
	faults[page]++;
	if (message->arg.pagefault.flags & (UFFD_PAGEFAULT_FLAG_WP | UFFD_PAGEFAULT_FLAG_MINOR))
		with_flag[page]++;
	return page;
}

/* Odd pages are zero pages when arg is not NULL. */
static void *serves(void *arg)
{
	struct uffd_msg message;
	int page;

	while ((page = next_fault(uffd, &message)) >= 0)
		fill(uffd, page, arg && page & 1);
	return NULL;
}

static void stop(pthread_t thread)
{
	CHECK_EQ(write(stop_pipe[1], "a", 1), 1);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	close(uffd);
}

static void one_by_one(void)
{
	pthread_t thread;

	uffd_open(0);
	watch(map_any(SIZE, PROT_READ | PROT_WRITE, 0), UFFDIO_REGISTER_MODE_MISSING);
	REQUIRE(!pthread_create(&thread, NULL, serves, NULL));
	for (int i = 0; i < WATCHED; i++)
		CHECK_EQ(watched[(i * 5 % WATCHED) * PAGE + 9], content(i * 5 % WATCHED));
	stop(thread);
	for (int i = 0; i < WATCHED; i++)
		CHECK_EQ(faults[i], 1);
}

#define TOUCHERS	4

static pthread_barrier_t together;

static void *touches(void *arg)
{
	long id = (long)arg;

	for (int round = 0; round < 4; round++) {
		pthread_barrier_wait(&together);
		for (int i = 0; i < WATCHED; i++) {
			int page = (int)((i * 3 + id) % WATCHED);
			char *p = watched + page * PAGE;

			CHECK_EQ(p[100], page & 1 ? 0 : content(page));
			__atomic_fetch_add((uint64_t *)p + id + 1, 1, __ATOMIC_RELAXED);
		}
		pthread_barrier_wait(&together);
		if (id)
			continue;
		for (int i = 0; i < WATCHED; i++)
			for (int k = 1; k <= TOUCHERS; k++)
				CHECK_EQ(((uint64_t *)(watched + i * PAGE))[k] -
					 (i & 1 ? 0 : (uint64_t)content(i) * 0x0101010101010101ul), 1);
		CHECK_EQ(madvise(watched, SIZE, MADV_DONTNEED), 0);
	}
	return NULL;
}

static void at_once(void)
{
	pthread_t server, threads[TOUCHERS];

	uffd_open(0);
	watch(map_any(SIZE, PROT_READ | PROT_WRITE, 0), UFFDIO_REGISTER_MODE_MISSING);
	REQUIRE(!pthread_barrier_init(&together, NULL, TOUCHERS));
	REQUIRE(!pthread_create(&server, NULL, serves, (void *)1));
	for (long i = 0; i < TOUCHERS; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, touches, (void *)i));
	for (int i = 0; i < TOUCHERS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	stop(server);
}

static void write_protect(int page, int nr, uint64_t mode)
{
	struct uffdio_writeprotect wp = {
		.range = { (uint64_t)watched + page * PAGE, nr * PAGE }, .mode = mode,
	};

	CHECK_EQ(ioctl(uffd, UFFDIO_WRITEPROTECT, &wp), 0);
}

static void *lets_write(void *arg)
{
	struct uffd_msg message;
	int page;

	while ((page = next_fault(uffd, &message)) >= 0) {
		/* Not written yet. */
		CHECK_EQ(watched[page * PAGE + 7], content(page));
		write_protect(page, 1, 0);
	}
	return NULL;
}

static void writes_protected(void)
{
	char *p = map_any(SIZE, PROT_READ | PROT_WRITE, 0);
	pthread_t thread;
	int fds[2];

	REQUIRE(!pipe(fds));
	uffd_open(UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	watch(p, UFFDIO_REGISTER_MODE_WP);
	REQUIRE(!pthread_create(&thread, NULL, lets_write, NULL));
	for (int round = 1; round <= 4; round++) {
		for (int i = 0; i < WATCHED; i++)
			memset(p + i * PAGE, content(i), PAGE);
		write_protect(0, WATCHED, UFFDIO_WRITEPROTECT_MODE_WP);
		for (int i = 0; i < WATCHED; i++)
			CHECK_EQ(p[i * PAGE + 7], content(i));
		/* Some by the program, one by Linux. */
		for (int i = 3; i < WATCHED; i += 2)
			p[i * PAGE + 7] = (char)(round + 100);
		CHECK_EQ(write(fds[1], &(char){ (char)(round + 100) }, 1), 1);
		CHECK_EQ(read(fds[0], p + PAGE + 7, 1), 1);
		for (int i = 0; i < WATCHED; i++) {
			CHECK_EQ(p[i * PAGE + 7], i & 1 ? round + 100 : content(i));
			CHECK_EQ(faults[i], i & 1 ? round : 0);
			CHECK_EQ(with_flag[i], faults[i]);
		}
		write_protect(0, WATCHED, 0);
	}
	stop(thread);
}

/* --- shared memory whose page is there, and not mapped --- */

static void *continues(void *arg)
{
	struct uffd_msg message;
	int page;

	while ((page = next_fault(uffd, &message)) >= 0) {
		uint64_t at = (uint64_t)watched + page * PAGE;
		struct uffdio_continue go_on = { .range = { at, PAGE } };

		((char *)arg)[page * PAGE + 3] = content(page);
		CHECK_EQ(ioctl(uffd, UFFDIO_CONTINUE, &go_on), 0);
	}
	return NULL;
}

static void minor(void)
{
	int fd = memfd_create("minor", MFD_CLOEXEC);
	pthread_t thread;
	char *one, *two;

	uffd_open(UFFD_FEATURE_MINOR_SHMEM);
	REQUIRE(fd >= 0 && !ftruncate(fd, SIZE));
	one = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	two = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(one != MAP_FAILED && two != MAP_FAILED);
	memset(two, 99, SIZE);
	watch(one, UFFDIO_REGISTER_MODE_MINOR);
	REQUIRE(!pthread_create(&thread, NULL, continues, two));
	for (int i = 0; i < WATCHED; i++) {
		CHECK_EQ(one[i * PAGE + 3], content(i));
		CHECK_EQ(one[i * PAGE + 4], 99);
		one[i * PAGE + 4] = 98;
		CHECK_EQ(two[i * PAGE + 4], 98);
	}
	stop(thread);
	for (int i = 0; i < WATCHED; i++)
		CHECK_EQ(with_flag[i], 1);
}

static void fd_send(int through, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = "", c = 'f';
	struct iovec v = { &c, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *head = CMSG_FIRSTHDR(&m);

	*head = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(head), &fd, sizeof(int));
	REQUIRE(sendmsg(through, &m, 0) == 1);
}

static int fd_receive(int through)
{
	char control[CMSG_SPACE(sizeof(int))] = "", c;
	struct iovec v = { &c, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	int fd;

	REQUIRE(recvmsg(through, &m, 0) == 1 && CMSG_FIRSTHDR(&m));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(int));
	return fd;
}

static void elsewhere(void)
{
	int ends[2];
	pid_t pid;

	watched = map_any(SIZE, PROT_READ | PROT_WRITE, 0);
	REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends) && !pipe(stop_pipe));
	pid = fork();
	if (!pid) {
		check_failures = 0;
		uffd = fd_receive(ends[1]);
		serves(NULL);
		_exit(check_failures != 0);
	}
	close(stop_pipe[0]);
	close(ends[1]);
	ends[1] = stop_pipe[1];
	uffd_open(0);
	watch(watched, UFFDIO_REGISTER_MODE_MISSING);
	fd_send(ends[0], uffd);
	for (int i = 0; i < WATCHED; i++)
		CHECK_EQ(watched[i * PAGE + 11], content(i));
	CHECK_EQ(write(ends[1], "a", 1), 1);
	CHECK_EQ(wait_status(pid), 0);
	close(uffd);
}

/* --- a fork, whose child's faults come to a descriptor of their own --- */

static volatile int forks;

static void *serves_child(void *arg)
{
	struct uffd_msg message;
	int fd = uffd, page;

	while ((page = next_fault(fd, &message)) != -1) {
		if (page >= 0) {
			fill(fd, page, false);
			continue;
		}
		forks++;
		fd = (int)message.arg.fork.ufd;
	}
	return NULL;
}

static void child_touches(void *arg)
{
	for (int i = 0; i < WATCHED; i++)
		CHECK_EQ(watched[i * PAGE + 5], content(i));
}

static void forked(void)
{
	pthread_t thread;

	uffd_open(UFFD_FEATURE_EVENT_FORK);
	watch(map_any(SIZE, PROT_READ | PROT_WRITE, 0), UFFDIO_REGISTER_MODE_MISSING);
	REQUIRE(!pthread_create(&thread, NULL, serves_child, NULL));
	CHECK_EQ(watched[0], content(0));
	in_child(child_touches, NULL);
	stop(thread);
	CHECK_EQ(forks, 1);
	for (int i = 0; i < WATCHED; i++)
		CHECK_EQ(faults[i], 1);
}

/* --- a signal for who waits, and its handler resolves the fault --- */

static volatile int resolved;

static void resolves(int sig, siginfo_t *info, void *context)
{
	fill(uffd, 2, false);
	resolved = 1;
}

static void *interrupts(void *arg)
{
	struct uffd_msg message;

	CHECK_EQ(next_fault(uffd, &message), 2);
	CHECK_EQ(syscall(SYS_tgkill, getpid(), getpid(), SIGUSR1), 0);
	for (int i = 0; i < 2000 && !resolved; i++)
		usleep(1000);
	CHECK_EQ(resolved, 1);
	fill(uffd, 2, false);
	return NULL;
}

static void by_handler(void)
{
	pthread_t thread;

	uffd_open(0);
	watch(map_any(SIZE, PROT_READ | PROT_WRITE, 0), UFFDIO_REGISTER_MODE_MISSING);
	handle(SIGUSR1, resolves, 0);
	REQUIRE(!pthread_create(&thread, NULL, interrupts, NULL));
	CHECK_EQ(watched[2 * PAGE + 5], content(2));
	CHECK_EQ(pthread_join(thread, NULL), 0);
	close(uffd);
}

const struct part userfault_parts[] = {
	{ "userfaultfd", "userfaultfd", one_by_one },
	{ "uffd_threads", "userfaultfd: threads that fault at once", at_once },
	{ "uffd_writes", "userfaultfd: UFFDIO_WRITEPROTECT", writes_protected },
	{ "uffd_minor", "userfaultfd: minor faults of shared memory", minor },
	{ "uffd_elsewhere", "userfaultfd: resolved by another process", elsewhere },
	{ "uffd_fork", "userfaultfd: the child's faults", forked },
	{ "uffd_signal", "userfaultfd: a signal for who waits", by_handler },
	{ NULL, NULL, NULL },
};
