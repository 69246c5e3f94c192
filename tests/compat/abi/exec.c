// SPDX-License-Identifier: GPL-2.0 OR MIT
/* execve(): what it starts, what it keeps, and what it refuses. */
#include "abi.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char dir[] = "/tmp/abi-XXXXXX";

static const char *path_in(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void make(const char *name, const void *text, size_t size, int mode)
{
	int fd = open(path_in(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	REQUIRE(fd >= 0 && write(fd, text, size) == (ssize_t)size);
	REQUIRE(!fchmod(fd, mode));
	close(fd);
}

static void make_text(const char *name, const char *text, int mode)
{
	make(name, text, strlen(text), mode);
}

static void clean(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	CHECK_EQ(system(command), 0);
}

static void begin(void)
{
	REQUIRE(mkdtemp(dir));
}

/* --- refusals --- */

static int errno_of(const char *path, char *const argv[], char *const envp[])
{
	long ret = syscall(SYS_execve, path, argv, envp);

	return ret == -1 ? errno : 0;
}

static const char bad_elf[64] = { 0x7f, 'E', 'L', 'F', 2, 1, 1 };

/* What is no address. */
static char *volatile nowhere = (char *)8;

static void refusals_here(char *const argv[])
{
	CHECK_EQ(errno_of(path_in("missing"), argv, environ), ENOENT);
	CHECK_EQ(errno_of("", argv, environ), ENOENT);
	CHECK_EQ(errno_of(dir, argv, environ), EACCES);
	CHECK_EQ(errno_of(path_in("plain"), argv, environ), EACCES);
	CHECK_EQ(errno_of(path_in("text"), argv, environ), ENOEXEC);
	CHECK_EQ(errno_of(path_in("empty"), argv, environ), ENOEXEC);
	CHECK_EQ(errno_of(path_in("elf"), argv, environ), ENOEXEC);
	CHECK_EQ(errno_of(path_in("no-interpreter"), argv, environ), ENOENT);
	CHECK_EQ(errno_of(path_in("dir-interpreter"), argv, environ), EACCES);
	CHECK_EQ(errno_of(path_in("empty-interpreter"), argv, environ), ENOEXEC);
	CHECK_EQ(errno_of(path_in("text/below"), argv, environ), ENOTDIR);
	CHECK_EQ(errno_of(path_in("loop"), argv, environ), ELOOP);
	CHECK_EQ(errno_of("/dev/null", argv, environ), EACCES);
	CHECK_EQ(errno_of(nowhere, argv, environ), EFAULT);
	CHECK_EQ(errno_of("/bin/true", (char **)nowhere, environ), EFAULT);
	CHECK_EQ(errno_of("/bin/true", argv, (char **)nowhere), EFAULT);
	CHECK_EQ(errno_of("/bin/true", (char *[]){ nowhere, NULL }, environ), EFAULT);
}

static void refusals(void)
{
	char *const argv[] = { "x", NULL };

	begin();
	make_text("plain", "#!/bin/sh\n", 0644);
	make_text("text", "exit 5\n", 0755);
	make("empty", "", 0, 0755);
	make("elf", bad_elf, sizeof(bad_elf), 0755);
	make_text("no-interpreter", "#!/no/such/interpreter\n", 0755);
	make_text("dir-interpreter", "#!/tmp\n", 0755);
	make_text("empty-interpreter", "#!\n", 0755);
	REQUIRE(!symlink("loop", path_in("loop")));
	refusals_here(argv);
	clean();
}

static void too_big_child(void *arg)
{
	size_t size = 3 << 20;
	char *large = malloc(size + 1), *argv[40];
	int n;

	memset(large, 'a', size);
	large[size] = 0;
	argv[0] = "true";
	argv[1] = large;
	argv[2] = NULL;
	/* One string is too long. */
	CHECK_EQ(errno_of("/bin/true", argv, environ), E2BIG);
	/* All together are. */
	large[100000] = 0;
	for (n = 1; n < 39; n++)
		argv[n] = large;
	argv[n] = NULL;
	REQUIRE(!setrlimit(RLIMIT_STACK, &(struct rlimit){ 8 << 20, 8 << 20 }));
	CHECK_EQ(errno_of("/bin/true", argv, environ), E2BIG);
	argv[10] = NULL;
	CHECK_EQ(errno_of("/bin/true", argv, environ), 0);
}

static void too_big(void)
{
	CHECK_EQ(status_of(too_big_child, NULL), 0);
}

/* --- scripts --- */

static void scripts(void)
{
	static char text[512];
	int status;
	pid_t pid;

	begin();

	make_text("script", "#!/bin/sh -e\ntest \"$1\" = one && test $# = 2 && exit 41\nexit 3\n", 0755);
	pid = fork();
	if (!pid) {
		execl(path_in("script"), "ignored", "one", "two", NULL);
		_exit(99);
	}
	CHECK_EQ(wait_status(pid), 41 << 8);
	/* A script's interpreter that is a script. */
	snprintf(text, sizeof(text), "#!%s one\n", path_in("script"));
	make_text("second", text, 0755);
	pid = fork();
	if (!pid) {
		execl(path_in("second"), "ignored", NULL);
		_exit(99);
	}
	CHECK_EQ(wait_status(pid), 41 << 8);
	/* What libc does with a text that is none. */
	make_text("text", "exit 6\n", 0755);
	pid = fork();
	if (!pid) {
		execlp(path_in("text"), "text", NULL);
		_exit(99);
	}
	status = wait_status(pid);
	CHECK_EQ(status, 6 << 8);
	clean();
}

/* --- execveat --- */

static long exec_at(int dirfd, const char *path, int flags)
{
	char *argv[] = { "sh", "-c", "exit 31", NULL };

	syscall(SYS_execveat, dirfd, path, argv, environ, flags);
	return errno;
}

static void by_fd(void *arg)
{
	int fd = open("/bin/sh", O_RDONLY | O_CLOEXEC);

	_exit(exec_at(fd, "", AT_EMPTY_PATH));
}

static void by_path_fd(void *arg)
{
	_exit(exec_at(open("/bin/sh", O_PATH | O_CLOEXEC), "", AT_EMPTY_PATH));
}

static void by_dir(void *arg)
{
	_exit(exec_at(open("/bin", O_RDONLY | O_DIRECTORY), "sh", 0));
}

static void by_memfd(void *arg)
{
	int from = open("/bin/sh", O_RDONLY), to = memfd_create("sh", MFD_CLOEXEC);
	char buf[65536];
	ssize_t n;

	while ((n = read(from, buf, sizeof(buf))) > 0)
		REQUIRE(write(to, buf, n) == n);
	_exit(exec_at(to, "", AT_EMPTY_PATH));
}

static void exec_ats(void)
{
	CHECK_EQ(status_of(by_fd, NULL), 31 << 8);
	CHECK_EQ(status_of(by_path_fd, NULL), 31 << 8);
	CHECK_EQ(status_of(by_dir, NULL), 31 << 8);
	CHECK_EQ(status_of(by_memfd, NULL), 31 << 8);
	CHECK_EQ(exec_at(0, "", 0), ENOENT);
	CHECK_EQ(exec_at(999, "", AT_EMPTY_PATH), EBADF);
	CHECK_EQ(exec_at(999, "sh", 0), EBADF);
	CHECK_EQ(exec_at(AT_FDCWD, "/bin/sh", 0x40000000), EINVAL);
	begin();
	REQUIRE(!symlink("/bin/sh", path_in("link")));
	CHECK_EQ(exec_at(AT_FDCWD, path_in("link"), AT_SYMLINK_NOFOLLOW), ELOOP);
	clean();
}

/* --- what is kept --- */

/* kept IGNORED BLOCKED OPEN CLOSED: as they must be. */
static int role_kept(int argc, char **argv)
{
	struct sigaction sa;
	sigset_t set;

	REQUIRE(argc == 5);
	for (int sig = 1; sig < 32; sig++) {
		if (sig == SIGKILL || sig == SIGSTOP)
			continue;
		CHECK_EQ(sigaction(sig, NULL, &sa), 0);
		CHECK(sa.sa_handler == (sig == atoi(argv[1]) ? SIG_IGN : SIG_DFL));
	}
	CHECK_EQ(sigprocmask(SIG_BLOCK, NULL, &set), 0);
	for (int sig = 1; sig < 32; sig++)
		CHECK_EQ(sigismember(&set, sig), sig == atoi(argv[2]));
	CHECK_EQ(sigpending(&set), 0);
	CHECK_EQ(sigismember(&set, atoi(argv[2])), 1);
	CHECK(fcntl(atoi(argv[3]), F_GETFD) == 0);
	CHECK_ERRNO(fcntl(atoi(argv[4]), F_GETFD), EBADF);
	CHECK_EQ(proc_status("Threads"), 1);
	CHECK_EQ(getpid(), atoi(getenv("ABI_PID")));
	CHECK_EQ(getpid(), gettid());
	fflush(stdout);
	return check_failures ? 1 : 53;
}

static void nothing(int sig, siginfo_t *info, void *context)
{
}

struct kept {
	int ignored, blocked, from_thread;
};

static void *execs(void *arg)
{
	const struct kept *k = arg;
	char ignored[16], blocked[16], open_[16], closed[16], pid[32];
	sigset_t set = set_of(k->blocked);
	int fd;

	sigprocmask(SIG_SETMASK, &set, NULL);
	syscall(SYS_tgkill, getpid(), gettid(), k->blocked);
	kill(getpid(), k->blocked);
	snprintf(ignored, sizeof(ignored), "%d", k->ignored);
	snprintf(blocked, sizeof(blocked), "%d", k->blocked);
	fd = open("/dev/null", O_RDONLY);
	snprintf(open_, sizeof(open_), "%d", fd);
	snprintf(closed, sizeof(closed), "%d", fcntl(fd, F_DUPFD_CLOEXEC, 20));
	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("ABI_PID", pid, 1);
	execl(self_path(), "abi", "--role", "kept", ignored, blocked, open_, closed, NULL);
	_exit(99);
}

static void *spins(void *arg)
{
	for (;;)
		if (arg)
			syscall(SYS_getppid);
	return NULL;
}

static void keeps(void *arg)
{
	const struct kept *k = arg;
	pthread_t thread;

	for (int sig = 1; sig < 32; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			handle(sig, nothing, 0);
	signal(k->ignored, SIG_IGN);
	if (!k->from_thread)
		execs(arg);
	for (long i = 0; i < 3; i++)
		REQUIRE(!pthread_create(&thread, NULL, spins, (void *)i));
	REQUIRE(!pthread_create(&thread, NULL, execs, arg));
	for (;;)
		pause();
}

static void kept_by(int from_thread)
{
	static const int ignored[] = { SIGINT, SIGSEGV, SIGBUS, SIGCHLD, SIGABRT };
	static const int blocked[] = { SIGUSR1, SIGTERM, SIGSEGV, SIGILL, SIGALRM };

	for (unsigned int i = 0; i < sizeof(ignored) / sizeof(*ignored); i++) {
		struct kept k = { ignored[i], blocked[i], from_thread };

		if (!CHECK_EQ(status_of(keeps, &k), 53 << 8))
			FAIL("ignored %d, blocked %d", ignored[i], blocked[i]);
	}
}

static void exec_keeps(void)
{
	kept_by(0);
}

static void exec_thread(void)
{
	kept_by(1);
}

/* Many, one after the other: the process stays the same one. */
static int role_again(int argc, char **argv)
{
	char left[16];
	int n = atoi(argv[1]);
	sigset_t set;

	if (sigprocmask(SIG_BLOCK, NULL, &set) || sigismember(&set, SIGUSR2) != 1)
		return 2;
	if (!n)
		return getpid() == atoi(argv[2]) ? 61 : 1;
	snprintf(left, sizeof(left), "%d", n - 1);
	execl(self_path(), "abi", "--role", "again", left, argv[2], NULL);
	return 99;
}

static void again(void *arg)
{
	sigset_t set = set_of(SIGUSR2);
	char pid[16], left[16];

	sigprocmask(SIG_BLOCK, &set, NULL);
	snprintf(pid, sizeof(pid), "%d", getpid());
	snprintf(left, sizeof(left), "%d", (int)rounds(10));
	execl(self_path(), "abi", "--role", "again", left, pid, NULL);
}

static void exec_again(void)
{
	CHECK_EQ(status_of(again, NULL), 61 << 8);
}

static int role_ends(int argc, char **argv)
{
	return argc == 2 ? atoi(argv[1]) : 255;
}

const struct role exec_roles[] = {
	{ "kept", role_kept },
	{ "again", role_again },
	{ "ends", role_ends },
	{ NULL, NULL },
};

const struct part exec_parts[] = {
	{ "exec_refused", "what execve() refuses, and how", refusals },
	{ "exec_too_big", "E2BIG", too_big },
	{ "scripts", "#! scripts, also of scripts; execlp() of a text", scripts },
	{ "execveat", "by descriptor, by directory, of a memfd", exec_ats },
	{ "exec_keeps", "signals, descriptors and ids over execve()", exec_keeps },
	{ "exec_thread", "the same from a thread, beside others", exec_thread },
	{ "exec_again", "one execve() after the other: one process, one signal mask", exec_again },
	{ NULL, NULL, NULL },
};
