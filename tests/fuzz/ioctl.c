// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The ioctl engine: calls on fds of every kind, and a model of what each may
 * answer. The model is docs/abi.md: an answer it does not have is a failure.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define REGION	0x310000000000ul	/* argument pages, mappings under test */
#define MAPPING	((char *)REGION + 0x100000)
#define MAX_SIZE (DUNE_VCPU_PAGES_SIZE)

static bool racing;
static uint64_t mapped;		/* bytes at MAPPING */
static enum fd_kind mapped_fd;
static uint64_t mapped_offset;

void *ioctl_racing_page(void)
{
	return (char *)REGION + 0x10000;
}

/* A set of answers: success, and errnos. */
struct answers {
	bool ok;
	int errnos[4];
};

static bool allowed(const struct answers *a, long ret, int err)
{
	if (ret >= 0)
		return a->ok;
	for (unsigned int i = 0; i < 4; i++)
		if (a->errnos[i] == err)
			return true;
	return false;
}

#define PLACES_MAX	256u	/* docs/abi.md */

static const struct dune_places room_for_places = {
	.places = REGION + 64, .nr = PLACES_MAX,
};
_Static_assert(64 + PLACES_MAX * sizeof(struct dune_place) <= 0x3000, "in pages that are there");

static void *argument(const struct ioctl_op *op)
{
	char *good = (char *)REGION;

	switch (op->arg) {
	case ARG_NUMBER: return (void *)op->value;
	case ARG_NULL: return NULL;
	case ARG_KERNEL: return (void *)0xffff888000001000ul;
	case ARG_NONCANONICAL: return (void *)(1ul << 63);
	case ARG_UNMAPPED: return good + 0x8000;
	case ARG_READONLY: return good + 0x4000;
	case ARG_CROSSING: return good + 0x3000 - 8;
	case ARG_RACING: return ioctl_racing_page();
	default:
		memset(good, 0, 64);
		if (op->cmd == DUNE_GET_PLACES)
			*(struct dune_places *)good = room_for_places;
		memcpy(good + 8 * (op->word & 7), &op->value, 8);
		return good;
	}
}

/* Can all of it be read, and written too? A number may be any address. */
enum { IS_BAD, IS_READONLY, IS_GOOD, IS_ANY };
static int quality(const struct ioctl_op *op)
{
	switch (op->arg) {
	case ARG_GOOD: return IS_GOOD;
	case ARG_READONLY: return IS_READONLY;
	case ARG_RACING: return IS_ANY;
	case ARG_NUMBER: return IS_ANY;
	default: return IS_BAD;
	}
}

/* Are these words of the structure 0, as they must be? */
static bool zero(const struct ioctl_op *op, unsigned int first, unsigned int last)
{
	return op->arg != ARG_GOOD || op->value == 0 || (op->word & 7) < first ||
	       (op->word & 7) > last;
}

static const struct answers fault = { false, { EFAULT } };
static const struct answers invalid = { false, { EINVAL } };
static const struct answers good = { true, { 0 } };
static const struct answers anything = { true, { EFAULT, EINVAL, EBUSY, ENOSPC } };
static const struct answers new_fd = { true, { EMFILE } };

static struct answers of_stat_open(const struct ioctl_op *op)
{
	/* word 0: scope and pid. */
	if (!zero(op, 1, 3))
		return invalid;
	if (op->arg == ARG_GOOD && (op->word & 7) == 0 && op->value)
		return (uint32_t)op->value == DUNE_STAT_PROCESS &&
		       (int32_t)(op->value >> 32) > 0 ?
		       (struct answers){ true, { ESRCH, EMFILE } } : invalid;
	return new_fd;
}

/* word 2: nodes; word 3: placement and a reserved half. */
static struct answers of_create_vm(const struct ioctl_op *op)
{
	uint64_t placement = op->arg == ARG_GOOD && (op->word & 7) == 3 ? op->value : 0;

	if (!zero(op, 0, 0) || !zero(op, 2, 2) || !zero(op, 4, 7) ||
	    placement > DUNE_PLACE_REPLICATE || placement == DUNE_PLACE_BIND)
		return invalid;
	return (struct answers){ false, { EBUSY } };	/* the mm has one */
}

static struct answers of_slot(const struct ioctl_op *op, bool vm, int q)
{
	if (!vm)
		return invalid;
	if (op->arg == ARG_GOOD && (op->word & 7) == 0 && op->value >> 47)
		return invalid;
	return q == IS_READONLY ? fault :
				  (struct answers){ true, { ENOSPC } };
}

