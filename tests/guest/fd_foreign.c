// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A vm or vCPU fd in the hands of another process, by fork or over a socket:
 * every call is refused with EPERM, closing it harms nobody, and the owner
 * works on. The owner may also die first.
 */
#include "test.h"
#include "rawvm.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

static struct rawvm vm;
static struct rawvcpu vcpu;

static void guest_code(void *arg)
{
	*(volatile int *)arg += 1;
	raw_vmcall(DUNE_HC_EXIT, 0);
}

static void owner_works(void)
{
	static int count;
	int before = count;

	rawvcpu_start(&vm, &vcpu, guest_code, &count);
	CHECK_EQ(rawvcpu_run(&vcpu, 0, 1000), DUNE_EXIT_HYPERCALL);
	CHECK_EQ(count, before + 1);
}

/* All calls on fds of another process; the exit status counts surprises. */
static void try_everything(int vm_fd, int vcpu_fd)
{
	struct dune_create_vm create_vm = { 0 };
	struct dune_create_vcpu create_vcpu = { 0 };
	struct dune_slot slot = { .hva = 0x1000 };

	CHECK_ERRNO(ioctl(vm_fd, DUNE_CREATE_VM, &create_vm), EPERM);
	CHECK_ERRNO(ioctl(vm_fd, DUNE_CREATE_VCPU, &create_vcpu), EPERM);
	CHECK_ERRNO(ioctl(vm_fd, DUNE_GET_SLOT, &slot), EPERM);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, vm_fd,
		   DUNE_MMAP_VM_PAGE) == MAP_FAILED && errno == EPERM);
	CHECK(mmap(NULL, DUNE_SLOT_TABLE_SIZE, PROT_READ, MAP_SHARED, vm_fd,
		   DUNE_MMAP_SLOT_TABLE) == MAP_FAILED && errno == EPERM);
	CHECK(mmap(NULL, DUNE_VCPU_PAGES_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vm_fd,
		   DUNE_MMAP_VCPU_PAGES) == MAP_FAILED && errno == EPERM);
	if (vcpu_fd < 0)
		return;
	CHECK_EQ(raw_run(vcpu_fd, 0), -EPERM);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu_fd,
		   0) == MAP_FAILED && errno == EPERM);
}

static int finish(pid_t pid)
{
	int status = -1;

	REQUIRE(waitpid(pid, &status, 0) == pid);
	return status;
}

static pid_t start_child(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	REQUIRE(pid >= 0);
	if (pid == 0) {
		check_failures = 0;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	}
	return pid;
}

static void leave(void)
{
	fflush(stdout);
	_exit(check_failures != 0);
}

static volatile sig_atomic_t faulted;

static void on_segv(int sig)
{
	_exit(faulted ? 7 : 8);
}

static void by_fork(void)
{
	pid_t pid = start_child();

	if (pid == 0) {
		struct rawvm own;
		struct rawvcpu own_vcpu;
		static int count;

		try_everything(vm.fd, vcpu.fd);
		close(vcpu.fd);
		close(vm.fd);
		/* The child can have a vm of its own. */
		rawvm_create(&own);
		rawvcpu_create(&own, &own_vcpu);
		rawvcpu_start(&own, &own_vcpu, guest_code, &count);
		CHECK_EQ(rawvcpu_run(&own_vcpu, 0, 1000), DUNE_EXIT_HYPERCALL);
		CHECK_EQ(count, 1);
		leave();
	}
	owner_works();
	CHECK_EQ(finish(pid), 0);
	owner_works();
}

/* The vCPU page is not inherited. */
static void page_not_inherited(void)
{
	pid_t pid = start_child();

	if (pid == 0) {
		signal(SIGSEGV, on_segv);
		faulted = 1;
		(void)*(volatile uint64_t *)vcpu.page;
		_exit(9);
	}
	CHECK_EQ(finish(pid), 7 << 8);
	owner_works();
}

