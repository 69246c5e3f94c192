/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Loading another kernel with kexec_load(2), as kexec-tools does, without what
 * takes an emulated CPU a minute: signatures and checksums.
 */
#ifndef TESTS_KEXEC_LOAD_H
#define TESTS_KEXEC_LOAD_H

enum kexec_when {
	KEXEC_IN_ORDER,		/* for reboot(LINUX_REBOOT_CMD_KEXEC) */
	KEXEC_AT_CRASH,		/* into the memory that crashkernel= set aside */
};

/* A bzImage, its initramfs and command line, from files; ends the test on error. */
void kexec_load(const char *kernel, const char *initrd, const char *args,
		enum kexec_when when);

#endif /* TESTS_KEXEC_LOAD_H */
