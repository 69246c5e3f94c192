// SPDX-License-Identifier: GPL-2.0-only
/* Not linked: its assembly is turned into the offsets entry.S uses. */
#define COMPILE_OFFSETS
#include <linux/kbuild.h>

#include "vmx.h"

int main(void);
int main(void)
{
	OFFSET(VMX_gprs, vmx_vcpu, gprs);
	OFFSET(VMX_host_sp, vmx_vcpu, host_sp);
	OFFSET(VMX_launched, vmx_vcpu, launched);
	BLANK();
	OFFSET(REGS_rax, dune_regs, rax);
	OFFSET(REGS_rcx, dune_regs, rcx);
	OFFSET(REGS_rdx, dune_regs, rdx);
	OFFSET(REGS_rbx, dune_regs, rbx);
	OFFSET(REGS_rbp, dune_regs, rbp);
	OFFSET(REGS_rsi, dune_regs, rsi);
	OFFSET(REGS_rdi, dune_regs, rdi);
	OFFSET(REGS_r8, dune_regs, r8);
	OFFSET(REGS_r9, dune_regs, r9);
	OFFSET(REGS_r10, dune_regs, r10);
	OFFSET(REGS_r11, dune_regs, r11);
	OFFSET(REGS_r12, dune_regs, r12);
	OFFSET(REGS_r13, dune_regs, r13);
	OFFSET(REGS_r14, dune_regs, r14);
	OFFSET(REGS_r15, dune_regs, r15);
	return 0;
}
