// SPDX-License-Identifier: GPL-2.0 OR MIT
/* What a program finds when it starts: auxiliary vector, registers, names. */
#include "abi.h"

#include <cpuid.h>
#include <elf.h>
#include <fcntl.h>
#include <dirent.h>
#include <libgen.h>
#include <link.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern const ElfW(Ehdr) __ehdr_start;
extern char _start[], _end[];

/* As Linux made it; libc changes what getauxval() gives. */
static uint64_t auxval(uint64_t type)
{
	const ElfW(auxv_t) *av;
	char **p = abi_envp;

	while (*p)
		p++;
	for (av = (const ElfW(auxv_t) *)(p + 1); av->a_type != AT_NULL; av++)
		if (av->a_type == type)
			return av->a_un.a_val;
	FAIL("no entry %ld", (long)type);
	return 0;
}

static bool has_interpreter(void)
{
	const ElfW(Phdr) *p = (const ElfW(Phdr) *)auxval(AT_PHDR);

	for (unsigned long i = 0; i < auxval(AT_PHNUM); i++)
		if (p[i].p_type == PT_INTERP)
			return true;
	return false;
}

static void check_elf(void)
{
	const char *base = (const char *)&__ehdr_start;
	struct map map;

	CHECK_EQ(auxval(AT_PHDR), (uint64_t)base + __ehdr_start.e_phoff);
	CHECK_EQ(auxval(AT_PHNUM), __ehdr_start.e_phnum);
	CHECK_EQ(auxval(AT_PHENT), sizeof(ElfW(Phdr)));
	CHECK_EQ(auxval(AT_ENTRY), (uint64_t)_start);
	if (CHECK(map_at(base, &map)))
		CHECK(!strcmp(map.name, self_path()));
	if (CHECK(map_at(_start, &map))) {
		CHECK(!strcmp(map.name, self_path()));
		CHECK(!strcmp(map.rights, "r-xp"));
	}
	if (!has_interpreter()) {
		CHECK_EQ(auxval(AT_BASE), 0);
		return;
	}
	if (CHECK(map_at((void *)auxval(AT_BASE), &map)))
		CHECK(strstr(map.name, "/ld-") != NULL);
	CHECK_EQ(map.start, auxval(AT_BASE));
	CHECK(!memcmp((void *)map.start, ELFMAG, SELFMAG));
}

static void check_vdso(void)
{
	const ElfW(Ehdr) *vdso = (const ElfW(Ehdr) *)auxval(AT_SYSINFO_EHDR);
	struct map map;

	REQUIRE(vdso);
	if (CHECK(map_at(vdso, &map)))
		CHECK(!strcmp(map.name, "[vdso]"));
	CHECK_EQ(map.start, (uint64_t)vdso);
	CHECK(!memcmp(vdso->e_ident, ELFMAG, SELFMAG));
}

static void auxv(void)
{
	unsigned int a, b, c, d = 0;
	char *real = realpath((const char *)auxval(AT_EXECFN), NULL);

	check_elf();
	check_vdso();
	REQUIRE(real && __get_cpuid(1, &a, &b, &c, &d));
	CHECK(!strcmp(real, self_path()));
	CHECK_EQ(auxval(AT_HWCAP), d);
	CHECK_EQ(auxval(AT_PAGESZ), 4096);
	CHECK_EQ(auxval(AT_CLKTCK), sysconf(_SC_CLK_TCK));
	CHECK_EQ(auxval(AT_UID), getuid());
	CHECK_EQ(auxval(AT_EUID), geteuid());
	CHECK_EQ(auxval(AT_GID), getgid());
	CHECK_EQ(auxval(AT_EGID), getegid());
	CHECK_EQ(auxval(AT_SECURE), 0);
	CHECK_EQ(auxval(AT_FLAGS), 0);
	CHECK(!strcmp((const char *)auxval(AT_PLATFORM), "x86_64"));
	free(real);
}

/* /proc has the vector that is on the stack. */
static void proc_auxv(void)
{
	const char *on_stack;
	char bytes[4096];
	char **p = abi_envp;
	int fd = open("/proc/self/auxv", O_RDONLY);
	ssize_t n = read(fd, bytes, sizeof(bytes));

	while (*p)
		p++;
	on_stack = (const char *)(p + 1);
	REQUIRE(n > 64 && n < 4096);
	CHECK(!memcmp(bytes, on_stack, n));
	CHECK_EQ(((const ElfW(auxv_t) *)(on_stack + n))[-1].a_type, AT_NULL);
	close(fd);
}

/* --- randomness --- */

static int role_random(int argc, char **argv)
{
	const unsigned char *p = (const unsigned char *)auxval(AT_RANDOM);
	struct map map;

	if (!p || !map_at(p, &map) || strcmp(map.name, "[stack]"))
		return 1;
	for (int i = 0; i < 16; i++)
		printf("%02x", p[i]);
	return 0;
}

