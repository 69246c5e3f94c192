/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What in the kernel log is a report of a bug. */
#ifndef TESTS_KERNEL_REPORTS_H
#define TESTS_KERNEL_REPORTS_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static const char *const kernel_reports[] = {
	"WARNING:", "BUG:", "kernel BUG at", "Oops:", "general protection fault",
	"unable to handle", "INFO: task ", "INFO: rcu", "rcu: INFO:", "possible ",
	"inconsistent lock state", "suspicious RCU usage", "KASAN", "KCSAN",
	"UBSAN:", "kmemleak:", "lock held when returning", "DEADLOCK",
	"scheduling while atomic", "sleeping function called", "refcount_t:",
	"Bad page state", "Bad rss-counter", "list_del corruption",
	"list_add corruption", "soft lockup", "hard LOCKUP", "Call Trace:",
	"nobody cared", "dune: BUG",
};

/* Reports that are not: a message that holds one of these is passed over. */
static const char *const kernel_harmless[] = {
	"possible CPU", "Possible clock", "WARNING: Spectre",
	"dune-test:", "traps: ",
	/* It looks at all of the object then: no leak is missed. */
	"kmemleak: Cannot allocate a scan area",
};

static inline bool kernel_is_report(const char *line)
{
	for (size_t i = 0; i < sizeof(kernel_harmless) / sizeof(char *); i++)
		if (strstr(line, kernel_harmless[i]))
			return false;
	for (size_t i = 0; i < sizeof(kernel_reports) / sizeof(char *); i++)
		if (strstr(line, kernel_reports[i]))
			return true;
	return false;
}

#endif /* TESTS_KERNEL_REPORTS_H */
