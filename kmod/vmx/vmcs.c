// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMCS contents, in four parts by how often they change: controls and constant
 * host state (once), host state of a CPU (when the vCPU moves), guest state
 * (when user space sets it). What must be right on every single entry (host
 * CR3, CR4) is in run.c.
 */
#include <linux/gfp.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <asm/cpu_entry_area.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/mmu_context.h>
#include <asm/msr.h>
#include <asm/tlbflush.h>
#include <asm/trapnr.h>
#include <asm/vmx.h>

#include "caps.h"
#include "compat.h"
#include "insn.h"
#include "mitigate.h"
#include "plat.h"
#include "vmx.h"
#include "vmx_internal.h"

static unsigned long *msr_bitmap;	/* one for all: default deny */

/* Access rights words ("Guest Register State" in the SDM). */
#define AR_CODE64	0xa09b	/* present, DPL 0, 64-bit, accessed, 4 KiB */
#define AR_DATA		0xc093	/* present, DPL 0, read/write, accessed */
#define AR_TSS64_BUSY	0x008b
#define AR_UNUSABLE	0x10000

/* CR0/CR4 bits that the guest may change without an exit. */
#define CR0_GUEST_OWNED	(X86_CR0_TS | X86_CR0_WP | X86_CR0_MP | X86_CR0_EM | \
			 X86_CR0_AM)
#define CR4_GUEST_OWNED	(X86_CR4_TSD | X86_CR4_DE | X86_CR4_PGE | \
			 X86_CR4_PCIDE | X86_CR4_FSGSBASE | X86_CR4_UMIP)
/* CR4 bits that a guest inherits from the host; SMEP and SMAP are not: its
 * ring 0 executes the process's user pages. */
#define CR4_INHERITED	(X86_CR4_PAE | X86_CR4_PGE | X86_CR4_DE | X86_CR4_MCE | \
			 X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_OSXSAVE | \
			 X86_CR4_FSGSBASE | X86_CR4_PCIDE | X86_CR4_PKE)

#define RFLAGS_GUEST	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | \
			 X86_EFLAGS_ZF | X86_EFLAGS_SF | X86_EFLAGS_TF | \
			 X86_EFLAGS_DF | X86_EFLAGS_OF | X86_EFLAGS_NT | \
			 X86_EFLAGS_RF | X86_EFLAGS_AC | X86_EFLAGS_ID)

/* Bit n of each 1 KiB quarter: low/high MSRs, read/write. */
static void msr_allow(u32 msr)
{
	unsigned long base = msr >= 0xc0000000 ? 0x400 * 8 : 0;
	u32 bit = msr & 0x1fff;

	__clear_bit(base + bit, msr_bitmap);
	__clear_bit(base + 0x800 * 8 + bit, msr_bitmap);
}

int vmx_setup(void)
{
	int err = vmx_caps_probe();

	if (err)
		return err;
	msr_bitmap = (unsigned long *)__get_free_page(GFP_KERNEL);
	if (!msr_bitmap)
		return -ENOMEM;
	plat_note(msr_bitmap, PAGE_SIZE, "MSR bitmap");
	memset(msr_bitmap, 0xff, PAGE_SIZE);
	/* The thread's own: in the VMCS, or the same on both sides. */
	msr_allow(MSR_FS_BASE);
	msr_allow(MSR_GS_BASE);
	msr_allow(MSR_KERNEL_GS_BASE);
	return 0;
}

void vmx_teardown(void)
{
	plat_note_gone(msr_bitmap);
	free_page((unsigned long)msr_bitmap);
}

u32 vmx_api_caps(void)
{
	return (vmx_caps.ept_ad ? DUNE_CAP_EPT_AD : 0) |
	       (vmx_caps.ept_2m ? DUNE_CAP_EPT_2M : 0) |
	       (vmx_caps.ept_1g ? DUNE_CAP_EPT_1G : 0) |
	       (vmx_caps.vpid ? DUNE_CAP_VPID : 0) |
	       (vmx_caps.timer ? DUNE_CAP_QUANTUM : 0) |
	       (vmx_caps.proc2 & SECONDARY_EXEC_ENABLE_INVPCID &&
		boot_cpu_has(X86_FEATURE_INVPCID) ? DUNE_CAP_INVPCID : 0) |
	       DUNE_CAP_REQUESTS;
}

