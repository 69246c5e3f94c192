// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Every ioctl and mmap of the ABI with everything that is wrong: reserved
 * fields, bad pointers, wrong fd kinds, wrong order, wrong sizes, unknown
 * numbers. Each must be refused with the documented error, and the vm must
 * work afterwards.
 */
#include "test.h"
#include "rawvm.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

static struct rawvm vm;
static struct rawvcpu vcpu;
#define KERNEL_ADDRESS ((void *)0xffff888000000000ul)
#define NONCANONICAL ((void *)0x8000000000000000ul)

static void guest_nop(void *arg)
{
	*(volatile int *)arg += 1;
	raw_vmcall(DUNE_HC_EXIT, 0);
}

/* The vm still runs code. */
static void still_works(void)
{
	static int count;
	int before = count;

	rawvcpu_start(&vm, &vcpu, guest_nop, &count);
	CHECK_EQ(rawvcpu_run(&vcpu, 0, 1000), DUNE_EXIT_HYPERCALL);
	CHECK_EQ(count, before + 1);
}

static void *bad_pointers[6];

static void make_bad_pointers(void)
{
	char *p = mmap(NULL, 12288, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(p + 4096, 4096, PROT_NONE);
	mprotect(p + 8192, 4096, PROT_NONE);
	bad_pointers[0] = NULL;
	bad_pointers[1] = KERNEL_ADDRESS;
	bad_pointers[2] = NONCANONICAL;
	bad_pointers[3] = p + 4096 - 8;		/* crosses into nothing */
	bad_pointers[4] = p + 8192;
	bad_pointers[5] = (void *)-8l;
}

static void before_create(void)
{
	struct dune_create_vcpu create = { 0 };
	struct dune_slot slot = { .hva = 0x1000 };
	struct dune_info info = { 0 };
	int fd = open(DUNE_DEVICE_PATH, O_RDWR | O_CLOEXEC);

	REQUIRE(fd >= 0);
	CHECK_EQ(ioctl(fd, DUNE_GET_INFO, &info), 0);
	CHECK_EQ(info.api_version, DUNE_API_VERSION);
	CHECK_EQ(info.nr_vcpu_counters, DUNE_NR_VCPU_COUNTERS);
	CHECK_EQ(info.nr_vm_counters, DUNE_NR_VM_COUNTERS);
	CHECK_IN(info.phys_bits, 32, 52);
	CHECK(info.nr_slots > 0 && info.nr_slots <= DUNE_NR_REGIONS);
	CHECK(info.max_vcpus > 0);
	for (int i = 0; i < 9; i++)
		CHECK_EQ(info.reserved[i], 0);
	CHECK_ERRNO(ioctl(fd, DUNE_CREATE_VCPU, &create), EINVAL);
	CHECK_ERRNO(ioctl(fd, DUNE_GET_SLOT, &slot), EINVAL);
	CHECK_ERRNO(ioctl(fd, DUNE_SYNC_COUNTERS, 0), EINVAL);
	CHECK_ERRNO(raw_run(fd, 0) < 0 ? (errno = ENOTTY, -1) : 0, ENOTTY);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, DUNE_MMAP_VM_PAGE) ==
	      MAP_FAILED);
	CHECK(mmap(NULL, DUNE_SLOT_TABLE_SIZE, PROT_READ, MAP_SHARED, fd,
		   DUNE_MMAP_SLOT_TABLE) == MAP_FAILED);
	close(fd);
}

static void create_vm_fields(void)
{
	int fd = open(DUNE_DEVICE_PATH, O_RDWR | O_CLOEXEC);
	struct dune_create_vm create;

	REQUIRE(fd >= 0);
	for (int bit = 0; bit < 64; bit++) {
		memset(&create, 0, sizeof(create));
		create.flags = 1ull << bit;
		CHECK_ERRNO(ioctl(fd, DUNE_CREATE_VM, &create), EINVAL);
	}
	for (int i = 0; i < 4; i++) {
		memset(&create, 0, sizeof(create));
		create.reserved[i] = i & 1 ? 1 : 1ull << 63;
		CHECK_ERRNO(ioctl(fd, DUNE_CREATE_VM, &create), EINVAL);
	}
	memset(&create, 0, sizeof(create));
	create.reserved0 = 1;
	CHECK_ERRNO(ioctl(fd, DUNE_CREATE_VM, &create), EINVAL);
	for (size_t i = 0; i < 6; i++)
		CHECK_ERRNO(ioctl(fd, DUNE_CREATE_VM, bad_pointers[i]), EFAULT);
	close(fd);
}

