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
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"
#include "rawsys.h"
#include "vm/setup.h"

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
#define LOCK_TURNS	64u

void dune_lock(void)
{
	uint32_t *lock = &dune_forkpage->lock;
	uint32_t seen = 0;

	/* Most have it for some dozen instructions. */
	for (unsigned int turn = 0; turn < LOCK_TURNS; turn++) {
		seen = 0;
		if (__atomic_compare_exchange_n(lock, &seen, 1, false, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return;
		plat_cpu_relax();
	}
	while (__atomic_exchange_n(lock, 2, __ATOMIC_ACQUIRE))
		raw_syscall4(SYS_futex, (long)lock, FUTEX_WAIT_PRIVATE, 2, 0);
}

void dune_unlock(void)
{
	uint32_t *lock = &dune_forkpage->lock;

	if (__atomic_exchange_n(lock, 0, __ATOMIC_RELEASE) == 2)
		raw_syscall3(SYS_futex, (long)lock, FUTEX_WAKE_PRIVATE, 1);
}

int dune_forkpage_init(void)
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

static int vm_create(struct dune_vm *vm, struct dune_create_vm *create)
{
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
	vm->nr_slots = info.nr_slots;
	if (vm->caps & DUNE_CAP_REENTER)
		vm->run_flags |= DUNE_RUN_REENTER;
	vm->nr_vm_counters = min_uint(info.nr_vm_counters, DUNE_NR_VM_COUNTERS);
	vm->nr_vcpu_counters = min_uint(info.nr_vcpu_counters, DUNE_NR_VCPU_COUNTERS);

	err = dune_placement_get(create);
	if (err)
		return err;
	if (ioctl(vm->fd, DUNE_CREATE_VM, create)) {
		err = -errno;
		if (err == -EINVAL)
			dune_why_set("DUNE_CREATE_VM: %m: of the NUMA nodes that placement names none has memory (numactl -H)");
		else if (err == -EBUSY)
			dune_why_set("DUNE_CREATE_VM: %m: this process has a vm that libdune did not create, or another hypervisor holds VT-x (dmesg | grep dune)");
		else
			dune_why_set("DUNE_CREATE_VM: %m: the kernel log may say why (dmesg | grep dune)");
		return err;
	}
	return 0;
}

static void *map_shared(struct dune_vm *vm, size_t size, int prot, off_t offset,
			const char *what)
{
	void *p = mmap(NULL, size, prot, MAP_SHARED, vm->fd, offset);

	if (p == MAP_FAILED) {
		dune_why_set("cannot map the %s: %m", what);
		return NULL;
	}
	return p;
}

static int paging_setup(struct dune_vm *vm, const struct dune_create_vm *create)
{
	const struct vm_setup setup = {
		.caps = vm->caps,
		.nr_slots = vm->nr_slots,
		.syscall_entry = create->syscall_entry,
		.syscall_target = (uint64_t)dune_syscall_entry,
		.program = getauxval(AT_PHDR),
		.placement = create->placement,
		.nodes = create->nodes,
	};
	void *idt;
	int err = paging_init(&setup);

	if (!err)
		err = dune_own_memory(vm);
	if (!err)
		err = paging_ready();
	if (err)
		return err;
	idt = paging_page();
	if (!idt)
		return -ENOMEM;
	dune_traps_init();
	dune_idt_build(idt);
	vm->idt = (uint64_t)idt;
	return 0;
}

static int tables_build(struct dune_vm *vm, const struct dune_create_vm *create)
{
	int err = paging_setup(vm, create);

	if (err) {
		dune_why_set("cannot build the guest page tables: %s", strerror(-err));
		paging_undo();
	}
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

static void unmap_shared(const struct dune_vm *vm)
{
	if (vm->page)
		munmap((void *)vm->page, PAGE_SIZE);
	if (vm->slot_table)
		munmap((void *)vm->slot_table, DUNE_SLOT_TABLE_SIZE);
	if (vm->vcpu_pages)
		munmap(vm->vcpu_pages, DUNE_VCPU_PAGES_SIZE);
}

/* What the module shows. 0 or -ENOMEM, after which unmap_shared() cleans up. */
static int map_all_shared(struct dune_vm *vm)
{
	vm->slot_table = NULL;
	vm->vcpu_pages = NULL;
	vm->page = map_shared(vm, PAGE_SIZE, PROT_READ, DUNE_MMAP_VM_PAGE, "vm page");
	if (vm->page)
		vm->slot_table = map_shared(vm, DUNE_SLOT_TABLE_SIZE, PROT_READ,
					    DUNE_MMAP_SLOT_TABLE, "slot table");
	if (vm->slot_table)
		vm->vcpu_pages = map_shared(vm, DUNE_VCPU_PAGES_SIZE,
					    PROT_READ | PROT_WRITE, DUNE_MMAP_VCPU_PAGES,
					    "vCPUs' pages");
	return vm->vcpu_pages ? 0 : -ENOMEM;
}

static int vm_init(struct dune_vm *vm)
{
	struct dune_create_vm create = { .flags = 0 };
	int err;

	vm->generation++;
	err = run_flags_init(vm);
	if (err)
		return err;
	err = dune_threads_init();
	if (err)
		return err;
	err = device_open(vm);
	if (err)
		return err;
	err = vm_create(vm, &create);
	if (err)
		goto err_close;
	err = map_all_shared(vm);
	if (!err)
		err = tables_build(vm, &create);
	if (err)
		goto err_shared;
	vm->xsave_size = xsave_size();
	vm->has_pkru = has_pkru();
	return 0;

err_shared:
	unmap_shared(vm);
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
	paging_forget();
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
	err = dune_forkpage_init();
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
