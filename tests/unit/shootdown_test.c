// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Shootdown: the protocol step by step, then a stress on soft CPUs.
 *
 * A soft CPU is a thread with a software TLB that forgets only when told to.
 * It runs any free vCPU, reads frames through its TLB, and leaves the guest
 * when an interrupt is pending. A flusher removes a mapping, runs the
 * shootdown and then poisons the frame: no CPU may read the poison.
 * Frames are plain memory, so that the thread sanitizer judges the MP pairs.
 * It knows no fences: the SB pair is judged by the real cores, here.
 */
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "gather.h"
#include "shootdown.h"

#define MAX_CPUS	4
#define MAX_VCPUS	5
#define MAX_FLUSHERS	2
#define PAGES		8	/* of each flusher */
#define FRAMES		64	/* of each flusher; reused in turn */
#define STRESS_MS	1500

/* --- step by step --- */

struct one_vcpu {
	struct sd_targets targets;
	struct sd_vcpu *vcpu;
	int added_cpu;
	int kicks;
};

static struct sd_vcpu *one_next(struct sd_targets *t, struct sd_vcpu *prev)
{
	return prev ? NULL : ((struct one_vcpu *)t)->vcpu;
}

static void one_add_cpu(struct sd_targets *t, s32 cpu)
{
	((struct one_vcpu *)t)->added_cpu = cpu;
}

static void one_kick(struct sd_targets *t)
{
	struct one_vcpu *one = (struct one_vcpu *)t;

	one->kicks++;
	CHECK_EQ(plat_load(&one->vcpu->mode), SD_EXITING);
	sd_exit(one->vcpu);
}

static struct one_vcpu one_vcpu(struct sd_vcpu *vcpu)
{
	return (struct one_vcpu){ { one_next, one_add_cpu, one_kick },
				  vcpu, -1, 0 };
}

/* One flush of a gather that holds one leaf. */
static unsigned int flush_leaf(struct sd_vm *vm, struct sd_targets *t)
{
	struct gather gather;
	unsigned int kicks;

	gather_init(&gather);
	gather_leaf(&gather);
	kicks = shootdown_run(vm, t, &gather);
	CHECK(!gather_needs_flush(&gather));
	gather_release(&gather);
	CHECK_EQ(plat_test_warnings(), 0);
	return kicks;
}

static void first_entry_on_a_cpu_flushes_it(void)
{
	struct sd_vcpu vcpu;
	struct sd_vm vm;
	u64 seen = 0, gen;

	sd_vm_init(&vm);
	sd_vcpu_init(&vcpu);
	gen = sd_enter(&vm, &vcpu, 3, &seen);
	CHECK(gen != 0);
	CHECK_EQ(vcpu.mode, SD_IN_GUEST);
	CHECK_EQ(vcpu.cpu, 3);
	sd_flushed(&seen, gen);
	sd_exit(&vcpu);
	CHECK_EQ(vcpu.mode, SD_OUTSIDE);
	CHECK_EQ(sd_enter(&vm, &vcpu, 3, &seen), 0);
	sd_exit(&vcpu);
	CHECK_EQ(vcpu.kicked, 0);
}

static void vcpu_outside_gets_no_kick_but_flushes_at_entry(void)
{
	struct sd_vcpu vcpu;
	struct one_vcpu one = one_vcpu(&vcpu);
	struct sd_vm vm;
	u64 seen = 0;

	sd_vm_init(&vm);
	sd_vcpu_init(&vcpu);
	sd_flushed(&seen, sd_enter(&vm, &vcpu, 0, &seen));
	sd_exit(&vcpu);
	CHECK_EQ(flush_leaf(&vm, &one.targets), 0);
	CHECK_EQ(one.kicks, 0);
	CHECK_EQ(one.added_cpu, -1);
	CHECK(sd_enter(&vm, &vcpu, 0, &seen) > seen);
	CHECK_EQ(vm.flushes, 1);
}

static void vcpu_in_guest_is_kicked_on_its_cpu(void)
{
	struct sd_vcpu vcpu;
	struct one_vcpu one = one_vcpu(&vcpu);
	struct sd_vm vm;
	u64 seen = 0;

	sd_vm_init(&vm);
	sd_vcpu_init(&vcpu);
	sd_flushed(&seen, sd_enter(&vm, &vcpu, 7, &seen));
	CHECK_EQ(flush_leaf(&vm, &one.targets), 1);
	CHECK_EQ(one.kicks, 1);
	CHECK_EQ(one.added_cpu, 7);
	CHECK_EQ(vcpu.kicked, 1);
	CHECK_EQ(vm.kicks, 1);
	CHECK(sd_enter(&vm, &vcpu, 7, &seen) > seen);
}