/* Policies that there are not, nodes that there are not, nodes where none belong. */
static void create_vm_placement(void)
{
	static const struct dune_create_vm bad[] = {
		{ .placement = DUNE_PLACE_REPLICATE + 1 },
		{ .placement = ~0u },
		{ .placement = DUNE_PLACE_LOCAL, .nodes = 1 },
		{ .placement = DUNE_PLACE_REPLICATE, .nodes = 1 },
		{ .placement = DUNE_PLACE_BIND },
		{ .placement = DUNE_PLACE_BIND, .nodes = 1ull << 63 },
		{ .placement = DUNE_PLACE_INTERLEAVE, .nodes = 1ull << 63 },
	};
	int fd = open(DUNE_DEVICE_PATH, O_RDWR | O_CLOEXEC);

	REQUIRE(fd >= 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct dune_create_vm create = bad[i];

		CHECK_ERRNO(ioctl(fd, DUNE_CREATE_VM, &create), EINVAL);
	}
	close(fd);
}

static void places_fields(void)
{
	struct dune_stat_open user = { .scope = DUNE_STAT_USER };
	struct dune_stat_open process = { .scope = DUNE_STAT_PROCESS, .pid = getpid() };
	static struct dune_place out[256];
	struct dune_places req = { .places = (uintptr_t)out, .nr = 256 }, bad;
	int of_user = ioctl(vm.fd, DUNE_STAT_OPEN, &user);
	int fd = ioctl(vm.fd, DUNE_STAT_OPEN, &process);

	REQUIRE(fd >= 0 && of_user >= 0);
	bad = req;
	CHECK_ERRNO(ioctl(of_user, DUNE_GET_PLACES, &bad), EINVAL);
	CHECK_ERRNO(ioctl(fd, DUNE_RUN, &bad), ENOTTY);
	for (size_t i = 0; i < 6; i++) {
		CHECK_ERRNO(ioctl(fd, DUNE_GET_PLACES, bad_pointers[i]), EFAULT);
		bad = req;
		bad.places = (uintptr_t)bad_pointers[i];
		CHECK_ERRNO(ioctl(fd, DUNE_GET_PLACES, &bad), EFAULT);
	}
	for (unsigned int i = 0; i < 5; i++) {
		bad = req;
		bad.nr = i == 0 ? 0 : i == 1 ? 257 : i == 2 ? ~0u : req.nr;
		bad.reserved0 = i == 3;
		bad.reserved[1] = i == 4;
		CHECK_ERRNO(ioctl(fd, DUNE_GET_PLACES, &bad), EINVAL);
	}
	/* Any cursor gives a part of the list, or nothing. */
	for (unsigned int bit = 0; bit < 128; bit++) {
		bad = req;
		bad.cursor[bit / 64] = bit & 1 ? 1ull << bit % 64 : ~0ull << bit % 64;
		CHECK_EQ(ioctl(fd, DUNE_GET_PLACES, &bad), 0);
		CHECK(bad.nr <= 256);
	}
	close(fd);
	close(of_user);
	still_works();
}

static void second_vm(void)
{
	struct dune_create_vm create = { 0 };
	int fd = open(DUNE_DEVICE_PATH, O_RDWR | O_CLOEXEC);

	REQUIRE(fd >= 0);
	CHECK_ERRNO(ioctl(vm.fd, DUNE_CREATE_VM, &create), EBUSY);
	CHECK_ERRNO(ioctl(fd, DUNE_CREATE_VM, &create), EBUSY);
	close(fd);
	still_works();
}

static void info_pointers(void)
{
	for (size_t i = 0; i < 6; i++)
		CHECK_ERRNO(ioctl(vm.fd, DUNE_GET_INFO, bad_pointers[i]), EFAULT);
	/* Read-only memory is no place for a result. */
	CHECK_ERRNO(ioctl(vm.fd, DUNE_GET_INFO, "a constant string that is long enough to hold the whole struct...."),
		    EFAULT);
}

