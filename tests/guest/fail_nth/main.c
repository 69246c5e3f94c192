// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * fail_nth: the module with each of its allocations failing, one after the
 * other; see fail_nth.h. Needs a kernel with fault injection: the debug kernel.
 */
#include "fail_nth.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "machine.h"

#define KMEMLEAK "/sys/kernel/debug/kmemleak"

static int stat_fd = -1;

void expect_alive(unsigned int vms, unsigned int vcpus)
{
	struct {
		struct dune_stat_header header;
		uint64_t counters[DUNE_NR_VCPU_COUNTERS + DUNE_NR_VM_COUNTERS];
	} r;
	uint64_t end = deadline(10);

	do {
		REQUIRE(read(stat_fd, &r, sizeof(r)) == (ssize_t)sizeof(r));
		if (r.header.nr_vms == vms && r.header.nr_vcpus == vcpus)
			break;
		usleep(1000);
	} while (now_ns() < end);
	CHECK_EQ(r.header.nr_vms, vms);
	CHECK_EQ(r.header.nr_vcpus, vcpus);
}

static void each_ioctl(void)
{
	inject_all(ioctl_ops, nr_ioctl_ops);
}

static void guest(void)
{
	inject_all(guest_ops, nr_guest_ops);
}

static void mm(void)
{
	inject_all(mm_ops, nr_mm_ops);
}

/* Objects that nothing points to any more. */
static void leaks(void)
{
	static char text[8192];
	int fd = open(KMEMLEAK, O_RDWR | O_CLOEXEC);
	ssize_t n;

	if (fd < 0 || write(fd, "scan", 4) != 4) {
		FAIL("kmemleak is off: boot with kmemleak=on");
		return;
	}
	usleep(6000000);	/* younger objects are not reported */
	CHECK_EQ(write(fd, "scan", 4), 4);
	CHECK_EQ(write(fd, "scan", 4), 4);
	n = read(fd, text, sizeof(text) - 1);
	if (n > 0) {
		text[n] = '\0';
		printf("%s\n", text);
		FAIL("kmemleak: %zd bytes of reports", n);
	}
	close(fd);
}

int main(int argc, char **argv)
{
	struct dune_stat_open req = { .scope = DUNE_STAT_USER };
	int dev;

	/* --rounds N: of libdune's faults, each N-th. */
	test_start_raw(argc, argv, (struct test_opts){ .rounds = 9 });
	if (opt.native)
		SKIP("there is no native twin of the ABI");
	if (!inject_setup())
		SKIP("this kernel has no fault injection: the debug kernel has");
	dev = open(DUNE_DEVICE_PATH, O_RDWR | O_CLOEXEC);
	REQUIRE(dev >= 0);
	stat_fd = ioctl(dev, DUNE_STAT_OPEN, &req);
	REQUIRE(stat_fd >= 0);
	write_text(KMEMLEAK, "clear");
	test_part("each_ioctl", each_ioctl);
	test_part("guest", guest);
	test_part("mm", mm);
	test_part("ends", ends);
	test_part("library", library);
	test_part("leaks", leaks);
	return test_end();
}
