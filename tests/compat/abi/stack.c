// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Arguments, stack and heap. */
#include "abi.h"

#include <elf.h>
#include <fcntl.h>
#include <libgen.h>
#include <link.h>
#include <setjmp.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>

extern char _end[];

static const char *strings_from(char **list, const char *p)
{
	for (; *list; list++) {
		CHECK_EQ((uint64_t)*list, (uint64_t)p);
		p = *list + strlen(*list) + 1;
	}
	return p;
}

/* argc, argv, envp, auxv: one behind the other; strings alike, above. */
static void layout(void)
{
	const char *p = abi_argv[0];
	struct map map;

	CHECK_EQ((uint64_t)&((uint64_t *)abi_argv)[-1] % 16, 0);
	CHECK_EQ(((uint64_t *)abi_argv)[-1], abi_argc);
	CHECK(abi_argv[abi_argc] == NULL);
	CHECK(abi_envp == abi_argv + abi_argc + 1);
	p = strings_from(abi_argv, p);
	p = strings_from(abi_envp, p);
	CHECK_EQ((uint64_t)p, getauxval(AT_EXECFN));
	p += strlen(p) + 1;
	/* One null word is left to the end of the stack. */
	if (CHECK(map_at(abi_argv, &map))) {
		CHECK(!strcmp(map.name, "[stack]"));
		CHECK(!strcmp(map.rights, "rw-p"));
		CHECK_EQ((uint64_t)p + 8, map.end);
	}
}

/* --- arguments of any kind --- */

static unsigned long hash(const char *s)
{
	unsigned long h = 5381;

	while (*s)
		h = h * 33 + (unsigned char)*s++;
	return h;
}

static int role_args(int argc, char **argv)
{
	unsigned long n = 0;

	printf("%d", argc);
	for (int i = 0; i < argc; i++)
		printf(" %zu:%lx", strlen(argv[i]), hash(argv[i]));
	while (abi_envp[n])
		n++;
	printf(" env %lu %lx", n, hash(n ? abi_envp[n - 1] : ""));
	return 0;
}

static void expect(char *text, size_t size, const char *const *args)
{
	size_t n = 0;
	int argc = 0;

	while (args[argc])
		argc++;
	n += snprintf(text + n, size - n, "%d", argc);
	for (int i = 0; i < argc; i++)
		n += snprintf(text + n, size - n, " %zu:%lx", strlen(args[i]), hash(args[i]));
	argc = 0;
	while (environ[argc])
		argc++;
	snprintf(text + n, size - n, " env %d %lx", argc, hash(environ[argc - 1]));
}

static void arguments(void)
{
	size_t length = 100 << 10;
	char *large = malloc(length + 1), want[4096], *got;
	const char *const args[] = { "args", "", large, "", "a b\tc\n", "\x01\xff\xfe", "", NULL };
	int status;

	for (size_t i = 0; i < length; i++)
		large[i] = 'a' + i % 23;
	large[length] = 0;
	setenv("ABI_EMPTY", "", 1);
	setenv("ABI_LARGE", large, 1);
	expect(want, sizeof(want), args);
	got = role_output(args, &status);
	CHECK_EQ(status, 0);
	if (!CHECK(!strcmp(got, want)))
		printf("got  %.400s\nwant %.400s\n", got, want);
	free(got);
	free(large);
}

static void no_environment_child(void *arg)
{
	char *argv[] = { "", "--role", "args", "args", NULL }, *envp[] = { NULL };

	dup2(*(int *)arg, 1);
	execve(self_path(), argv, envp);
	_exit(99);
}

static void no_environment(void)
{
	char got[256] = "", want[256];
	int fds[2];

	REQUIRE(!pipe(fds));
	snprintf(want, sizeof(want), "2 4:%lx 4:%lx env 0 %lx", hash("args"), hash("args"), hash(""));
	CHECK_EQ(status_of(no_environment_child, &fds[1]), 0);
	CHECK(read(fds[0], got, sizeof(got) - 1) > 0);
	CHECK(!strcmp(got, want));
}

/* --- the stack grows --- */

