// SPDX-License-Identifier: GPL-2.0 OR MIT
/* See counters.h. */
#include "counters.h"

#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

struct name {
	const char *name, *meaning;
};

#define NAME(name, text) { #name, text },
static const struct name vcpu_names[] = { DUNE_VCPU_COUNTERS(NAME) };
static const struct name vm_names[] = { DUNE_VM_COUNTERS(NAME) };

static const char *why(int err, pid_t pid)
{
	switch (err) {
	case ENOTTY:
		return "the loaded module is too old: it has no DUNE_STAT_OPEN";
	case ESRCH:
		return pid ? "no such process, or it does not use Dune (yet)" :
			     strerror(err);
	default:
		return strerror(err);
	}
}

int source_open(pid_t pid)
{
	struct dune_stat_open req = {
		.scope = pid ? DUNE_STAT_PROCESS : DUNE_STAT_USER,
		.pid = pid,
	};
	int dev, fd, err;

	dev = open(DUNE_DEVICE_PATH, O_RDWR | O_CLOEXEC);
	if (dev < 0) {
		error(0, errno, "%s", DUNE_DEVICE_PATH);
		return -1;
	}
	fd = ioctl(dev, DUNE_STAT_OPEN, &req);
	err = errno;
	close(dev);
	if (fd < 0 && pid)
		error(0, 0, "process %d: %s", (int)pid, why(err, pid));
	else if (fd < 0)
		error(0, 0, "%s", why(err, pid));
	return fd;
}

/* nr of them from the reply at *offset; false: the reply is not that long. */
static bool take(uint64_t *to, unsigned int nr, const char *reply, size_t size,
		 size_t *offset)
{
	size_t bytes = nr * sizeof(*to);

	if (nr > MAX_COUNTERS || *offset + bytes > size)
		return false;
	memcpy(to, reply + *offset, bytes);
	*offset += bytes;
	return true;
}

bool sample_take(int fd, struct sample *s)
{
	char reply[sizeof(s->header) + sizeof(s->vcpu) + sizeof(s->vm)];
	struct timespec ts;
	ssize_t size = read(fd, reply, sizeof(reply));
	size_t offset;

	if (size < 0) {
		error(0, errno, "cannot read the counters");
		return false;
	}
	clock_gettime(CLOCK_MONOTONIC, &ts);
	memset(s, 0, sizeof(*s));
	s->seconds = ts.tv_sec + ts.tv_nsec * 1e-9;
	if ((size_t)size >= sizeof(s->header)) {
		memcpy(&s->header, reply, sizeof(s->header));
		offset = s->header.size;
		if (take(s->vcpu, s->header.nr_vcpu_counters, reply, size, &offset) &&
		    take(s->vm, s->header.nr_vm_counters, reply, size, &offset))
			return true;
	}
	error(0, 0, "the module's reply makes no sense (%zd bytes)", size);
	return false;
}

static struct name name_of(const struct name *names, size_t nr_names,
			   unsigned int i, const char *kind)
{
	static char numbered[2 * MAX_COUNTERS][24];
	static unsigned int used;
	struct name n = { "", "newer than this program" };

	if (i < nr_names)
		return names[i];
	if (used < 2 * MAX_COUNTERS) {
		n.name = numbered[used];
		snprintf(numbered[used++], sizeof(numbered[0]), "%s_%u", kind, i);
	}
	return n;
}

static const struct name *vcpu_name(unsigned int i)
{
	static struct name names[MAX_COUNTERS];

	if (!names[i].name)
		names[i] = name_of(vcpu_names, DUNE_NR_VCPU_COUNTERS, i, "vcpu");
	return &names[i];
}

static const struct name *vm_name(unsigned int i)
{
	static struct name names[MAX_COUNTERS];

	if (!names[i].name)
		names[i] = name_of(vm_names, DUNE_NR_VM_COUNTERS, i, "vm");
	return &names[i];
}

unsigned int sample_diff(const struct sample *a, const struct sample *b,
			 struct counter *counters, unsigned int *nr_vcpu)
{
	unsigned int i, n = 0;

	for (i = 0; i < b->header.nr_vcpu_counters; i++)
		counters[n++] = (struct counter){
			.name = vcpu_name(i)->name,
			.meaning = vcpu_name(i)->meaning,
			.value = b->vcpu[i] - a->vcpu[i],
		};
	*nr_vcpu = n;
	for (i = 0; i < b->header.nr_vm_counters; i++) {
		bool level = dune_vm_counter_is_level(i);

		counters[n++] = (struct counter){
			.name = vm_name(i)->name,
			.meaning = vm_name(i)->meaning,
			.level = level,
			.value = level ? b->vm[i] : b->vm[i] - a->vm[i],
		};
	}
	return n;
}