static void create_vcpu_fields(void)
{
	struct dune_create_vcpu create;
	uint64_t vcpus = 0;

	for (int bit = 0; bit < 64; bit++) {
		memset(&create, 0, sizeof(create));
		create.flags = 1ull << bit;
		CHECK_ERRNO(ioctl(vm.fd, DUNE_CREATE_VCPU, &create), EINVAL);
	}
	for (int i = 0; i < 2; i++) {
		memset(&create, 0, sizeof(create));
		create.reserved[i] = 1;
		CHECK_ERRNO(ioctl(vm.fd, DUNE_CREATE_VCPU, &create), EINVAL);
	}
	for (size_t i = 0; i < 6; i++)
		CHECK_ERRNO(ioctl(vm.fd, DUNE_CREATE_VCPU, bad_pointers[i]),
			    EFAULT);
	/* None of the refused ones is left behind. */
	struct dune_vm_page *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED,
					 vm.fd, DUNE_MMAP_VM_PAGE);
	REQUIRE(page != MAP_FAILED);
	vcpus = page->counters[DUNE_VM_vcpus];
	CHECK_EQ(vcpus, 1);
	munmap(page, 4096);
	still_works();
}

static void slots(void)
{
	static const uint64_t bad[] = { 1ull << 47, (1ull << 47) | 4096,
					1ull << 48, 1ull << 63, ~0ull,
					0xffff800000000000ull };
	struct dune_slot slot = { .hva = (uint64_t)&slot }, again;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct dune_slot s = { .hva = bad[i] };

		CHECK_ERRNO(ioctl(vm.fd, DUNE_GET_SLOT, &s), EINVAL);
	}
	for (size_t i = 0; i < 6; i++)
		CHECK_ERRNO(ioctl(vm.fd, DUNE_GET_SLOT, bad_pointers[i]), EFAULT);
	CHECK_EQ(ioctl(vm.fd, DUNE_GET_SLOT, &slot), 0);
	CHECK_EQ(slot.gpa & 0x3fffffff, slot.hva & 0x3fffffff);
	again = slot;
	CHECK_EQ(ioctl(vm.fd, DUNE_GET_SLOT, &again), 0);
	CHECK_EQ(again.gpa, slot.gpa);
}

static void counters(void)
{
	CHECK_EQ(ioctl(vm.fd, DUNE_SYNC_COUNTERS, 0), 0);
	CHECK_ERRNO(ioctl(vm.fd, DUNE_SYNC_COUNTERS, 1), EINVAL);
	CHECK_ERRNO(ioctl(vcpu.fd, DUNE_SYNC_COUNTERS, 0), ENOTTY);
}

static void unknown_numbers(void)
{
	char buf[16384] = { 0 };

	for (int nr = 0; nr < 256; nr++) {
		static const unsigned int dirs[] = { _IOC_NONE, _IOC_READ,
						     _IOC_WRITE,
						     _IOC_READ | _IOC_WRITE };

		for (int d = 0; d < 4; d++) {
			static const int sizes[] = { 0, 1, 8, 15, 17, 33, 63,
						     65, 4096, 16383 };

			for (int s = 0; s < 10; s++) {
				unsigned int cmd = _IOC(dirs[d], DUNE_IOC_MAGIC,
							nr, sizes[s]);

				if (cmd == DUNE_RUN ||
				    cmd == DUNE_SYNC_COUNTERS)
					continue;
				CHECK_ERRNO(ioctl(vm.fd, cmd, buf), ENOTTY);
				if (s < 2)
					CHECK_ERRNO(ioctl(vcpu.fd, cmd, buf),
						    ENOTTY);
			}
		}
	}
	CHECK_ERRNO(ioctl(vm.fd, 0, buf), ENOTTY);
	CHECK_ERRNO(ioctl(vm.fd, ~0ul, buf), ENOTTY);
	still_works();
}

static void wrong_fd_kind(void)
{
	struct dune_create_vcpu create = { 0 };
	struct dune_create_vm create_vm = { 0 };
	struct dune_slot slot = { .hva = 4096 };
	struct dune_info info;
	char c;

	CHECK_ERRNO(ioctl(vm.fd, DUNE_RUN, 0), ENOTTY);
	CHECK_ERRNO(ioctl(vcpu.fd, DUNE_CREATE_VM, &create_vm), ENOTTY);
	CHECK_ERRNO(ioctl(vcpu.fd, DUNE_CREATE_VCPU, &create), ENOTTY);
	CHECK_ERRNO(ioctl(vcpu.fd, DUNE_GET_SLOT, &slot), ENOTTY);
	CHECK_ERRNO(ioctl(vcpu.fd, DUNE_GET_INFO, &info), ENOTTY);
	CHECK_EQ(read(vm.fd, &c, 1), -1);
	CHECK_EQ(write(vm.fd, &c, 1), -1);
	CHECK_EQ(read(vcpu.fd, &c, 1), -1);
	CHECK_EQ(write(vcpu.fd, &c, 1), -1);
	CHECK_EQ(pread(vcpu.fd, &c, 1, 1ll << 62), -1);
	CHECK_EQ(ftruncate(vcpu.fd, 8192), -1);
}