static void empty_gather_costs_nothing(void)
{
	struct sd_vcpu vcpu;
	struct one_vcpu one = one_vcpu(&vcpu);
	struct gather gather;
	struct sd_vm vm;
	u64 seen = 0;

	sd_vm_init(&vm);
	sd_vcpu_init(&vcpu);
	sd_flushed(&seen, sd_enter(&vm, &vcpu, 0, &seen));
	gather_init(&gather);
	CHECK_EQ(shootdown_run(&vm, &one.targets, &gather), 0);
	CHECK_EQ(one.kicks, 0);
	CHECK_EQ(vm.flushes, 0);
	CHECK_EQ(vcpu.mode, SD_IN_GUEST);
}

static void seen_belongs_to_the_cpu(void)
{
	struct sd_vcpu a, b;
	u64 seen[2] = { 0, 0 };
	struct sd_vm vm;

	sd_vm_init(&vm);
	sd_vcpu_init(&a);
	sd_vcpu_init(&b);
	sd_flushed(&seen[0], sd_enter(&vm, &a, 0, &seen[0]));
	sd_exit(&a);
	CHECK_EQ(sd_enter(&vm, &b, 0, &seen[0]), 0);
	CHECK(sd_enter(&vm, &a, 1, &seen[1]) != 0);
}

struct second_flusher {
	struct sd_vm *vm;
	struct one_vcpu one;
	unsigned int kicks;
	int done;
};

