// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Vector registers over a trap: a full handler may ruin them all, a fast one
 * finds and leaves them. Up to AVX-512, the control words included.
 */
#include "traps.h"

#include <cpuid.h>

#define AREA_SIZE 8192
#define LEGACY_MXCSR 24

static uint64_t mask;		/* user state components under test */
static unsigned int area_size;
static uint8_t pattern[AREA_SIZE] __attribute__((aligned(64)));
static uint8_t result[AREA_SIZE] __attribute__((aligned(64)));

static void find_components(void)
{
	unsigned int a, b, c, d, low, high;

	__cpuid(1, a, b, c, d);
	if (!(c & bit_OSXSAVE))
		SKIP("no XSAVE on this CPU");
	asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	mask = low & 0xe7;		/* x87, SSE, AVX, AVX-512 */
	__cpuid_count(0xd, 0, a, b, c, d);
	area_size = b;
	REQUIRE(area_size <= AREA_SIZE);
}

static void make_pattern(uint64_t *seed)
{
	uint64_t *words = (uint64_t *)pattern;

	for (unsigned int i = 0; i < AREA_SIZE / 8; i++)
		words[i] = rnd(seed);
	memset(pattern, 0, 32);
	*(uint16_t *)pattern = 0x27f;		/* FCW: double precision */
	*(uint32_t *)(pattern + LEGACY_MXCSR) = 0x5f80;
	for (int i = 0; i < 8; i++)		/* x87 registers: 10 of 16 bytes */
		memset(pattern + 32 + 16 * i + 10, 0, 6);
	memset(pattern + 512, 0, 64);
	*(uint64_t *)(pattern + 512) = mask;
}

static bool have_avx512(void)
{
	return mask & 0x80;
}

