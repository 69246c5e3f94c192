// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * System calls give the same results in Dune mode as in plain Linux: every
 * case below runs first natively, then in Dune mode; return value, errno and
 * a digest of what the call wrote must be equal.
 */
#include "test.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

#define BAD ((void *)0x10)		/* nothing is ever mapped there */
#define KERNEL ((void *)0xffff888000000000ul)

static uint64_t digest;

static void mix(const void *data, size_t n)
{
	const unsigned char *p = data;

	while (n--)
		digest = (digest ^ *p++) * 0x100000001b3ull;
}

static void mix_number(long v)
{
	mix(&v, sizeof(v));
}

/* Cases that need more than one line. Each returns what is to be compared. */

static long pipe_round_trip(void)
{
	int fd[2];
	char buf[64] = "";
	long ret;

	if (pipe2(fd, O_CLOEXEC))
		return -1;
	ret = write(fd[1], "pipe contents", 13);
	ret = ret * 100 + read(fd[0], buf, sizeof(buf));
	mix(buf, sizeof(buf));
	close(fd[0]);
	signal(SIGPIPE, SIG_IGN);
	ret = ret * 100 + write(fd[1], "x", 1);
	close(fd[1]);
	return ret;
}

static long file_round_trip(void)
{
	char name[] = "/tmp/dune-test-XXXXXX", buf[100] = "";
	struct iovec iov[2] = { { "first ", 6 }, { "second", 6 } };
	struct stat st;
	int fd = mkstemp(name);
	long ret;

	if (fd < 0)
		return -1;
	ret = writev(fd, iov, 2);
	ret = ret * 10 + pwrite(fd, "FIRST", 5, 0);
	ret = ret * 10 + lseek(fd, -3, SEEK_END);
	ret = ret * 10 + read(fd, buf, sizeof(buf));
	ret = ret * 10 + pread(fd, buf + 20, 50, 2);
	ret = ret * 10 + ftruncate(fd, 5);
	ret = ret * 10 + fstat(fd, &st);
	mix_number(st.st_size);
	mix_number(st.st_mode);
	ret = ret * 10 + fsync(fd);
	ret = ret * 10 + rename(name, "/tmp/dune-test-renamed");
	ret = ret * 10 + unlink("/tmp/dune-test-renamed");
	mix(buf, sizeof(buf));
	close(fd);
	return ret;
}

static long directory(void)
{
	long ret = mkdir("/tmp/dune-test-dir", 0700);
	char buf[2048];
	int fd = open("/tmp/dune-test-dir", O_RDONLY | O_DIRECTORY);

	ret = ret * 10 + (syscall(SYS_getdents64, fd, buf, sizeof(buf)) > 0);
	close(fd);
	ret = ret * 10 + rmdir("/tmp/dune-test-dir");
	return ret * 10 + rmdir("/tmp/dune-test-dir");
}

static long sockets(void)
{
	struct msghdr msg = { 0 };
	char in[32] = "", out[] = "datagram";
	struct iovec iov = { out, sizeof(out) };
	int fd[2];
	long ret;

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fd))
		return -1;
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	ret = sendmsg(fd[0], &msg, 0);
	ret = ret * 100 + recv(fd[1], in, sizeof(in), 0);
	ret = ret * 100 + recv(fd[1], in, sizeof(in), MSG_DONTWAIT);
	mix(in, sizeof(in));
	close(fd[0]);
	close(fd[1]);
	return ret;
}

static long polls(void)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = 42 }, got = { 0 };
	struct pollfd p;
	fd_set set;
	struct timeval zero = { 0 };
	int efd = eventfd(3, EFD_CLOEXEC), ep = epoll_create1(EPOLL_CLOEXEC);
	uint64_t v = 0;
	long ret;

	ret = epoll_ctl(ep, EPOLL_CTL_ADD, efd, &ev);
	ret = ret * 10 + epoll_wait(ep, &got, 1, 1000);
	mix_number(got.data.u64);
	p = (struct pollfd){ efd, POLLIN | POLLOUT, 0 };
	ret = ret * 10 + poll(&p, 1, 1000);
	mix_number(p.revents);
	ret = ret * 10 + read(efd, &v, 8);
	mix_number(v);
	FD_ZERO(&set);
	FD_SET(efd, &set);
	ret = ret * 10 + select(efd + 1, &set, NULL, NULL, &zero);
	ret = ret * 10 + epoll_wait(ep, &got, 1, 1);
	close(efd);
	close(ep);
	return ret;
}

