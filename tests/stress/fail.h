/* SPDX-License-Identifier: GPL-2.0 OR MIT */
#ifndef STRESS_FAIL_H
#define STRESS_FAIL_H

/* Prints what is wrong, in which round, and ends the program. */
__attribute__((noreturn, format(printf, 1, 2)))
void fail(const char *format, ...);

#endif /* STRESS_FAIL_H */