static u64 make_eptp(u64 ept_root_pa)
{
	return ept_root_pa | VMX_EPTP_MT_WB | VMX_EPTP_PWL_4 |
	       (vmx_caps.ept_ad ? VMX_EPTP_AD_ENABLE_BIT : 0);
}

void vmx_set_ept(struct vmx_vcpu *v, u64 ept_root_pa)
{
	v->eptp = make_eptp(ept_root_pa);
	vmcs_write(EPT_POINTER, v->eptp);
}

int vmx_vcpu_create(struct vmx_vcpu *v, struct dune_regs *gprs,
		    u64 ept_root_pa)
{
	memset(v, 0, sizeof(*v));
	v->gprs = gprs;
	v->cpu = VMX_NO_CPU;
	v->last_cpu = VMX_NO_CPU;
	v->mm_id = current->mm->context.ctx_id;
	INIT_LIST_HEAD(&v->loaded);
	v->vmcs = plat_page_alloc(0);
	if (!v->vmcs)
		return -ENOMEM;
	plat_note(v->vmcs, PAGE_SIZE, "VMCS");
	v->vmcs_pa = __pa(v->vmcs);
	*(u32 *)v->vmcs = vmx_caps.revision;
	v->eptp = make_eptp(ept_root_pa);
	return 0;
}

void vmx_vcpu_destroy(struct vmx_vcpu *v)
{
	plat_note_gone(v->vmcs);
	free_page((unsigned long)v->vmcs);
	v->vmcs = NULL;
}

/*
 * After VMCLEAR all of a VMCS is in its region, and the CPU has nothing to do with
 * that any more ("Software Use of Virtual-Machine Control Structures" in the SDM).
 */
void vmx_vmcs_move(struct vmx_vcpu *v, void **page)
{
	memcpy(*page, v->vmcs, PAGE_SIZE);
	plat_note_gone(v->vmcs);
	swap(v->vmcs, *page);
	v->vmcs_pa = __pa(v->vmcs);
	plat_note(v->vmcs, PAGE_SIZE, "VMCS");
	/* Another VMCS, another VPID: who traces the guest tells vCPUs by the page. */
	v->vpid.generation = 0;
}