static long mappings(void)
{
	char *p = mmap(NULL, 16384, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char vec[4];
	long ret;

	if (p == MAP_FAILED)
		return -1;
	p[0] = 1;
	p[8192] = 2;
	ret = mincore(p, 16384, vec);
	mix_number(vec[0] & 1);
	mix_number(vec[1] & 1);
	ret = ret * 10 + mprotect(p, 4096, PROT_READ);
	ret = ret * 10 + (read(-1, p, 1) == -1);
	ret = ret * 10 + madvise(p + 4096, 4096, MADV_DONTNEED);
	ret = ret * 10 + msync(p, 4096, MS_SYNC);
	ret = ret * 10 + mlock(p, 4096);
	ret = ret * 10 + munlock(p, 4096);
	ret = ret * 10 + munmap(p, 16384);
	ret = ret * 10 + mprotect(p, 4096, PROT_READ);
	return ret;
}

/* A system call writes to read-only memory of the caller. */
static long efault_read_only(void)
{
	char *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("/proc/self/comm", O_RDONLY);
	long ret = read(fd, p, 10);
	int err = errno;

	close(fd);
	munmap(p, 4096);
	errno = err;
	return ret;
}

static long child_status(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(37);
	if (waitpid(pid, &status, 0) != pid)
		return -1;
	mix_number(status);
	return waitpid(-1, &status, WNOHANG);
}

static long futex_calls(void)
{
	uint32_t word = 5;
	struct timespec ts = { 0, 1000000 };
	long ret = syscall(SYS_futex, &word, 0 /* WAIT */, 4, NULL, NULL, 0);

	ret = ret * 10 + errno;
	ret = ret * 10 + syscall(SYS_futex, &word, 0, 5, &ts, NULL, 0);
	ret = ret * 10 + errno;
	return ret * 10 + syscall(SYS_futex, &word, 1 /* WAKE */, 1, NULL, NULL, 0);
}

static long names(void)
{
	struct utsname u;
	char cwd[256];
	long ret = uname(&u);

	mix(u.release, strlen(u.release));
	ret += syscall(SYS_getcwd, cwd, sizeof(cwd));
	mix(cwd, strlen(cwd));
	return ret;
}

static long limits(void)
{
	struct rlimit r;
	long ret = getrlimit(RLIMIT_NOFILE, &r);

	mix(&r, sizeof(r));
	ret = ret * 10 + prlimit(0, RLIMIT_STACK, NULL, &r);
	mix(&r, sizeof(r));
	return ret;
}

static long signal_calls(void)
{
	sigset_t set, old;
	struct sigaction sa;
	stack_t st;
	struct timespec zero = { 0 };
	long ret;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	ret = sigprocmask(SIG_BLOCK, &set, &old);
	ret = ret * 10 + raise(SIGUSR2);
	ret = ret * 10 + sigpending(&old);
	mix_number(sigismember(&old, SIGUSR2));
	ret = ret * 10 + sigtimedwait(&set, NULL, &zero);
	ret = ret * 10 + sigtimedwait(&set, NULL, &zero);
	ret = ret * 10 + sigprocmask(SIG_UNBLOCK, &set, NULL);
	ret = ret * 10 + sigaction(SIGUSR2, NULL, &sa);
	mix_number((long)sa.sa_handler);
	ret = ret * 10 + sigaltstack(NULL, &st);
	mix_number(st.ss_flags);
	return ret;
}

static long clock_calls(void)
{
	struct timespec ts = { 0, 1000000 }, res;
	struct itimerval it;
	long ret = clock_getres(CLOCK_MONOTONIC, &res);

	mix(&res, sizeof(res));
	ret = ret * 10 + nanosleep(&ts, NULL);
	ret = ret * 10 + getitimer(ITIMER_REAL, &it);
	mix(&it, sizeof(it));
	ts.tv_nsec = -1;
	return ret * 10 + syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &ts, NULL);
}

