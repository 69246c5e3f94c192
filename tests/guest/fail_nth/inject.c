// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "fail_nth.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "machine.h"

#define MAX_NTH 3000

static int self = -1;

static const struct {
	const char *path, *value;
} settings[] = {
	/* Not only atomic allocations, and single pages too. */
	{ "failslab/ignore-gfp-wait", "N" },
	{ "fail_page_alloc/ignore-gfp-wait", "N" },
	{ "fail_page_alloc/ignore-gfp-highmem", "N" },
	{ "fail_page_alloc/min-order", "0" },
	/* A stack dump for each fault would be a report for the runner. */
	{ "failslab/verbose", "0" },
	{ "fail_page_alloc/verbose", "0" },
	{ "fail_usercopy/verbose", "0" },
};

bool inject_setup(void)
{
	char path[128];

	if (access("/proc/thread-self/fail-nth", W_OK))
		return false;
	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s",
			 settings[i].path);
		if (!CHECK_EQ(write_text(path, settings[i].value), 0))
			printf("%s\n", path);
	}
	inject_open_self();
	return true;
}

void inject_open_self(void)
{
	self = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	REQUIRE(self >= 0);
}

void inject_arm(int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	REQUIRE(pwrite(self, text, len, 0) == len);
}

int inject_disarm(void)
{
	char text[16] = "1";
	int tries;

	/* Both calls copy to or from user memory: the fault may hit them. */
	if (pread(self, text, sizeof(text) - 1, 0) < 0)
		strcpy(text, "1");
	for (tries = 0; tries < 3 && pwrite(self, "0", 1, 0) != 1; tries++)
		;
	REQUIRE(tries < 3);
	return atoi(text);
}

static bool may_fail_with(const struct op *op, int err)
{
	for (int i = 0; i < MAX_ERRNOS; i++)
		if (op->errnos[i] == err)
			return true;
	return false;
}

static long once(const struct op *op, int n, int *left)
{
	long ret;

	if (op->prepare)
		op->prepare();
	if (n)
		inject_arm(n);
	ret = op->run();
	*left = n ? inject_disarm() : 1;
	if (*left && ret < 0)
		FAIL("%s: %s without a fault (n = %d)", op->name, strerror(-ret), n);
	else if (ret < 0 && !may_fail_with(op, -ret))
		FAIL("%s: errno %ld with fault %d", op->name, -ret, n);
	else
		check_count++;
	if (op->check)
		op->check(ret);
	if (op->undo)
		op->undo(ret);
	return ret;
}

static void inject_op(const struct op *op)
{
	int n, left, failures = 0;

	for (n = 1; n < MAX_NTH; n++) {
		bool failed = once(op, n, &left) < 0;

		failures += failed;
		if (left)
			break;
		/* Again, and all is well: after each failure, and now and then. */
		if ((failed || n % 8 == 0) && once(op, 0, &left) < 0)
			break;
	}
	if (n == MAX_NTH)
		FAIL("%s: no end after %d faults", op->name, n);
	if (n - 1 < op->at_least)
		FAIL("%s: only %d faults, expected %d or more", op->name, n - 1,
		     op->at_least);
	printf("    %-26s %3d faults, of them %d made it fail\n", op->name, n - 1,
	       failures);
}

void inject_all(const struct op *ops, int n)
{
	for (int i = 0; i < n; i++)
		inject_op(&ops[i]);
}
