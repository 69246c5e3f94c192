// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "abi.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static unsigned long asked_rounds;

void rounds_set(unsigned long n);
void rounds_set(unsigned long n)
{
	asked_rounds = n;
}

unsigned long rounds(unsigned long usual)
{
	return asked_rounds ? asked_rounds : usual;
}

const char *self_path(void)
{
	static char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	REQUIRE(n > 0);
	path[n] = 0;
	return path;
}

int wait_status(pid_t pid)
{
	int status;

	REQUIRE(pid > 0);
	while (waitpid(pid, &status, 0) != pid)
		REQUIRE(errno == EINTR);
	return status;
}

int status_of(child_fn fn, void *arg)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		check_failures = 0;
		fn(arg);
		fflush(stdout);
		_exit(check_failures != 0);
	}
	return wait_status(pid);
}

void in_child(child_fn fn, void *arg)
{
	CHECK_EQ(status_of(fn, arg), 0);
}

static void exec_role(const char *const args[], int out)
{
	const char *argv[20] = { self_path(), "--role" };
	unsigned int n = 2;

	while (*args && n < 19)
		argv[n++] = *args++;
	dup2(out, STDOUT_FILENO);
	execv(argv[0], (char **)argv);
	_exit(126);
}

char *role_output(const char *const args[], int *status)
{
	size_t size = 1 << 20, used = 0;
	char *text = malloc(size);
	int fds[2];
	ssize_t n;
	pid_t pid;

	REQUIRE(text && !pipe2(fds, O_CLOEXEC));
	fflush(stdout);
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid)
		exec_role(args, fds[1]);
	close(fds[1]);
	while (used < size - 1 && (n = read(fds[0], text + used, size - 1 - used)) > 0)
		used += n;
	text[used] = 0;
	close(fds[0]);
	*status = wait_status(pid);
	return text;
}

long proc_status(const char *key)
{
	size_t length = strlen(key);
	FILE *f = fopen("/proc/self/status", "r");
	char line[512];
	long value = -1;

	REQUIRE(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, key, length) && line[length] == ':')
			value = strtol(line + length + 1, NULL, 10);
	fclose(f);
	return value;
}

long number_in(const char *path)
{
	FILE *f = fopen(path, "r");
	long value = -1;

	if (!f)
		return -1;
	if (fscanf(f, "%ld", &value) != 1)
		value = -1;
	fclose(f);
	return value;
}

bool map_at(const void *address, struct map *map)
{
	FILE *f = fopen("/proc/self/maps", "r");
	uint64_t at = (uint64_t)address;
	char line[512];
	bool found = false;

	REQUIRE(f);
	while (!found && fgets(line, sizeof(line), f)) {
		map->name[0] = 0;
		if (sscanf(line, "%lx-%lx %4s %*x %*s %*s %255s", &map->start, &map->end,
			   map->rights, map->name) < 3)
			continue;
		found = at >= map->start && at < map->end;
	}
	fclose(f);
	return found;
}

char *map_any(size_t size, int prot, int flags)
{
	char *p = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	REQUIRE(p != MAP_FAILED);
	return p;
}

volatile int fault_signal;
static sigjmp_buf back;
static volatile int code_seen;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	fault_signal = sig;
	code_seen = info->si_code;
	siglongjmp(back, 1);
}

int fault_code(volatile char *p, enum access access)
{
	handle(SIGSEGV, on_fault, 0);
	handle(SIGBUS, on_fault, 0);
	code_seen = 0;
	if (!sigsetjmp(back, 1)) {
		if (access == WRITE)
			*p = 1;
		else
			(void)*p;
	}
	/* A fault elsewhere must not come back here. */
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	return code_seen;
}

long smaps(const void *address, const char *key)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	size_t length = strlen(key);
	uint64_t at = (uint64_t)address, start, end;
	bool here = false;
	char line[512];
	long value = -1;

	REQUIRE(f);
	while (value < 0 && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = at >= start && at < end;
		else if (here && !strncmp(line, key, length) && line[length] == ':')
			value = strtol(line + length + 1, NULL, 10);
	}
	fclose(f);
	return value;
}

bool wait_asleep(pid_t tid)
{
	char path[64], line[512];

	snprintf(path, sizeof(path), "/proc/%d/stat", tid);
	for (unsigned long i = 0; i < 100000; i++) {
		FILE *f = fopen(path, "r");
		char *state = NULL;

		REQUIRE(f);
		if (fgets(line, sizeof(line), f))
			state = strrchr(line, ')');
		fclose(f);
		if (state && state[2] == 'S')
			return true;
		sched_yield();
	}
	FAIL("a thread does not sleep");
	return false;
}

void bytes_fill(void *to, size_t size, uint64_t seed)
{
	uint64_t *words = to;

	for (size_t i = 0; i < size / 8; i++)
		words[i] = (seed + i) * 0x9e3779b97f4a7c15ul;
}

bool bytes_are(const void *from, size_t size, uint64_t seed)
{
	const uint64_t *words = from;

	for (size_t i = 0; i < size / 8; i++)
		if (words[i] != (seed + i) * 0x9e3779b97f4a7c15ul)
			return false;
	return true;
}

#define PATIENCE	20000000ul

bool wait_for(volatile int *p, int value)
{
	for (unsigned long i = 0; i < PATIENCE; i++) {
		if (__atomic_load_n(p, __ATOMIC_ACQUIRE) == value)
			return true;
		sched_yield();
	}
	FAIL("waited for %d, and there is %d", value, *p);
	return false;
}

bool wait_above(volatile int *p, int value)
{
	for (unsigned long i = 0; i < PATIENCE; i++) {
		if (__atomic_load_n(p, __ATOMIC_ACQUIRE) > value)
			return true;
		sched_yield();
	}
	FAIL("waited for more than %d, and there is %d", value, *p);
	return false;
}

uint64_t rnd(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

void handle(int sig, handler_fn fn, int flags)
{
	struct sigaction sa = { .sa_sigaction = fn, .sa_flags = flags | SA_SIGINFO };

	sigemptyset(&sa.sa_mask);
	REQUIRE(!sigaction(sig, &sa, NULL));
}

asm("	.text\n"
    "raw_restorer:\n"
    "	mov	$15, %eax\n"
    "	syscall\n");
void raw_restorer(void);

#define KERNEL_SA_RESTORER	0x04000000ul

long raw_sigaction(int sig, handler_fn fn, unsigned long flags, uint64_t mask)
{
	struct {
		handler_fn fn;
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} sa = { fn, flags | SA_SIGINFO | KERNEL_SA_RESTORER, raw_restorer, mask };

	return syscall(SYS_rt_sigaction, sig, &sa, NULL, sizeof(mask));
}

sigset_t set_of(int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	return set;
}