static void *second_flusher(void *arg)
{
	struct second_flusher *second = arg;

	second->kicks = flush_leaf(second->vm, &second->one.targets);
	__atomic_store_n(&second->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void second_flusher_waits_for_the_first_ones_kick(void)
{
	struct second_flusher second;
	struct sd_vcpu vcpu;
	struct sd_vm vm;
	pthread_t thread;
	u64 seen = 0;
	u32 mode = SD_IN_GUEST;

	sd_vm_init(&vm);
	sd_vcpu_init(&vcpu);
	sd_flushed(&seen, sd_enter(&vm, &vcpu, 0, &seen));
	/* The first flusher has asked; its interrupt is on the way. */
	CHECK(plat_cas32(&vcpu.mode, &mode, SD_EXITING));

	second = (struct second_flusher){ &vm, one_vcpu(&vcpu), 0, 0 };
	pthread_create(&thread, NULL, second_flusher, &second);
	usleep(50000);
	CHECK(!__atomic_load_n(&second.done, __ATOMIC_ACQUIRE));
	sd_exit(&vcpu);
	pthread_join(thread, NULL);
	CHECK_EQ(second.kicks, 0);
	CHECK_EQ(second.one.kicks, 0);
}

/* --- stress --- */

struct soft_cpu {
	u64 seen;
	u64 tlb[MAX_FLUSHERS][PAGES];	/* owner only */
	u64 irq_raised;		/* by kickers */
	u64 irq_handled;	/* by the owner, outside of the guest */
	u64 runs, reads;
} __attribute__((aligned(64)));

static struct {
	struct sd_vm vm __attribute__((aligned(64)));
	struct sd_vcpu vcpu[MAX_VCPUS];
	u32 vcpu_taken[MAX_VCPUS];
	struct soft_cpu cpu[MAX_CPUS];
	u64 map[MAX_FLUSHERS][PAGES];	/* the table: 0 or a mapping's id */
	u64 frame[MAX_FLUSHERS][FRAMES];	/* holds its mapping's id */
	u32 stop_flushers, stop_cpus;
	unsigned int nr_cpus, nr_vcpus, nr_flushers;
} s;

static u64 next_random(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static bool irq_pending(struct soft_cpu *cpu)
{
	return plat_load(&cpu->irq_raised) != cpu->irq_handled;
}

static void guest_read(struct soft_cpu *cpu, unsigned int set, unsigned int page)
{
	u64 id = cpu->tlb[set][page];

	if (!id) {
		id = plat_load_acquire(&s.map[set][page]);
		if (!id)
			return;
		cpu->tlb[set][page] = id;
	}
	if (s.frame[set][id % FRAMES] != id)
		check_fail("cpu used mapping %llu of page %u after its shootdown",
			   id, page);
	cpu->reads++;
}

static void guest_run(struct soft_cpu *cpu, u64 *random)
{
	unsigned int length = next_random(random) % 4;

	for (unsigned int i = 0; i <= length; i++)
		for (unsigned int set = 0; set < s.nr_flushers; set++)
			for (unsigned int page = 0; page < PAGES; page++) {
				guest_read(cpu, set, page);
				if (irq_pending(cpu))
					return;
			}
}

static void *soft_cpu_thread(void *arg)
{
	struct soft_cpu *cpu = arg;
	s32 nr = cpu - s.cpu;
	u64 random = nr + 1, gen;

	while (!plat_load_acquire(&s.stop_cpus)) {
		u32 v = next_random(&random) % s.nr_vcpus, free = 0;

		if (!plat_cas32(&s.vcpu_taken[v], &free, 1))
			continue;
		gen = sd_enter(&s.vm, &s.vcpu[v], nr, &cpu->seen);
		if (gen) {
			memset(cpu->tlb, 0, sizeof(cpu->tlb));
			sd_flushed(&cpu->seen, gen);
		}
		guest_run(cpu, &random);
		sd_exit(&s.vcpu[v]);
		cpu->runs++;
		plat_store_release(&s.vcpu_taken[v], 0);
		plat_store_release(&cpu->irq_handled,
				   plat_load_acquire(&cpu->irq_raised));
	}
	return NULL;
}

struct stress_targets {
	struct sd_targets targets;
	unsigned int cpus;	/* mask */
};

static struct sd_vcpu *stress_next(struct sd_targets *t, struct sd_vcpu *prev)
{
	struct sd_vcpu *next = prev ? prev + 1 : s.vcpu;

	(void)t;
	return next < s.vcpu + s.nr_vcpus ? next : NULL;
}

static void stress_add_cpu(struct sd_targets *t, s32 cpu)
{
	((struct stress_targets *)t)->cpus |= 1u << cpu;
}

static void stress_kick(struct sd_targets *t)
{
	unsigned int cpus = ((struct stress_targets *)t)->cpus;
	u64 ticket[MAX_CPUS];

	for (unsigned int i = 0; i < s.nr_cpus; i++)
		if (cpus & 1u << i)
			ticket[i] = plat_add64(&s.cpu[i].irq_raised, 1);
	for (unsigned int i = 0; i < s.nr_cpus; i++)
		while (cpus & 1u << i &&
		       plat_load_acquire(&s.cpu[i].irq_handled) < ticket[i])
			plat_cpu_relax();
}

static void *flusher_thread(void *arg)
{
	unsigned int set = (unsigned long)arg;
	u64 random = set + 77, next_id = 1;

	while (!plat_load_acquire(&s.stop_flushers) && !check_failed()) {
		struct stress_targets t = {
			{ stress_next, stress_add_cpu, stress_kick }, 0 };
		u64 *entry = &s.map[set][next_random(&random) % PAGES];
		struct gather gather;
		u64 old;

		gather_init(&gather);
		old = plat_xchg64(entry, 0);
		if (old)
			gather_leaf(&gather);
		shootdown_run(&s.vm, &t.targets, &gather);
		if (old)
			s.frame[set][old % FRAMES] = PLAT_TEST_POISON;

		/* A frame that is still mapped elsewhere is not free. */
		while (s.frame[set][next_id % FRAMES] != PLAT_TEST_POISON)
			next_id++;
		s.frame[set][next_id % FRAMES] = next_id;
		plat_store_release(entry, next_id++);
	}
	return NULL;
}

static void stress(unsigned int cpus, unsigned int vcpus, unsigned int flushers)
{
	pthread_t cpu[MAX_CPUS], flusher[MAX_FLUSHERS];
	struct timespec step = { .tv_nsec = 10 * 1000 * 1000 };
	u64 runs = 0, reads = 0;

	memset(&s, 0, sizeof(s));
	s.nr_cpus = cpus;
	s.nr_vcpus = vcpus;
	s.nr_flushers = flushers;
	sd_vm_init(&s.vm);
	for (unsigned int i = 0; i < vcpus; i++)
		sd_vcpu_init(&s.vcpu[i]);
	memset(s.frame, (int)(PLAT_TEST_POISON & 0xff), sizeof(s.frame));
	for (unsigned int i = 0; i < cpus; i++)
		pthread_create(&cpu[i], NULL, soft_cpu_thread, &s.cpu[i]);
	for (unsigned long i = 0; i < flushers; i++)
		pthread_create(&flusher[i], NULL, flusher_thread, (void *)i);

	for (unsigned int ms = 0; ms < STRESS_MS && !check_failed(); ms += 10)
		nanosleep(&step, NULL);
	plat_store_release(&s.stop_flushers, 1);
	for (unsigned int i = 0; i < flushers; i++)
		pthread_join(flusher[i], NULL);
	plat_store_release(&s.stop_cpus, 1);
	for (unsigned int i = 0; i < cpus; i++) {
		pthread_join(cpu[i], NULL);
		runs += s.cpu[i].runs;
		reads += s.cpu[i].reads;
	}
	CHECK(runs > 0 && reads > 0 && s.vm.flushes > 0);
	CHECK(s.vm.kicks > 0);
	fprintf(stderr, "# %u cpus, %u flushers: %llu runs, %llu reads, %llu flushes, %llu kicks\n",
		cpus, flushers, runs, reads, s.vm.flushes, s.vm.kicks);
}

static void no_stale_use_one_cpu_one_flusher(void)
{
	stress(1, 1, 1);
}

static void no_stale_use_three_cpus_two_flushers(void)
{
	stress(3, 4, 2);
}

int main(void)
{
	CASE(first_entry_on_a_cpu_flushes_it);
	CASE(vcpu_outside_gets_no_kick_but_flushes_at_entry);
	CASE(vcpu_in_guest_is_kicked_on_its_cpu);
	CASE(empty_gather_costs_nothing);
	CASE(seen_belongs_to_the_cpu);
	CASE(second_flusher_waits_for_the_first_ones_kick);
	CASE(no_stale_use_one_cpu_one_flusher);
	CASE(no_stale_use_three_cpus_two_flushers);
	return CHECK_EXIT();
}
