/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * What tests of the machine's life need: VMX state of the CPUs (by the tests'
 * own kernel module, tests/kmod), CPUs on and off, modules in and out.
 */
#ifndef TESTS_MACHINE_H
#define TESTS_MACHINE_H

#include <stdbool.h>

/* Number of online CPUs with CR4.VMXE set; -1: tests/kmod is not built. */
int vmxe_count(void);
/* vmxe_count() must be this; says so once where the module is missing. */
void check_vmxe(int expected, const char *when);

/* 0 or -errno of the write. */
int write_text(const char *path, const char *text);
/* Up to n - 1 bytes of a file; false when it cannot be read. */
bool read_text(const char *path, char *text, unsigned int n);

/* CPU 0 is always online; others answer with 0 or -errno. */
bool cpu_is_online(int cpu);
int cpu_online(int cpu);
int cpu_offline(int cpu);
/* CPUs that exist, online or not. */
int nr_present_cpus(void);
/* All CPUs online again, for the tests behind this one. */
void all_cpus_online(void);

/* 0 or -errno; file is a path, name the kernel's name. */
int module_load(const char *file, const char *params);
/* build/tests/kmod/RELEASE/NAME.module: -ENOENT where nobody built it. */
int module_load_for_test(const char *name);
int module_unload(const char *name);
bool module_is_loaded(const char *name);

/* Run argv without a shell; its exit status, output goes to ours. */
int run_program(const char *const argv[]);
/* The same, output discarded. */
int run_program_quietly(const char *const argv[]);

/* From here on, does the kernel log get a line with this text? */
int kernel_log_open(void);
bool kernel_log_has(int log, const char *text);

#endif /* TESTS_MACHINE_H */
