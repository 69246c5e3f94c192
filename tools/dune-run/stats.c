// SPDX-License-Identifier: GPL-2.0 OR MIT
/* dune-run --stats: what the process's vm has counted, at its end. Plain code. */
#include <stdio.h>
#include <unistd.h>
#include <sys/ioctl.h>

#include "run.h"

void run_stats(struct dune_thread *t, void *unused)
{
	struct dune_stats stats;

	(void)t;
	(void)unused;
	/* The running vCPUs' too. */
	ioctl(dune_vm.fd, DUNE_SYNC_COUNTERS, 0);
	if (dune_stats(&stats))
		return;
	dprintf(STDERR_FILENO, "dune-run: process %d:\n", getpid());
	for (unsigned int i = 0; i < DUNE_NR_VM_COUNTERS; i++)
		if (stats.vm[i])
			dprintf(STDERR_FILENO, "  %-24s %12llu  %s\n", dune_vm_counter_name(i),
				(unsigned long long)stats.vm[i], dune_vm_counter_text(i));
	for (unsigned int i = 0; i < DUNE_NR_VCPU_COUNTERS; i++)
		if (stats.vcpu[i])
			dprintf(STDERR_FILENO, "  %-24s %12llu  %s\n", dune_vcpu_counter_name(i),
				(unsigned long long)stats.vcpu[i], dune_vcpu_counter_text(i));
}