static void random_bytes(void)
{
	static const char *const args[] = { "random", NULL };
	char *text[3];
	int status;

	for (int i = 0; i < 3; i++) {
		text[i] = role_output(args, &status);
		CHECK_EQ(status, 0);
		CHECK_EQ(strlen(text[i]), 32);
		for (int k = 0; k < i; k++)
			CHECK(strcmp(text[i], text[k]) != 0);
	}
}

/* --- registers: a program without libc, which writes them as it begins --- */

struct entry {
	uint64_t r[16], flags;
	uint64_t fs_base, gs_base;
	uint32_t mxcsr;
	uint16_t control, status;
	uint64_t argc;
};

static const char *beside(const char *name)
{
	static char path[4200], copy[4096];

	snprintf(copy, sizeof(copy), "%s", self_path());
	snprintf(path, sizeof(path), "%s/%s", dirname(copy), name);
	return path;
}

static void registers(void)
{
	struct entry e;
	int fds[2];
	pid_t pid;

	REQUIRE(!pipe(fds) && sizeof(e) == 168);
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		dup2(fds[1], 1);
		execl(beside("entry"), "entry", "x", "y", NULL);
		_exit(99);
	}
	CHECK_EQ(wait_status(pid), 0);
	REQUIRE(read(fds[0], &e, sizeof(e)) == sizeof(e));
	for (int i = 0; i < 16; i++)
		if (i != RSP)
			CHECK_EQ(e.r[i], 0);
	CHECK_EQ(e.r[RSP] % 16, 0);
	CHECK_EQ(e.flags & ~0x10000, 0x202);
	CHECK_EQ(e.fs_base, 0);
	CHECK_EQ(e.gs_base, 0);
	CHECK_EQ(e.mxcsr, 0x1f80);
	CHECK_EQ(e.control, 0x37f);
	CHECK_EQ(e.status, 0);
	CHECK_EQ(e.argc, 3);
}

/* --- names --- */

static void read_all(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t n;

	REQUIRE(fd >= 0);
	n = read(fd, text, size - 1);
	REQUIRE(n >= 0);
	text[n] = 0;
	close(fd);
}

static void names(void)
{
	char text[4096], want[64], copy[4096], *p;

	snprintf(copy, sizeof(copy), "%s", (const char *)auxval(AT_EXECFN));
	snprintf(want, sizeof(want), "%.15s\n", basename(copy));
	read_all("/proc/self/comm", text, sizeof(text));
	CHECK(!strcmp(text, want));
	read_all("/proc/self/cmdline", text, sizeof(text));
	p = text;
	for (int i = 0; i < abi_argc; i++) {
		CHECK(!strcmp(p, abi_argv[i]));
		p += strlen(p) + 1;
	}
	read_all("/proc/self/stat", text, sizeof(text));
	snprintf(want, sizeof(want), "%d (%.15s) R ", getpid(), basename(copy));
	CHECK(!strncmp(text, want, strlen(want)));
	CHECK_EQ(access(self_path(), X_OK), 0);
}

/* --- descriptors --- */

static int role_fds(int argc, char **argv)
{
	CHECK_EQ(open("/dev/null", O_RDONLY), 3);
	CHECK_EQ(open("/dev/null", O_RDONLY), 4);
	CHECK_EQ(dup(0), 5);
	fflush(stdout);
	return check_failures;
}

static int role_proc_fds(int argc, char **argv)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	/* 0, 1, 2, and this folder. */
	CHECK_EQ(n, 4);
	fflush(stdout);
	return check_failures;
}

static void exec_fds(void *name)
{
	syscall(SYS_close_range, 3, ~0u, 0);
	execl(self_path(), "abi", "--role", name, NULL);
	_exit(99);
}

static void first_fd(void)
{
	CHECK_EQ(status_of(exec_fds, "fds"), 0);
}

static void proc_fds(void)
{
	CHECK_EQ(status_of(exec_fds, "proc_fds"), 0);
}

const struct role start_roles[] = {
	{ "random", role_random },
	{ "fds", role_fds },
	{ "proc_fds", role_proc_fds },
	{ NULL, NULL },
};

const struct part start_parts[] = {
	{ "auxv", "the auxiliary vector, beside ELF header, /proc/self/maps, CPUID", auxv },
	{ "proc_auxv", "/proc/self/auxv", proc_auxv },
	{ "random", "AT_RANDOM is another one each time", random_bytes },
	{ "registers", "registers at the first instruction", registers },
	{ "names", "/proc/self/exe, comm, cmdline, stat", names },
	{ "first_fd", "the first descriptor is 3", first_fd },
	{ "proc_fds", "/proc/self/fd has what is open", proc_fds },
	{ NULL, NULL, NULL },
};