/* Of /dev/dune of this process. */
static struct answers of_vm_fd(const struct ioctl_op *op, bool vm)
{
	int q = quality(op);

	switch ((uint32_t)op->cmd) {
	case DUNE_SYNC_COUNTERS:
		return vm && !argument(op) ? good : invalid;
	case DUNE_GET_INFO:
		return q == IS_GOOD ? good : q == IS_ANY ? anything : fault;
	case DUNE_CREATE_VM:
	case DUNE_CREATE_VCPU:
	case DUNE_GET_SLOT:
	case DUNE_STAT_OPEN:
		break;
	default:
		return (struct answers){ false, { ENOTTY } };
	}
	if (q == IS_BAD)
		return fault;
	if (q == IS_ANY)
		return (struct answers){ true, { EFAULT, EINVAL,
			op->cmd == DUNE_GET_SLOT ? ENOSPC :
			op->cmd == DUNE_CREATE_VM ? EBUSY : EMFILE, ESRCH } };
	switch ((uint32_t)op->cmd) {
	case DUNE_CREATE_VM:
		return of_create_vm(op);
	case DUNE_CREATE_VCPU:
		if (!vm || !zero(op, 0, 0) || !zero(op, 2, 3))
			return invalid;
		return q == IS_READONLY ? (struct answers){ false, { EFAULT, EMFILE } } :
					  new_fd;
	case DUNE_GET_SLOT:
		return of_slot(op, vm, q);
	default:
		return of_stat_open(op);
	}
}

/* word 0: where to; word 1: how many, and a reserved half; 2 and 3: any cursor. */
static struct answers of_places(const struct ioctl_op *op)
{
	int q = quality(op);

	if (op->cmd != DUNE_GET_PLACES)
		return (struct answers){ false, { ENOTTY } };
	if (q == IS_BAD)
		return fault;
	if (q == IS_ANY)
		return anything;
	if (q == IS_READONLY || op->fd != FD_PLACES || !zero(op, 4, 5))
		return invalid;
	if ((op->word & 7) == 1 && (!op->value || op->value > PLACES_MAX))
		return invalid;
	return (op->word & 7) == 0 ? (struct answers){ true, { EFAULT } } : good;
}

/* Requests that Linux answers itself, whatever the fd. */
static bool is_linux_own(uint32_t cmd)
{
	return _IOC_TYPE(cmd) != DUNE_IOC_MAGIC;
}

static struct answers model(const struct ioctl_op *op)
{
	const struct answers never = { false, { EPERM } };
	const struct answers no_tty = { false, { ENOTTY } };

	switch (op->fd) {
	case FD_VM: return of_vm_fd(op, true);
	case FD_EMPTY: return of_vm_fd(op, false);
	case FD_FOREIGN_VM: return never;
	case FD_THREAD:
	case FD_FOREIGN_VCPU:
		return op->cmd == DUNE_RUN ? never : no_tty;
	case FD_STAT:
	case FD_PLACES: return of_places(op);
	case FD_CLOSED: return (struct answers){ false, { EBADF } };
	default: return no_tty;
	}
}

static void fail_op(const struct ioctl_op *op, const char *what, long ret, int err)
{
	fuzz_fail("%s of fd kind %d, number 0x%llx, argument kind %d: %ld, errno %d",
		  what, (int)op->fd, (unsigned long long)op->cmd, (int)op->arg,
		  ret, err);
}

/* It is told how many there are, and no more than were asked for are written. */
static void check_places(const struct ioctl_op *op)
{
	const struct dune_places *told = (void *)REGION;
	uint32_t asked = (op->word & 7) == 1 ? op->value : PLACES_MAX;
	const struct dune_place *place = (void *)(REGION + 64);

	if (op->arg != ARG_GOOD || told->places != REGION + 64)
		return;
	if (told->nr > asked)
		fail_op(op, "more places than asked for", told->nr, 0);
	for (uint32_t i = 0; i < told->nr; i++)
		if (place[i].kind > DUNE_PLACE_EPT || place[i].level > 4)
			fail_op(op, "a place of no kind", place[i].kind, 0);
}

