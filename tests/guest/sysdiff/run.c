// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Every call of kmod/fastcall_list.h with right arguments and then with each
 * argument varied. A call on the list without a description in calls_*.c is an
 * undefined symbol.
 */
#include "sysdiff.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define F(name) extern const struct sd_sig sd_sig_##name;
#include "../../../kmod/fastcall_list.h"
#undef F

static const struct listed {
	const char *name;
	int nr;
	const struct sd_sig *sig;
} listed[] = {
#define F(name) { #name, SYS_##name, &sd_sig_##name },
#include "../../../kmod/fastcall_list.h"
#undef F
};

struct outcome {
	long result;
	uint64_t memory, state;
};

/* Of all trials of one call. */
static unsigned int trials, fast_trials;

/* ---- arguments ---- */

/* Upper half of an argument that the kernel takes as an int. */
#define GARBAGE		0xdeadbeef00000000ul
#define MAX_VARIANTS	16

static unsigned int bad_pointers(uint64_t *out, const struct sd_arg *a, int i)
{
	const uint64_t bad[] = {
		0, 1, SD_AT(i, a->value) + 1,
		SD_HOLE, SD_SLOT_NONE(i),
		/* Half of it is there. */
		SD_SLOT_NONE(i) - a->value / 2,
		a->kind == ARG_OUT ? SD_SLOT_RO(i) : SD_SLOT_NONE(i) - 1,
		/* The first address behind user space, and not canonical. */
		0x7ffffffff000, 0x800000000000, 0xffff7ffffffff000,
		/* The direct map, kernel text, the last page. */
		0xffff888000000000, 0xffffffff81000000, -1ul, -4096ul,
	};

	memcpy(out, bad, sizeof(bad));
	return ARRAY_SIZE(bad);
}

static unsigned int others(uint64_t *out, const struct sd_arg *a)
{
	uint64_t v = a->value;
	const uint64_t fds[] = { -1, FD_BAD, 0x7fffffff, 0x80000000, FD_DIR, FD_PATH,
				 FD_RO, v | GARBAGE };
	const uint64_t nums[] = { 0, 1, -1, 0x7fffffff, 0x80000000, 1ul << 63, v | GARBAGE };
	const uint64_t sizes[] = { 0, 1, v - 1, v + 1, 0x7fffffff, 0x80000000, 1ul << 63, -1 };
	const uint64_t flags[] = { -1, v | 0x40000000, v | 0x80000000, v ^ 0x5555, v | GARBAGE };
	const uint64_t addrs[] = { SD_MAPS + 1, 1, SD_HOLE, 0x7ffffffff000, 0x800000000000,
				   0xffff888000000000, -1, -4096ul };
	/* Behind SD_MAPS nothing is mapped: 1 MiB has a hole and hurts nobody. */
	const uint64_t lens[] = { 0, 1, 4097, -1, 1 << 20 };

#define GIVE(list) ({ memcpy(out, list, sizeof(list)); ARRAY_SIZE(list); })
	switch (a->kind) {
	case ARG_FD:
		return GIVE(fds);
	case ARG_NUM:
		return GIVE(nums);
	case ARG_SIZE:
		return GIVE(sizes);
	case ARG_FLAGS:
		return GIVE(flags);
	case ARG_ADDR:
		return GIVE(addrs);
	case ARG_LEN:
		return GIVE(lens);
	default:
		return 0;
	}
#undef GIVE
}

static unsigned int variants(uint64_t *out, const struct sd_arg *a, int i)
{
	if (a->kind == ARG_OUT || a->kind == ARG_IN)
		return bad_pointers(out, a, i);
	return others(out, a);
}

/* ---- one trial: the same call in each mode ---- */

static bool is_error(long result)
{
	return (unsigned long)result > -4096ul;
}

