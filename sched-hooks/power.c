// SPDX-License-Identifier: GPL-2.0-only
/*
 * See power.h. Lock card: power_lock. Type: mutex. Protects: users, and the
 * order of enabling against CPU hotplug. Order: cpus_read_lock() outside it.
 * Context: process. Hotplug callbacks run under the hotplug write lock, which
 * excludes power_get()/power_put(), so they read users without it.
 */
#include <linux/cpu.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/reboot.h>
#include <linux/sched/signal.h>
#include <linux/smp.h>

#include "compat.h"
#include "emergency.h"
#include "power.h"
#include "residency.h"
#include "user_return.h"

static DEFINE_MUTEX(power_lock);
static unsigned int users;
static enum cpuhp_state hotplug_state;
static DEFINE_PER_CPU(bool, enabled);

static int enable_here(void)
{
	int err;

	if (READ_ONCE(vmx_shut_down))
		return -ESHUTDOWN;
	if (this_cpu_read(enabled))
		return 0;
	/* First: a crash from here on turns VMX off, on or not. */
	this_cpu_write(enabled, true);
	err = vmx_cpu_enable();
	if (err)
		this_cpu_write(enabled, false);
	return err;
}

static void disable_here(void *unused)
{
	if (!this_cpu_read(enabled))
		return;
	user_return_disarm_here();
	residency_clear_cpu();
	vmx_cpu_disable();
	/* Last: a crash in between turns VMX off once more, which is harmless. */
	this_cpu_write(enabled, false);
}

bool power_on_here(void)
{
	return this_cpu_read(enabled);
}

enum power_state power_state_here(void)
{
	if (power_on_here())
		return POWER_ON;
	return cpu_active(smp_processor_id()) ? POWER_LOST : POWER_GOING;
}

static void enable_ipi(void *first_error)
{
	int err = enable_here();

	if (err)
		atomic_cmpxchg((atomic_t *)first_error, 0, err);
}

/*
 * Crash: any context, even in the middle of a change of this CPU's list or of
 * its VMX operation. Nothing runs here afterwards but the way to the other
 * kernel.
 */
static void emergency_off(void)
{
	if (!this_cpu_read(enabled))
		return;
	vmx_announce_shutdown();
	residency_emergency_clear_cpu();
	vmx_cpu_disable();
	this_cpu_write(enabled, false);
}

int power_get(void)
{
	atomic_t error = ATOMIC_INIT(0);
	int err = 0;

	cpus_read_lock();
	mutex_lock(&power_lock);
	if (users++ == 0) {
		emergency_arm();
		on_each_cpu(enable_ipi, &error, 1);
		err = atomic_read(&error);
		if (err) {
			on_each_cpu(disable_here, NULL, 1);
			emergency_disarm();
			users--;
		}
	}
	mutex_unlock(&power_lock);
	cpus_read_unlock();
	if (err == -EBUSY)
		pr_err_ratelimited("dune: another hypervisor holds VT-x (KVM with a running guest, VirtualBox, VMware; from Linux 6.12 on also an idle KVM that was not loaded with kvm.enable_virt_at_load=0); stop it and try again\n");
	else if (err)
		pr_err_ratelimited("dune: VMXON failed: %d\n", err);
	return err;
}

int power_stay_down(void)
{
	while (!fatal_signal_pending(current))
		schedule_timeout_killable(HZ);
	return -ESHUTDOWN;
}

void power_put(void)
{
	cpus_read_lock();
	mutex_lock(&power_lock);
	if (--users == 0) {
		on_each_cpu(disable_here, NULL, 1);
		emergency_disarm();
	}
	mutex_unlock(&power_lock);
	cpus_read_unlock();
}

/*
 * Without VMX this CPU stays offline: a thread in Dune mode could not run on
 * it. A machine that goes down keeps its CPUs.
 */
static int cpu_comes(unsigned int cpu)
{
	unsigned long flags;
	int err = 0;

	local_irq_save(flags);
	if (users && !READ_ONCE(vmx_shut_down))
		err = enable_here();
	local_irq_restore(flags);
	if (err)
		pr_err("dune: CPU %u stays offline, VMXON failed: %d\n", cpu, err);
	return err;
}

/*
 * The scheduler has stopped using this CPU: a thread that was preempted here
 * is moved before it executes anything (balance_push()), so nobody touches a
 * VMCS here any more.
 */
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

/* User threads are frozen; DUNE_RUN refuses those that thaw on this CPU. */
static void resume(SYSCORE_PARAM)
{
	int err = users ? enable_here() : 0;

	if (err)
		pr_err("dune: VMXON failed on resume: %d\n", err);
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
	int state, err;

	residency_setup();
	state = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "virt/dune:online",
				  cpu_comes, cpu_goes);
	if (state < 0)
		return state;
	hotplug_state = state;
	err = emergency_setup(emergency_off);
	if (err) {
		cpuhp_remove_state(hotplug_state);
		return err;
	}
	register_reboot_notifier(&reboot_notifier);
	syscore_add(&syscore);
	return 0;
}

void power_teardown(void)
{
	syscore_remove(&syscore);
	unregister_reboot_notifier(&reboot_notifier);
	emergency_teardown();
	cpuhp_remove_state(hotplug_state);
	vmx_free_cpu_regions();
}
