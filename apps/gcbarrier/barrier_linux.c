// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The barrier that Linux offers to any program: a signal for each page. */
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "barrier.h"
#include "remember.h"

static int set_rights(char *base, size_t len, enum right right)
{
	return mprotect(base, len, right == RIGHT_WRITE ? PROT_READ | PROT_WRITE : PROT_READ) ?
		       -errno :
		       0;
}

static struct remember remember = { .set = set_rights };
static struct sigaction before;

static void on_segv(int signal, siginfo_t *info, void *context)
{
	int saved = errno;

	/* Not ours, or no way to go on: happens again, without this handler. */
	if (!remember_has(&remember, info->si_addr) || remember_fault(&remember, info->si_addr))
		sigaction(signal, &before, NULL);
	errno = saved;
	(void)context;
}

static int linux_start(char *base, size_t len)
{
	struct sigaction action = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO };

	if (sigaction(SIGSEGV, &action, &before))
		return -errno;
	return remember_start(&remember, base, len);
}

static int linux_take(uint64_t *pages)
{
	return remember_take(&remember, pages);
}

static void linux_stop(void)
{
	remember_stop(&remember);
	sigaction(SIGSEGV, &before, NULL);
}

static uint64_t linux_traps(void)
{
	return remember.traps;
}

const struct barrier barrier_mprotect = {
	.name = "mprotect",
	.start = linux_start,
	.take = linux_take,
	.stop = linux_stop,
	.traps = linux_traps,
};
