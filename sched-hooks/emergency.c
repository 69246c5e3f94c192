// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two ways lead here, because neither serves in every case:
 *
 * - Linux' one slot for a callback. kvm_intel wants it for itself (6.1: while
 *   it is loaded; 6.12: while it enables VMX) and warns when it is taken, so it
 *   is given up before kvm_intel's own code runs and not asked for while that
 *   is loaded. 6.12 looks at the slot to decide whether an emergency restart
 *   takes the other CPUs out of VMX at all.
 * - A probe of the function that reads the slot, which every crashing or
 *   stopped CPU calls. It serves beside a kvm_intel.
 *
 * Lock card: slot_lock. Type: mutex. Protects: armed, slot_ours, kvm_there.
 * Context: process. Inside power_lock; inside it only Linux' own.
 */
#include <linux/kobject.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/string.h>
#include <asm/reboot.h>

#include "emergency.h"

static DEFINE_MUTEX(slot_lock);
static bool armed, slot_ours, kvm_there;
static void (*turn_off)(void);

static int on_emergency(struct kprobe *probe, struct pt_regs *regs)
{
	turn_off();
	return 0;
}

static struct kprobe probe = {
	.symbol_name = "cpu_emergency_disable_virtualization",
	.pre_handler = on_emergency,
};

/* slot_lock held: the slot is ours when it should be, and only then. */
static void update_slot(void)
{
	bool want = armed && !kvm_there;

	if (want == slot_ours)
		return;
	if (want)
		cpu_emergency_register_virt_callback(turn_off);
	else
		cpu_emergency_unregister_virt_callback(turn_off);
	slot_ours = want;
}

static bool kvm_is_loaded(void)
{
	struct kobject *kvm;

	kvm = kset_find_obj(THIS_MODULE->mkobj.kobj.kset, "kvm_intel");
	kobject_put(kvm);
	return kvm;
}

static int on_module(struct notifier_block *nb, unsigned long event, void *arg)
{
	struct module *module = arg;

	if (strcmp(module->name, "kvm_intel") ||
	    (event != MODULE_STATE_COMING && event != MODULE_STATE_GOING))
		return NOTIFY_DONE;
	mutex_lock(&slot_lock);
	/* Going: its own exit code has run, or its init failed. */
	kvm_there = event == MODULE_STATE_COMING;
	update_slot();
	mutex_unlock(&slot_lock);
	return NOTIFY_OK;
}

static struct notifier_block module_notifier = {
	.notifier_call = on_module,
};

int emergency_setup(void (*off)(void))
{
	int err;

	turn_off = off;
	err = register_kprobe(&probe);
	if (err) {
		pr_err("dune: cannot probe %s: %d\n", probe.symbol_name, err);
		return err;
	}
	err = register_module_notifier(&module_notifier);
	if (err) {
		unregister_kprobe(&probe);
		return err;
	}
	mutex_lock(&slot_lock);
	kvm_there = kvm_there || kvm_is_loaded();
	mutex_unlock(&slot_lock);
	return 0;
}

void emergency_teardown(void)
{
	unregister_module_notifier(&module_notifier);
	unregister_kprobe(&probe);
}

void emergency_arm(void)
{
	mutex_lock(&slot_lock);
	armed = true;
	update_slot();
	mutex_unlock(&slot_lock);
}

void emergency_disarm(void)
{
	mutex_lock(&slot_lock);
	armed = false;
	update_slot();
	mutex_unlock(&slot_lock);
}
