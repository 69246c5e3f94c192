// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests: what the CPUs' registers say about VMX, whoever turned it on.
 * /sys/kernel/debug/vmxstate has one line per online CPU:
 *
 *	cpu=N vmxe=0|1 cr4=HEX debugctl=HEX gdt_limit=HEX idt_limit=HEX tss_limit=HEX
 */
#include <linux/cpu.h>
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/smp.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/special_insns.h>

struct state {
	unsigned long cr4, tss_limit;
	u64 debugctl;
	struct desc_ptr gdt, idt;
};

/*
 * In process context where possible: an interrupt handler could find limits
 * that a vCPU's thread puts right before it gives the CPU to others.
 */
static long read_here(void *arg)
{
	struct state *s = arg;
	unsigned long flags;

	local_irq_save(flags);
	s->cr4 = native_read_cr4();
	rdmsrl(MSR_IA32_DEBUGCTLMSR, s->debugctl);
	native_store_gdt(&s->gdt);
	store_idt(&s->idt);
	asm volatile("lsl %1, %0"
		     : "=r" (s->tss_limit)
		     : "r" ((unsigned long)(GDT_ENTRY_TSS * 8)) : "cc");
	local_irq_restore(flags);
	return 0;
}

static int vmxstate_show(struct seq_file *m, void *unused)
{
	struct state s;
	int cpu;

	cpus_read_lock();
	for_each_online_cpu(cpu) {
		memset(&s, 0, sizeof(s));
		if (work_on_cpu(cpu, read_here, &s))
			continue;
		seq_printf(m, "cpu=%d vmxe=%d cr4=%lx debugctl=%llx gdt_limit=%x idt_limit=%x tss_limit=%lx\n",
			   cpu, !!(s.cr4 & X86_CR4_VMXE), s.cr4, s.debugctl,
			   s.gdt.size, s.idt.size, s.tss_limit);
	}
	cpus_read_unlock();
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vmxstate);

static struct dentry *file;

static int __init vmxstate_init(void)
{
	file = debugfs_create_file("vmxstate", 0444, NULL, NULL,
				   &vmxstate_fops);
	return PTR_ERR_OR_ZERO(file);
}

static void __exit vmxstate_exit(void)
{
	debugfs_remove(file);
}

module_init(vmxstate_init);
module_exit(vmxstate_exit);
MODULE_LICENSE("GPL v2");
MODULE_DESCRIPTION("Dune tests: VMX state of the CPUs");