static void do_ioctl(const struct ioctl_op *op)
{
	struct answers a = model(op);
	void *arg = argument(op);
	long ret;
	int err;

	if (op->cmd == DUNE_RUN && op->fd == FD_VCPU)
		return;		/* the guest engine's */
	errno = 0;
	if (op->cmd == DUNE_RUN) {
		ret = raw_run(child.fds[op->fd], (uintptr_t)arg);
		err = ret < 0 ? -ret : 0;
	} else {
		ret = syscall(SYS_ioctl, child.fds[op->fd], (uint32_t)op->cmd, arg);
		err = ret < 0 ? errno : 0;
	}
	if (err < NR_ERRNOS)
		shared->errnos[err]++;
	if (is_linux_own(op->cmd))
		return;
	shared->judged++;
	if (!allowed(&a, ret, err) && !racing)
		fail_op(op, "ioctl", ret, err);
	if (!ret && op->cmd == DUNE_GET_PLACES && !racing)
		check_places(op);
	if (ret > 0 && (op->cmd == DUNE_CREATE_VCPU || op->cmd == DUNE_STAT_OPEN))
		close(ret);
}

/* What may be mapped, exactly. */
static bool may_map(const struct ioctl_op *op, uint64_t size)
{
	uint64_t prot = op->cmd;

	if (!(op->arg & MAP_SHARED) || prot & PROT_EXEC)
		return false;
	if (op->fd == FD_VM && op->offset == DUNE_MMAP_VCPU_PAGES)
		return size == DUNE_VCPU_PAGES_SIZE;
	if (op->fd == FD_VM)
		return !(prot & PROT_WRITE) &&
		       ((op->offset == DUNE_MMAP_VM_PAGE && size == 4096) ||
			(op->offset == DUNE_MMAP_SLOT_TABLE &&
			 size == DUNE_SLOT_TABLE_SIZE));
	return (op->fd == FD_VCPU || op->fd == FD_THREAD) && op->offset == 0 &&
	       size == DUNE_VCPU_PAGE_SIZE;
}

static void do_mmap(const struct ioctl_op *op)
{
	uint64_t size = (op->value + 4095) & ~4095ull;
	char *p;

	if (op->value > 2 * MAX_SIZE)
		size = op->value;	/* fails, or is huge: let Linux choose */
	else
		munmap(MAPPING, 2 * MAX_SIZE);
	p = mmap(MAPPING, op->value, op->cmd,
		 op->arg | (op->value > 2 * MAX_SIZE ? 0 : MAP_FIXED),
		 child.fds[op->fd], op->offset);
	if (p != MAP_FAILED && op->fd != FD_NULL && !may_map(op, size))
		fail_op(op, "forbidden mmap", op->value, op->offset);
	if (p == MAP_FAILED && may_map(op, size) && !racing && !(op->arg & MAP_LOCKED))
		fail_op(op, "mmap refused", op->value, errno);
	if (p != MAP_FAILED) {
		mapped = size;
		mapped_fd = op->fd;
		mapped_offset = op->offset;
		shared->judged++;
	}
	if (p != MAP_FAILED && p != MAPPING) {
		munmap(p, size);
		mapped = 0;
	}
}

/* Reads only: what these pages hold is not the fuzzer's to believe. */
static void do_touch(const struct ioctl_op *op)
{
	unsigned char vec;

	if (mapped && mincore(MAPPING, 4096, &vec) == 0 &&
	    madvise(MAPPING, 4096, MADV_POPULATE_READ) == 0)
		(void)*(volatile char *)(MAPPING + op->value % 4096);
}

static void do_mremap(const struct ioctl_op *op)
{
	char *p = mremap(MAPPING, mapped, op->value & 1 ? mapped : mapped * 2,
			 MREMAP_MAYMOVE | MREMAP_FIXED, MAPPING + 2 * MAX_SIZE);

	if (p != MAP_FAILED)
		munmap(p, mapped * 2);
}

static void do_madvise(const struct ioctl_op *op)
{
	madvise(MAPPING, mapped, op->cmd);
}

/* But for vCPUs' pages the vm's never become writable, nor is anything executable. */
static void do_mprotect(const struct ioctl_op *op)
{
	if (mprotect(MAPPING, mapped, op->cmd) || !mapped || mapped_fd == FD_NULL)
		return;
	if (op->cmd & PROT_EXEC || (op->cmd & PROT_WRITE && mapped_fd == FD_VM &&
				    mapped_offset != DUNE_MMAP_VCPU_PAGES))
		fail_op(op, "mprotect of a mapping", mapped_fd, 0);
}

/* Nothing else depends on them. */
static bool may_reopen(enum fd_kind kind)
{
	return kind == FD_EMPTY || kind == FD_STAT || kind == FD_PLACES;
}

