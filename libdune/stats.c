// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Counters: copied from the module's shared pages, named by the X-macros. */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "internal.h"

static void copy(uint64_t *to, const __u64 *from, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

int dune_stats(struct dune_stats *stats)
{
	struct dune_thread *t = dune_thread_current();

	memset(stats, 0, sizeof(*stats));
	if (!dune_alive())
		return -EINVAL;
	dune_syscall(SYS_ioctl, dune_vm.fd, DUNE_SYNC_COUNTERS, 0, 0, 0, 0);
	copy(stats->vm, dune_vm.page->counters, dune_vm.nr_vm_counters);
	if (t)
		copy(stats->vcpu, t->page->counters, dune_vm.nr_vcpu_counters);
	return 0;
}

#define NAME(name, text)	#name,
#define TEXT(name, text)	text,

static const char *const vm_names[] = { DUNE_VM_COUNTERS(NAME) };
static const char *const vm_texts[] = { DUNE_VM_COUNTERS(TEXT) };
static const char *const vcpu_names[] = { DUNE_VCPU_COUNTERS(NAME) };
static const char *const vcpu_texts[] = { DUNE_VCPU_COUNTERS(TEXT) };

const char *dune_vm_counter_name(unsigned int i)
{
	return i < DUNE_NR_VM_COUNTERS ? vm_names[i] : NULL;
}

const char *dune_vm_counter_text(unsigned int i)
{
	return i < DUNE_NR_VM_COUNTERS ? vm_texts[i] : NULL;
}

const char *dune_vcpu_counter_name(unsigned int i)
{
	return i < DUNE_NR_VCPU_COUNTERS ? vcpu_names[i] : NULL;
}

const char *dune_vcpu_counter_text(unsigned int i)
{
	return i < DUNE_NR_VCPU_COUNTERS ? vcpu_texts[i] : NULL;
}