/* Not a register is what it was; wide is what this CPU has. */
static void ruin_registers(void)
{
	static const uint64_t junk[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	uint32_t csr = 0x1f80 | 0x8000;

	asm volatile("fninit; fld1; fldpi; ldmxcsr %0" : : "m"(csr));
	if (have_avx512())
		asm volatile(".irp r, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
			     "vmovdqu64 %0, %%zmm\\r\n"
			     ".endr\n"
			     ".irp r, 0,1,2,3,4,5,6,7\n"
			     "kmovw %1, %%k\\r\n"
			     ".endr\n" : : "m"(junk), "r"(0x5555));
	else if (mask & 4)
		asm volatile(".irp r, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
			     "vmovdqu %0, %%ymm\\r\n"
			     ".endr\n" : : "m"(junk));
	else
		asm volatile(".irp r, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
			     "movdqu %0, %%xmm\\r\n"
			     ".endr\n" : : "m"(junk));
}

/* Load, trap, save. No compiled code in between. */
__attribute__((noipa)) static void load_trap_save(void)
{
	asm volatile("xrstor64 %2\n"
		     "sub	$128, %%rsp\n"
		     "ud2\n"
		     "after_trap:\n"
		     "add	$128, %%rsp\n"
		     "xsave64 %0\n"
		     : "=m"(result) : "m"(result), "m"(pattern), "a"(mask), "d"(0)
		     : "memory", "cc");
}

extern const char after_trap[];

/* The components, where CPUID says they are; x87 and SSE in the legacy part. */
static int differences(const uint8_t *got, const uint8_t *want)
{
	unsigned int a, b, c, d;
	int bad = 0;

	bad += *(uint16_t *)got != *(uint16_t *)want;
	bad += *(uint32_t *)(got + LEGACY_MXCSR) != *(uint32_t *)(want + LEGACY_MXCSR);
	for (int i = 0; i < 8; i++)
		bad += !!memcmp(got + 32 + 16 * i, want + 32 + 16 * i, 10);
	bad += !!memcmp(got + 160, want + 160, 256);
	for (int i = 2; i < 8; i++) {
		if (!(mask & (1u << i)))
			continue;
		__cpuid_count(0xd, i, a, b, c, d);
		bad += !!memcmp(got + b, want + b, a);
	}
	return bad;
}

static struct {
	volatile int calls;
	uint32_t mxcsr;
	uint16_t fcw;
	bool spoil;
	int area_bad;
	uint8_t *set;		/* if not NULL: go on with these */
} full;

static enum dune_trap_action full_handler(struct dune_trap *trap, void *arg)
{
	asm volatile("stmxcsr %0; fnstcw %1" : "=m"(full.mxcsr), "=m"(full.fcw));
	full.calls++;
	full.area_bad = differences(trap->xsave, pattern);
	if (full.set)
		memcpy(trap->xsave, full.set, area_size);
	ruin_registers();
	trap->rip = (uintptr_t)after_trap;
	/* A nested one as well. */
	if (full.spoil) {
		full.spoil = false;
		int_n(0x80);
	}
	return DUNE_TRAP_RESUME;
}

static enum dune_trap_action nested_full(struct dune_trap *trap, void *arg)
{
	ruin_registers();
	return DUNE_TRAP_RESUME;
}

static uint64_t fast_xmm;
static volatile int fast_calls;

DUNE_TRAP_FAST_FN static enum dune_trap_action fast_handler(struct dune_trap *trap, void *arg)
{
	fast_calls++;
	asm volatile("movq %%xmm7, %0" : "=m"(fast_xmm));
	trap->rip = (uintptr_t)after_trap;
	return DUNE_TRAP_RESUME;
}

static void clean(void)
{
	uint32_t csr = 0x1f80;

	asm volatile("fninit; ldmxcsr %0" : : "m"(csr));
}

static void full_round(int index, void *arg)
{
	for (int i = 0; i < 20; i++) {
		full.calls = 0;
		full.spoil = i & 1;
		memset(result, 0, sizeof(result));
		load_trap_save();
		clean();
		CHECK_EQ(full.calls, 1);
		CHECK_EQ(full.mxcsr, 0x1f80);
		CHECK_EQ(full.fcw, 0x37f);
		CHECK_EQ(full.area_bad, 0);
		CHECK_EQ(differences(result, full.set ? full.set : pattern), 0);
	}
}

static void fast_round(int index, void *arg)
{
	for (int i = 0; i < 20; i++) {
		fast_calls = 0;
		memset(result, 0, sizeof(result));
		load_trap_save();
		clean();
		CHECK_EQ(fast_calls, 1);
		CHECK_EQ(fast_xmm, *(uint64_t *)(pattern + 160 + 16 * 7));
		CHECK_EQ(differences(result, pattern), 0);
	}
}

void part_vectors_saved(void)
{
	uint64_t seed = opt.seed;

	find_components();
	printf("    components 0x%llx, %u bytes\n", (unsigned long long)mask, area_size);
	for (int i = 0; i < 5; i++) {
		make_pattern(&seed);
		full.set = NULL;
		CHECK_EQ(dune_trap_register(DUNE_VECTOR_UD, full_handler, NULL, 0), 0);
		CHECK_EQ(dune_trap_register(0x80, nested_full, NULL, 0), 0);
		run_threads(1, full_round, NULL);
		CHECK_EQ(dune_trap_register(DUNE_VECTOR_UD, fast_handler, NULL,
					    DUNE_TRAP_FAST), 0);
		run_threads(1, fast_round, NULL);
	}
	dune_trap_unregister(DUNE_VECTOR_UD);
	dune_trap_unregister(0x80);
}

/* What a full handler writes to the area, the code goes on with. */
void part_fpu_state(void)
{
	static uint8_t other[AREA_SIZE] __attribute__((aligned(64)));
	uint64_t seed = opt.seed + 1;

	find_components();
	make_pattern(&seed);
	memcpy(other, pattern, sizeof(other));
	make_pattern(&seed);
	full.set = other;
	CHECK_EQ(dune_trap_register(DUNE_VECTOR_UD, full_handler, NULL, 0), 0);
	CHECK_EQ(dune_trap_register(0x80, nested_full, NULL, 0), 0);
	run_threads(1, full_round, NULL);
	dune_trap_unregister(DUNE_VECTOR_UD);
	dune_trap_unregister(0x80);
	full.set = NULL;
}
