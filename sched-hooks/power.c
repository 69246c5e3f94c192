// SPDX-License-Identifier: GPL-2.0-only
/*
 * See power.h. Lock card: power_lock. Type: mutex. Protects: users, and the
 * order of enabling against CPU hotplug. Order: cpus_read_lock() outside it.
 * Context: process. Hotplug callbacks run under the hotplug write lock, which
 * excludes power_get()/power_put(), so they read users without it.
 */
#include <linux/cpu.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/reboot.h>
#include <linux/smp.h>
#include <asm/reboot.h>

#include "compat.h"
#include "power.h"
#include "residency.h"

static DEFINE_MUTEX(power_lock);
static unsigned int users;
static enum cpuhp_state hotplug_state;
static DEFINE_PER_CPU(bool, enabled);

static int enable_here(void)
{
	int err = 0;

	if (READ_ONCE(vmx_shut_down))
		return -ESHUTDOWN;
	if (!this_cpu_read(enabled)) {
		err = vmx_cpu_enable();
		this_cpu_write(enabled, !err);
	}
	return err;
}

static void disable_here(void *unused)
{
	if (!this_cpu_read(enabled))
		return;
	residency_clear_cpu();
	vmx_cpu_disable();
	/* Last: a crash in between turns VMX off once more, which is harmless. */
	this_cpu_write(enabled, false);
}

bool power_on_here(void)
{
	return this_cpu_read(enabled);
}

static void enable_ipi(void *first_error)
{
	int err = enable_here();

	if (err)
		atomic_cmpxchg((atomic_t *)first_error, 0, err);
}

/* Crash and kexec: any context, the CPUs one by one. */
static void emergency_disable(void)
{
	vmx_announce_shutdown();
	disable_here(NULL);
}

static bool emergency_registered;	/* power_lock */

/*
 * Linux has room for one callback. A loaded kvm_intel owns it, and its own
 * turns VMX off for us as well; a second one would only cause a warning.
 */
static void emergency_register(void)
{
	struct kobject *kvm;

	kvm = kset_find_obj(THIS_MODULE->mkobj.kobj.kset, "kvm_intel");
	if (kvm) {
		kobject_put(kvm);
		return;
	}
	cpu_emergency_register_virt_callback(emergency_disable);
	emergency_registered = true;
}

static void emergency_unregister(void)
{
	if (emergency_registered)
		cpu_emergency_unregister_virt_callback(emergency_disable);
	emergency_registered = false;
}

int power_get(void)
{
	atomic_t error = ATOMIC_INIT(0);
	int err = 0;

	cpus_read_lock();
	mutex_lock(&power_lock);
	if (users++ == 0) {
		on_each_cpu(enable_ipi, &error, 1);
		err = atomic_read(&error);
		if (err) {
			on_each_cpu(disable_here, NULL, 1);
			users--;
		} else {
			emergency_register();
		}
	}
	mutex_unlock(&power_lock);
	cpus_read_unlock();
	if (err == -EBUSY)
		pr_err_ratelimited("dune: another hypervisor holds VT-x (KVM with a running guest, VirtualBox, VMware?); stop it and try again\n");
	else if (err)
		pr_err_ratelimited("dune: VMXON failed: %d\n", err);
	return err;
}

void power_put(void)
{
	cpus_read_lock();
	mutex_lock(&power_lock);
	if (--users == 0) {
		emergency_unregister();
		on_each_cpu(disable_here, NULL, 1);
	}
	mutex_unlock(&power_lock);
	cpus_read_unlock();
}

static int cpu_comes(unsigned int cpu)
{
	unsigned long flags;
	int err = 0;

	local_irq_save(flags);
	if (users)
		err = enable_here();
	local_irq_restore(flags);
	return err;
}

static int cpu_goes(unsigned int cpu)
{
	unsigned long flags;

	local_irq_save(flags);
	disable_here(NULL);
	local_irq_restore(flags);
	return 0;
}

static int suspend(SYSCORE_PARAM)
{
	disable_here(NULL);
	return 0;
}

static void resume(SYSCORE_PARAM)
{
	if (users && enable_here())
		pr_err("dune: VMXON failed on resume\n");
}

/* The boot CPU, which is never unplugged for a suspend; irqs off. */
DEFINE_SYSCORE(syscore, suspend, resume);

static int reboot(struct notifier_block *nb, unsigned long event, void *arg)
{
	vmx_announce_shutdown();
	on_each_cpu(disable_here, NULL, 1);
	return NOTIFY_OK;
}

static struct notifier_block reboot_notifier = {
	.notifier_call = reboot,
};

int power_setup(void)
{
	int state;

	residency_setup();
	state = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "virt/dune:online",
				  cpu_comes, cpu_goes);
	if (state < 0)
		return state;
	hotplug_state = state;
	register_reboot_notifier(&reboot_notifier);
	syscore_add(&syscore);
	return 0;
}

void power_teardown(void)
{
	syscore_remove(&syscore);
	unregister_reboot_notifier(&reboot_notifier);
	cpuhp_remove_state(hotplug_state);
	vmx_free_cpu_regions();
}