static void do_dup(const struct ioctl_op *op)
{
	int fd = dup(child.fds[op->fd]);

	if (fd < 0)
		return;
	if (may_reopen(op->fd)) {
		close(child.fds[op->fd]);
		child.fds[op->fd] = fd;
	} else {
		fcntl(fd, F_SETFL, op->value & O_NONBLOCK);
		close(fd);
	}
}

static void open_again(enum fd_kind kind)
{
	struct dune_stat_open stat = { 0 };

	if (kind == FD_PLACES) {
		stat.scope = DUNE_STAT_PROCESS;
		stat.pid = getpid();
	}
	if (kind == FD_STAT || kind == FD_PLACES)
		child.fds[kind] = ioctl(child.fds[FD_EMPTY], DUNE_STAT_OPEN, &stat);
	else if (kind == FD_EMPTY)
		child.fds[kind] = open(DUNE_DEVICE_PATH, O_RDWR | O_CLOEXEC);
	if (child.fds[kind] < 0)
		_exit(CHILD_RESTART);
}

/* The vm goes while its vCPUs and mappings live, and a new one is made. */
static void renew_vm(void)
{
	struct dune_create_vm create = { 0 };

	munmap(MAPPING, 2 * MAX_SIZE);
	mapped = 0;
	close(child.fds[FD_VM]);
	/* The vCPUs still hold it. */
	if (ioctl(child.fds[FD_EMPTY], DUNE_CREATE_VM, &create) == 0 ||
	    errno != EBUSY)
		fuzz_fail("a second vm of one mm: errno %d", errno);
	_exit(CHILD_RESTART);
}

static void do_close(const struct ioctl_op *op)
{
	if (may_reopen(op->fd)) {
		close(child.fds[op->fd]);
		open_again(op->fd);
	} else if (op->fd == FD_VCPU) {
		child_fresh_vcpu();
	} else if (op->fd == FD_VM && op->cmd == 0) {
		renew_vm();
	}
}

static void do_open(const struct ioctl_op *op)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", child.fds[op->fd]);
	fd = open(path, op->value & (O_ACCMODE | O_PATH | O_NONBLOCK));
	if (fd >= 0) {
		struct dune_info info;

		ioctl(fd, DUNE_GET_INFO, &info);
		close(fd);
	}
}

static void do_read(const struct ioctl_op *op)
{
	static char buf[4096];
	struct dune_stat_header *h = (void *)buf;
	size_t size = op->value % sizeof(buf);
	ssize_t n = read(child.fds[op->fd], buf, size);
	const size_t all = sizeof(*h) + 8 * (DUNE_NR_VCPU_COUNTERS +
					     DUNE_NR_VM_COUNTERS);

	if (op->fd != FD_STAT && op->fd != FD_PLACES)
		return;
	if (n < 0 ? errno != EINVAL || size >= all : n != (ssize_t)all || size < all)
		fail_op(op, "read of a stat fd", n, errno);
	if (n > 0 && (h->size != sizeof(*h) || h->nr_vms < 1))
		fuzz_fail("a stat fd says %u vms", h->nr_vms);
	if (read(child.fds[FD_STAT], (void *)0xffff888000000000ul, 4096) != -1)
		fuzz_fail("a stat fd was read into kernel memory");
}

/* Calls that make no sense on these fds; only the machine's health counts. */
static void do_other(const struct ioctl_op *op)
{
	int fd = child.fds[op->fd];
	struct pollfd p = { .fd = fd, .events = -1 };
	char buf[16] = { 0 };

	switch (op->cmd) {
	case 0: (void)!write(fd, buf, sizeof(buf)); break;
	case 1: (void)!pread(fd, buf, sizeof(buf), op->value); break;
	case 2: lseek(fd, op->value, SEEK_SET); break;
	case 3: poll(&p, 1, 0); break;
	case 4: (void)!ftruncate(fd, op->value); break;
	case 5: fallocate(fd, op->value & 3, 0, op->value); break;
	case 6: sendfile(child.fds[FD_NULL], fd, NULL, 4096); break;
	case 7: fsync(fd); break;
	case 8: fcntl(fd, F_SETLEASE, op->value & 3); break;
	case 9: fcntl(fd, F_SETFL, op->value & (O_NONBLOCK | O_APPEND | O_ASYNC)); break;
	case 10: mlock(MAPPING, mapped); break;
	case 11: munlock(MAPPING, mapped); break;
	case 12: syscall(SYS_remap_file_pages, MAPPING, mapped, 0, op->value & 7, 0); break;
	case 13: posix_fadvise(fd, 0, 4096, op->value & 7); break;
	case 14: munmap(MAPPING, 4096); break;
	default: msync(MAPPING, mapped, op->value & 7);
	}
}

