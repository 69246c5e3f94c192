// SPDX-License-Identifier: GPL-2.0 OR MIT
/* dune_trap_allow(): a page fault's handler gives rights by what it returns. */
#include "traps.h"

#include <errno.h>
#include <setjmp.h>
#include <sys/mman.h>

#define PAGE	4096ul
#define MIB2	(512 * PAGE)

static char *mem;		/* 8 MiB, aligned */
static volatile int calls;	/* of the handler */
static volatile unsigned int give;
static volatile int junk;	/* what to return instead; 0: nothing */

DUNE_TRAP_FAST_FN static enum dune_trap_action on_fast(struct dune_trap *trap, void *arg)
{
	/* Not for ever. */
	if (++calls > 1000)
		return DUNE_TRAP_DELIVER;
	if (junk)
		return (enum dune_trap_action)junk;
	return dune_trap_allow(give);
}

static enum dune_trap_action on_full(struct dune_trap *trap, void *arg)
{
	asm volatile("pxor %%xmm3, %%xmm3" : : : "xmm3");
	return on_fast(trap, arg);
}

static unsigned int prot_of(const void *addr)
{
	struct dune_vm_entry entry;

	return dune_vm_lookup(NULL, addr, &entry) ? 0 : entry.prot;
}

static void protect(const void *addr, size_t len, unsigned int prot)
{
	CHECK_EQ(dune_vm_protect(NULL, (void *)addr, len, prot), 0);
}

static void store(char *addr, char value)
{
	*(volatile char *)addr = value;
}

/* One store, which faults so many times. */
static void store_faults(char *addr, unsigned int rights, int times)
{
	give = rights;
	calls = 0;
	store(addr, 77);
	CHECK_EQ(calls, times);
	CHECK_EQ(*(volatile char *)addr, 77);
}

