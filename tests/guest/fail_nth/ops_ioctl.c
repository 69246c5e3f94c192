// SPDX-License-Identifier: GPL-2.0 OR MIT
/* open, each ioctl, each mmap, each close. */
#include "fail_nth.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

static int dev = -1, second = -1, stat_fd = -1;
static void *page;

static long result(long ret)
{
	return ret < 0 ? -errno : ret;
}

static void close_result(long ret)
{
	if (ret >= 0)
		close(ret);
}

static long run_open(void)
{
	return result(open(DUNE_DEVICE_PATH, O_RDWR | O_CLOEXEC));
}

static void open_dev(void)
{
	dev = open(DUNE_DEVICE_PATH, O_RDWR | O_CLOEXEC);
	REQUIRE(dev >= 0);
}

static void close_dev(long ret)
{
	close(dev);
	dev = -1;
}

static long run_get_info(void)
{
	struct dune_info info;

	return result(ioctl(dev, DUNE_GET_INFO, &info));
}

static long create_vm(void)
{
	struct dune_create_vm create = { 0 };

	return result(ioctl(dev, DUNE_CREATE_VM, &create));
}

static void check_vm(long ret)
{
	expect_alive(ret >= 0, 0);
}

static void make_vm(void)
{
	open_dev();
	REQUIRE(create_vm() == 0);
}

static long create_vcpu(void)
{
	struct dune_create_vcpu create = { 0 };

	return result(ioctl(dev, DUNE_CREATE_VCPU, &create));
}

static void check_vcpu(long ret)
{
	expect_alive(1, ret >= 0);
}

static void undo_vcpu(long ret)
{
	close_result(ret);
	expect_alive(1, 0);
	close_dev(0);
	expect_alive(0, 0);
}

/* A region whose pages of the slot table are not there yet. */
static long get_slot(void)
{
	struct dune_slot slot = { .hva = 0x7ull << 44 };

	return result(ioctl(dev, DUNE_GET_SLOT, &slot));
}

static long sync_counters(void)
{
	return result(ioctl(dev, DUNE_SYNC_COUNTERS, 0));
}

static long stat_user(void)
{
	struct dune_stat_open req = { .scope = DUNE_STAT_USER };

	return result(ioctl(dev, DUNE_STAT_OPEN, &req));
}

static long stat_process(void)
{
	struct dune_stat_open req = { .scope = DUNE_STAT_PROCESS,
				      .pid = getpid() };

	return result(ioctl(dev, DUNE_STAT_OPEN, &req));
}

static void undo_fd(long ret)
{
	close_result(ret);
	close_dev(0);
}

static void make_stat(void)
{
	open_dev();
	stat_fd = stat_user();
	REQUIRE(stat_fd >= 0);
}

static long read_stat(void)
{
	static uint64_t buf[512];

	return result(read(stat_fd, buf, sizeof(buf)));
}

static void undo_stat(long ret)
{
	close(stat_fd);
	close_dev(0);
}

/* Mapped, and each page made present. */
static long map(int fd, size_t size, int prot, off_t offset)
{
	page = mmap(NULL, size, prot, MAP_SHARED, fd, offset);
	if (page == MAP_FAILED)
		return -errno;
	return result(madvise(page, size, MADV_POPULATE_READ));
}

static long map_vm_page(void)
{
	return map(dev, 4096, PROT_READ, DUNE_MMAP_VM_PAGE);
}

static long map_slots(void)
{
	return map(dev, DUNE_SLOT_TABLE_SIZE, PROT_READ, DUNE_MMAP_SLOT_TABLE);
}

static void unmap(size_t size)
{
	if (page != MAP_FAILED)
		munmap(page, size);
	close_dev(0);
	expect_alive(0, 0);
}

static void undo_page(long ret)
{
	unmap(4096);
}

static void undo_slots(long ret)
{
	unmap(DUNE_SLOT_TABLE_SIZE);
}

static void make_vcpu(void)
{
	make_vm();
	second = create_vcpu();
	REQUIRE(second >= 0);
}

static long map_vcpu(void)
{
	return map(second, 4096, PROT_READ | PROT_WRITE, 0);
}

/* Of all vCPUs, present where there is one. */
static long map_vcpu_pages(void)
{
	page = mmap(NULL, DUNE_VCPU_PAGES_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, dev,
		    DUNE_MMAP_VCPU_PAGES);
	if (page == MAP_FAILED)
		return -errno;
	return result(madvise(page, 4096, MADV_POPULATE_WRITE));
}

static void undo_vcpu_pages(long ret)
{
	close(second);
	unmap(DUNE_VCPU_PAGES_SIZE);
}

static void undo_vcpu_page(long ret)
{
	close(second);
	unmap(4096);
}

static long close_vcpu(void)
{
	return result(close(second));
}

static void undo_close_vcpu(long ret)
{
	expect_alive(1, 0);
	close_dev(0);
}

static long close_vm(void)
{
	return result(close(dev));
}

static void undo_close_vm(long ret)
{
	expect_alive(0, 0);
}

const struct op ioctl_ops[] = {
	{ "open", NULL, run_open, NULL, close_result, { ENOMEM, ENFILE, EFAULT }, 1 },
	{ "get_info", open_dev, run_get_info, NULL, close_dev, { EFAULT }, 1 },
	{ "create_vm", open_dev, create_vm, check_vm, close_dev,
	  { ENOMEM, EFAULT, EINTR }, 8 },
	{ "create_vcpu", make_vm, create_vcpu, check_vcpu, undo_vcpu,
	  { ENOMEM, EFAULT, ENFILE }, 4 },
	{ "get_slot", make_vm, get_slot, NULL, close_dev, { ENOMEM, EFAULT }, 3 },
	{ "sync_counters", make_vm, sync_counters, NULL, close_dev, { 0 }, 0 },
	{ "stat_open user", open_dev, stat_user, NULL, undo_fd,
	  { ENOMEM, EFAULT, ENFILE }, 3 },
	{ "stat_open process", make_vm, stat_process, NULL, undo_fd,
	  { ENOMEM, EFAULT, ENFILE }, 3 },
	{ "stat_read", make_stat, read_stat, NULL, undo_stat, { ENOMEM, EFAULT }, 2 },
	{ "mmap vm page", make_vm, map_vm_page, NULL, undo_page,
	  { ENOMEM, EFAULT }, 1 },
	{ "mmap slot table", make_vm, map_slots, NULL, undo_slots,
	  { ENOMEM, EFAULT }, 32 },
	{ "mmap vcpu page", make_vcpu, map_vcpu, NULL, undo_vcpu_page,
	  { ENOMEM, EFAULT }, 1 },
	{ "mmap vcpu pages", make_vcpu, map_vcpu_pages, NULL, undo_vcpu_pages,
	  { ENOMEM, EFAULT }, 1 },
	{ "close vcpu", make_vcpu, close_vcpu, NULL, undo_close_vcpu, { 0 }, 0 },
	{ "close vm", make_vm, close_vm, NULL, undo_close_vm, { 0 }, 0 },
};
const int nr_ioctl_ops = sizeof(ioctl_ops) / sizeof(*ioctl_ops);