static void before_vm(void)
{
	int fd = open(DUNE_DEVICE_PATH, O_RDWR | O_CLOEXEC);
	pid_t pid = start_child();

	if (pid == 0) {
		try_everything(fd, -1);
		leave();
	}
	CHECK_EQ(finish(pid), 0);
	close(fd);
	owner_works();
}

static void send_fds(int sock, int *fds, int n)
{
	char control[CMSG_SPACE(2 * sizeof(int))] = { 0 }, c = 'f';
	struct iovec iov = { &c, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, n * sizeof(int));
	REQUIRE(sendmsg(sock, &msg, 0) == 1);
}

static void receive_fds(int sock, int *fds, int n)
{
	char control[CMSG_SPACE(2 * sizeof(int))] = { 0 }, c;
	struct iovec iov = { &c, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };

	REQUIRE(recvmsg(sock, &msg, 0) == 1);
	REQUIRE(CMSG_FIRSTHDR(&msg));
	memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&msg)), n * sizeof(int));
}

/* A process with a vm of its own receives another's fds over a socket. */
static void by_socket(void)
{
	int sock[2], fds[2] = { vm.fd, vcpu.fd };
	pid_t pid;

	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, sock) == 0);
	pid = start_child();
	if (pid == 0) {
		struct rawvm own;
		struct rawvcpu own_vcpu;
		static int count;

		close(vm.fd);
		close(vcpu.fd);
		rawvm_create(&own);
		rawvcpu_create(&own, &own_vcpu);
		receive_fds(sock[1], fds, 2);
		try_everything(fds[0], fds[1]);
		close(fds[1]);
		close(fds[0]);
		rawvcpu_start(&own, &own_vcpu, guest_code, &count);
		CHECK_EQ(rawvcpu_run(&own_vcpu, 0, 1000), DUNE_EXIT_HYPERCALL);
		leave();
	}
	send_fds(sock[0], fds, 2);
	owner_works();
	CHECK_EQ(finish(pid), 0);
	owner_works();
	close(sock[0]);
	close(sock[1]);
}

/* The fds outlive their process: calls are refused, the last close is clean. */
static void owner_dies(void)
{
	int sock[2], fds[2], status;
	pid_t pid;

	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, sock) == 0);
	pid = start_child();
	if (pid == 0) {
		struct rawvm own;
		struct rawvcpu own_vcpu;
		static int count;

		close(vm.fd);
		close(vcpu.fd);
		rawvm_create(&own);
		rawvcpu_create(&own, &own_vcpu);
		rawvcpu_start(&own, &own_vcpu, guest_code, &count);
		CHECK_EQ(rawvcpu_run(&own_vcpu, 0, 1000), DUNE_EXIT_HYPERCALL);
		fds[0] = own.fd;
		fds[1] = own_vcpu.fd;
		send_fds(sock[1], fds, 2);
		kill(getpid(), SIGKILL);
	}
	receive_fds(sock[0], fds, 2);
	REQUIRE(waitpid(pid, &status, 0) == pid);
	try_everything(fds[0], fds[1]);
	owner_works();
	close(fds[0]);
	CHECK_EQ(raw_run(fds[1], 0), -EPERM);
	close(fds[1]);
	owner_works();
	close(sock[0]);
	close(sock[1]);
}

int main(int argc, char **argv)
{
	long refs, after;

	test_start_raw(argc, argv, (struct test_opts){ .rounds = 3 });
	if (opt.native)
		SKIP("there is no native twin of the ABI");
	refs = read_number("/sys/module/dune/refcnt");
	rawvm_create(&vm);
	rawvcpu_create(&vm, &vcpu);
	owner_works();
	for (long i = 0; i < opt.rounds; i++) {
		test_part("by_fork", by_fork);
		test_part("page_not_inherited", page_not_inherited);
		test_part("before_vm", before_vm);
		test_part("by_socket", by_socket);
		test_part("owner_dies", owner_dies);
	}
	rawvcpu_destroy(&vcpu);
	rawvm_destroy(&vm);
	after = read_number("/sys/module/dune/refcnt");
	CHECK_EQ(after, refs);
	return test_end();
}
