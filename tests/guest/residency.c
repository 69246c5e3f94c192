// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A vCPU follows its thread: what that costs, counted by the emulator. Nothing
 * for who stays, whatever its exits and whoever else uses its CPU; a VMCLEAR for
 * who moves; no INVVPID for either, and one now and then when VPIDs run out.
 */
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "emucount.h"

#define NR_TURNS 20	/* threads that share 4 VPIDs */
#define FEW_VPIDS 4

static const char vpids_param[] = "/sys/module/dune/parameters/vpids";

/* What follows a thread's own doing, on all CPUs: the test is alone here. */
struct events {
	uint64_t vmclear, vmptrld, invept, invvpid;	/* all CPUs */
	uint64_t wrmsr, interrupts;			/* this CPU */
	uint64_t migrated, vpids, preempted;		/* this vCPU */
	uint64_t bumps;			/* generations of the vm: Linux removed something */
};

static uint64_t everywhere(enum emucount_id id)
{
	uint64_t sum = 0;

	for (unsigned int cpu = 0; cpu < emucount_nr_cpus(); cpu++)
		sum += emucount_read(cpu, id);
	return sum;
}

static uint64_t bumps(void)
{
	return vm_stat(DUNE_VM_flushes) + vm_stat(DUNE_VM_deferred);
}

static void events_begin(struct events *e)
{
	e->vmclear = -everywhere(EMU_VMCLEAR);
	e->vmptrld = -everywhere(EMU_VMPTRLD);
	e->invept = -everywhere(EMU_INVEPT);
	e->invvpid = -everywhere(EMU_INVVPID);
	e->wrmsr = -emucount_read(EMUCOUNT_SELF, EMU_WRMSR);
	e->interrupts = -emucount_read(EMUCOUNT_SELF, EMU_EXTINT);
	e->migrated = -vcpu_stat(DUNE_VCPU_migrated);
	e->vpids = -vcpu_stat(DUNE_VCPU_vpids);
	e->preempted = -vcpu_stat(DUNE_VCPU_preempted);
	e->bumps = -bumps();
}

static void events_end(struct events *e)
{
	e->vmclear += everywhere(EMU_VMCLEAR);
	e->vmptrld += everywhere(EMU_VMPTRLD);
	e->invept += everywhere(EMU_INVEPT);
	e->invvpid += everywhere(EMU_INVVPID);
	e->wrmsr += emucount_read(EMUCOUNT_SELF, EMU_WRMSR);
	e->interrupts += emucount_read(EMUCOUNT_SELF, EMU_EXTINT);
	e->migrated += vcpu_stat(DUNE_VCPU_migrated);
	e->vpids += vcpu_stat(DUNE_VCPU_vpids);
	e->preempted += vcpu_stat(DUNE_VCPU_preempted);
	e->bumps += bumps();
}

static void events_print(const char *what, const struct events *e)
{
	printf("    %s: %llu VMCLEAR, %llu VMPTRLD, %llu INVEPT, %llu INVVPID; here %llu WRMSR, %llu interrupts; %llu moves, %llu VPIDs, %llu times scheduled out; %llu removals\n",
	       what, (unsigned long long)e->vmclear,
	       (unsigned long long)e->vmptrld, (unsigned long long)e->invept,
	       (unsigned long long)e->invvpid, (unsigned long long)e->wrmsr,
	       (unsigned long long)e->interrupts,
	       (unsigned long long)e->migrated, (unsigned long long)e->vpids,
	       (unsigned long long)e->preempted, (unsigned long long)e->bumps);
}

static long null_hypercall(void)
{
	long ret = DUNE_HC_NOP;

	asm volatile("vmcall" : "+a"(ret) : : "rcx", "r11", "memory");
	return ret;
}

/* Exits of all kinds: handled in the inner loop, in DUNE_RUN, in user mode. */
static void some_exits(long n)
{
	unsigned int a, b, c, d;

	for (long i = 0; i < n; i++) {
		switch (i % 4) {
		case 0:
			null_hypercall();
			break;
		case 1:
			a = c = 0;
			asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
			break;
		case 2:
			syscall(SYS_getppid);
			break;
		default:
			syscall(SYS_umask, 022);	/* re-issued */
			break;
		}
	}
}

/* Ticks may write MSRs, without Dune too: then so many each. */
static void compare_msr_writes(const struct events *dune,
			       const struct events *plain)
{
	uint64_t allowed = 0;

	if (plain->wrmsr)
		allowed = (dune->interrupts + 1) *
			  (plain->wrmsr / (plain->interrupts + 1) + 1);
	CHECK_IN(dune->wrmsr, 0, allowed);
}

static void pinned(void)
{
	struct events plain, dune;

	pin_to(0);
	events_begin(&plain);
	spin(20000000);
	events_end(&plain);
	events_print("plain", &plain);

	mode_enter();
	some_exits(100);
	events_begin(&dune);
	some_exits(opt.rounds);
	events_end(&dune);
	mode_exit();
	events_print("pinned", &dune);
	CHECK_EQ(dune.vmclear, 0);
	CHECK_EQ(dune.vmptrld, 0);
	CHECK_IN(dune.invept, 0, nr_cpus() * dune.bumps);
	CHECK_EQ(dune.invvpid, 0);
	CHECK_EQ(dune.migrated, 0);
	CHECK_EQ(dune.vpids, 0);
	compare_msr_writes(&dune, &plain);
}

