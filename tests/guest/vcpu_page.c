// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The page a vCPU shares with its process may hold anything. One bad value at
 * a time first, then whole pages of noise: DUNE_RUN comes back with an exit
 * record, an errno, or the process gets a signal; the host and other vms do
 * not care. Each attempt is a process of its own.
 */
#include "test.h"
#include "rawvm.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>

static struct rawvm vm;
static struct rawvcpu vcpu;
static volatile int count;

static void guest_code(void *arg)
{
	*(volatile int *)arg += 1;
	raw_vmcall(DUNE_HC_EXIT, 0);
}

static void guest_loops(void *arg)
{
	for (;;)
		*(volatile int *)arg += 1;
}

static void guest_calls(void *arg)
{
	asm volatile("vmcall" : : "a"(39 /* getpid */), "D"(1), "S"(2), "d"(3)
		     : "rcx", "r11", "memory");
	*(volatile int *)arg = 77;
	raw_vmcall(DUNE_HC_EXIT, 0);
}

/* Goes on at rcx, with the flags in r11: what is between is not executed. */
static void guest_packed(void *arg)
{
	uint64_t rax = 39 | 0x246ull << 32, r11;

	asm volatile("lea 1f(%%rip), %%rcx\n\t"
		     "mov %%rsp, %%r11\n\t"
		     "vmcall\n\t"
		     "ud2\n"
		     "1:\tmov %%r11, %1"
		     : "+a"(rax), "=r"(r11) : : "rcx", "r11", "memory");
	*(volatile int *)arg = rax == 4711 ? (int)r11 : -1;
	raw_vmcall(DUNE_HC_EXIT, 0);
}

static void guest_packed_nowhere(void *arg)
{
	uint64_t rax = 39 | 0x246ull << 32;

	asm volatile("mov %1, %%rcx\n\t"
		     "mov %%rsp, %%r11\n\t"
		     "vmcall\n\t"
		     "ud2"
		     : "+a"(rax) : "i"(0x800000000000ull) : "rcx", "r11", "memory");
}

#define FIELD(f) { #f, offsetof(struct dune_vcpu_page, f) }
struct field {
	const char *name;
	size_t offset;
};
static const struct field fields[] = {
	FIELD(regs.rip), FIELD(regs.rsp), FIELD(regs.rflags), FIELD(regs.rax),
	FIELD(sregs.cr3), FIELD(sregs.fs_base), FIELD(sregs.gs_base),
	FIELD(sregs.gdt_base), FIELD(sregs.idt_base), FIELD(sregs.tss_base),
	FIELD(sregs.gdt_limit), FIELD(sregs.tss_limit), FIELD(quantum_us),
	FIELD(reserved0), FIELD(id), FIELD(requests), FIELD(notify_vector),
	FIELD(irr),
	FIELD(reserved1), FIELD(exit), FIELD(exit.reserved), FIELD(gdt), FIELD(cpu_desc),
	FIELD(counters),
};
#define NR_FIELDS (sizeof(fields) / sizeof(*fields))

static const uint64_t values[] = {
	0, 1, 0xfff, 0x1000, 0x8000000000000000ull, 0x0000800000000000ull,
	0x7fffffffffffffffull, 0xffffffffffffffffull, 0xffff888000000000ull,
	0x123456789abcdef0ull, 0x0000010000000000ull, 0x00000000ffffffffull,
};
#define NR_VALUES (sizeof(values) / sizeof(*values))

static void fresh_vm(void)
{
	rawvm_create(&vm);
	rawvcpu_create(&vm, &vcpu);
	rawvcpu_start(&vm, &vcpu, guest_code, (void *)&count);
}

/* A second of CPU time at most, whatever the guest does. */
static void bounded_run(int times)
{
	struct itimerval it = { { 0, 300000 }, { 0, 300000 } };
	long ret = 0;

	signal(SIGALRM, SIG_DFL);
	setitimer(ITIMER_REAL, &it, NULL);
	for (int i = 0; i < times && ret >= 0; i++) {
		ret = raw_run(vcpu.fd, i);
		if (ret > DUNE_EXIT_QUANTUM)
			_exit(6);
		vcpu.page->run_flags |= DUNE_RUN_RECORD;
	}
	_exit(0);
}