static long comparable(const struct sd_base *b, int nr, const uint64_t *args, long result)
{
	uint64_t addr = result;

	if (is_error(result) || b->result == RES_SAME)
		return result;
	if (b->result == RES_MAPPED) {
		if (addr >= SD_MAPS && addr < SD_MAPS + SD_MAPS_ROOM)
			return result;
		/* The length is mmap's second argument and mremap's third. */
		munmap((void *)addr, args[nr == SYS_mremap ? 2 : 1]);
	}
	return 0;
}

static void one_mode(const struct sd_base *b, int nr, const uint64_t *args,
		     enum sd_mode mode, struct outcome *o)
{
	struct sd_made made;

	sd_args_fill(b);
	sd_fixtures_make(b->fixtures);
	sd_begin(mode);
	made = sd_call(nr, args);
	sd_end(mode);
	o->result = comparable(b, nr, args, made.result);
	o->memory = sd_args_digest(b);
	o->state = sd_fixtures_digest(b->fixtures);
	if (nr == SYS_brk)
		syscall(SYS_brk, sd_first_break);
	if (opt.native || mode == SD_NATIVE)
		return;
	CHECK_EQ(made.calls, 1);
	if (mode == SD_REISSUE)
		CHECK_EQ(made.fast, 0);
	fast_trials += made.fast;
}

static void trial(const struct listed *l, const struct sd_base *b, const uint64_t *args,
		  int varied)
{
	struct outcome o[SD_NR_MODES];

	for (int mode = 0; mode < SD_NR_MODES; mode++)
		one_mode(b, l->nr, args, mode, &o[mode]);
	trials++;
	for (int mode = 1; mode < SD_NR_MODES; mode++) {
		const char *what = o[mode].result != o[0].result ? "result" :
				   o[mode].memory != o[0].memory ? "memory" :
				   o[mode].state != o[0].state ? "side effect" : NULL;

		check_count++;
		if (what)
			FAIL("%s %s(%#lx, %#lx, %#lx, %#lx, %#lx, %#lx), way %d, argument %d varied: another %s; %ld, natively %ld",
			     sd_mode_name[mode], l->name, args[0], args[1], args[2],
			     args[3], args[4], args[5], (int)(b - l->sig->base),
			     varied, what, o[mode].result, o[0].result);
	}
}

static void each_argument(const struct listed *l, const struct sd_base *b)
{
	uint64_t args[6], variant[MAX_VARIANTS];

	for (int i = 0; i < 6; i++)
		args[i] = sd_arg_value(&b->arg[i], i);
	trial(l, b, args, -1);
	for (int i = 0; i < 6; i++) {
		unsigned int n = variants(variant, &b->arg[i], i);

		for (unsigned int v = 0; v < n; v++) {
			args[i] = variant[v];
			trial(l, b, args, i);
		}
		args[i] = sd_arg_value(&b->arg[i], i);
	}
}

/*
 * A call is re-issued in fast mode too when a preemption left work behind just
 * before it: seldom, so a call of which less than half were fast is not fast.
 */
static void check_fast(const struct listed *l)
{
	if (opt.native)
		return;
	if (fast_trials * 2 < trials || fast_trials > trials)
		FAIL("%s: %u of %u calls were made inside the kernel", l->name,
		     fast_trials, trials);
	check_count++;
}

void sd_run_calls(void)
{
	unsigned int all = 0, fast = 0;

	sd_first_break = syscall(SYS_brk, 0);
	for (size_t i = 0; i < ARRAY_SIZE(listed); i++) {
		const struct listed *l = &listed[i];

		trials = fast_trials = 0;
		for (unsigned int b = 0; b < l->sig->n; b++)
			each_argument(l, &l->sig->base[b]);
		check_fast(l);
		all += trials;
		fast += fast_trials;
	}
	printf("    %zu calls, %u cases, each %d times; %u made inside the kernel\n",
	       ARRAY_SIZE(listed), all, SD_NR_MODES, fast);
}
