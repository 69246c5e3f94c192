// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See places.h. */
#include "places.h"

#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define AT_ONCE	256	/* what the module gives at most */

const char *places_open_advice(int err)
{
	switch (err) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return "the module is not loaded: modprobe dune (README.md)";
	case EACCES:
		return "not allowed: be in group dune, or root";
	case EPERM:
		return "not allowed on a CPU with the L1TF flaw: needs CAP_SYS_RAWIO (docs/security.md)";
	default:
		return strerror(err);
	}
}

const char *places_process_advice(int err)
{
	switch (err) {
	case ENOTTY:
		return "the loaded module is too old for this program: load that of the same version";
	case ESRCH:
		return "it does not use Dune (yet): wait until it has called dune_init(), "
		       "or start it by dune-run";
	case EPERM:
	case EACCES:
		return "not allowed: be the process's user, or have CAP_SYS_PTRACE";
	default:
		return strerror(err);
	}
}

static int open_process(pid_t pid)
{
	struct dune_stat_open req = { .scope = DUNE_STAT_PROCESS, .pid = pid };
	int dev = open(DUNE_DEVICE_PATH, O_RDWR | O_CLOEXEC), fd, err;

	if (dev < 0) {
		error(0, 0, DUNE_DEVICE_PATH ": %s", places_open_advice(errno));
		return -1;
	}
	fd = ioctl(dev, DUNE_STAT_OPEN, &req);
	err = errno;
	close(dev);
	if (fd >= 0)
		return fd;
	if (err == ESRCH && kill(pid, 0) && errno == ESRCH)
		error(0, 0, "process %d: there is none", (int)pid);
	else
		error(0, 0, "process %d: %s", (int)pid, places_process_advice(err));
	return -1;
}

static bool load(int fd, struct places *places)
{
	struct dune_places req = { .nr = AT_ONCE };
	struct dune_place *more;

	do {
		more = reallocarray(places->place, places->nr + AT_ONCE, sizeof(*more));
		if (!more)
			return false;
		places->place = more;
		req.places = (uintptr_t)&more[places->nr];
		req.nr = AT_ONCE;
		if (ioctl(fd, DUNE_GET_PLACES, &req))
			return false;
		places->nr += req.nr;
	} while (req.nr == AT_ONCE);
	return true;
}

bool places_load(pid_t pid, struct places *places)
{
	int fd = open_process(pid);
	bool ok;

	memset(places, 0, sizeof(*places));
	if (fd < 0)
		return false;
	ok = load(fd, places);
	if (!ok)
		error(0, 0, "process %d: %s", (int)pid, places_process_advice(errno));
	close(fd);
	if (!ok)
		places_free(places);
	return ok;
}

void places_free(struct places *places)
{
	free(places->place);
	memset(places, 0, sizeof(*places));
}
