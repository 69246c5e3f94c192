/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The channel to the runner. In the project's emulator build: host calls
 * (hostcall.h), which need no driver. Elsewhere: a virtio console port for both
 * directions, or a disk to read from and the second serial port to write to.
 */
#define _GNU_SOURCE
#include "agent.h"
#include "hostcall.h"
#include "wire.h"
#include "emucount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/reboot.h>
#include <termios.h>
#include <unistd.h>

#define BOUNCE (256u << 10)

static int hostcall_ok;
static int in_fd = -1, out_fd = -1;
static char *bounce;		/* locked: host calls need present pages */

static long hostcall(unsigned int op, const void *a0, size_t a1)
{
	long ret;

	__asm__ volatile("rdpmc" : "=a"(ret)
			 : "c"(HOSTCALL | op), "D"(a0), "S"(a1) : "rdx", "memory");
	return ret;
}

int chan_is_hostcall(void)
{
	return hostcall_ok;
}

void chan_open(void)
{
	static const char *const ports[] = { "/dev/vport0p1", "/dev/vport1p1", "/dev/vport2p1" };
	struct termios t;
	unsigned int i;

	bounce = mmap(NULL, BOUNCE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0);
	/*
	 * With a policy of its own NUMA balancing leaves it alone, which would take
	 * it away for a moment to see who uses it. Fails on a kernel without NUMA.
	 */
	syscall(SYS_mbind, bounce, BOUNCE, MPOL_LOCAL, NULL, 0, 0);
	if (emucount_available()) {
		hostcall_ok = 1;
		return;
	}
	for (i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		in_fd = open(ports[i], O_RDWR | O_CLOEXEC);
		if (in_fd >= 0) {
			out_fd = in_fd;
			return;
		}
	}
	in_fd = open("/dev/sda", O_RDONLY | O_CLOEXEC);
	out_fd = open("/dev/ttyS1", O_WRONLY | O_NOCTTY | O_CLOEXEC);
	if (in_fd < 0 || out_fd < 0) {
		fprintf(stderr, "agent: no channel to the runner (no /dev/vport*, /dev/sda + ttyS1)\n");
		chan_power_off(1);
	}
	if (!tcgetattr(out_fd, &t)) {
		cfmakeraw(&t);
		cfsetspeed(&t, B115200);
		tcsetattr(out_fd, TCSANOW, &t);
	}
}

void chan_power_off(int status)
{
	if (hostcall_ok)
		hostcall(HOSTCALL_EXIT, (void *)(long)status, 0);
	if (out_fd >= 0 && isatty(out_fd))
		tcdrain(out_fd);
	sync();
	reboot(RB_POWER_OFF);
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

/* One bounce buffer's worth; 0 only with NOWAIT. */
static size_t read_some(void *buf, size_t len, int nowait)
{
	long n;

	if (len > BOUNCE)
		len = BOUNCE;
	if (hostcall_ok) {
		n = hostcall(nowait ? HOSTCALL_TRYREAD : HOSTCALL_READ, bounce, len);
		if (n == -EAGAIN && nowait)
			return 0;
		if (n <= 0)
			chan_power_off(3);
		memcpy(buf, bounce, n);
		return n;
	}
	if (nowait)
		return 0;
	n = read(in_fd, buf, len);
	if (n < 0 && errno != EINTR)
		chan_power_off(3);
	if (n == 0)
		usleep(20000);		/* the port's other side is not open yet */
	return n > 0 ? n : 0;
}

void chan_read(void *buf, size_t len)
{
	size_t done = 0;

	while (done < len)
		done += read_some((char *)buf + done, len - done, 0);
}

ssize_t chan_try_read(void *buf, size_t len)
{
	return read_some(buf, len, 1);
}

void chan_write(const void *buf, size_t len)
{
	const char *p = buf;
	size_t n;
	ssize_t w;

	while (len) {
		n = len < BOUNCE ? len : BOUNCE;
		if (hostcall_ok) {
			memcpy(bounce, p, n);
			hostcall(HOSTCALL_WRITE, bounce, n);
		} else {
			w = write(out_fd, p, n);
			if (w < 0 && errno != EINTR && errno != EAGAIN)
				chan_power_off(3);
			n = w > 0 ? w : 0;
		}
		p += n;
		len -= n;
	}
}

void chan_fork_point(void)
{
	if (hostcall_ok)
		hostcall(HOSTCALL_FORKPOINT, NULL, 0);
}

void frame_send(uint32_t type, const void *payload, size_t len)
{
	struct wire_header h = { type, len };

	chan_write(&h, sizeof(h));
	chan_write(payload, len);
}

void frame_text(uint32_t type, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	frame_send(type, text, n < (int)sizeof(text) ? n : (int)sizeof(text) - 1);
}
