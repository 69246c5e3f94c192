// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "check.h"

#include <stdarg.h>
#include <string.h>

int check_failures;
int check_count;

static bool note_failure(void)
{
	int n = __atomic_add_fetch(&check_failures, 1, __ATOMIC_RELAXED);

	if (n == CHECK_MAX_PRINTED + 1)
		printf("... further failures are only counted\n");
	return n <= CHECK_MAX_PRINTED;
}

bool check_true(bool ok, const char *file, int line, const char *what)
{
	__atomic_add_fetch(&check_count, 1, __ATOMIC_RELAXED);
	if (!ok && note_failure())
		printf("%s:%d: FAILED: %s\n", file, line, what);
	return ok;
}

bool check_eq(long long got, long long want, const char *file, int line,
	      const char *got_text, const char *want_text)
{
	__atomic_add_fetch(&check_count, 1, __ATOMIC_RELAXED);
	if (got == want)
		return true;
	if (note_failure())
		printf("%s:%d: FAILED: %s is %lld (0x%llx), want %s = %lld (0x%llx)\n",
		       file, line, got_text, got, got, want_text, want, want);
	return false;
}

bool check_in(long long value, long long low, long long high, const char *file,
	      int line, const char *text)
{
	__atomic_add_fetch(&check_count, 1, __ATOMIC_RELAXED);
	if (value >= low && value <= high)
		return true;
	if (note_failure())
		printf("%s:%d: FAILED: %s is %lld, want %lld to %lld\n", file,
		       line, text, value, low, high);
	return false;
}

bool check_errno(long ret, int err, int want, const char *file, int line,
		 const char *what)
{
	__atomic_add_fetch(&check_count, 1, __ATOMIC_RELAXED);
	if (ret == -1 && err == want)
		return true;
	if (!note_failure())
		return false;
	if (ret == -1)
		printf("%s:%d: FAILED: %s: errno %d (%s), want %d (%s)\n", file,
		       line, what, err, strerror(err), want, strerror(want));
	else
		printf("%s:%d: FAILED: %s returned %ld, want errno %d (%s)\n",
		       file, line, what, ret, want, strerror(want));
	return false;
}

void check_fail(const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	__atomic_add_fetch(&check_count, 1, __ATOMIC_RELAXED);
	if (!note_failure())
		return;
	printf("%s:%d: FAILED: ", file, line);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}
