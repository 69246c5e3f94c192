/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Files in from the runner, result files back. */
#define _GNU_SOURCE
#include "agent.h"
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char payload[WIRE_MAX_PAYLOAD + 1];
static const char *results_root;

static void make_parents(char *path)
{
	char *p;

	for (p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = 0;
		mkdir(path, 0755);
		*p = '/';
	}
}

static int open_new(char *path, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	if (fd < 0) {
		make_parents(path);
		unlink(path);		/* a running program, a dangling link */
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	}
	if (fd >= 0)
		fchmod(fd, mode);
	return fd;
}

static void complain(const char *what, const char *path)
{
	frame_text(WIRE_ERROR, "%s %s: %s (is the guest's memory full? try --mem)", what, path,
		   strerror(errno));
}

static void take_link(int hard)
{
	char *path = payload + strlen(payload) + 1;

	make_parents(path);
	unlink(path);
	if (hard ? link(payload, path) : symlink(payload, path))
		complain("cannot link", path);
}

static void take_data(int fd, size_t len)
{
	size_t done = 0;
	ssize_t n;

	while (fd >= 0 && done < len) {
		n = write(fd, payload + done, len - done);
		if (n <= 0) {
			complain("cannot write", "a received file");
			return;
		}
		done += n;
	}
}

void unpack_until_other(struct frame *f)
{
	struct wire_header h;
	uint32_t mode;
	int fd = -1;

	for (;;) {
		chan_read(&h, sizeof(h));
		if (h.len > WIRE_MAX_PAYLOAD) {
			frame_text(WIRE_ERROR, "bad frame: type %u length %u", h.type, h.len);
			chan_power_off(1);
		}
		chan_read(payload, h.len);
		payload[h.len] = 0;
		memcpy(&mode, payload, sizeof(mode));
		if (h.type != WIRE_DATA && fd >= 0) {
			close(fd);
			fd = -1;
		}
		switch (h.type) {
		case WIRE_DIR:
			make_parents(payload + 4);
			mkdir(payload + 4, mode);
			chmod(payload + 4, mode);
			break;
		case WIRE_FILE:
			fd = open_new(payload + 4, mode);
			if (fd < 0)
				complain("cannot create", payload + 4);
			break;
		case WIRE_DATA:
			take_data(fd, h.len);
			break;
		case WIRE_SYMLINK:
		case WIRE_HARDLINK:
			take_link(h.type == WIRE_HARDLINK);
			break;
		default:
			f->type = h.type;
			f->len = h.len;
			f->payload = payload;
			return;
		}
	}
}

static int send_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	static char buf[WIRE_MAX_PAYLOAD];
	uint32_t mode = st->st_mode & 07777;
	size_t rel = strlen(results_root) + 1;
	int fd, n;

	(void)ftw;
	if (kind != FTW_F || !S_ISREG(st->st_mode))
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	memcpy(buf, &mode, 4);
	n = snprintf(buf + 4, sizeof(buf) - 4, "%s", path + rel);
	frame_send(WIRE_RESULT, buf, 4 + n);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		frame_send(WIRE_RESULT_DATA, buf, n);
	close(fd);
	return 0;
}

void send_results(const char *dir)
{
	results_root = dir;
	nftw(dir, send_one, 16, FTW_PHYS);
}