static int __attribute__((noinline)) deeper(int n, uint64_t *lowest)
{
	volatile char page[4000];

	page[0] = (char)n;
	*lowest = (uint64_t)page;
	if (!n)
		return 0;
	return deeper(n - 1, lowest) + (page[0] == (char)n);
}

static void growth(void)
{
	uint64_t lowest;
	struct map map;

	CHECK_EQ(deeper(1024, &lowest), 1024);
	CHECK((uint64_t)&map - lowest > 4000 * 1024);
	if (CHECK(map_at(&map, &map))) {
		CHECK(!strcmp(map.name, "[stack]"));
		CHECK(map.start <= lowest);
	}
}

static sigjmp_buf back;
static volatile int code_seen;

static void refused(int sig, siginfo_t *info, void *context)
{
	code_seen = info->si_code;
	siglongjmp(back, 1);
}

/* Neither stack nor heap nor data is code. */
static void no_code(void)
{
	static unsigned char data[64] = { 0xc3 };
	unsigned char on_stack[64] = { 0xc3 };
	unsigned char *volatile places[3] = { data, on_stack, malloc(64) };

	places[2][0] = 0xc3;
	handle(SIGSEGV, refused, 0);
	for (int i = 0; i < 3; i++) {
		code_seen = 0;
		if (!sigsetjmp(back, 1)) {
			((void (*)(void))places[i])();
			FAIL("place %d was executed", i);
		}
		CHECK_EQ(code_seen, SEGV_ACCERR);
	}
}

static void exec_stack(void)
{
	char copy[4096], path[4200];
	pid_t pid;

	snprintf(copy, sizeof(copy), "%s", self_path());
	snprintf(path, sizeof(path), "%s/execstack", dirname(copy));
	pid = fork();
	if (!pid) {
		execl(path, path, NULL);
		_exit(99);
	}
	CHECK_EQ(wait_status(pid), 43 << 8);
}

/* --- brk --- */

static bool is_static_pie(void)
{
	const ElfW(Phdr) *p = (const ElfW(Phdr) *)getauxval(AT_PHDR);
	bool interp = false;

	for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++)
		interp |= p[i].p_type == PT_INTERP;
	return !interp && (uint64_t)_end > 1ul << 32;
}

/* Behind the program: newer kernels leave up to 1 GiB. */
#define HEAP_NEAR	((1ul << 30) + (64ul << 20))

static void heap(void)
{
	char *start, *p, *before, *after;
	struct map map;
	int back_again;

	/* Nothing in between that allocates. */
	start = sbrk(0);
	p = sbrk(1 << 20);
	memset(p, 7, 1 << 20);
	before = sbrk(-(1 << 19));
	after = sbrk(0);
	back_again = brk(start + (1 << 20));
	REQUIRE(start != (void *)-1 && p != (void *)-1);
	CHECK(p == start);
	CHECK(before == start + (1 << 20));
	CHECK(after == start + (1 << 19));
	CHECK_EQ(back_again, 0);
	CHECK_EQ(p[(1 << 19) - 1], 7);
	/* What was given back comes as zeros. */
	CHECK_EQ(p[(1 << 19) + 4096], 0);
	/* Of a static PIE Linux puts it elsewhere. */
	if (!is_static_pie())
		CHECK_IN((uint64_t)start, (uint64_t)_end, (uint64_t)_end + HEAP_NEAR);
	if (CHECK(map_at(p, &map)))
		CHECK(!strcmp(map.name, "[heap]"));
	CHECK_EQ(brk((void *)-4096l), -1);
}

const struct role stack_roles[] = {
	{ "args", role_args },
	{ NULL, NULL },
};

const struct part stack_parts[] = {
	{ "layout", "arguments, environment, vector and strings on the stack", layout },
	{ "arguments", "empty arguments, arguments of 100 KiB", arguments },
	{ "no_environment", "no environment, an empty argv[0]", no_environment },
	{ "growth", "the stack grows by 4 MiB", growth },
	{ "no_code", "stack, heap and data are no code", no_code },
	{ "exec_stack", "a program with an executable stack", exec_stack },
	{ "heap", "brk() and sbrk()", heap },
	{ NULL, NULL, NULL },
};
