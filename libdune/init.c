// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The process's side of Dune: the vm, its guest page table and IDT. Built once
 * per process (and once more in a forked child that asks), never torn down:
 * threads of the process may be in Dune mode at any time.
 */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"
#include "pgtable.h"
#include "rawsys.h"

struct dune_vm dune_vm = { .fd = -1 };
struct dune_forkpage *dune_forkpage;

static __thread char why[256];

const char *dune_why(void)
{
	return why;
}

void dune_why_set(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
}

/*
 * A futex in the fork page: in a forked child it is free, whoever held it in
 * the parent. Also usable by a thread about to exit, unlike a pthread mutex.
 */
void dune_lock(void)
{
	uint32_t *lock = &dune_forkpage->lock;
	uint32_t seen = 0;

	if (__atomic_compare_exchange_n(lock, &seen, 1, false, __ATOMIC_ACQUIRE,
					__ATOMIC_RELAXED))
		return;
	while (__atomic_exchange_n(lock, 2, __ATOMIC_ACQUIRE))
		raw_syscall4(SYS_futex, (long)lock, FUTEX_WAIT_PRIVATE, 2, 0);
}

void dune_unlock(void)
{
	uint32_t *lock = &dune_forkpage->lock;

	if (__atomic_exchange_n(lock, 0, __ATOMIC_RELEASE) == 2)
		raw_syscall3(SYS_futex, (long)lock, FUTEX_WAKE_PRIVATE, 1);
}

