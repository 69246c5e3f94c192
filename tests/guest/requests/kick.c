// SPDX-License-Identifier: GPL-2.0 OR MIT
/* DUNE_HC_KICK: whom it interrupts, that it ends, that it harms nobody. */
#include "requests.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define MUTUAL_KICKS	3000
#define LIVES		200
#define LIES		50000

/* ---- one that is not in the guest gets no interrupt ---- */

static volatile int ready, over;
static volatile uint64_t result;

static void kicks_number_1(void *arg)
{
	struct peer *p = arg;

	result = kick(p, &peers[1]);
	raw_vmcall(DUNE_HC_EXIT, 0);
}

static void enters_once(void *unused)
{
	raw_vmcall(DUNE_HC_EXIT, 0);
}

static void *blocked(void *index)
{
	struct peer *p = peer_begin((long)index);

	peer_start(p, enters_once);
	CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	ready = 1;
	wait_for(&over, 1, 60);
	CHECK_EQ(peer_counter(p, DUNE_VCPU_kicked), 0);
	/* What was requested meanwhile is taken now. */
	CHECK_EQ(peer_counter(p, DUNE_VCPU_guest_flushes), 0);
	peer_start(p, enters_once);
	CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	CHECK_EQ(peer_counter(p, DUNE_VCPU_guest_flushes), 1);
	peer_end(p);
	return NULL;
}

void kick_blocked(void)
{
	struct peer *p;

	ready = over = 0;
	peers_setup();
	p = peer_begin(0);
	peer_thread(1, blocked);
	wait_for(&ready, 1, 60);
	for (int i = 0; i < 20; i++) {
		request(&peers[1], DUNE_REQ_FLUSH);
		peer_start(p, kicks_number_1);
		result = 77;
		CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
		CHECK_EQ(result, 0);
	}
	CHECK_EQ(peer_counter(p, DUNE_VCPU_kick_calls), 20);
	CHECK_EQ(peer_counter(p, DUNE_VCPU_kicks_sent), 0);
	over = 1;
	peer_join(1);
	peer_end(p);
	peers_teardown();
}

/* ---- two that kick each other, on two CPUs and on one ---- */

static void kicks_the_other(void *arg)
{
	struct peer *p = arg, *other = &peers[!p->index];

	for (int i = 0; i < MUTUAL_KICKS; i++) {
		p->got[0] += kick(p, other);
		relax(rnd(&p->random) % 50);
	}
	raw_vmcall(DUNE_HC_EXIT, 0);
}

static volatile int one_cpu;

static void *mutual(void *index)
{
	struct peer *p = peer_begin((long)index);

	pin_to(one_cpu ? 0 : (long)index % nr_cpus());
	peer_start(p, kicks_the_other);
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	wait_for(&ready, 2, 60);
	CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	CHECK_EQ(peer_counter(p, DUNE_VCPU_kick_calls), MUTUAL_KICKS);
	CHECK_EQ(peer_counter(p, DUNE_VCPU_kicks_sent), p->got[0]);
	/* The other's vCPU page is looked at until the end. */
	__atomic_add_fetch(&over, 1, __ATOMIC_SEQ_CST);
	wait_for(&over, 2, 60);
	peer_end(p);
	return NULL;
}

void kick_mutual(void)
{
	for (one_cpu = 0; one_cpu < 2; one_cpu++) {
		uint64_t kicks;

		ready = over = 0;
		peers_setup();
		for (int i = 0; i < 2; i++)
			peer_thread(i, mutual);
		for (int i = 0; i < 2; i++)
			peer_join(i);
		kicks = peers[0].got[0] + peers[1].got[0];
		printf("    %s: %llu kicks in %d calls\n",
		       one_cpu ? "one CPU" : "two CPUs",
		       (unsigned long long)kicks, 2 * MUTUAL_KICKS);
		if (one_cpu)
			CHECK_EQ(kicks, 0);
		else if (nr_cpus() > 1)
			CHECK(kicks > 0);
		peers_teardown();
	}
}

/* ---- vCPUs that come and go while everybody is kicked ---- */

static void kicks_all(void *arg)
{
	struct peer *p = arg;

	while (!over)
		p->got[0] += raw_vmcall(DUNE_HC_KICK, (uint64_t)&p->kick);
	raw_vmcall(DUNE_HC_EXIT, 0);
}

static void runs_a_while(void *arg)
{
	struct peer *p = arg;

	relax(rnd(&p->random) % 3000);
	raw_vmcall(DUNE_HC_EXIT, 0);
}

/* Every second one leaves its vCPU to the exit of the thread. */
static void *lives_once(void *index)
{
	struct peer *p = peer_begin((long)index);
	long life = ready;

	p->random += life;
	peer_start(p, runs_a_while);
	CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	if (life & 1)
		peer_end(p);
	return NULL;
}

static void *kicker(void *index)
{
	struct peer *p = peer_begin((long)index);

	memset(&p->kick, 0xff, sizeof(p->kick));
	peer_start(p, kicks_all);
	CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	printf("    %llu kicks in %llu calls\n", (unsigned long long)p->got[0],
	       (unsigned long long)peer_counter(p, DUNE_VCPU_kick_calls));
	CHECK(p->got[0] > 0 || nr_cpus() < 2);
	peer_end(p);
	return NULL;
}

void kick_dying(void)
{
	ready = over = 0;
	peers_setup();
	peer_thread(0, kicker);
	for (int i = 0; i < LIVES; i++) {
		ready = i;
		peer_thread(1, lives_once);
		peer_join(1);
		if (!(i & 1))
			peer_end(&peers[1]);
	}
	over = 1;
	peer_join(0);
	peers_teardown();
}