struct attempt {
	const struct field *field;
	uint64_t value;
};

static void one_value(void *arg)
{
	const struct attempt *a = arg;

	fresh_vm();
	memcpy((char *)vcpu.page + a->field->offset, &a->value, 8);
	bounded_run(5);
}

static bool survived(const char *what, uint64_t value, int status)
{
	/* SIGKILL is what a kernel oops leaves behind. */
	if (status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL))
		return CHECK(true);
	FAIL("%s = 0x%llx: status 0x%x", what, (unsigned long long)value, status);
	return false;
}

static int raw_child(int limit, void (*fn)(void *), void *arg)
{
	bool native = opt.native;
	int status;

	opt.native = true;	/* no dune_init() in the child */
	status = run_child(limit, fn, arg);
	opt.native = native;
	return status;
}

static void bad_values(void)
{
	for (size_t f = 0; f < NR_FIELDS; f++)
		for (size_t v = 0; v < NR_VALUES; v++) {
			struct attempt a = { &fields[f], values[v] };

			survived(fields[f].name, values[v],
				 raw_child(20, one_value, &a));
		}
}

static void noise(void *arg)
{
	uint64_t seed = *(uint64_t *)arg;
	unsigned char *page;
	int n;

	fresh_vm();
	page = (unsigned char *)vcpu.page;
	switch (rnd(&seed) % 3) {
	case 0:		/* everything */
		for (int i = 0; i < 4096; i++)
			page[i] = rnd(&seed) >> 20;
		break;
	case 1:		/* a few bits */
		n = 1 + rnd(&seed) % 8;
		while (n--)
			page[rnd(&seed) % 576] ^= 1 << rnd(&seed) % 8;
		break;
	default:	/* a few words */
		n = 1 + rnd(&seed) % 4;
		while (n--) {
			uint64_t v = values[rnd(&seed) % NR_VALUES] ^
				     (rnd(&seed) % 4 ? 0 : rnd(&seed));

			memcpy(page + rnd(&seed) % 72 * 8, &v, 8);
		}
	}
	vcpu.page->run_flags = DUNE_RUN_RECORD | (rnd(&seed) % 4 ? 0 : ~0u);
	vcpu.page->sync = DUNE_SYNC_REGS | DUNE_SYNC_SREGS |
			  (rnd(&seed) % 4 ? 0 : ~0u);
	/* Mostly one that is allowed, or the rest of the page would not matter. */
	if (rnd(&seed) % 8)
		vcpu.page->quantum_us = rnd(&seed) % 2 ? 0 : 20 + rnd(&seed) % 1000;
	bounded_run(5);
}

static void noise_pages(void)
{
	uint64_t seed = opt.seed;

	for (long i = 0; i < opt.rounds; i++) {
		uint64_t one = rnd(&seed);

		if (!survived("noise seed", one, raw_child(20, noise, &one)))
			break;
	}
}

/* System calls without DUNE_RUN_RECORD clobber registers; raw_run() copes. */
static void live_registers(void *arg)
{
	long ret;

	fresh_vm();
	rawvcpu_start(&vm, &vcpu, guest_calls, (void *)&count);
	vcpu.page->run_flags = DUNE_RUN_REISSUE;
	ret = rawvcpu_run(&vcpu, 0, 1000);
	CHECK_EQ(ret, DUNE_EXIT_SYSCALL);
	CHECK_EQ(vcpu.page->regs.rax, 39);
	CHECK_EQ(rawvcpu_run(&vcpu, 4711, 1000), DUNE_EXIT_HYPERCALL);
	CHECK_EQ(count, 77);
}

static void records(void *arg)
{
	fresh_vm();
	rawvcpu_start(&vm, &vcpu, guest_calls, (void *)&count);
	CHECK_EQ(rawvcpu_run(&vcpu, 0, 1000), DUNE_EXIT_SYSCALL);
	CHECK_EQ(vcpu.page->exit.kind, DUNE_EXIT_SYSCALL);
	CHECK_EQ(vcpu.page->regs.rax, 39);
	CHECK_EQ(vcpu.page->regs.rdi, 1);
	CHECK_EQ(vcpu.page->regs.rsi, 2);
	CHECK_EQ(vcpu.page->regs.rdx, 3);
	vcpu.page->regs.rax = 4711;
	CHECK_EQ(rawvcpu_run(&vcpu, 0, 1000), DUNE_EXIT_HYPERCALL);
	CHECK_EQ(vcpu.page->exit.kind, DUNE_EXIT_HYPERCALL);
	CHECK_EQ(count, 77);
}