static int forkpage_init(void)
{
	struct dune_forkpage *none = NULL, *page;

	if (__atomic_load_n(&dune_forkpage, __ATOMIC_ACQUIRE))
		return 0;
	page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED) {
		dune_why_set("cannot map a page: %m");
		return -ENOMEM;
	}
	if (madvise(page, PAGE_SIZE, MADV_WIPEONFORK)) {
		int err = -errno;

		dune_why_set("madvise(MADV_WIPEONFORK): %m");
		munmap(page, PAGE_SIZE);
		return err;
	}
	if (!__atomic_compare_exchange_n(&dune_forkpage, &none, page, false,
					 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		munmap(page, PAGE_SIZE);
	return 0;
}

int dune_fill(uintptr_t addr)
{
	struct dune_slot slot = { .hva = addr };

	if (addr >= USER_END)
		return -EINVAL;
	if (pt_region_present(&dune_vm.pt, addr))
		return 0;
	if (ioctl(dune_vm.fd, DUNE_GET_SLOT, &slot)) {
		int err = -errno;

		dune_why_set("DUNE_GET_SLOT of %#lx: %m", (unsigned long)addr);
		return err;
	}
	pt_region_set(&dune_vm.pt, addr, slot.gpa);
	return 0;
}

static int fill_range(const void *start, const void *end)
{
	uintptr_t addr;
	int err;

	for (addr = (uintptr_t)start & ~(REGION_SIZE - 1); addr < (uintptr_t)end;
	     addr += REGION_SIZE) {
		err = dune_fill(addr);
		if (err)
			return err;
	}
	return 0;
}

static int device_open(struct dune_vm *vm)
{
	int err;

	vm->fd = open(DUNE_DEVICE_PATH, O_RDWR | O_CLOEXEC);
	if (vm->fd >= 0)
		return 0;
	err = errno;
	switch (err) {
	case ENOENT:
	case ENXIO:
		dune_why_set("cannot open %s: %s: is the module loaded? (modprobe dune)",
			     DUNE_DEVICE_PATH, strerror(err));
		break;
	case EACCES:
		dune_why_set("cannot open %s: %s: it is for root and group dune (as root: usermod -aG dune USER; counts from the next login on)",
			     DUNE_DEVICE_PATH, strerror(err));
		break;
	case EPERM:
		dune_why_set("cannot open %s: %s: a device cgroup (container) denies it, or this CPU has L1TF (/sys/devices/system/cpu/vulnerabilities/l1tf): then it takes CAP_SYS_RAWIO (be root)",
			     DUNE_DEVICE_PATH, strerror(err));
		break;
	case ENODEV:
	case EOPNOTSUPP:
		dune_why_set("cannot open %s: %s: no usable VT-x, the kernel log says why (dmesg | grep dune)",
			     DUNE_DEVICE_PATH, strerror(err));
		break;
	case EBUSY:
		dune_why_set("cannot open %s: %s: another hypervisor holds VT-x (rmmod kvm_intel?)",
			     DUNE_DEVICE_PATH, strerror(err));
		break;
	default:
		dune_why_set("cannot open %s: %s", DUNE_DEVICE_PATH, strerror(err));
	}
	return -err;
}

static unsigned int min_uint(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

static int vm_create(struct dune_vm *vm, uint64_t *syscall_entry)
{
	struct dune_create_vm create = { .flags = 0 };
	struct dune_info info;
	int err;

	if (ioctl(vm->fd, DUNE_GET_INFO, &info)) {
		err = -errno;
		dune_why_set("DUNE_GET_INFO: %m");
		return err;
	}
	if (info.api_version != DUNE_API_VERSION) {
		dune_why_set("the module speaks version %u of the interface, this library version %u: install both from one source",
			     info.api_version, DUNE_API_VERSION);
		return -EPROTO;
	}
	vm->caps = info.caps;
	if (vm->caps & DUNE_CAP_REENTER)
		vm->run_flags |= DUNE_RUN_REENTER;
	vm->nr_vm_counters = min_uint(info.nr_vm_counters, DUNE_NR_VM_COUNTERS);
	vm->nr_vcpu_counters = min_uint(info.nr_vcpu_counters, DUNE_NR_VCPU_COUNTERS);

	if (ioctl(vm->fd, DUNE_CREATE_VM, &create)) {
		err = -errno;
		if (err == -EBUSY)
			dune_why_set("DUNE_CREATE_VM: %m: this process has a vm that libdune did not create, or another hypervisor holds VT-x (dmesg | grep dune)");
		else
			dune_why_set("DUNE_CREATE_VM: %m: the kernel log may say why (dmesg | grep dune)");
		return err;
	}
	*syscall_entry = create.syscall_entry;
	return 0;
}

static void *map_shared(struct dune_vm *vm, size_t size, off_t offset, const char *what)
{
	void *p = mmap(NULL, size, PROT_READ, MAP_SHARED, vm->fd, offset);

	if (p == MAP_FAILED) {
		dune_why_set("cannot map the %s: %m", what);
		return NULL;
	}
	return p;
}

/* size bytes of zeroes that do not cross a region boundary; not for children. */
static void *pool_map(size_t size)
{
	char *p = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *start = p;
	uintptr_t boundary;

	if (p == MAP_FAILED)
		return NULL;
	boundary = ((uintptr_t)p + size - 1) & ~(REGION_SIZE - 1);
	if (boundary > (uintptr_t)p)
		start = (char *)boundary;
	if (start > p)
		munmap(p, start - p);
	if (start + size < p + 2 * size)
		munmap(start + size, p + 2 * size - (start + size));
	madvise(start, size, MADV_NOHUGEPAGE);
	madvise(start, size, MADV_DONTFORK);
	return start;
}

/*
 * The EPT grants what the mm grants: the pages that the guest executes at the
 * host's LSTAR address have to be executable where they really are.
 */
static int syscall_entry_protect(const struct dune_pt *pt, uint64_t va)
{
	char *page = (char *)pt->pool + (pt_lookup(pt, va & ~(PAGE_SIZE - 1)) - pt->pool_gpa);

	/* Two neighbours: the code may straddle their boundary. */
	return mprotect(page, 2 * PAGE_SIZE, PROT_READ | PROT_EXEC) ? -errno : 0;
}

static int tables_build(struct dune_vm *vm, uint64_t syscall_entry)
{
	struct dune_slot slot;
	void *pool = pool_map(PT_POOL_SIZE);
	int idt, err;

	if (!pool) {
		dune_why_set("cannot map the page table pool: %m");
		return -ENOMEM;
	}
	slot = (struct dune_slot){ .hva = (uintptr_t)pool };
	if (ioctl(vm->fd, DUNE_GET_SLOT, &slot)) {
		err = -errno;
		dune_why_set("DUNE_GET_SLOT: %m");
		munmap(pool, PT_POOL_SIZE);
		return err;
	}
	pt_init(&vm->pt, pool, slot.gpa);

	dune_traps_init();
	idt = pt_alloc(&vm->pt);
	dune_idt_build(pt_page(&vm->pt, idt));
	vm->idt = (uint64_t)pt_page(&vm->pt, idt);
	err = pt_map_syscall_entry(&vm->pt, syscall_entry, (uint64_t)dune_syscall_entry);
	if (err) {
		dune_why_set("cannot map the system call entry at %#llx",
			     (unsigned long long)syscall_entry);
		goto err_pool;
	}
	err = syscall_entry_protect(&vm->pt, syscall_entry);
	if (err) {
		dune_why_set("cannot make the system call entry executable: %s",
			     strerror(-err));
		goto err_pool;
	}

	/* What the #PF handler touches: it cannot fault itself. */
	err = fill_range(pool, (char *)pool + PT_POOL_SIZE);
	if (!err)
		err = fill_range(__ehdr_start, _end);
	if (!err)
		err = fill_range(vm->slot_table,
				 (const char *)vm->slot_table + DUNE_SLOT_TABLE_SIZE);
	if (!err)
		return 0;
err_pool:
	munmap(pool, PT_POOL_SIZE);
	vm->pt.pool = NULL;
	return err;
}

static unsigned int xsave_size(void)
{
	unsigned int a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
		return 0;
	if (!__get_cpuid_count(0xd, 0, &a, &b, &c, &d))
		return 0;
	return b;
}

static bool has_pkru(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & bit_OSPKE);
}

/* DUNE_SYSCALLS=fast or reissue: where the module makes system calls. */
static int run_flags_init(struct dune_vm *vm)
{
	const char *syscalls = getenv("DUNE_SYSCALLS");

	/* Not once a thread has called dune_user_run(). */
	vm->run_flags = DUNE_RUN_CPL0;
	if (!syscalls || !strcmp(syscalls, "fast"))
		return 0;
	if (strcmp(syscalls, "reissue")) {
		dune_why_set("DUNE_SYSCALLS=%s: use fast or reissue", syscalls);
		return -EINVAL;
	}
	vm->run_flags |= DUNE_RUN_REISSUE;
	return 0;
}

static int vm_init(struct dune_vm *vm)
{
	uint64_t syscall_entry = 0;
	int err;

	err = run_flags_init(vm);
	if (err)
		return err;
	err = dune_threads_init();
	if (err)
		return err;
	err = device_open(vm);
	if (err)
		return err;
	err = vm_create(vm, &syscall_entry);
	if (err)
		goto err_close;
	err = -ENOMEM;
	vm->page = map_shared(vm, PAGE_SIZE, DUNE_MMAP_VM_PAGE, "vm page");
	if (!vm->page)
		goto err_close;
	vm->slot_table = map_shared(vm, DUNE_SLOT_TABLE_SIZE, DUNE_MMAP_SLOT_TABLE,
				    "slot table");
	if (!vm->slot_table)
		goto err_page;
	err = tables_build(vm, syscall_entry);
	if (err)
		goto err_slots;
	vm->xsave_size = xsave_size();
	vm->has_pkru = has_pkru();
	vm->generation++;
	return 0;

err_slots:
	munmap((void *)vm->slot_table, DUNE_SLOT_TABLE_SIZE);
err_page:
	munmap((void *)vm->page, PAGE_SIZE);
err_close:
	close(vm->fd);
	vm->fd = -1;
	return err;
}

/*
 * We are a forked child: nothing of the parent's vm is mapped here but plain
 * copies. Close its fds, unless the number is something else's by now: the
 * module refuses its own with -EPERM.
 */
static void vm_forget(struct dune_vm *vm)
{
	struct dune_info info;

	if (vm->fd >= 0 && ioctl(vm->fd, DUNE_GET_INFO, &info) && errno == EPERM)
		close(vm->fd);
	vm->fd = -1;
	dune_threads_forget();
}

int dune_init(void)
{
	int err;

	if (dune_alive())
		return 0;
	if (dune_in_guest()) {
		dune_why_set("dune_init() in Dune mode");
		return -EBUSY;
	}
	err = forkpage_init();
	if (err)
		return err;
	dune_lock();
	if (!dune_alive()) {
		vm_forget(&dune_vm);
		err = vm_init(&dune_vm);
		if (!err)
			__atomic_store_n(&dune_forkpage->alive, 1, __ATOMIC_RELEASE);
	}
	dune_unlock();
	return err;
}

int dune_vm_fd(void)
{
	return dune_alive() ? dune_vm.fd : -1;
}