static void refuse_mmap(size_t size, int prot, int flags, int fd, off_t offset)
{
	void *p = mmap(NULL, size, prot, flags, fd, offset);

	if (p == MAP_FAILED)
		return;
	FAIL("mmap(size %zu, prot %d, flags %d, %s fd, offset 0x%lx) worked",
	     size, prot, flags, fd == vm.fd ? "vm" : "vcpu", (long)offset);
	munmap(p, size);
}

static void mappings(void)
{
	static const off_t offsets[] = { 4096, 0x80000, 0xff000, 0x101000,
					 0x180000, 0x200000, 1l << 32,
					 1l << 46, (1l << 62), -4096l };
	const int rw = PROT_READ | PROT_WRITE;
	char *p;

	for (size_t i = 0; i < sizeof(offsets) / sizeof(*offsets); i++) {
		refuse_mmap(4096, PROT_READ, MAP_SHARED, vm.fd, offsets[i]);
		refuse_mmap(4096, rw, MAP_SHARED, vcpu.fd, offsets[i]);
	}
	refuse_mmap(8192, PROT_READ, MAP_SHARED, vm.fd, DUNE_MMAP_VM_PAGE);
	refuse_mmap(1 << 30, PROT_READ, MAP_SHARED, vm.fd, DUNE_MMAP_VM_PAGE);
	refuse_mmap(DUNE_SLOT_TABLE_SIZE + 4096, PROT_READ, MAP_SHARED, vm.fd,
		    DUNE_MMAP_SLOT_TABLE);
	refuse_mmap(8192, rw, MAP_SHARED, vcpu.fd, 0);
	refuse_mmap(1 << 20, rw, MAP_SHARED, vcpu.fd, 0);
	refuse_mmap(4096, rw, MAP_SHARED, vm.fd, DUNE_MMAP_VM_PAGE);
	refuse_mmap(DUNE_SLOT_TABLE_SIZE, rw, MAP_SHARED, vm.fd,
		    DUNE_MMAP_SLOT_TABLE);
	refuse_mmap(4096, rw, MAP_PRIVATE, vcpu.fd, 0);
	refuse_mmap(4096, PROT_READ, MAP_PRIVATE, vm.fd, DUNE_MMAP_VM_PAGE);
	refuse_mmap(DUNE_SLOT_TABLE_SIZE, PROT_READ, MAP_PRIVATE, vm.fd,
		    DUNE_MMAP_SLOT_TABLE);

	p = mmap(NULL, DUNE_SLOT_TABLE_SIZE, PROT_READ, MAP_SHARED, vm.fd,
		 DUNE_MMAP_SLOT_TABLE);
	REQUIRE(p != MAP_FAILED);
	CHECK_EQ(mprotect(p, 4096, rw), -1);
	CHECK(((uint32_t *)p)[(uint64_t)&vm >> DUNE_SLOT_SHIFT] & DUNE_SLOT_VALID);
	munmap(p + 4096, 4096);
	munmap(p, DUNE_SLOT_TABLE_SIZE);
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, vm.fd, DUNE_MMAP_VM_PAGE);
	REQUIRE(p != MAP_FAILED);
	CHECK_EQ(mprotect(p, 4096, rw), -1);
	CHECK(mremap(p, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED);
	munmap(p, 4096);
	still_works();
}

static void *foreign_thread(void *arg)
{
	CHECK_EQ(raw_run(vcpu.fd, 0), -EPERM);
	return NULL;
}

static void foreign(void)
{
	pthread_t thread;

	rawvcpu_start(&vm, &vcpu, guest_nop, &thread);
	REQUIRE(pthread_create(&thread, NULL, foreign_thread, NULL) == 0);
	pthread_join(thread, NULL);
	still_works();
}

struct kick_arg {
	void *address;
	uint64_t result;
};

static void guest_kicks(void *arg)
{
	struct kick_arg *kick = arg;

	kick->result = raw_vmcall(DUNE_HC_KICK, (uint64_t)kick->address);
	raw_vmcall(DUNE_HC_EXIT, 0);
}

/* A set of vCPUs that is not there; one of all that are and all that are not. */
static void kicks(void)
{
	static struct kick_arg arg;
	static struct dune_kick all;

	memset(&all, 0xff, sizeof(all));
	for (size_t i = 0; i < 7; i++) {
		arg.address = i < 6 ? bad_pointers[i] : &all;
		rawvcpu_start(&vm, &vcpu, guest_kicks, &arg);
		CHECK_EQ(rawvcpu_run(&vcpu, 0, 1000), DUNE_EXIT_HYPERCALL);
		CHECK_EQ(arg.result, i < 6 ? -EFAULT : 0);
	}
	still_works();
}

