// SPDX-License-Identifier: GPL-2.0-only
/* Module load and unload: units set up in order, torn down in reverse. */
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>

#include "dev.h"
#include "fastcall.h"
#include "inode.h"
#include "power.h"
#include "reclaim.h"
#include "topology.h"
#include "vcpu.h"
#include "vmcs_stats.h"
#include "vmx/mitigate.h"

static int preempt_setup(void)
{
	preempt_notifier_inc();
	return 0;
}

static void nothing(void)
{
}

static const struct unit {
	const char *name;
	int (*setup)(void);
	void (*teardown)(void);
} units[] = {
	/* Freed table pages wait for a grace period in our code. */
	{ "rcu", NULL, rcu_barrier },
	{ "vmx", vmx_setup, vmx_teardown },
	{ "vmcs stats", vmcs_stats_setup, vmcs_stats_teardown },
	{ "mitigations", vmx_mitigate_setup, vmx_mitigate_teardown },
	{ "system calls", fastcall_setup, nothing },
	{ "power", power_setup, power_teardown },
	{ "topology", topology_setup, topology_teardown },
	{ "preempt", preempt_setup, preempt_notifier_dec },
	{ "thread exit", thread_exit_setup, thread_exit_teardown },
	{ "reclaim", reclaim_setup, reclaim_teardown },
	{ "inodes", inode_setup, inode_teardown },
	{ "dev", dev_setup, dev_teardown },
};

static void teardown_from(unsigned int nr)
{
	while (nr--)
		units[nr].teardown();
}

static int __init dune_module_init(void)
{
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(units); i++) {
		err = units[i].setup ? units[i].setup() : 0;
		if (err) {
			pr_err("dune: not loaded: %s: %d\n", units[i].name, err);
			teardown_from(i);
			return err;
		}
	}
	pr_info("dune: ready\n");
	return 0;
}

static void __exit dune_module_exit(void)
{
	teardown_from(ARRAY_SIZE(units));
}

module_init(dune_module_init);
module_exit(dune_module_exit);
MODULE_LICENSE("GPL v2");
MODULE_DESCRIPTION("Dune: processes in VT-x non-root mode, for many cores");
