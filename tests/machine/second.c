// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * /init of the kernel that comes after kexec or a crash: is VMX off on every
 * CPU, do all CPUs answer, can Dune and KVM turn VMX on and use it? It takes
 * the place of the emulated machine's agent: same channel, same frames. From
 * the kernel's command line: dune_cpus=N, how many CPUs there must be.
 */
#include "agent.h"
#include "wire.h"

#include "kvmguest.h"
#include "machine.h"
#include "test.h"
#include "workers.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define OUTPUT "/output"

static void mount_all(void)
{
	static const char *const m[][2] = {
		{ "proc", "/proc" }, { "sysfs", "/sys" },
		{ "devtmpfs", "/dev" }, { "debugfs", "/sys/kernel/debug" },
	};

	for (unsigned int i = 0; i < sizeof(m) / sizeof(*m); i++) {
		mkdir(m[i][1], 0755);
		mount(m[i][0], m[i][1], m[i][0], 0, "");
	}
}

static void dune_works(void *unused)
{
	workers_start();
	check_vmxe(nr_cpus(), "with a vm");
	workers_progress("the second kernel's start");
	workers_stop();
}

/* /modules/NN.ko, in loading order: kvm_intel and what it needs. */
static void load_kvm(void)
{
	char name[64];

	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "/modules/%02d.ko", i);
		if (access(name, F_OK))
			break;
		/* For kvm from 6.12 on; others say in the log that they know no such. */
		CHECK_EQ(module_load(name, "enable_virt_at_load=0"), 0);
	}
}

static int checks(void)
{
	char *none[] = { "second", NULL };
	const char *cpus = getenv("dune_cpus");

	opt.native = true;	/* no /dev/dune yet */
	REQUIRE(vmxe_count() >= 0);
	check_vmxe(0, "before anybody turned it on");
	CHECK_EQ(module_load("/dune.ko", ""), 0);
	test_start_raw(1, none, (struct test_opts){
		.threads = 2 * WORKERS_JOBS });
	REQUIRE(cpus);
	CHECK_EQ(nr_cpus(), atoi(cpus));
	CHECK_EQ(run_child(60, dune_works, NULL), 0);
	check_vmxe(0, "without a vm");
	load_kvm();
	CHECK_EQ(kvm_guest(), 0);
	check_vmxe(0, "after the KVM guest");
	return test_end();
}

/* Its output arrives as if the first kernel's command had printed it. */
static void send_output(void)
{
	char text[4096];
	int fd = open(OUTPUT, O_RDONLY);
	ssize_t n;

	while ((n = read(fd, text, sizeof(text))) > 0)
		frame_send(WIRE_STDOUT, text, n);
	close(fd);
}

int main(void)
{
	int status = -1;
	pid_t pid;

	mount_all();
	chan_open();
	frame_text(WIRE_STDOUT, "the second kernel is up\n");
	pid = fork();
	if (pid == 0) {
		dup2(open(OUTPUT, O_CREAT | O_WRONLY | O_APPEND, 0600), 1);
		exit(checks());
	}
	while (waitpid(-1, &status, 0) != pid)
		;
	send_output();
	frame_text(WIRE_DONE, "status=%d taint=0",
		   WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	chan_power_off(0);
}