static void map_memory(void)
{
	char *at = mmap(NULL, 10 * MIB2, PROT_READ | PROT_WRITE | PROT_EXEC,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	REQUIRE(at != MAP_FAILED);
	/* Of one GiB. */
	mem = (char *)(((uintptr_t)at + MIB2 - 1) & ~(MIB2 - 1));
	if (((uintptr_t)mem ^ ((uintptr_t)mem + 4 * MIB2 - 1)) >> 30)
		mem += 4 * MIB2;
}

static void small_pages(void)
{
	CHECK_EQ(dune_vm_split(NULL, mem, 2 * MIB2, PAGE), 0);
	protect(mem, 2 * MIB2, DUNE_R);
	store_faults(mem, DUNE_W, 1);
	store_faults(mem, DUNE_W, 0);
	/* What it has it keeps, what it was not given it has not. */
	CHECK_EQ(prot_of(mem), DUNE_R | DUNE_W);
	CHECK_EQ(prot_of(mem + PAGE), DUNE_R);
	store_faults(mem + PAGE, DUNE_W | DUNE_U, 1);
	CHECK_EQ(prot_of(mem + PAGE), DUNE_R | DUNE_W | DUNE_U);
	store_faults(mem + MIB2 - PAGE, DUNE_R | DUNE_W, 1);
	store_faults(mem + MIB2, DUNE_W, 1);
	protect(mem, PAGE, DUNE_R | DUNE_X);
	store_faults(mem, DUNE_W, 1);
	CHECK_EQ(prot_of(mem), DUNE_R | DUNE_W | DUNE_X);
}

static void no_rights(void)
{
	protect(mem, 2 * PAGE, 0);
	store_faults(mem, DUNE_W, 1);
	CHECK_EQ(prot_of(mem), DUNE_R | DUNE_W);
	give = DUNE_R;
	calls = 0;
	CHECK_EQ(*(volatile char *)(mem + PAGE), 77);
	CHECK_EQ(calls, 1);
	CHECK_EQ(prot_of(mem + PAGE), DUNE_R);
}

static void execution(void)
{
	store(mem, (char)0xc3);
	protect(mem, PAGE, DUNE_R);
	give = DUNE_X;
	calls = 0;
	((void (*)(void))mem)();
	((void (*)(void))mem)();
	CHECK_EQ(calls, 1);
	CHECK_EQ(prot_of(mem), DUNE_R | DUNE_X);
}

/* The handler has looked at it: this CPU knows the old rights again. */
DUNE_TRAP_FAST_FN static enum dune_trap_action on_look(struct dune_trap *trap, void *arg)
{
	calls += 1 + 0 * *(volatile char *)trap->fault_addr;
	return dune_trap_allow(give);
}

static void looked_at(void)
{
	CHECK_EQ(dune_trap_register(DUNE_VECTOR_PF, on_look, NULL, DUNE_TRAP_FAST), 0);
	protect(mem, PAGE, DUNE_R);
	store_faults(mem, DUNE_W, 1);
}

static void large_page(void)
{
	struct dune_vm_entry entry;
	char *large = mem + 2 * MIB2;

	CHECK_EQ(dune_vm_split(NULL, large, 2 * MIB2, MIB2), 0);
	protect(large, 2 * MIB2, DUNE_R);
	store_faults(large + 5 * PAGE, DUNE_W, 1);
	CHECK_EQ(dune_vm_lookup(NULL, large, &entry), 0);
	CHECK_EQ(entry.size, MIB2);
	CHECK_EQ(entry.prot, DUNE_R | DUNE_W);
	CHECK_EQ(prot_of(large + MIB2), DUNE_R);
	store_faults(large, DUNE_W, 0);
}

static void huge_page(void)
{
	const size_t gib = 1ul << 30;
	struct dune_vm_entry entry;
	char *huge = (char *)0x200000000000;	/* nobody else's GiB */

	REQUIRE(mmap(huge, gib, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
		     -1, 0) == huge);
	store(huge, 1);
	protect(huge, gib, DUNE_R);
	store_faults(huge + 5 * PAGE, DUNE_W, 1);
	CHECK_EQ(dune_vm_lookup(NULL, huge, &entry), 0);
	CHECK_EQ(entry.size, gib);
	CHECK_EQ(entry.prot, DUNE_R | DUNE_W);
	protect(huge, gib, DUNE_R | DUNE_W | DUNE_X | DUNE_U);
	munmap(huge, gib);
}

/* The thread has used the table; then it is another one, or none. */
static void tables_come_and_go(void)
{
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(dune_vm_split(NULL, mem, MIB2, PAGE), 0);
		protect(mem, MIB2, DUNE_R);
		store_faults(mem, DUNE_W, 1);
		CHECK_EQ(dune_vm_unmap(NULL, mem, MIB2), 0);
		CHECK_EQ(dune_vm_map(NULL, mem, MIB2, mem, DUNE_R, i % 2 ? DUNE_VM_2M : 0), 0);
		store_faults(mem + PAGE, DUNE_W, 1);
		protect(mem, MIB2, DUNE_R | DUNE_W);
		CHECK_EQ(dune_vm_merge(NULL, mem, MIB2, MIB2), 0);
		protect(mem, MIB2, DUNE_R);
		store_faults(mem + PAGE, DUNE_W, 1);
	}
}

/* Another root has the same addresses. */
static void other_roots(void)
{
	struct dune_root *root;

	CHECK_EQ(dune_vm_split(NULL, mem, MIB2, PAGE), 0);
	protect(mem, 2 * PAGE, DUNE_R);
	CHECK_EQ(dune_root_create(&root), 0);
	CHECK_EQ(dune_root_switch(root), 0);
	CHECK_EQ(dune_vm_protect(root, mem, 2 * PAGE, DUNE_R), 0);
	store_faults(mem, DUNE_W, 1);
	CHECK_EQ(dune_root_switch(NULL), 0);
	CHECK_EQ(prot_of(mem), DUNE_R);
	store_faults(mem + PAGE, DUNE_W, 1);
	CHECK_EQ(dune_root_switch(root), 0);
	store_faults(mem, DUNE_W, 0);
	store_faults(mem + PAGE, DUNE_W, 1);
	CHECK_EQ(dune_root_switch(NULL), 0);
	CHECK_EQ(dune_root_free(root), 0);
	store_faults(mem, DUNE_W, 1);
}

