// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What interrupted code must not notice, under as many interrupts as come: its
 * red zone, its general registers, all vector registers that the CPU has; also
 * while it traps, and handlers trap and nest.
 */
#include "ipi.h"

#include <cpuid.h>
#include <sched.h>
#include <string.h>

#define AREA_SIZE 8192
#define MAX_VICTIMS 4
#define ROUNDS 2000		/* of canary(): some 10 us */

/*
 * Load all vector registers, fill the red zone and the general registers, spin,
 * execute UD2 now and then (its handler skips it), look at red zone and
 * registers, save the vector registers. The number of what was wrong.
 */
uint64_t canary(const void *pattern, void *result, uint64_t mask, uint64_t rounds);
asm(".text\n"
    ".globl canary\n"
    ".type canary, @function\n"
    "canary:\n"
    "	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "	mov %rdx, %r11\n"
    "	mov %edx, %eax\n"
    "	xor %edx, %edx\n"
    "	xrstor64 (%rdi)\n"
    "	mov $0x123456789abcdef, %rbx\n"
    "	mov $-16, %r8\n"
    "1:	lea (%rbx,%r8), %r9\n"
    "	mov %r9, (%rsp,%r8,8)\n"
    "	inc %r8\n"
    "	jnz 1b\n"
    "	lea 1(%rbx), %rbp; lea 2(%rbx), %r12; lea 3(%rbx), %r13\n"
    "	lea 4(%rbx), %r14; lea 5(%rbx), %r15; lea 6(%rbx), %r10\n"
    "	lea 7(%rbx), %rdx\n"
    "2:	test $63, %cl\n"
    "	jnz 3f\n"
    "	ud2\n"
    "3:	dec %rcx\n"
    "	jnz 2b\n"
    "	xor %eax, %eax\n"
    "	mov $-16, %r8\n"
    "4:	lea (%rbx,%r8), %r9\n"
    "	cmp %r9, (%rsp,%r8,8)\n"
    "	je 5f\n"
    "	inc %rax\n"
    "5:	inc %r8\n"
    "	jnz 4b\n"
    "	.irp reg, rbp, r12, r13, r14, r15, r10, rdx\n"
    "	inc %rbx\n"
    "	cmp %rbx, %\\reg\n"
    "	je 6f\n"
    "	inc %rax\n"
    "6:\n"
    "	.endr\n"
    "	mov %rax, %r12\n"
    "	mov %r11d, %eax\n"
    "	xor %edx, %edx\n"
    "	xsave64 (%rsi)\n"
    "	mov %r12, %rax\n"
    "	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "	ret\n"
    ".size canary, . - canary\n");

static uint64_t mask;		/* user components: x87, SSE, AVX, AVX-512 */
static unsigned int area_size;
static uint8_t junk[AREA_SIZE] __attribute__((aligned(64)));
static volatile int over, ready;

static struct {
	uint8_t pattern[AREA_SIZE] __attribute__((aligned(64)));
	uint8_t expected[AREA_SIZE], result[AREA_SIZE];
	dune_ipi_id id;
	uint64_t canaries, bad, bad_areas;
	struct dune_ipi_counts counts;
} victims[MAX_VICTIMS];

static volatile uint64_t traps, deepest, handlers;

static void area_fill(uint8_t *area, uint64_t *seed)
{
	for (unsigned int i = 0; i < AREA_SIZE; i += 8)
		*(uint64_t *)(area + i) = rnd(seed);
	memset(area, 0, 32);
	*(uint16_t *)area = 0x37f;
	area[4] = 0xff;				/* x87 registers are in use */
	*(uint32_t *)(area + 24) = 0x1f80 | 0x8000;
	for (int i = 0; i < 8; i++)
		memset(area + 32 + 16 * i + 10, 0, 6);
	memset(area + 512, 0, 64);
	*(uint64_t *)(area + 512) = mask;
}

static void find_components(void)
{
	unsigned int a, b, c, d, low, high;

	__cpuid(1, a, b, c, d);
	if (!(c & bit_OSXSAVE))
		SKIP("no XSAVE on this CPU");
	asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	mask = low & 0xe7;
	__cpuid_count(0xd, 0, a, b, c, d);
	area_size = b;
	REQUIRE(area_size <= AREA_SIZE);
}

/* No vector register keeps its value. */
static void ruin_registers(void)
{
	asm volatile("xrstor64 (%0)" : : "r"(junk), "a"((uint32_t)mask), "d"(0) : "memory");
}

