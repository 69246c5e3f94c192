// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Core files show the program's registers. */
#include "fault.h"

#include <elf.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define PATTERN_FILE	"/proc/sys/kernel/core_pattern"
#define CORE_FILE	"/tmp/abi-core"

static char old_pattern[256];

static bool pattern_write(const char *text)
{
	int fd = open(PATTERN_FILE, O_WRONLY);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

static void pattern_restore(void)
{
	pattern_write(old_pattern);
	unlink(CORE_FILE);
}

/* Only the superuser can say where core files go. */
static void pattern_set(void)
{
	int fd = open(PATTERN_FILE, O_RDONLY);

	if (fd < 0 || read(fd, old_pattern, sizeof(old_pattern) - 1) < 1 ||
	    !pattern_write(CORE_FILE "\n"))
		SKIP("%s cannot be set", PATTERN_FILE);
	close(fd);
	if (number_in("/proc/sys/kernel/core_uses_pid") != 0)
		SKIP("core files have numbers here");
	atexit(pattern_restore);
	unlink(CORE_FILE);
}

/* --- the file --- */

static const char *core;
static size_t core_size;

static bool core_open(void)
{
	int fd = open(CORE_FILE, O_RDONLY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return false;
	core_size = st.st_size;
	core = mmap(NULL, core_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	return core != MAP_FAILED && core_size > sizeof(Elf64_Ehdr) && !memcmp(core, ELFMAG, SELFMAG);
}

/* The notes of this type: how many; the n-th one's contents. */
static const void *note(unsigned int type, unsigned int n)
{
	const Elf64_Ehdr *e = (const Elf64_Ehdr *)core;
	const Elf64_Phdr *p = (const Elf64_Phdr *)(core + e->e_phoff);
	const char *at, *end;

	while (p->p_type != PT_NOTE)
		p++;
	at = core + p->p_offset;
	end = at + p->p_filesz;
	while (at + sizeof(Elf64_Nhdr) <= end) {
		const Elf64_Nhdr *h = (const Elf64_Nhdr *)at;
		const char *desc = at + sizeof(*h) + ((h->n_namesz + 3) & ~3u);

		if (h->n_type == type && !n--)
			return desc;
		at = desc + ((h->n_descsz + 3) & ~3u);
	}
	return NULL;
}

static uint64_t word_at(uint64_t address)
{
	const Elf64_Ehdr *e = (const Elf64_Ehdr *)core;
	const Elf64_Phdr *p = (const Elf64_Phdr *)(core + e->e_phoff);

	for (int i = 0; i < e->e_phnum; i++)
		if (p[i].p_type == PT_LOAD && address >= p[i].p_vaddr &&
		    address + 8 <= p[i].p_vaddr + p[i].p_filesz)
			return *(const uint64_t *)(core + p[i].p_offset + address - p[i].p_vaddr);
	return 0;
}

static const struct user_regs_struct *regs_of(const struct elf_prstatus *s)
{
	return (const struct user_regs_struct *)s->pr_reg;
}

static void dumps(child_fn fn, int sig)
{
	int status = status_of(fn, NULL);

	CHECK_EQ(status & 0x7f, sig);
	CHECK(WCOREDUMP(status));
	REQUIRE(core_open());
}

static void core_allowed(void)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	REQUIRE(!setrlimit(RLIMIT_CORE, &all));
}

/* --- an exception --- */

static char *stack;
#define STACK_SIZE	65536

static void null_setup(void)
{
	regs_fill(4711);
	regs_in.r[RBX] = 0;
	regs_in.r[RSP] = (uint64_t)stack + STACK_SIZE - 256;
	*(uint64_t *)regs_in.r[RSP] = 0xfeedfacecafebeef;
	regs_code = fault_read;
}

static void null_read(void *arg)
{
	core_allowed();
	null_setup();
	regs_run();
}

static void core_null(void)
{
	const struct elf_prstatus *s;
	const struct user_regs_struct *r;

	pattern_set();
	stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(stack != MAP_FAILED);
	dumps(null_read, SIGSEGV);
	null_setup();
	s = note(NT_PRSTATUS, 0);
	REQUIRE(s);
	r = regs_of(s);
	CHECK_EQ(s->pr_cursig, SIGSEGV);
	CHECK_EQ(r->rip, (uint64_t)fault_read);
	CHECK_EQ(r->rsp, regs_in.r[RSP]);
	CHECK_EQ(r->rbp, regs_in.r[RBP]);
	CHECK_EQ(r->rax, regs_in.r[RAX]);
	CHECK_EQ(r->rbx, 0);
	CHECK_EQ(r->rcx, regs_in.r[RCX]);
	CHECK_EQ(r->rdx, regs_in.r[RDX]);
	CHECK_EQ(r->rsi, regs_in.r[RSI]);
	CHECK_EQ(r->rdi, regs_in.r[RDI]);
	CHECK_EQ(r->r8, regs_in.r[R8]);
	CHECK_EQ(r->r12, regs_in.r[R12]);
	CHECK_EQ(r->r15, regs_in.r[R15]);
	CHECK_EQ(r->eflags & FLAGS_ALL, regs_in.flags);
	CHECK_EQ(word_at(r->rsp), 0xfeedfacecafebeef);
}

/* --- abort() --- */

static void aborts(void *arg)
{
	volatile uint64_t marks[2] = { 0x1122334455667788, 0x99aabbccddeeff00 };

	core_allowed();
	*(volatile uint64_t **)arg = marks;
	abort();
}

static void core_abort(void)
{
	uint64_t **shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const struct elf_prstatus *s;
	const struct user_regs_struct *r;
	const siginfo_t *info;
	int status;

	REQUIRE(shared != MAP_FAILED);
	pattern_set();
	status = status_of(aborts, shared);
	CHECK_EQ(status & 0x7f, SIGABRT);
	CHECK(WCOREDUMP(status));
	REQUIRE(core_open());
	s = note(NT_PRSTATUS, 0);
	info = note(NT_SIGINFO, 0);
	REQUIRE(s && info);
	r = regs_of(s);
	CHECK_EQ(s->pr_cursig, SIGABRT);
	CHECK_EQ(info->si_signo, SIGABRT);
	CHECK_EQ(info->si_code, SI_TKILL);
	/* Behind a SYSCALL of libc, the same code as here. */
	CHECK_EQ(*(const uint16_t *)(r->rip - 2), 0x050f);
	CHECK_EQ(r->rax, 0);
	CHECK_IN(r->rsp, (uint64_t)*shared - 4096, (uint64_t)*shared);
	CHECK_EQ(word_at((uint64_t)*shared), 0x1122334455667788);
}

/* --- of all threads --- */

static volatile int spinning;

static void *spins(void *arg)
{
	asm volatile("movl $1, %0\n\tmov %1, %%r12\n1:\tnop\n\tjmp 1b"
		     : "=m" (spinning) : "r" (0x7172737475767778ul) : "r12");
	return NULL;
}

/* At the NOP, or at the JMP. */
static bool is_spinning(const struct user_regs_struct *r)
{
	struct map map;

	return r->r12 == 0x7172737475767778 && map_at((void *)r->rip, &map) &&
	       (*(const uint16_t *)r->rip == 0xeb90 || *(const uint8_t *)r->rip == 0xeb);
}

static void one_dies(void *arg)
{
	pthread_t thread;

	core_allowed();
	REQUIRE(!pthread_create(&thread, NULL, spins, NULL));
	wait_for(&spinning, 1);
	for (int i = 0; i < 100; i++)
		sched_yield();
	asm volatile("ud2");
}

static void core_threads(void)
{
	const struct elf_prstatus *s;
	int found = 0, n = 0;

	pattern_set();
	dumps(one_dies, SIGILL);
	while ((s = note(NT_PRSTATUS, n))) {
		found += is_spinning(regs_of(s));
		n++;
	}
	CHECK_EQ(n, 2);
	CHECK_EQ(found, 1);
	CHECK_EQ(*(const uint16_t *)regs_of(note(NT_PRSTATUS, 0))->rip, 0x0b0f);
}

const struct part core_parts[] = {
	{ "core_null", "of a wrong access: all registers", core_null },
	{ "core_abort", "of abort()", core_abort },
	{ "core_threads", "of two threads", core_threads },
	{ NULL, NULL, NULL },
};