/* An inherited fd is another mm's, for every call. */
static void do_fork(const struct ioctl_op *op)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct dune_info info;
		int bad = 0;

		bad |= ioctl(child.fds[FD_VM], DUNE_GET_INFO, &info) != -1 ||
		       errno != EPERM;
		bad |= raw_run(child.fds[FD_VCPU], 0) != -EPERM;
		bad |= mmap(NULL, 4096, PROT_READ, MAP_SHARED, child.fds[FD_VM],
			    0) != MAP_FAILED;
		bad |= mmap(NULL, 4096, PROT_READ, MAP_SHARED,
			    child.fds[FD_VCPU], 0) != MAP_FAILED;
		_exit(bad);
	}
	if (pid < 0)
		return;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (status)
		fail_op(op, "a forked child used the parent's fds", status, 0);
}

/* No room for another fd. */
static void do_nofile(const struct ioctl_op *op)
{
	struct dune_create_vcpu create = { 0 };
	struct rlimit old, few = { 0 };
	long ret;

	getrlimit(RLIMIT_NOFILE, &old);
	few.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_NOFILE, &few);
	ret = ioctl(child.fds[FD_VM], DUNE_CREATE_VCPU, &create);
	if (ret != -1 || errno != EMFILE)
		fail_op(op, "DUNE_CREATE_VCPU without fds", ret, errno);
	setrlimit(RLIMIT_NOFILE, &old);
}

/* Whatever state the vCPU has, from cases before. */
static void do_run(const struct ioctl_op *op)
{
	child.vcpu.page->run_flags = DUNE_RUN_RECORD;
	child.vcpu.page->quantum_us = 50;
	child.vcpu.page->sync = 0;
	child_run(op->value);
	child.spoilt = true;
}

void ioctl_run(const struct ioctl_case *c)
{
	static void (*const fn[NR_WHATS])(const struct ioctl_op *op) = {
		[DO_IOCTL] = do_ioctl, [DO_MMAP] = do_mmap,
		[DO_MREMAP] = do_mremap, [DO_MPROTECT] = do_mprotect,
		[DO_MADVISE] = do_madvise, [DO_TOUCH] = do_touch,
		[DO_DUP] = do_dup, [DO_CLOSE] = do_close, [DO_OPEN] = do_open,
		[DO_READ] = do_read, [DO_OTHER] = do_other, [DO_FORK] = do_fork,
		[DO_NOFILE] = do_nofile, [DO_RUN] = do_run,
	};

	racing = c->racer == RACER_ARGS;
	racer_start(c->racer, c->racer_seed);
	for (uint32_t i = 0; i < c->nr; i++) {
		if (c->op[i].what >= NR_WHATS || c->op[i].fd >= NR_FDS)
			continue;
		shared->ops[c->op[i].what]++;
		fn[c->op[i].what](&c->op[i]);
	}
	racer_stop();
	if (racing)
		mmap(ioctl_racing_page(), 4096, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static void *idle_thread(void *arg)
{
	struct dune_create_vcpu create = { 0 };

	*(int *)arg = ioctl(child.fds[FD_VM], DUNE_CREATE_VCPU, &create);
	for (;;)
		pause();
	return NULL;
}

void ioctl_setup(int foreign_vm, int foreign_vcpu)
{
	const int rw = PROT_READ | PROT_WRITE;
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
	volatile int fd = -1;
	pthread_t thread;

	mapped = 0;
	/* 3 pages, a hole, read-only zeroes, the page that races. */
	mmap((void *)REGION, 0x3000, rw, flags, -1, 0);
	mmap((char *)REGION + 0x4000, 4096, PROT_READ, flags, -1, 0);
	mmap(ioctl_racing_page(), 4096, rw, flags, -1, 0);
	if (pthread_create(&thread, NULL, idle_thread, (void *)&fd))
		_exit(CHILD_RESTART);
	while (fd == -1)
		sched_yield();
	child.fds[FD_THREAD] = fd;
	child.fds[FD_FOREIGN_VM] = foreign_vm;
	child.fds[FD_FOREIGN_VCPU] = foreign_vcpu;
	child.fds[FD_NULL] = open("/dev/null", O_RDWR | O_CLOEXEC);
	child.fds[FD_CLOSED] = 1000;
	open_again(FD_EMPTY);
	open_again(FD_STAT);
	open_again(FD_PLACES);
}
