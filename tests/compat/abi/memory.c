// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Memory: what the calls return, and what the program then sees there. */
#include "abi.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

static void maps_show(void)
{
	struct map map;
	char *p = map_any(8 * PAGE, PROT_READ | PROT_WRITE, 0);

	CHECK_EQ(mprotect(p + PAGE, PAGE, PROT_READ), 0);
	CHECK_EQ(mprotect(p + 2 * PAGE, PAGE, PROT_NONE), 0);
	CHECK_EQ(munmap(p + 3 * PAGE, PAGE), 0);
	CHECK(map_at(p, &map) && map.end == (uint64_t)p + PAGE && !strcmp(map.rights, "rw-p"));
	CHECK(map_at(p + PAGE, &map) && map.start == (uint64_t)p + PAGE &&
	      map.end == map.start + PAGE && !strcmp(map.rights, "r--p"));
	CHECK(map_at(p + 2 * PAGE, &map) && !strcmp(map.rights, "---p"));
	CHECK(!map_at(p + 3 * PAGE, &map));
	CHECK_EQ(fault_code(p, WRITE), 0);
	CHECK_EQ(fault_code(p + PAGE, READ), 0);
	CHECK_EQ(fault_code(p + PAGE, WRITE), SEGV_ACCERR);
	CHECK_EQ(fault_code(p + 2 * PAGE, READ), SEGV_ACCERR);
	CHECK_EQ(fault_code(p + 3 * PAGE, READ), SEGV_MAPERR);
	CHECK_EQ(fault_code(p + 3 * PAGE, WRITE), SEGV_MAPERR);
}

/* Seen at once, in all directions. */
static void protects(void)
{
	unsigned long n = rounds(200);
	char *p = map_any(16 * PAGE, PROT_READ | PROT_WRITE, 0);
	uint64_t state = 99;

	for (unsigned long i = 0; i < n; i++) {
		char *page = p + rnd(&state) % 16 * PAGE;
		int prot = (int)(rnd(&state) % 3);

		*page = *page;
		prot = prot == 0 ? PROT_NONE : prot == 1 ? PROT_READ : PROT_READ | PROT_WRITE;
		CHECK_EQ(mprotect(page, PAGE, prot), 0);
		CHECK_EQ(fault_code(page, READ), prot & PROT_READ ? 0 : SEGV_ACCERR);
		CHECK_EQ(fault_code(page, WRITE), prot & PROT_WRITE ? 0 : SEGV_ACCERR);
		CHECK_EQ(mprotect(page, PAGE, PROT_READ | PROT_WRITE), 0);
	}
}

