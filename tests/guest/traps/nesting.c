// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Traps in handlers: each has its own stack, up to a bound. */
#include "traps.h"

#include <sys/mman.h>
#include <unistd.h>

struct nest {
	const unsigned int *vectors;	/* of each level in turn */
	int nr_vectors, limit;
	int depth, deepest, calls;
};

/* Canaries above and below what a nested trap might overwrite. */
static enum dune_trap_action nested(struct dune_trap *trap, void *arg)
{
	struct nest *n = arg;
	volatile uint64_t canary[64];
	struct dune_trap before = *trap;
	int depth = ++n->depth;

	n->calls++;
	if (depth > n->deepest)
		n->deepest = depth;
	for (int i = 0; i < 64; i++)
		canary[i] = i * 0x9e3779b97f4a7c15 + depth;
	if (depth < n->limit)
		int_n(n->vectors[depth % n->nr_vectors]);
	for (int i = 0; i < 64; i++)
		CHECK(canary[i] == i * 0x9e3779b97f4a7c15 + depth);
	CHECK_EQ(memcmp(&before, trap, sizeof(before)), 0);
	n->depth--;
	return DUNE_TRAP_RESUME;
}

static const unsigned int one[] = { DUNE_VECTOR_UD };
static const unsigned int fault[] = { DUNE_VECTOR_PF };
static const unsigned int user[] = { 0x80 };
/* One of each group. */
static const unsigned int mixed[] = {
	DUNE_VECTOR_PF, DUNE_VECTOR_GP, DUNE_VECTOR_DB, DUNE_VECTOR_UD, 0x80,
	DUNE_VECTOR_DF, DUNE_VECTOR_NMI,
};

static void nest(const unsigned int *vectors, int nr, int limit)
{
	struct nest n = { .vectors = vectors, .nr_vectors = nr, .limit = limit };

	for (int i = 0; i < nr; i++)
		CHECK_EQ(dune_trap_register(vectors[i], nested, &n, 0), 0);
	mode_enter();
	for (int k = 0; k < 3; k++) {
		n.calls = 0;
		int_n(vectors[0]);
		CHECK_EQ(n.calls, limit);
		CHECK_EQ(n.deepest, limit);
		CHECK_EQ(n.depth, 0);
	}
	mode_exit();
	for (int i = 0; i < nr; i++)
		dune_trap_unregister(vectors[i]);
}

void part_nesting(void)
{
	nest(one, 1, DUNE_TRAP_NESTING);
	nest(fault, 1, DUNE_TRAP_NESTING);
	nest(user, 1, DUNE_TRAP_NESTING);
	nest(mixed, ARRAY_SIZE(mixed), DUNE_TRAP_NESTING * ARRAY_SIZE(mixed));
}

static int err_pipe[2];

static void too_deep(void *vectors)
{
	dup2(err_pipe[1], STDERR_FILENO);
	nest(vectors, 1, DUNE_TRAP_NESTING + 1);
	_exit(9);
}

static volatile struct {
	int calls;
	unsigned int kind, vector;
	uint64_t rip;
} *record;

static void on_crash(const struct dune_crash *crash, void *arg)
{
	record->calls++;
	record->kind = crash->kind;
	record->vector = crash->vector;
	record->rip = crash->regs.rip;
}

static void too_deep_recorded(void *vectors)
{
	dune_on_crash(on_crash, NULL);
	too_deep(vectors);
}

static void exceed(const unsigned int *vector)
{
	char text[2000] = "";
	int status;

	REQUIRE(pipe(err_pipe) == 0);
	record->calls = 0;
	status = run_child(60, too_deep_recorded, (void *)vector);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	CHECK_EQ(record->calls, 1);
	CHECK_EQ(record->kind, DUNE_CRASH_NESTING);
	CHECK_EQ(record->vector, *vector);
	CHECK_EQ(record->rip, (uintptr_t)int_stubs + 4 * *vector + 2);
	close(err_pipe[1]);
	CHECK(read(err_pipe[0], text, sizeof(text) - 1) > 0);
	close(err_pipe[0]);
	if (!strstr(text, "active handlers of its group"))
		FAIL("the message was: %s", text);
	check_count++;
}

/* One more ends the process, and says why. */
void part_nesting_exceeded(void)
{
	record = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(record != MAP_FAILED);
	exceed(one);
	exceed(fault);
	exceed(user);
}

/* libdune's own page faults: everywhere, in the deepest handler too. */
struct fills {
	char *at;
	int depth;
};

static enum dune_trap_action fills(struct dune_trap *trap, void *arg)
{
	struct fills *f = arg;
	int depth = ++f->depth;
	uint64_t addr = trap->fault_addr;

	f->at[0] = depth;
	f->at += 1ul << 30;
	if (depth < DUNE_TRAP_NESTING)
		asm volatile("movb (%0), %%al" : : "d"(NOWHERE) : "rax", "memory");
	f->at[0] = depth;
	f->at += 1ul << 30;
	CHECK_EQ(addr, NOWHERE);
	CHECK_EQ(trap->fault_addr, NOWHERE);
	trap->rdx = (uintptr_t)&f->depth;
	return DUNE_TRAP_RESUME;
}

void part_fills(void)
{
	size_t size = (2ul * DUNE_TRAP_NESTING + 2) << 30;
	struct fills f = { 0 };
	char *p;

	f.at = p = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	REQUIRE(p != MAP_FAILED);
	CHECK_EQ(dune_trap_register(DUNE_VECTOR_PF, fills, &f, 0), 0);
	mode_enter();
	asm volatile("movb (%0), %%al" : : "d"(NOWHERE) : "rax", "memory");
	mode_exit();
	CHECK_EQ(f.depth, DUNE_TRAP_NESTING);
	for (int i = 0; i < 2 * DUNE_TRAP_NESTING; i++)
		CHECK_EQ(p[(size_t)i << 30], i < DUNE_TRAP_NESTING ?
			 i + 1 : 2 * DUNE_TRAP_NESTING - i);
	dune_trap_unregister(DUNE_VECTOR_PF);
	munmap(p, size);
}