/* ---- the vCPUs of another process have the same ids ---- */

struct foreign {
	volatile int ready, over, calls;
};
static struct foreign *foreign;

static void stays_inside(void *arg)
{
	foreign->ready = 1;
	while (!foreign->over)
		relax(10);
	raw_vmcall(DUNE_HC_EXIT, 0);
}

static void other_process(void *unused)
{
	struct peer *p;

	check_failures = 0;
	peers_setup();
	pin_to(1 % nr_cpus());
	p = peer_begin(0);
	rawvm_map(&vm, (void *)foreign);
	peer_start(p, stays_inside);
	CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	CHECK_EQ(p->vcpu.page->id, 0);
	CHECK_EQ(peer_counter(p, DUNE_VCPU_kicked), 0);
	_exit(check_failures ? 1 : 0);
}

static void *stays(void *index)
{
	struct peer *p = peer_begin((long)index);

	pin_to(1 % nr_cpus());
	rawvm_map(&vm, (void *)foreign);
	peer_start(p, stays_inside);
	CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	peer_end(p);
	return NULL;
}

static void kicks_all_often(void *arg)
{
	struct peer *p = arg;

	for (int i = 0; i < 2000; i++)
		p->got[0] += raw_vmcall(DUNE_HC_KICK, (uint64_t)&p->kick);
	raw_vmcall(DUNE_HC_EXIT, 0);
}

/* Beside it a vCPU of this process, on the same CPU. */
void kick_foreign(void)
{
	int status = -1;
	struct peer *p;
	pid_t pid;

	foreign = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(foreign != MAP_FAILED);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		other_process(NULL);
	REQUIRE(pid > 0);
	wait_for(&foreign->ready, 1, 60);
	peers_setup();
	p = peer_begin(0);
	peer_thread(1, stays);
	pin_to(0);
	memset(&p->kick, 0xff, sizeof(p->kick));
	peer_start(p, kicks_all_often);
	CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	printf("    %llu kicks in 2000 calls\n", (unsigned long long)p->got[0]);
	foreign->over = 1;
	peer_join(1);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	peer_end(p);
	peers_teardown();
	munmap(foreign, 4096);
}

/* ---- arguments that are none, pages full of lies ---- */

static uint64_t bad_address[6];

static void bad_arguments(void *arg)
{
	struct peer *p = arg;

	for (int i = 0; i < 6; i++)
		p->got[i] = raw_vmcall(DUNE_HC_KICK, bad_address[i]);
	raw_vmcall(DUNE_HC_EXIT, 0);
}

/* Says of itself what is not true, over and over. */
static void *liar(void *arg)
{
	struct dune_vcpu_page *page = arg;
	uint64_t seed = opt.seed;

	pin_to(1);
	while (!over) {
		volatile uint32_t *word = &page->id + rnd(&seed) % 16;

		/* Mostly a vector that is one, or all would be ignored. */
		if (word == &page->notify_vector && rnd(&seed) % 8)
			*word = 32 + rnd(&seed) % 224;
		else
			*word = rnd(&seed);
		ready++;
	}
	return NULL;
}

static void kicks_itself(void *arg)
{
	struct peer *p = arg;

	while (ready < LIES) {
		result += raw_vmcall(DUNE_HC_KICK, (uint64_t)&p->kick);
		relax(10);
	}
	raw_vmcall(DUNE_HC_EXIT, 0);
}

static void lies(void)
{
	pthread_t thread;
	struct peer *p = peer_begin(0);

	pin_to(0);
	ready = over = 0;
	result = 0;
	for (int i = 32; i < 256; i++)
		peer_handles(p, i);
	REQUIRE(pthread_create(&thread, NULL, liar, p->vcpu.page) == 0);
	memset(&p->kick, 0xff, sizeof(p->kick));
	peer_start(p, kicks_itself);
	CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	over = 1;
	pthread_join(thread, NULL);
	CHECK_EQ(result, 0);
	CHECK_EQ(p->handled, peer_counter(p, DUNE_VCPU_irqs));
	printf("    %llu flushes, %llu interrupts\n",
	       (unsigned long long)peer_counter(p, DUNE_VCPU_guest_flushes),
	       (unsigned long long)peer_counter(p, DUNE_VCPU_irqs));
	CHECK(p->handled > 10);
	CHECK(peer_counter(p, DUNE_VCPU_guest_flushes) > 0);
	peer_end(p);
}

void kick_hostile(void)
{
	char *hole = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct peer *p;

	REQUIRE(hole != MAP_FAILED);
	mprotect(hole + 4096, 4096, PROT_NONE);
	bad_address[0] = 0;
	bad_address[1] = 0xffff888000000000ul;
	bad_address[2] = 0x8000000000000000ul;
	bad_address[3] = (uint64_t)hole + 4096 - 8;
	bad_address[4] = (uint64_t)hole + 4096;
	bad_address[5] = -8ul;
	peers_setup();
	p = peer_begin(0);
	peer_start(p, bad_arguments);
	CHECK_EQ(peer_run(p), DUNE_EXIT_HYPERCALL);
	for (int i = 0; i < 6; i++)
		CHECK_EQ(p->got[i], -EFAULT);
	CHECK_EQ(peer_counter(p, DUNE_VCPU_kicks_sent), 0);
	peer_end(p);
	if (nr_cpus() > 1)
		lies();
	peers_teardown();
	munmap(hole, 8192);
}