static void remaps(void)
{
	char *p = map_any(4 * PAGE, PROT_READ | PROT_WRITE, 0), *q, *at;

	for (int i = 0; i < 4; i++)
		p[i * PAGE] = i + 1;
	q = mremap(p, 4 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
	REQUIRE(q != MAP_FAILED);
	for (int i = 0; i < 64; i++)
		CHECK_EQ(q[i * PAGE], i < 4 ? i + 1 : 0);
	if (q != p)
		CHECK_EQ(fault_code(p, READ), SEGV_MAPERR);
	at = map_any(8 * PAGE, PROT_NONE, 0);
	p = mremap(q, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + PAGE);
	CHECK(p == at + PAGE);
	CHECK_EQ(p[3 * PAGE], 4);
	CHECK_EQ(fault_code(q, READ), SEGV_MAPERR);
	CHECK_EQ(fault_code(at, READ), SEGV_ACCERR);
	CHECK_EQ(madvise(p, PAGE, MADV_DONTNEED), 0);
	CHECK_EQ(p[0], 0);
	CHECK_EQ(p[PAGE], 2);
	CHECK(mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED);
	CHECK_EQ(errno, EEXIST);
	CHECK(mremap(p + 1, PAGE, PAGE, 0) == MAP_FAILED && errno == EINVAL);
}

static void memfd(void)
{
	int fd = memfd_create("abi", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char *one, *two;

	REQUIRE(fd >= 0 && !ftruncate(fd, 2 * PAGE));
	one = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	two = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
	REQUIRE(one != MAP_FAILED && two != MAP_FAILED);
	one[PAGE] = 77;
	CHECK_EQ(two[PAGE], 77);
	CHECK_EQ(pwrite(fd, "z", 1, 5), 1);
	CHECK_EQ(one[5], 'z');
	CHECK_EQ(ftruncate(fd, PAGE), 0);
	CHECK_EQ(fault_code(one + PAGE, READ), BUS_ADRERR);
	CHECK_EQ(fault_signal, SIGBUS);
	munmap(one, 2 * PAGE);
	munmap(two, 2 * PAGE);
	CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	CHECK_ERRNO(write(fd, "x", 1), EPERM);
	close(fd);
}

static void locks(void)
{
	char *p = map_any(16 * PAGE, PROT_READ | PROT_WRITE, 0);
	unsigned char in_core[16];
	long before = proc_status("VmLck");

	CHECK_EQ(mlock(p, 8 * PAGE), 0);
	CHECK_EQ(proc_status("VmLck"), before + 32);
	CHECK_EQ(mincore(p, 16 * PAGE, in_core), 0);
	for (int i = 0; i < 16; i++)
		CHECK_EQ(in_core[i] & 1, i < 8);
	CHECK_EQ(munlock(p, 8 * PAGE), 0);
	CHECK_EQ(proc_status("VmLck"), before);
	CHECK_ERRNO(mlock((void *)(1l << 46), PAGE), ENOMEM);
}

static unsigned int in_core(void *p, unsigned int nr_pages)
{
	unsigned char core[64];
	unsigned int n = 0;

	CHECK_EQ(mincore(p, nr_pages * PAGE, core), 0);
	for (unsigned int i = 0; i < nr_pages; i++)
		n += core[i] & 1;
	return n;
}

/* Locked when they come. */
static void locks_late(void)
{
	char *p = map_any(16 * PAGE, PROT_READ | PROT_WRITE, 0);
	long before = proc_status("VmLck");

	CHECK_EQ(madvise(p, 16 * PAGE, MADV_NOHUGEPAGE), 0);
	p[0] = 1;
	CHECK_EQ(syscall(SYS_mlock2, p, 16 * PAGE, MLOCK_ONFAULT), 0);
	CHECK_EQ(proc_status("VmLck"), before + 64);
	CHECK_EQ(in_core(p, 16), 1);
	for (int i = 4; i < 8; i++)
		p[i * PAGE] = 1;
	CHECK_EQ(in_core(p, 16), 5);
	CHECK_EQ(smaps(p, "Locked"), 20);
	CHECK_ERRNO(madvise(p, PAGE, MADV_DONTNEED), EINVAL);
	CHECK_EQ(munmap(p + 8 * PAGE, 8 * PAGE), 0);
	CHECK_EQ(proc_status("VmLck"), before + 32);
	CHECK_EQ(munlock(p, 8 * PAGE), 0);
	CHECK_EQ(proc_status("VmLck"), before);
	CHECK_ERRNO(syscall(SYS_mlock2, p, PAGE, 2), EINVAL);
}

static void *thread_maps(void *arg)
{
	return map_any(4 * PAGE, PROT_READ | PROT_WRITE, 0);
}

static void all_locked(void *arg)
{
	pthread_t thread;
	void *p = NULL;
	long locked;

	REQUIRE(!mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT));
	locked = proc_status("VmLck");
	CHECK(locked > 0 && locked <= proc_status("VmSize"));
	p = map_any(8 * PAGE, PROT_READ | PROT_WRITE, 0);
	CHECK_EQ(proc_status("VmLck"), locked + 32);
	CHECK_EQ(in_core(p, 8), 0);
	CHECK_EQ(mlockall(MCL_FUTURE), 0);
	p = map_any(8 * PAGE, PROT_READ | PROT_WRITE, 0);
	CHECK_EQ(in_core(p, 8), 8);
	/* Threads and children get by. */
	REQUIRE(!pthread_create(&thread, NULL, thread_maps, NULL));
	CHECK_EQ(pthread_join(thread, &p), 0);
	CHECK_EQ(in_core(p, 4), 4);
	CHECK_EQ(system("exit 4"), 4 << 8);
	CHECK_EQ(munlockall(), 0);
	CHECK_EQ(proc_status("VmLck"), 0);
	p = map_any(8 * PAGE, PROT_READ | PROT_WRITE, 0);
	CHECK_EQ(in_core(p, 8), 0);
	CHECK_ERRNO(mlockall(0), EINVAL);
	CHECK_ERRNO(mlockall(MCL_ONFAULT), EINVAL);
}

static void locks_all(void)
{
	if (getuid())
		SKIP("not root");
	CHECK_EQ(status_of(all_locked, NULL), 0);
}

static void no_more_locks(void *arg)
{
	static const struct rlimit some = { 16 * PAGE, 16 * PAGE }, none;
	char *p = map_any(32 * PAGE, PROT_READ | PROT_WRITE, 0);

	CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &some), 0);
	CHECK_EQ(setuid(65534), 0);
	CHECK_EQ(mlock(p, 16 * PAGE), 0);
	CHECK_ERRNO(mlock(p + 16 * PAGE, PAGE), ENOMEM);
	CHECK_EQ(mlock(p, 8 * PAGE), 0);
	CHECK_EQ(proc_status("VmLck"), 64);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) ==
	      MAP_FAILED && errno == EAGAIN);
	CHECK_ERRNO(mlockall(MCL_CURRENT), ENOMEM);
	CHECK_EQ(munlock(p, 16 * PAGE), 0);
	/* From now on every mapping counts. */
	CHECK_EQ(mlockall(MCL_FUTURE | MCL_ONFAULT), 0);
	p = mmap(NULL, 16 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
	      errno == EAGAIN);
	CHECK_EQ(munlockall(), 0);
	CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &none), 0);
	CHECK_ERRNO(mlock(p, PAGE), EPERM);
	CHECK_ERRNO(mlockall(MCL_FUTURE), EPERM);
}