static void packed(void *arg)
{
	fresh_vm();
	rawvcpu_start(&vm, &vcpu, guest_packed, (void *)&count);
	CHECK_EQ(rawvcpu_run(&vcpu, 0, 1000), DUNE_EXIT_SYSCALL);
	CHECK_EQ(vcpu.page->regs.rax, 39);
	CHECK_EQ(vcpu.page->regs.r11, 0x246);
	CHECK_EQ(vcpu.page->regs.rip, vcpu.page->regs.rcx);
	vcpu.page->regs.rax = 4711;
	CHECK_EQ(rawvcpu_run(&vcpu, 0, 1000), DUNE_EXIT_HYPERCALL);
	CHECK_EQ(count, 0x246);
}

/* The guest would go on at no address: the vCPU ends, nobody else. */
static void packed_nowhere(void *arg)
{
	long ret;

	fresh_vm();
	rawvcpu_start(&vm, &vcpu, guest_packed_nowhere, NULL);
	CHECK_EQ(rawvcpu_run(&vcpu, 0, 1000), DUNE_EXIT_SYSCALL);
	ret = rawvcpu_run(&vcpu, 0, 1000);
	CHECK(ret == DUNE_EXIT_ENTRY_FAILED || ret == DUNE_EXIT_CRASH);
}

/* The page and the fd go while the vm lives on. */
static void without_page(void *arg)
{
	struct dune_vcpu_page *page = vcpu.page;

	fresh_vm();
	page = vcpu.page;
	rawvcpu_start(&vm, &vcpu, guest_code, (void *)&count);
	munmap(page, 4096);
	CHECK_EQ(raw_run(vcpu.fd, 0) >= 0, 1);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu.fd, 0);
	CHECK(page != MAP_FAILED);
	close(vcpu.fd);
	memset(page, 0x5a, 576);
	close(vm.fd);
	memset(page, 0xa5, 576);
	CHECK_EQ(raw_run(vcpu.fd, 0), -EBADF);
	munmap(page, 4096);
}

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	alarms++;
}

/* A guest that never exits by itself is interrupted by signals. */
static void endless(void *arg)
{
	struct itimerval it = { { 0, 5000 }, { 0, 5000 } };

	fresh_vm();
	rawvcpu_start(&vm, &vcpu, guest_loops, (void *)&count);
	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &it, NULL);
	for (int i = 0; i < 10; i++) {
		long ret = raw_run(vcpu.fd, 0);

		CHECK(ret == DUNE_EXIT_RETRY || ret == -EINTR);
	}
	CHECK(alarms >= 9);
	CHECK(count > 0);
}

static void good_uses(void)
{
	CHECK_EQ(raw_child(20, live_registers, NULL), 0);
	CHECK_EQ(raw_child(20, records, NULL), 0);
	CHECK_EQ(raw_child(20, packed, NULL), 0);
	CHECK_EQ(raw_child(20, packed_nowhere, NULL), 0);
	CHECK_EQ(raw_child(20, without_page, NULL), 0);
	CHECK_EQ(raw_child(20, endless, NULL), 0);
}

static void healthy(void *arg)
{
	fresh_vm();
	CHECK_EQ(rawvcpu_run(&vcpu, 0, 1000), DUNE_EXIT_HYPERCALL);
	CHECK_EQ(count, 1);
}

int main(int argc, char **argv)
{
	long refs;

	test_start_raw(argc, argv, (struct test_opts){ .rounds = 200 });
	if (opt.native)
		SKIP("there is no native twin of the ABI");
	refs = read_number("/sys/module/dune/refcnt");
	test_part("good_uses", good_uses);
	test_part("bad_values", bad_values);
	test_part("noise_pages", noise_pages);
	CHECK_EQ(raw_child(20, healthy, NULL), 0);
	CHECK_EQ(read_number("/sys/module/dune/refcnt"), refs);
	return test_end();
}