/* All six arguments arrive. */
static long six_arguments(void)
{
	int fd = memfd_create("six", 0);
	long p;
	char c;

	if (ftruncate(fd, 12288))
		return -1;
	pwrite(fd, "Z", 1, 8192);
	p = syscall(SYS_mmap, NULL, 4096, PROT_READ, MAP_SHARED, fd, 8192);
	if (p == -1)
		return -1;
	c = *(char *)p;
	munmap((void *)p, 4096);
	close(fd);
	return c;
}

static long read_self(const char *name)
{
	char buf[512];
	int fd = open(name, O_RDONLY);
	long n = read(fd, buf, sizeof(buf));

	if (n > 0)
		mix(buf, n);
	close(fd);
	return n;
}

static struct statfs sfs;
static struct stat st;
static struct sysinfo si;
static struct rusage ru;
static cpu_set_t cpus;
static long result;
static char scratch[8192];

struct entry {
	const char *name;
	long (*fn)(void);
};
#define ONE(name, expr) \
	static long c_##name(void) { return (long)(expr); }
#include "syscalls_list.h"
#undef ONE

static const struct entry entries[] = {
#define ONE(name, expr) { #name, c_##name },
#include "syscalls_list.h"
#undef ONE
#define FN(name) { #name, name }
	FN(pipe_round_trip), FN(file_round_trip), FN(directory), FN(sockets),
	FN(polls), FN(mappings), FN(efault_read_only), FN(child_status),
	FN(futex_calls), FN(names), FN(limits), FN(signal_calls),
	FN(clock_calls), FN(six_arguments),
};
#define NR_ENTRIES (sizeof(entries) / sizeof(*entries))

struct outcome {
	long ret;
	int err;
	uint64_t digest;
};
static struct outcome native[NR_ENTRIES], inside[NR_ENTRIES];

static void run_all(struct outcome *out)
{
	for (size_t i = 0; i < NR_ENTRIES; i++) {
		digest = 0xcbf29ce484222325ull;
		errno = 0;
		out[i].ret = entries[i].fn();
		out[i].err = errno;
		out[i].digest = digest;
	}
}

static void differential(void)
{
	run_all(native);
	for (long round = 0; round < opt.rounds; round++) {
		mode_enter();
		run_all(inside);
		mode_exit();
		for (size_t i = 0; i < NR_ENTRIES; i++)
			if (inside[i].ret != native[i].ret ||
			    inside[i].err != native[i].err ||
			    inside[i].digest != native[i].digest)
				FAIL("%s: %ld errno %d digest %llx, natively %ld errno %d digest %llx",
				     entries[i].name, inside[i].ret,
				     inside[i].err,
				     (unsigned long long)inside[i].digest,
				     native[i].ret, native[i].err,
				     (unsigned long long)native[i].digest);
			else
				check_count++;
	}
}

/* dune_syscall() gives the kernel's value, not -1 and errno. */
static void by_library(void)
{
	if (opt.native)
		return;
	CHECK_EQ(dune_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0), getpid());
	CHECK_EQ(dune_syscall(SYS_close, -1, 0, 0, 0, 0, 0), -EBADF);
	mode_enter();
	CHECK_EQ(dune_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0), getpid());
	CHECK_EQ(dune_syscall(SYS_close, -1, 0, 0, 0, 0, 0), -EBADF);
	CHECK_EQ(dune_syscall(100000, 0, 0, 0, 0, 0, 0), -ENOSYS);
	mode_exit();
}

static void some(int index, void *arg)
{
	for (int i = 0; i < 200; i++) {
		CHECK_ERRNO(syscall(SYS_close, -1 - index), EBADF);
		CHECK_EQ(syscall(SYS_getpid), *(long *)arg);
		CHECK_EQ(syscall(SYS_lseek, 0, 0, 99), -1);
	}
}

static void on_threads(void)
{
	long pid = getpid();

	run_threads(opt.threads, some, &pid);
}

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ .rounds = 2, .threads = 4 });
	test_part("differential", differential);
	test_part("by_library", by_library);
	test_part("on_threads", on_threads);
	return test_end();
}
