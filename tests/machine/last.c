// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The end of a machine while threads in Dune mode work on all CPUs:
 *
 *	last [--native] [--kvm] [--cpu N] WAY [KERNEL INITRD ARGS]
 *
 * WAY is reboot, poweroff, emergency (SysRq b), panic, kexec or crash. The last
 * two go on with another kernel. What the machine did is judged outside, by
 * tests/machine/run; nothing is printed after "going".
 */
#include "kexec_load.h"
#include "kvmguest.h"
#include "machine.h"
#include "test.h"
#include "workers.h"

#include <getopt.h>
#include <linux/reboot.h>
#include <string.h>
#include <sys/reboot.h>

static void sysrq(const char *key)
{
	write_text("/proc/sysrq-trigger", key);
}

static void go(const char *way)
{
	if (!strcmp(way, "reboot"))
		reboot(RB_AUTOBOOT);
	else if (!strcmp(way, "poweroff"))
		reboot(RB_POWER_OFF);
	else if (!strcmp(way, "kexec"))
		reboot(LINUX_REBOOT_CMD_KEXEC);
	else if (!strcmp(way, "emergency"))
		sysrq("b");
	else if (!strcmp(way, "panic") || !strcmp(way, "crash"))
		sysrq("c");
	FAIL("no such way to go, or it failed: %s: %m", way);
}

static void usage(int status)
{
	printf("usage: last [--native] [--kvm] [--cpu N] WAY [KERNEL INITRD ARGS]\n"
	       "WAY: reboot, poweroff, emergency, panic, kexec, crash\n"
	       "  --native threads stay in plain Linux mode\n"
	       "  --kvm    with kvm_intel loaded\n"
	       "  --cpu N  from this CPU (0)\n");
	exit(status);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "kvm", no_argument, NULL, 'k' },
		{ "native", no_argument, NULL, 'n' },
		{ "cpu", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	char *args[] = { "last", NULL, NULL }, *way;
	bool kvm = false;
	int c, cpu = 0;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'k': kvm = true; break;
		case 'n': args[1] = "--native"; break;
		case 'c': cpu = atoi(optarg); break;
		case 'h': usage(0); break;
		default: usage(2);
		}
	}
	if (optind >= argc)
		usage(2);
	way = argv[optind++];
	optind = argc - optind == 3 ? optind : 0;
	argv += optind;
	c = optind;
	optind = 1;
	test_start(args[1] ? 2 : 1, args, (struct test_opts){
		.threads = 2 * WORKERS_JOBS });
	if (c)
		kexec_load(argv[0], argv[1], argv[2],
			   strcmp(way, "crash") ? KEXEC_IN_ORDER : KEXEC_AT_CRASH);
	if (kvm)
		REQUIRE(kvm_load_idle());
	workers_start();
	check_vmxe(opt.native ? 0 : nr_cpus(), "at work");
	workers_progress("the start");
	if (check_failures)
		return 1;
	pin_to(cpu);
	printf("going: %s\n", way);
	/* What was printed must be outside before the machine ends. */
	usleep(300000);
	go(way);
	return test_end();
}
