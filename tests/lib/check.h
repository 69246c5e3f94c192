/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Checks. A failed CHECK prints where, what and both values, is counted and
 * lets the test go on; a failed REQUIRE ends the process. Usable from any
 * thread and in both modes; not from signal handlers.
 */
#ifndef TESTS_CHECK_H
#define TESTS_CHECK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TEST_SKIP 77

/* Failures past this number are counted but no longer printed. */
#define CHECK_MAX_PRINTED 20

extern int check_failures;
extern int check_count;

bool check_true(bool ok, const char *file, int line, const char *what);
bool check_eq(long long got, long long want, const char *file, int line,
	      const char *got_text, const char *want_text);
bool check_in(long long value, long long low, long long high, const char *file,
	      int line, const char *text);
/* ret must be -1 with errno want (err = errno right after the call). */
bool check_errno(long ret, int err, int want, const char *file, int line,
		 const char *what);
/* A failure found by other means. */
void check_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define CHECK(cond) check_true(!!(cond), __FILE__, __LINE__, #cond)
#define CHECK_EQ(got, want)                                                \
	check_eq((long long)(got), (long long)(want), __FILE__, __LINE__, #got, \
		 #want)
#define CHECK_IN(value, low, high)                                  \
	check_in((long long)(value), (long long)(low), (long long)(high), \
		 __FILE__, __LINE__, #value)
#define CHECK_ERRNO(call, want)                                         \
	({                                                              \
		long ce_ret = (long)(call);                             \
		int ce_err = errno;                                     \
		check_errno(ce_ret, ce_err, want, __FILE__, __LINE__, #call); \
	})
#define FAIL(...) check_fail(__FILE__, __LINE__, __VA_ARGS__)
#define REQUIRE(cond)                                                      \
	do {                                                               \
		if (!check_true(!!(cond), __FILE__, __LINE__, #cond)) {    \
			perror("REQUIRE: errno");                          \
			exit(1);                                           \
		}                                                          \
	} while (0)
#define SKIP(...)                                \
	do {                                     \
		printf("SKIP: " __VA_ARGS__);    \
		printf("\n");                    \
		fflush(stdout);                  \
		_exit(TEST_SKIP);                \
	} while (0)

#endif /* TESTS_CHECK_H */