/* A thread that enters once and ends; its vCPU's fd stays open. */
static void *short_life(void *arg)
{
	struct rawvcpu *mine = arg;
	uint64_t for_guest[8] = { 0 };

	rawvcpu_create(&vm, mine);
	rawvcpu_start(&vm, mine, guest_nop, for_guest);
	CHECK(rawvcpu_run(mine, 0, 1000) >= 0);
	return NULL;
}

/* The vCPU goes with its thread, not only with its fd. */
static void owner_ends(void)
{
	struct dune_vm_page *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, vm.fd,
					 DUNE_MMAP_VM_PAGE);
	struct rawvcpu left[8];
	pthread_t thread;
	uint64_t before;

	REQUIRE(page != MAP_FAILED);
	before = page->counters[DUNE_VM_vcpus];
	for (int i = 0; i < 8; i++) {
		REQUIRE(pthread_create(&thread, NULL, short_life, &left[i]) == 0);
		pthread_join(thread, NULL);
	}
	/* The kernel frees it from a workqueue, soon after the exit. */
	for (int i = 0; i < 2000 && page->counters[DUNE_VM_vcpus] != before; i++)
		usleep(1000);
	CHECK_EQ(page->counters[DUNE_VM_vcpus], before);
	for (int i = 0; i < 8; i++) {
		CHECK_EQ(raw_run(left[i].fd, 0), -EPERM);
		rawvcpu_destroy(&left[i]);
	}
	CHECK_EQ(page->counters[DUNE_VM_vcpus], before);
	munmap(page, 4096);
	still_works();
}

/* DUNE_RUN on a vCPU whose state was never set: an error or an exit record. */
static void run_unset(void)
{
	struct dune_create_vcpu create = { 0 };
	int fd = ioctl(vm.fd, DUNE_CREATE_VCPU, &create);
	long ret = 0;

	/* One vCPU a thread may be the rule. */
	if (fd < 0) {
		CHECK(errno == EBUSY || errno == EEXIST);
		return;
	}
	for (int i = 0; i < 20 && ret >= 0; i++)
		ret = raw_run(fd, 0);
	CHECK(ret < 0 || (ret >= DUNE_EXIT_RETRY && ret <= DUNE_EXIT_UNKNOWN));
	close(fd);
	still_works();
}

static void all_slots(void)
{
	struct dune_info info;
	uint64_t n = 0;

	CHECK_EQ(ioctl(vm.fd, DUNE_GET_INFO, &info), 0);
	for (uint64_t i = 0; i < DUNE_NR_REGIONS; i++) {
		struct dune_slot slot = { .hva = i << DUNE_SLOT_SHIFT };

		if (ioctl(vm.fd, DUNE_GET_SLOT, &slot)) {
			CHECK(errno == ENOSPC || errno == ENOMEM);
			break;
		}
		n++;
	}
	CHECK(n <= info.nr_slots);
	CHECK(n + 16 >= info.nr_slots);
	still_works();
}

int main(int argc, char **argv)
{
	test_start_raw(argc, argv, (struct test_opts){ 0 });
	if (opt.native)
		SKIP("there is no native twin of the ABI");
	make_bad_pointers();
	test_part("before_create", before_create);
	test_part("create_vm_fields", create_vm_fields);
	test_part("create_vm_placement", create_vm_placement);
	rawvm_create(&vm);
	rawvcpu_create(&vm, &vcpu);
	still_works();
	test_part("second_vm", second_vm);
	test_part("places_fields", places_fields);
	test_part("info_pointers", info_pointers);
	test_part("create_vcpu_fields", create_vcpu_fields);
	test_part("slots", slots);
	test_part("counters", counters);
	test_part("unknown_numbers", unknown_numbers);
	test_part("wrong_fd_kind", wrong_fd_kind);
	test_part("mappings", mappings);
	test_part("foreign", foreign);
	test_part("kicks", kicks);
	test_part("owner_ends", owner_ends);
	test_part("run_unset", run_unset);
	test_part("all_slots", all_slots);
	rawvcpu_destroy(&vcpu);
	rawvm_destroy(&vm);
	/* The fd was the vm: the mm may have another now. */
	rawvm_create(&vm);
	rawvcpu_create(&vm, &vcpu);
	still_works();
	return test_end();
}