static void write_controls(struct vmx_vcpu *v)
{
	vmcs_write(PIN_BASED_VM_EXEC_CONTROL, vmx_caps.pin);
	vmcs_write(CPU_BASED_VM_EXEC_CONTROL, vmx_caps.proc);
	vmcs_write(SECONDARY_VM_EXEC_CONTROL, vmx_caps.proc2);
	vmcs_write(VM_EXIT_CONTROLS, vmx_caps.exit);
	vmcs_write(VM_ENTRY_CONTROLS, vmx_caps.entry);
	/* #DB and #AC: a guest could loop delivering them for ever. */
	vmcs_write(EXCEPTION_BITMAP,
		   BIT(X86_TRAP_DB) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_MC));
	vmcs_write(PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmcs_write(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmcs_write(CR3_TARGET_COUNT, 0);
	vmcs_write(VM_EXIT_MSR_STORE_COUNT, 0);
	vmcs_write(VM_EXIT_MSR_LOAD_COUNT, 0);
	vmcs_write(VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmcs_write(VM_ENTRY_INTR_INFO_FIELD, 0);
	vmcs_write(MSR_BITMAP, __pa(msr_bitmap));
	vmcs_write(EPT_POINTER, v->eptp);
	if (vmx_caps.proc2 & SECONDARY_EXEC_ENCLS_EXITING)
		vmcs_write(ENCLS_EXITING_BITMAP, ~0ull);
	vmcs_write(VMCS_LINK_POINTER, ~0ull);
}

static void write_constant_host_state(struct vmx_vcpu *v)
{
	struct desc_ptr idt;
	u64 msr;

	vmcs_write(HOST_CR0, read_cr0() & ~X86_CR0_TS);
	vmcs_write(HOST_CS_SELECTOR, __KERNEL_CS);
	vmcs_write(HOST_SS_SELECTOR, __KERNEL_DS);
	vmcs_write(HOST_DS_SELECTOR, 0);
	vmcs_write(HOST_ES_SELECTOR, 0);
	vmcs_write(HOST_FS_SELECTOR, 0);
	vmcs_write(HOST_GS_SELECTOR, 0);
	vmcs_write(HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);
	store_idt(&idt);
	vmcs_write(HOST_IDTR_BASE, idt.address);
	rdmsrl(MSR_IA32_SYSENTER_CS, msr);
	vmcs_write(HOST_IA32_SYSENTER_CS, (u32)msr);
	rdmsrl(MSR_IA32_SYSENTER_EIP, msr);
	vmcs_write(HOST_IA32_SYSENTER_EIP, msr);
	vmcs_write(HOST_RIP, vmx_mitigate_exit_rip());
	static_assert(offsetof(struct vmx_vcpu, host_sp) ==
		      offsetof(struct vmx_vcpu, gprs) + 8 &&
		      offsetof(struct vmx_vcpu, exit_room) + 8 ==
		      offsetof(struct vmx_vcpu, gprs), "entry.S");
	vmcs_write(HOST_RSP, (unsigned long)&v->gprs);
}

enum { ES, CS, SS, DS, FS, GS, LDTR };

static void write_segment(unsigned int index, u16 selector, u32 ar)
{
	/* The fields of ES, CS, SS, DS, FS, GS, LDTR, TR are evenly spaced. */
	vmcs_write(GUEST_ES_SELECTOR + 2 * index, selector);
	vmcs_write(GUEST_ES_LIMIT + 2 * index, ar & AR_UNUSABLE ? 0 : ~0u);
	vmcs_write(GUEST_ES_AR_BYTES + 2 * index, ar);
	vmcs_write(GUEST_ES_BASE + 2 * index, 0);
}

static void write_constant_guest_state(void)
{
	u64 cr0 = (read_cr0() & ~X86_CR0_TS) | X86_CR0_WP;
	u64 cr4 = cr4_read_shadow() & CR4_INHERITED;

	cr0 = (cr0 | vmx_caps.cr0_fixed0) & vmx_caps.cr0_fixed1;
	vmcs_write(GUEST_CR0, cr0);
	vmcs_write(CR0_READ_SHADOW, cr0);
	vmcs_write(CR0_GUEST_HOST_MASK, ~CR0_GUEST_OWNED);
	vmcs_write(CR4_READ_SHADOW, cr4);
	vmcs_write(CR4_GUEST_HOST_MASK, ~CR4_GUEST_OWNED);
	vmcs_write(GUEST_CR4,
		   (cr4 | vmx_caps.cr4_fixed0) & vmx_caps.cr4_fixed1);

	write_segment(DS, 0, AR_UNUSABLE);
	write_segment(ES, 0, AR_UNUSABLE);
	write_segment(FS, 0, AR_UNUSABLE);
	write_segment(GS, 0, AR_UNUSABLE);
	write_segment(LDTR, 0, AR_UNUSABLE);
	vmcs_write(GUEST_TR_SELECTOR, DUNE_GUEST_TR);
	vmcs_write(GUEST_TR_AR_BYTES, AR_TSS64_BUSY);
	vmcs_write(GUEST_DR7, 0x400);
	vmcs_write(GUEST_IA32_DEBUGCTL, 0);
	vmcs_write(GUEST_SYSENTER_CS, 0);
	vmcs_write(GUEST_SYSENTER_ESP, 0);
	vmcs_write(GUEST_SYSENTER_EIP, 0);
}

void vmx_vmcs_init(struct vmx_vcpu *v)
{
	static const struct dune_sregs no_sregs;
	static const struct dune_regs no_regs;

	write_controls(v);
	write_constant_host_state(v);
	write_constant_guest_state();
	vmx_set_sregs(v, &no_sregs);
	vmx_set_regs(v, &no_regs);
	v->host_cr3 = 0;
	v->host_cr4 = 0;
}

void vmx_host_state_load(struct vmx_vcpu *v)
{
	const struct vmx_cpu *c = this_cpu_ptr(&vmx_cpu);

	vmcs_write(HOST_TR_BASE, c->tr_base);
	vmcs_write(HOST_GDTR_BASE, c->gdt.address);
	vmcs_write(HOST_IA32_SYSENTER_ESP, c->sysenter_esp);
	vmcs_write(HOST_GS_BASE, c->gs_base);
}

/* Apart: its frame would cost every call. */
static noinline void reload_tr(void)
{
	invalidate_tss_limit();
}

/*
 * A VM exit leaves the GDT's limit at 64 KiB, the TSS without its I/O bitmap,
 * and no LDT. Behind the GDT lie stacks that hold user registers: with that
 * limit user mode could make a descriptor of its own there.
 */
void vmx_host_state_restore(struct vmx_vcpu *v)
{
	v->host_stale = false;
	native_load_gdt(&this_cpu_ptr(&vmx_cpu)->gdt);
	if (unlikely(test_thread_flag(TIF_IO_BITMAP)))
		reload_tr();
	else
		this_cpu_write(__tss_limit_invalid, true);
	if (unlikely(v->host_ldt)) {
		asm volatile("lldt %w0" : : "r" ((u32)v->host_ldt));
		v->host_ldt = 0;
	}
}

void vmx_set_sregs(struct vmx_vcpu *v, const struct dune_sregs *s)
{
	write_segment(CS, DUNE_GUEST_CS, AR_CODE64);
	write_segment(SS, DUNE_GUEST_DS, AR_DATA);
	vmcs_write(GUEST_CR3, s->cr3);
	vmcs_write(GUEST_FS_BASE, s->fs_base);
	vmcs_write(GUEST_GS_BASE, s->gs_base);
	vmcs_write(GUEST_GDTR_BASE, s->gdt_base);
	vmcs_write(GUEST_GDTR_LIMIT, s->gdt_limit);
	vmcs_write(GUEST_IDTR_BASE, s->idt_base);
	vmcs_write(GUEST_IDTR_LIMIT, s->idt_limit);
	vmcs_write(GUEST_TR_BASE, s->tss_base);
	vmcs_write(GUEST_TR_LIMIT, s->tss_limit);
}

void vmx_set_regs(struct vmx_vcpu *v, const struct dune_regs *r)
{
	vmcs_write(GUEST_RIP, r->rip);
	vmcs_write(GUEST_RSP, r->rsp);
	/* IF stays set: host interrupts exit anyway, and Bochs needs it. */
	vmcs_write(GUEST_RFLAGS, (r->rflags & RFLAGS_GUEST) |
				 X86_EFLAGS_FIXED | X86_EFLAGS_IF);
	/* A fresh start: nothing half delivered, nothing blocked. */
	vmcs_write(GUEST_INTERRUPTIBILITY_INFO, 0);
	vmcs_write(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	vmcs_write(VM_ENTRY_INTR_INFO_FIELD, 0);
}

void vmx_get_regs(const struct vmx_vcpu *v, struct dune_regs *r)
{
	r->rip = vmcs_read(GUEST_RIP);
	r->rsp = vmcs_read(GUEST_RSP);
	r->rflags = vmcs_read(GUEST_RFLAGS);
}

u64 vmx_guest_rip(const struct vmx_vcpu *v)
{
	return vmcs_read(GUEST_RIP);
}

u32 vmx_exit_reason(const struct vmx_vcpu *v)
{
	return vmcs_read(VM_EXIT_REASON);
}

u64 vmx_guest_sp(const struct vmx_vcpu *v)
{
	return vmcs_read(GUEST_RSP);
}

u64 vmx_guest_fs_base(const struct vmx_vcpu *v)
{
	return vmcs_read(GUEST_FS_BASE);
}

void vmx_set_fs_base(struct vmx_vcpu *v, u64 host_fs_base)
{
	vmx_set_host_fs_base(v, host_fs_base);
	vmcs_write(GUEST_FS_BASE, host_fs_base);
}

void vmx_set_host_fs_base(struct vmx_vcpu *v, u64 host_fs_base)
{
	v->host_fs_base = host_fs_base;
	vmcs_write(HOST_FS_BASE, host_fs_base);
}

unsigned int vmx_guest_cpl(const struct vmx_vcpu *v)
{
	return (vmcs_read(GUEST_SS_AR_BYTES) >> 5) & 3;
}
