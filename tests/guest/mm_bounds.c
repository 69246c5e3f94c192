// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A thread in Dune mode reaches what its process may reach, and nothing else:
 * every forbidden access ends in the signal, si_code and si_addr that plain
 * Linux gives for it. The same list runs natively first.
 */
#include "test.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096ul

static sigjmp_buf jump;
static siginfo_t got;
static volatile int armed;

static void on_fault(int sig, siginfo_t *info, void *ucontext)
{
	if (!armed) {
		static const char text[] = "unexpected signal\n";

		if (write(1, text, sizeof(text) - 1) < 0)
			_exit(3);
		_exit(3);
	}
	got = *info;
	armed = 0;
	mode_abandon();
	siglongjmp(jump, 1);
}

enum access { READ, WRITE, EXEC, READ_UNALIGNED, ATOMIC };
static const char *const access_name[] = { "read", "write", "exec",
					   "unaligned read", "atomic" };

/* si_signo of the access (0: none); got has the rest. */
static int try_access(void *address, enum access access)
{
	volatile char *p = address;

	memset(&got, 0, sizeof(got));
	if (sigsetjmp(jump, 1) == 0) {
		armed = 1;
		switch (access) {
		case READ:
			(void)*p;
			break;
		case WRITE:
			*p = 1;
			break;
		case EXEC:
			((void (*)(void))(uintptr_t)p)();
			break;
		case READ_UNALIGNED:
			(void)*(volatile uint64_t *)p;
			break;
		case ATOMIC:
			__atomic_add_fetch(p, 1, __ATOMIC_SEQ_CST);
			break;
		}
		armed = 0;
	}
	return got.si_signo;
}

/* The signal with its details, as seen natively and in Dune mode. */
static void same_as_native(const char *what, void *address, enum access access)
{
	int signo = try_access(address, access), code = got.si_code;
	void *addr = got.si_addr;

	mode_enter();
	try_access(address, access);
	mode_reenter();
	mode_exit();
	if (got.si_signo != signo || got.si_code != code || got.si_addr != addr)
		FAIL("%s of %s (%p): signal %d code %d addr %p, natively %d code %d addr %p",
		     access_name[access], what, address, got.si_signo,
		     got.si_code, got.si_signo ? got.si_addr : NULL, signo, code,
		     addr);
	else
		check_count++;
}

static void expect(const char *what, void *address, enum access access,
		   int signo, int code)
{
	mode_enter();
	try_access(address, access);
	mode_reenter();
	mode_exit();
	if (got.si_signo != signo || got.si_code != code ||
	    (signo && got.si_addr != address))
		FAIL("%s of %s (%p): signal %d code %d addr %p, want %d code %d",
		     access_name[access], what, address, got.si_signo,
		     got.si_code, got.si_addr, signo, code);
	else
		check_count++;
}