static void clean_registers(void)
{
	uint32_t csr = 0x1f80;

	asm volatile("fninit; ldmxcsr %0" : : "m"(csr));
}

static enum dune_trap_action skips(struct dune_trap *trap, void *arg)
{
	ruin_registers();
	trap->rip += 2;
	__atomic_fetch_add(&traps, 1, __ATOMIC_RELAXED);
	return DUNE_TRAP_RESUME;
}

static __thread int depth;

static enum dune_trap_action full_handler(struct dune_trap *trap, void *arg)
{
	if (++depth > (int)deepest)
		deepest = depth;
	ruin_registers();
	if (__atomic_add_fetch(&handlers, 1, __ATOMIC_RELAXED) % 8 == 0)
		asm volatile("ud2");
	depth--;
	return DUNE_TRAP_RESUME;
}

DUNE_TRAP_FAST_FN static enum dune_trap_action fast_handler(struct dune_trap *trap, void *arg)
{
	volatile uint64_t noise[64];

	for (int i = 0; i < 64; i++)
		noise[i] = trap->rip;
	__atomic_add_fetch(&handlers, 1, __ATOMIC_RELAXED);
	if (noise[7] % 8 == 0)
		asm volatile("ud2");
	return DUNE_TRAP_RESUME;
}

static void be_victim(int index)
{
	uint64_t seed = opt.seed + index, end;

	area_fill(victims[index].pattern, &seed);
	CHECK_EQ(dune_ipi_disable(), 1);
	CHECK_EQ(canary(victims[index].pattern, victims[index].expected, mask, 1), 0);
	clean_registers();
	CHECK_EQ(dune_ipi_enable(), 0);
	victims[index].id = dune_ipi_self();
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	end = deadline(opt.seconds);
	while (now_ns() < end) {
		uint64_t bad = canary(victims[index].pattern, victims[index].result, mask, ROUNDS);

		clean_registers();
		victims[index].bad += bad;
		victims[index].bad_areas += !!memcmp(victims[index].result,
						     victims[index].expected, area_size);
		victims[index].canaries++;
	}
	victims[index].counts = counts_now();
	__atomic_add_fetch(&over, 1, __ATOMIC_SEQ_CST);
}

static void be_sender(int index, int nr_victims)
{
	uint64_t seed = opt.seed * 7 + index;

	while (ready < nr_victims)
		sched_yield();
	/* Without a pause now and then its victims do nothing but leave the guest. */
	while (over < nr_victims) {
		for (uint64_t n = rnd(&seed) % 8; n; n--)
			dune_ipi_send(victims[rnd(&seed) % nr_victims].id,
				      0x30 + rnd(&seed) % 0xc0);
		spin(rnd(&seed) % 20000);
	}
}

static void storm_thread(int index, void *arg)
{
	int nr_victims = *(int *)arg;

	if (index < nr_victims)
		be_victim(index);
	else
		be_sender(index, nr_victims);
}

void part_storm(void)
{
	int nr_victims = opt.threads / 2;
	uint64_t seed = opt.seed + 77;

	REQUIRE(nr_victims >= 1 && nr_victims <= MAX_VICTIMS);
	find_components();
	area_fill(junk, &seed);
	ready = over = 0;
	traps = handlers = deepest = 0;
	memset(victims, 0, sizeof(victims));
	CHECK_EQ(dune_trap_register(DUNE_VECTOR_UD, skips, NULL, 0), 0);
	for (unsigned int v = 0x30; v < 0xf0; v++)
		CHECK_EQ(dune_trap_register(v, v % 3 ? full_handler : fast_handler, NULL,
					    v % 3 ? 0 : DUNE_TRAP_FAST), 0);
	run_threads(opt.threads, storm_thread, &nr_victims);
	dune_trap_unregister(DUNE_VECTOR_UD);
	for (int i = 0; i < nr_victims; i++) {
		printf("    %lu canaries, %lu vectors in %lu notifications\n",
		       victims[i].canaries, victims[i].counts.taken, victims[i].counts.notified);
		CHECK_EQ(victims[i].bad, 0);
		CHECK_EQ(victims[i].bad_areas, 0);
		CHECK(victims[i].canaries > 10);
		CHECK(victims[i].counts.taken > 100);
	}
	printf("    components 0x%lx, %lu traps, %lu full handlers nested\n", mask, traps,
	       deepest);
	CHECK(traps > 100);
	CHECK(deepest > 1);
}