static void locks_limit(void)
{
	if (getuid())
		SKIP("not root");
	CHECK_EQ(status_of(no_more_locks, NULL), 0);
}

/* Huge pages or not: contents stay, also when they are split. */
static void huge(void)
{
	size_t size = 6ul << 20;
	char *raw = map_any(size + (2 << 20), PROT_READ | PROT_WRITE, 0);
	uint64_t *p = (uint64_t *)(((uint64_t)raw + (2ul << 20) - 1) & -(2ul << 20));

	CHECK_EQ(madvise(p, size, MADV_HUGEPAGE), 0);
	for (size_t i = 0; i < size / 8; i += 64)
		p[i] = i;
	CHECK_EQ(mprotect((char *)p + 5 * PAGE, PAGE, PROT_READ), 0);
	CHECK_EQ(munmap((char *)p + (2 << 20) + 7 * PAGE, PAGE), 0);
	CHECK_EQ(fault_code((char *)p + 5 * PAGE, WRITE), SEGV_ACCERR);
	CHECK_EQ(fault_code((char *)p + (2 << 20) + 7 * PAGE, READ), SEGV_MAPERR);
	for (size_t i = 0; i < size / 8; i += 64)
		if (i * 8 / PAGE != 512 + 7)
			CHECK_EQ(p[i], i);
}

/* A mapping that grows when what is below it is touched. */
static void grows_down(void)
{
	char *area = map_any(64ul << 20, PROT_NONE, MAP_NORESERVE), *top = area + (48ul << 20), *p;
	struct map map;

	REQUIRE(!munmap(area, 64ul << 20));
	p = mmap(top - 4 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
	REQUIRE(p == top - 4 * PAGE);
	for (int i = 4; i < 40; i++) {
		CHECK_EQ(fault_code(top - i * PAGE - 1, WRITE), 0);
		CHECK_EQ(top[-i * (long)PAGE - 1], 1);
	}
	CHECK(map_at(top - 1, &map) && map.start == (uint64_t)top - 40 * PAGE);
}

static void other_processes(void)
{
	char mine[64] = "from here", got[64] = "";
	struct iovec local = { got, sizeof(got) }, remote = { mine, sizeof(mine) };
	int fds[2];
	char c;
	pid_t pid;

	CHECK_EQ(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), 64);
	CHECK(!strcmp(got, mine));
	REQUIRE(!pipe(fds));
	pid = fork();
	if (!pid) {
		strcpy(mine, "of the child");
		if (write(fds[1], "a", 1) != 1)
			_exit(1);
		for (int i = 0; i < 1000000 && strcmp(mine, "by the parent"); i++)
			usleep(100);
		_exit(strcmp(mine, "by the parent") ? 1 : 44);
	}
	CHECK_EQ(read(fds[0], &c, 1), 1);
	CHECK_EQ(process_vm_readv(pid, &local, 1, &remote, 1, 0), 64);
	CHECK(!strcmp(got, "of the child"));
	strcpy(got, "by the parent");
	CHECK_EQ(process_vm_writev(pid, &local, 1, &remote, 1, 0), 64);
	CHECK_EQ(wait_status(pid), 44 << 8);
	CHECK(!strcmp(mine, "from here"));
	remote.iov_base = (void *)8;
	CHECK_ERRNO(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), EFAULT);
}

/* /proc/self/mem writes where the program may not. */
static void proc_mem(void)
{
	char *p = map_any(PAGE, PROT_READ | PROT_WRITE, 0);
	int fd = open("/proc/self/mem", O_RDWR);

	REQUIRE(fd >= 0);
	strcpy(p, "before");
	CHECK_EQ(mprotect(p, PAGE, PROT_READ), 0);
	CHECK_EQ(pwrite(fd, "behind", 6, (off_t)p), 6);
	CHECK(!strcmp(p, "behind"));
	close(fd);
}

const struct part memory_parts[] = {
	{ "maps_show", "/proc/self/maps and accesses agree", maps_show },
	{ "protects", "mprotect() is seen at once", protects },
	{ "remaps", "mremap(), MADV_DONTNEED", remaps },
	{ "memfd", "memfd_create(), truncation, seals", memfd },
	{ "locks", "mlock() and mincore()", locks },
	{ "locks_late", "MLOCK_ONFAULT", locks_late },
	{ "locks_all", "mlockall()", locks_all },
	{ "locks_limit", "RLIMIT_MEMLOCK", locks_limit },
	{ "huge", "huge pages, split", huge },
	{ "grows_down", "MAP_GROWSDOWN", grows_down },
	{ "other_memory", "process_vm_readv() and writev()", other_processes },
	{ "proc_mem", "/proc/self/mem", proc_mem },
	{ NULL, NULL, NULL },
};