static char *map(int prot, size_t n)
{
	char *p = mmap(NULL, n * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	return p;
}

static const char code_bytes[] = { (char)0xc3 };	/* ret */

static void protections(void)
{
	char *rw = map(PROT_READ | PROT_WRITE, 1), *none = map(PROT_NONE, 1);
	char *ro = map(PROT_READ, 1), *hole = map(PROT_READ | PROT_WRITE, 3);
	char *touched = map(PROT_READ | PROT_WRITE, 1);
	char *code = map(PROT_READ | PROT_WRITE, 1);

	munmap(hole + PAGE, PAGE);
	rw[0] = (char)0xc3;
	touched[8] = 1;
	memcpy(code, code_bytes, 1);
	REQUIRE(mprotect(code, PAGE, PROT_READ | PROT_EXEC) == 0);
	for (int twice = 0; twice < 2; twice++) {
		expect("rw", rw, READ, 0, 0);
		expect("rw", rw, WRITE, 0, 0);
		rw[0] = (char)0xc3;
		expect("rw", rw, EXEC, SIGSEGV, SEGV_ACCERR);
		expect("code", code, EXEC, 0, 0);
		expect("code", code, READ, 0, 0);
		expect("code", code + 5, WRITE, SIGSEGV, SEGV_ACCERR);
		expect("read-only", ro + 7, READ, 0, 0);
		expect("read-only", ro + 7, WRITE, SIGSEGV, SEGV_ACCERR);
		expect("read-only", ro + 7, ATOMIC, SIGSEGV, SEGV_ACCERR);
		expect("no access", none + 1, READ, SIGSEGV, SEGV_ACCERR);
		expect("no access", none + 2, WRITE, SIGSEGV, SEGV_ACCERR);
		expect("no access", none, EXEC, SIGSEGV, SEGV_ACCERR);
		expect("a hole", hole + PAGE + 9, READ, SIGSEGV, SEGV_MAPERR);
		expect("a hole", hole + PAGE + 9, WRITE, SIGSEGV, SEGV_MAPERR);
		expect("a hole", hole + PAGE, EXEC, SIGSEGV, SEGV_MAPERR);
		expect("before a hole", hole + PAGE - 1, READ, 0, 0);
		expect("behind a hole", hole + 2 * PAGE, WRITE, 0, 0);
	}
	/* Rights taken away after the guest used them. */
	expect("touched", touched, WRITE, 0, 0);
	REQUIRE(mprotect(touched, PAGE, PROT_READ) == 0);
	expect("touched", touched, WRITE, SIGSEGV, SEGV_ACCERR);
	expect("touched", touched, READ, 0, 0);
	REQUIRE(mprotect(touched, PAGE, PROT_NONE) == 0);
	expect("touched", touched, READ, SIGSEGV, SEGV_ACCERR);
	REQUIRE(munmap(touched, PAGE) == 0);
	expect("touched", touched, READ, SIGSEGV, SEGV_MAPERR);
	REQUIRE(mprotect(code, PAGE, PROT_READ) == 0);
	expect("code", code, EXEC, SIGSEGV, SEGV_ACCERR);
}

static void crossing(void)
{
	char *p = map(PROT_READ | PROT_WRITE, 2);

	munmap(p + PAGE, PAGE);
	same_as_native("a page's end", p + PAGE - 4, READ_UNALIGNED);
}

static void addresses(void)
{
	static const uint64_t list[] = {
		0, 8, 0xfff, 0x1000, 0x10000, 0x7ffffffff000, 0x7fffffffffff,
		0x800000000000, 0x0001000000000000, 0x8000000000000000,
		0xffff7fffffffffff, 0xffff800000000000, 0xffff888000000000,
		0xffff888000001000, 0xffffc90000000000, 0xffffea0000000000,
		0xffffffff80000000, 0xffffffff81000000, 0xffffffffa0000000,
		0xffffffffff5ff000, 0xfffffffffffff000, 0xffffffffffffffff,
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		same_as_native("address", (void *)list[i], READ);
		same_as_native("address", (void *)list[i], WRITE);
		same_as_native("address", (void *)list[i], EXEC);
	}
}

static void files(void)
{
	char name[] = "/tmp/dune-test-XXXXXX";
	int fd = mkstemp(name);
	char *p, *ro;

	REQUIRE(fd >= 0);
	unlink(name);
	REQUIRE(ftruncate(fd, PAGE + 100) == 0);
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ro = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	REQUIRE(p != MAP_FAILED && ro != MAP_FAILED);
	expect("file", p, WRITE, 0, 0);
	expect("file's last page", p + 2 * PAGE - 1, READ, 0, 0);
	expect("beyond the file", p + 2 * PAGE, READ, SIGBUS, BUS_ADRERR);
	expect("beyond the file", p + 3 * PAGE + 5, WRITE, SIGBUS, BUS_ADRERR);
	expect("read-only file", ro, WRITE, SIGSEGV, SEGV_ACCERR);
	/* Cut off after the guest has used it. */
	expect("file", p + PAGE, WRITE, 0, 0);
	REQUIRE(ftruncate(fd, 10) == 0);
	expect("cut off", p + PAGE, READ, SIGBUS, BUS_ADRERR);
	expect("cut off", p + PAGE, WRITE, SIGBUS, BUS_ADRERR);
	REQUIRE(ftruncate(fd, 2 * PAGE) == 0);
	expect("grown again", p + PAGE, READ, 0, 0);
	mode_enter();
	CHECK_EQ(p[PAGE], 0);
	mode_exit();
	close(fd);
}

/* The bytes right before and behind every mapping of the process. */
static void map_edges(void)
{
	uint64_t edge[512], from, to, last = 0;
	int n = 0;
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];

	REQUIRE(f);
	while (fgets(line, sizeof(line), f) && n < 510) {
		if (sscanf(line, "%lx-%lx", &from, &to) != 2)
			continue;
		if (last && last != from) {
			edge[n++] = last;
			/* Under a stack reading may grow it. */
			if (!strstr(line, "[stack]"))
				edge[n++] = from - 1;
		}
		last = to;
	}
	fclose(f);
	CHECK(n > 4);
	for (int i = 0; i < n; i++) {
		if (edge[i] >> 47)
			continue;
		same_as_native("an edge", (void *)edge[i], READ);
	}
}

/* The stack grows in Dune mode as it does natively. */
static int __attribute__((noinline)) deep(int n)
{
	volatile char frame[4096];

	frame[0] = n;
	return n ? deep(n - 1) + frame[0] - (char)n : 0;
}

static void stack_grows(void)
{
	mode_enter();
	CHECK_EQ(deep(400), 0);
	mode_exit();
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

	test_start(argc, argv, (struct test_opts){ 0 });
	REQUIRE(sigaction(SIGSEGV, &sa, NULL) == 0);
	REQUIRE(sigaction(SIGBUS, &sa, NULL) == 0);
	mode_enter();	/* the library maps what it needs now, not in our holes */
	mode_exit();
	test_part("protections", protections);
	test_part("crossing", crossing);
	test_part("addresses", addresses);
	test_part("files", files);
	test_part("map_edges", map_edges);
	test_part("stack_grows", stack_grows);
	return test_end();
}
