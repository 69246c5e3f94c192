// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What other threads want of a vCPU: flushes of its guest translations and
 * interrupts, by requests in its page and DUNE_HC_KICK. --rounds is the number
 * of interrupts that the storms send.
 */
#include "requests.h"

#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>

/* ---- ids: small, each once at a time, free again with the vCPU ---- */

static int make_vcpu(uint32_t *id)
{
	struct dune_create_vcpu create = { 0 };
	struct dune_vcpu_page *page;
	int fd = ioctl(vm.fd, DUNE_CREATE_VCPU, &create);

	if (fd < 0)
		return -errno;
	page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	REQUIRE(page != MAP_FAILED);
	*id = page->id;
	munmap(page, 4096);
	return fd;
}

static void *dies_with_vcpu(void *fd)
{
	uint32_t id;

	*(int *)fd = make_vcpu(&id);
	CHECK_EQ(id, 1);
	return NULL;
}

/* The kernel frees a dead thread's from a workqueue, soon after its exit. */
static void ids_of_the_dead(void)
{
	struct dune_vm_page *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, vm.fd,
					 DUNE_MMAP_VM_PAGE);
	uint64_t end = deadline(20);
	pthread_t thread;
	int first, second;

	REQUIRE(page != MAP_FAILED);
	REQUIRE(pthread_create(&thread, NULL, dies_with_vcpu, &first) == 0);
	pthread_join(thread, NULL);
	while (((volatile struct dune_vm_page *)page)->counters[DUNE_VM_vcpus] != 1 &&
	       now_ns() < end)
		sched_yield();
	munmap(page, 4096);
	REQUIRE(pthread_create(&thread, NULL, dies_with_vcpu, &second) == 0);
	pthread_join(thread, NULL);
	close(first);
	close(second);
}

void ids(void)
{
	static bool used[DUNE_MAX_VCPUS];
	static int fd[DUNE_MAX_VCPUS];
	struct rlimit limit = { DUNE_MAX_VCPUS + 100, DUNE_MAX_VCPUS + 100 };
	struct dune_info info = { 0 };
	uint32_t id = ~0u;

	peers_setup();
	REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	CHECK_EQ(ioctl(vm.fd, DUNE_GET_INFO, &info), 0);
	CHECK_EQ(info.max_vcpus, DUNE_MAX_VCPUS);
	CHECK(info.caps & DUNE_CAP_REQUESTS);
	fd[0] = make_vcpu(&id);
	CHECK_EQ(id, 0);
	ids_of_the_dead();
	memset(used, 0, sizeof(used));
	used[0] = true;
	for (unsigned int i = 1; i < DUNE_MAX_VCPUS; i++) {
		fd[i] = make_vcpu(&id);
		REQUIRE(fd[i] >= 0 && id < DUNE_MAX_VCPUS);
		CHECK(!used[id]);
		used[id] = true;
	}
	CHECK_EQ(make_vcpu(&id), -ENOSPC);
	close(fd[4]);
	close(fd[700]);
	CHECK(make_vcpu(&id) >= 0);
	CHECK_EQ(id, 4);
	CHECK(make_vcpu(&id) >= 0);
	CHECK_EQ(id, 700);
	CHECK_EQ(make_vcpu(&id), -ENOSPC);
	close_range(3, ~0u, 0);
	munmap(peers, MAX_PEERS * sizeof(*peers));
}

/* ---- id and mode, as inside and outside see them ---- */

static volatile int entered, go_out;

static void shows_mode(void *arg)
{
	struct peer *p = arg;

	p->got[0] = p->vcpu.page->mode;
	entered = 1;
	while (!go_out)
		relax(10);
	raw_vmcall(DUNE_HC_EXIT, 0);
}

static void *watched(void *index)
{
	struct peer *p = peer_begin((long)index);

	peer_start(p, shows_mode);
	CHECK_EQ(p->vcpu.page->mode, 0);
	CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	CHECK_EQ(p->vcpu.page->mode, 0);
	CHECK_EQ(p->got[0], 1);
	go_out = 0;
	wait_for(&go_out, 1, 20);
	peer_end(p);
	return NULL;
}

void page_fields(void)
{
	struct peer *p;
	uint64_t seen = 0, end = deadline(20);

	entered = go_out = 0;
	peers_setup();
	p = &peers[1];
	peer_thread(1, watched);
	wait_for(&entered, 1, 20);
	/* An interrupt may have it outside at any single look. */
	while (!seen && now_ns() < end)
		seen = in_guest(p);
	CHECK_EQ(seen, 1);
	CHECK_EQ(p->vcpu.page->requests, 0);
	CHECK_EQ(p->vcpu.page->polling, 0);
	go_out = 1;
	while (go_out && now_ns() < end)
		sched_yield();
	CHECK_EQ(in_guest(p), 0);
	go_out = 1;
	peer_join(1);
	peers_teardown();
}

int main(int argc, char **argv)
{
	test_start_raw(argc, argv, (struct test_opts){
		.rounds = 100000, .threads = 4 });
	if (opt.native)
		SKIP("there is no native twin of the ABI");
	if (opt.only && !strcmp(opt.only, "kick_cost")) {
		kick_cost();
		return test_end();
	}
	test_part("page_fields", page_fields);
	test_part("flush_at_entry", flush_at_entry);
	test_part("no_exits", no_exits);
	test_part("no_stale_access", no_stale_access);
	test_part("kick_blocked", kick_blocked);
	test_part("kick_mutual", kick_mutual);
	test_part("kick_dying", kick_dying);
	test_part("kick_foreign", kick_foreign);
	test_part("kick_hostile", kick_hostile);
	test_part("irq_simple", irq_simple);
	test_part("irq_window", irq_window);
	test_part("irq_kept", irq_kept);
	test_part("irq_deferred", irq_deferred);
	test_part("irq_hlt", irq_hlt);
	test_part("irq_vectors", irq_vectors);
	test_part("ipis", ipis);
	test_part("ipis_two_processes", ipis_two_processes);
	/* Last: it closes everything. */
	test_part("ids", ids);
	return test_end();
}