/* Others on its CPU: plain threads cost nothing, a vCPU one VMPTRLD. */
static volatile int stop;
static int other_is_up;

static void *plain_yielder(void *unused)
{
	pin_to(0);
	while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
		sched_yield();
	return NULL;
}

static void yield_in_guest(const char *what, struct events *e)
{
	for (int i = 0; i < 100; i++)
		sched_yield();
	events_begin(e);
	for (int i = 0; i < 2000; i++)
		sched_yield();
	events_end(e);
	events_print(what, e);
	CHECK_EQ(e->vmclear, 0);
	CHECK_IN(e->invept, 0, nr_cpus() * e->bumps);
	CHECK_EQ(e->invvpid, 0);
	CHECK_EQ(e->vpids, 0);
}

static void shared_with_plain(void)
{
	struct events e;
	pthread_t thread;

	pin_to(0);
	stop = 0;
	REQUIRE(pthread_create(&thread, NULL, plain_yielder, NULL) == 0);
	mode_enter();
	yield_in_guest("beside a plain thread", &e);
	CHECK(e.preempted > 1000);
	CHECK_EQ(e.vmptrld, 0);
	mode_exit();
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
}

static void sharer(int index, void *unused)
{
	struct events e;

	pin_to(0);
	if (index == 0) {
		/* What the other does to begin removes translations. */
		while (!__atomic_load_n(&other_is_up, __ATOMIC_ACQUIRE))
			sched_yield();
		yield_in_guest("beside another vCPU", &e);
		CHECK(e.vmptrld > 1000);
		__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	} else {
		__atomic_store_n(&other_is_up, 1, __ATOMIC_RELEASE);
		while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE))
			sched_yield();
	}
}

static void shared_with_vcpu(void)
{
	stop = other_is_up = 0;
	run_threads(2, sharer, NULL);
}

/* The module retires the vCPUs of threads that have ended a little later. */
static void others_are_gone(void)
{
	uint64_t end = deadline(10);

	while (vm_stat(DUNE_VM_vcpus) > 1 && now_ns() < end)
		usleep(1000);
	CHECK_EQ(vm_stat(DUNE_VM_vcpus), 1);
}

static void moved(void)
{
	long moves = opt.rounds / 100;
	struct events e;

	if (nr_cpus() < 2)
		return;
	others_are_gone();
	pin_to(0);
	mode_enter();
	pin_to(1);
	pin_to(0);
	events_begin(&e);
	for (long i = 0; i < moves; i++) {
		pin_to(~i & 1);
		null_hypercall();
	}
	events_end(&e);
	mode_exit();
	events_print("moved", &e);
	CHECK_EQ(e.migrated, moves);
	CHECK_EQ(e.vmclear, moves);
	CHECK_EQ(e.vpids, moves);
	CHECK_EQ(e.invvpid, 0);
}

static volatile int turn;

/* One after the other, many times round; each keeps what is its own. */
static void take_turns(int index, void *rounds)
{
	volatile uint64_t sum = index;
	int n = *(int *)rounds;

	pin_to(0);
	for (int i = 0; i < n; i++) {
		if (!wait_for(&turn, i * NR_TURNS + index, 60))
			break;
		sum += null_hypercall() + 1;
		__atomic_store_n(&turn, turn + 1, __ATOMIC_RELEASE);
	}
	CHECK_EQ(sum, index + n);
}

static void vpids_run_out(void)
{
	long before = read_number(vpids_param);
	struct events e;
	int rounds = 20;

	if (before < 0 || geteuid())
		return;
	write_number(vpids_param, FEW_VPIDS);
	turn = 0;
	events_begin(&e);
	run_threads(NR_TURNS, take_turns, &rounds);
	events_end(&e);
	write_number(vpids_param, before);
	events_print("20 vCPUs, 4 VPIDs", &e);
	/* Every fourth load at least, of 20 in each round. */
	CHECK_IN(e.invvpid, rounds * NR_TURNS / FEW_VPIDS / 2, 1000000);
	CHECK(e.invvpid * FEW_VPIDS <= e.vmptrld + NR_TURNS);
}

int main(int argc, char **argv)
{
	if (!emucount_available()) {
		printf("SKIP: this machine does not count events\n");
		return TEST_SKIP;
	}
	test_start(argc, argv, (struct test_opts){ .rounds = 100000 });
	if (opt.native)
		SKIP("there is nothing to count natively");
	test_part("pinned", pinned);
	test_part("shared_with_plain", shared_with_plain);
	test_part("shared_with_vcpu", shared_with_vcpu);
	test_part("moved", moved);
	test_part("vpids_run_out", vpids_run_out);
	return test_end();
}