static void in_a_batch(void)
{
	protect(mem, PAGE, DUNE_R);
	CHECK_EQ(dune_vm_batch_begin(), 0);
	store_faults(mem, DUNE_W, 1);
	CHECK_EQ(dune_vm_batch_end(), 0);
	store_faults(mem, DUNE_W, 0);
}

/* A page that a clone shares is copied: the clone does not see the store. */
static void copied_pages(void)
{
	struct dune_vm_entry entry;
	struct dune_root *clone;

	protect(mem, MIB2, DUNE_R | DUNE_W);
	store(mem, 1);
	protect(mem, PAGE, DUNE_R);
	CHECK_EQ(dune_root_clone(NULL, &clone), 0);
	store_faults(mem, DUNE_W, 1);
	CHECK_EQ(dune_vm_lookup(clone, mem, &entry), 0);
	CHECK_EQ(*(volatile char *)entry.mem, 1);
	CHECK_EQ(dune_root_free(clone), 0);
}

static void all_of_it(dune_trap_fn fn, unsigned int flags)
{
	mode_enter();
	CHECK_EQ(dune_trap_register(DUNE_VECTOR_PF, fn, NULL, flags), 0);
	small_pages();
	no_rights();
	execution();
	large_page();
	tables_come_and_go();
	other_roots();
	in_a_batch();
	looked_at();
	CHECK_EQ(dune_trap_register(DUNE_VECTOR_PF, fn, NULL, flags), 0);
	copied_pages();
	CHECK_EQ(dune_trap_unregister(DUNE_VECTOR_PF), 0);
	mode_exit();
}

static sigjmp_buf jump;

static void on_signal(int sig)
{
	mode_abandon();
	siglongjmp(jump, sig);
}

/* Where it cannot be given the program gets the signal. */
static void delivered(int sig, unsigned int vector, void (*what)(void))
{
	volatile int got;

	REQUIRE(signal(sig, on_signal) != SIG_ERR);
	give = DUNE_W;
	calls = 0;
	got = sigsetjmp(jump, 1);
	if (!got) {
		mode_enter();
		CHECK_EQ(dune_trap_register(vector, on_fast, NULL, DUNE_TRAP_FAST), 0);
		what();
		FAIL("no signal %d", sig);
	}
	CHECK_EQ(got, sig);
	CHECK_EQ(calls, 1);
	CHECK(!dune_inside());
	dune_trap_unregister(vector);
	signal(sig, SIG_DFL);
}

static void store_nowhere(void)
{
	store((char *)NOWHERE, 1);
}

/* Linux has nothing there either. */
static void store_unmapped(void)
{
	char *hole = mem + 3 * MIB2;

	munmap(hole, PAGE);
	CHECK_EQ(dune_vm_unmap(NULL, hole, PAGE), 0);
	store(hole, 1);
}

static void store_protected(void)
{
	protect(mem, PAGE, DUNE_R);
	store(mem, 1);
}

/* Not an action: some error of a call. */
static void no_actions(void)
{
	static const int values[] = { 2, 15, 32, 100, -1, -ENOMEM };

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		junk = values[i];
		delivered(SIGSEGV, DUNE_VECTOR_PF, store_protected);
	}
	junk = 0;
}

/* The last page fault was one whose page could be given rights. */
static void undefined(void)
{
	CHECK_EQ(dune_trap_register(DUNE_VECTOR_PF, on_fast, NULL, DUNE_TRAP_FAST), 0);
	protect(mem, PAGE, DUNE_R);
	store_faults(mem, DUNE_W, 1);
	CHECK_EQ(dune_trap_unregister(DUNE_VECTOR_PF), 0);
	calls = 0;
	asm volatile("ud2");
}

void part_allow(void)
{
	map_memory();
	mode_enter();
	CHECK_EQ(dune_trap_register(DUNE_VECTOR_PF, on_fast, NULL, DUNE_TRAP_FAST), 0);
	huge_page();
	mode_exit();
	all_of_it(on_fast, DUNE_TRAP_FAST);
	all_of_it(on_full, 0);
	delivered(SIGSEGV, DUNE_VECTOR_PF, store_nowhere);
	delivered(SIGSEGV, DUNE_VECTOR_PF, store_unmapped);
	delivered(SIGILL, DUNE_VECTOR_UD, undefined);
	no_actions();
}
