// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Numbers that are no system call, and what surrounds the number in rax. */
#include "sysdiff.h"

#include <unistd.h>

#define LAST_TO_TRY	1100

static long in_mode(enum sd_mode mode, uint64_t rax, const uint64_t *args, unsigned int *fast)
{
	struct sd_made made;

	sd_begin(mode);
	made = sd_call(rax, args);
	sd_end(mode);
	if (!opt.native && mode != SD_NATIVE)
		CHECK_EQ(made.calls, 1);
	*fast = made.fast;
	return made.result;
}

/* What natively comes of it, in each mode; how often it was fast. */
static long compare(uint64_t rax, const uint64_t *args, unsigned int *fast)
{
	unsigned int ignored;
	long native = in_mode(SD_NATIVE, rax, args, &ignored);
	long reissued = in_mode(SD_REISSUE, rax, args, &ignored);
	long inside = in_mode(SD_FAST, rax, args, fast);

	CHECK_EQ(ignored, 0);
	check_count++;
	if (reissued != native || inside != native)
		FAIL("rax %#lx: %ld natively, %ld re-issued, %ld fast", rax,
		     native, reissued, inside);
	return native;
}

static void no_calls(void)
{
	static const uint64_t args[6] = { 1, 2, 3, 4, 5, 6 };
	static const uint64_t odd[] = {
		-1, -2, -100, -4096, 0xffffffff, 0x80000000, 0x7fffffff, 65535,
		0x40000000 | SYS_getpid,	/* x32, which Debian does not allow */
		0x40000000 | 512, 0x40000000 | 547, 0x40000000 | 548, 0x40000000,
		0x80000000 | SYS_getpid,
	};
	unsigned int fast;
	long n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		CHECK_EQ(compare(odd[i], args, &fast), -ENOSYS);
		CHECK_EQ(fast, 0);
	}
	/* 335 and 336 are calls of later kernels, for uprobes' own code. */
	for (long nr = 337; nr < LAST_TO_TRY; nr++) {
		if (nr >= 424 && nr < 512)
			continue;	/* calls, or calls of later kernels */
		n++;
		CHECK_EQ(compare(nr, args, &fast), -ENOSYS);
		CHECK_EQ(fast, 0);
	}
	printf("    %ld numbers are no call\n", n + (long)ARRAY_SIZE(odd));
}

/* Linux looks at the lower half of rax only. */
static void upper_half(void)
{
	static const uint64_t args[6] = { 1, 2, 3, 4, 5, 6 };
	static const uint64_t upper[] = {
		0xffffffff00000000, 0xdeadbeef00000000, 1ul << 32, 1ul << 63,
		/* That of the module's own hypercalls. */
		DUNE_HC(0),
	};
	unsigned int fast, all = 0;

	for (size_t i = 0; i < ARRAY_SIZE(upper); i++) {
		CHECK_EQ(compare(upper[i] | SYS_getppid, args, &fast), getppid());
		all += fast;
		CHECK_EQ(compare(upper[i] | SYS_getpgrp, args, &fast), getpgrp());
		all += fast;
		/* write(1, 2, 0): the number of DUNE_HC_LEAVE. */
		compare(upper[i] | SYS_write, (uint64_t[6]){ FD_BAD }, &fast);
		all += fast;
		compare(upper[i] | 99999, args, &fast);
		CHECK_EQ(fast, 0);
	}
	if (!opt.native)
		CHECK_IN(all, 2 * ARRAY_SIZE(upper), 3 * ARRAY_SIZE(upper));
}

void sd_run_numbers(void)
{
	no_calls();
	upper_half();
}
