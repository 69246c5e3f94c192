// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU goes with its thread. File descriptors belong to the process, so the
 * exit of one thread closes nothing; the sched_process_exit tracepoint tells.
 * It is found by name, because the tracepoint itself is not exported.
 *
 * Lock card: owners_lock. Type: spinlock. Protects: owners, and that work is
 * queued only for a watched vCPU. Context: process (a tracepoint probe:
 * preemption off). Inside nothing; the workqueue's locks inside it.
 */
#include <linux/hashtable.h>
#include <linux/sched.h>
#include <linux/tracepoint.h>

#include "vcpu.h"

#define OWNER_HASH_BITS	8

static DEFINE_SPINLOCK(owners_lock);
static DEFINE_HASHTABLE(owners, OWNER_HASH_BITS);	/* key: owner */
static struct tracepoint *exit_tracepoint;

/* Every exit of every task comes here: one empty bucket is all it costs. */
static void on_task_exit(void *unused, struct task_struct *task)
{
	struct pid *pid = task_pid(task);
	struct dune_vcpu *vcpu;

	if (hlist_empty(&owners[hash_min((unsigned long)pid, OWNER_HASH_BITS)]))
		return;
	spin_lock(&owners_lock);
	hash_for_each_possible(owners, vcpu, by_owner, (unsigned long)pid)
		if (vcpu->owner == pid)
			schedule_work(&vcpu->retire);
	spin_unlock(&owners_lock);
}

static void find_tracepoint(struct tracepoint *tp, void *name)
{
	if (!strcmp(tp->name, name))
		exit_tracepoint = tp;
}

int thread_exit_setup(void)
{
	for_each_kernel_tracepoint(find_tracepoint, "sched_process_exit");
	if (!exit_tracepoint) {
		pr_err("dune: this kernel has no sched_process_exit tracepoint\n");
		return -ENODEV;
	}
	return tracepoint_probe_register(exit_tracepoint, on_task_exit, NULL);
}

void thread_exit_teardown(void)
{
	tracepoint_probe_unregister(exit_tracepoint, on_task_exit, NULL);
	tracepoint_synchronize_unregister();
}

void thread_exit_watch(struct dune_vcpu *vcpu)
{
	spin_lock(&owners_lock);
	hash_add(owners, &vcpu->by_owner, (unsigned long)vcpu->owner);
	spin_unlock(&owners_lock);
}

void thread_exit_unwatch(struct dune_vcpu *vcpu)
{
	spin_lock(&owners_lock);
	hash_del(&vcpu->by_owner);
	spin_unlock(&owners_lock);
	cancel_work_sync(&vcpu->retire);
}
