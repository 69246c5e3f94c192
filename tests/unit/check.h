/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Checks for the unit tests. A program is a list of CASE()s; each prints one
 * line, "ok NAME" or "FAIL NAME: where: what" with the first failed check.
 */
#ifndef UNIT_CHECK_H
#define UNIT_CHECK_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static const char *check_case;
static int check_case_failed;	/* atomic: threads check too */
static int check_failures;

__attribute__((format(printf, 1, 2)))
static inline void check_fail(const char *format, ...)
{
	va_list args;

	if (__atomic_exchange_n(&check_case_failed, 1, __ATOMIC_RELAXED))
		return;
	printf("FAIL %s: ", check_case);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

static inline bool check_failed(void)
{
	return __atomic_load_n(&check_case_failed, __ATOMIC_RELAXED);
}

#define CHECK(cond) do { \
	if (!(cond)) \
		check_fail("%s:%d: %s", __FILE__, __LINE__, #cond); \
} while (0)

#define CHECK_EQ(a, b) do { \
	unsigned long long a_ = (unsigned long long)(a); \
	unsigned long long b_ = (unsigned long long)(b); \
	if (a_ != b_) \
		check_fail("%s:%d: %s is %llu (0x%llx), %s is %llu (0x%llx)", \
			   __FILE__, __LINE__, #a, a_, a_, #b, b_, b_); \
} while (0)

static inline void check_run(const char *name, void (*run)(void))
{
	check_case = name;
	check_case_failed = 0;
	run();
	if (check_failed())
		check_failures++;
	else
		printf("ok %s\n", name);
	fflush(stdout);
}

#define CASE(name)	check_run(#name, name)
#define CHECK_EXIT()	(check_failures ? 1 : 0)

#endif /* UNIT_CHECK_H */
