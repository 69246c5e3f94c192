// SPDX-License-Identifier: GPL-2.0 OR MIT
#include "team.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#define MAX_TEAM 15
#define AREA_BASE ((char *)0x300000000000)
#define AREA_SIZE (MAX_TEAM * GIB)
#define LOCAL_STRIDE (64 * MIB)
/* The first page of each 2 MiB is mapped throughout: so are its tables. */
#define IN_TABLE 511

struct member {
	int index;
	pthread_t thread;
	volatile int fd;
	uint32_t cost[TEAM_OPS];
	uint8_t clean[TEAM_OPS];
} __attribute__((aligned(4096)));

static struct {
	const struct work *work;
	enum mode mode;
	int nr;
	volatile int arrived __attribute__((aligned(64)));
	volatile unsigned int turn __attribute__((aligned(64)));
} team;
static struct member members[MAX_TEAM];
static uint32_t all_costs[MAX_TEAM * TEAM_OPS];
static uint8_t all_clean[MAX_TEAM * TEAM_OPS];
static __thread int self_index;
static __thread uint64_t own_cost;
static __thread bool own_disturbed;

const char *layout_name(enum layout layout)
{
	static const char *const names[] = { "local", "neighbour", "shared", "apart" };

	return names[layout];
}

/* No system call, no exit: also between two operations. */
static void barrier(void)
{
	unsigned int turn = team.turn;

	if (__atomic_add_fetch(&team.arrived, 1, __ATOMIC_ACQ_REL) == team.nr) {
		team.arrived = 0;
		__atomic_store_n(&team.turn, turn + 1, __ATOMIC_RELEASE);
		return;
	}
	while (__atomic_load_n(&team.turn, __ATOMIC_ACQUIRE) == turn)
		asm volatile("pause");
}

static int group(void)
{
	return team.work->group ? team.work->group : 1;
}

/* No group has pages in two tables. */
static volatile char *page(int member, int i)
{
	int per_table = IN_TABLE - IN_TABLE % group();
	char *base = AREA_BASE;

	if (team.work->layout == LOCAL)
		base += member * LOCAL_STRIDE;
	else if (team.work->layout == APART)
		base += member * GIB;
	else if (team.work->layout == NEIGHBOUR)
		i = (i / group() * team.nr + member) * group() + i % group();
	return base + i / per_table * 2 * MIB + (i % per_table + 1) * PAGE;
}

volatile char *team_page(int i)
{
	return page(self_index, i);
}

static volatile char *table_of(volatile char *p)
{
	return (volatile char *)((uintptr_t)p & ~(2 * MIB - 1));
}

static void touch_tables(int member)
{
	for (int i = 0; i < TEAM_PAGES; i++)
		touch((char *)table_of(page(member, i)));
}

/* Nothing mapped but the tables; then as the work wants it. Plain mode. */
static void prepare_round(void)
{
	MUST(madvise(AREA_BASE, AREA_SIZE, MADV_DONTNEED) == 0);
	for (int m = 0; m < team.nr; m++) {
		touch_tables(m);
		for (int i = 0; i < TEAM_PAGES; i++)
			team.work->prepare(page(m, i));
	}
	if (team.mode == DUNE)
		guest_enter();
}

/*
 * Each its own: who has touched another one's GiB in Dune mode may remember what it
 * leads to, and is told of its changes.
 */
static void gather_for_round(int member)
{
	barrier();
	touch_tables(member);
	barrier();
}

int team_round_ops(const struct work *work)
{
	return work->ops ? work->ops : TEAM_PAGES / (work->group ? work->group : 1);
}

/* Of which a cost is told. */
static int divisor(void)
{
	return team.work->costs == OF_A_PAGE ? group() : 1;
}

void team_cost(uint64_t cost)
{
	own_cost = cost;
}

void team_disturbed(void)
{
	own_disturbed = true;
}

static bool is_clean(uint64_t irqs)
{
	if (own_cost)
		return !own_disturbed;
	return team.work->samples == ALL || interrupts_now() == irqs;
}

/* first: where to store what this round takes. */
static void work_round(struct member *self, int first)
{
	const struct work *work = team.work;
	uint64_t t0, t1, irqs;

	for (int i = 0; i < team_round_ops(work); i++) {
		volatile char *p = page(self->index, i * group() % TEAM_PAGES);

		own_cost = 0;
		own_disturbed = false;
		work->before(p);
		if (work->layout == SHARED)
			barrier();
		irqs = interrupts_now();
		t0 = cost_now();
		work->op(p);
		t1 = cost_now();
		self->clean[first + i] = is_clean(irqs);
		self->cost[first + i] = (own_cost ? own_cost : t1 - t0) / divisor();
	}
}

static int store_at(int round)
{
	return round ? (round - 1) * team_round_ops(team.work) : 0;
}

static void begin(int member)
{
	self_index = member;
	if (team.work->begin)
		team.work->begin(member);
}

/* Everybody has made its last operation. */
static void end(int member)
{
	if (team.work->end)
		team.work->end(member);
}

static void *member_main(void *arg)
{
	struct member *self = arg;

	pin_to(self->index);
	if (team.mode == DUNE) {
		guest_enter();
		self->fd = dune_vcpu_fd();
	}
	begin(self->index);
	for (int round = 0; round <= TEAM_ROUNDS; round++) {
		gather_for_round(self->index);
		barrier();
		work_round(self, store_at(round));
		barrier();
	}
	end(self->index);
	if (team.mode == DUNE) {
		MUST(dune_inside());
		guest_leave();
	}
	return NULL;
}

/* What the first thread does; events[] sums over the rounds that count. */
static void lead(struct result *r)
{
	static uint64_t before[NR_EVENTS], after[NR_EVENTS];

	for (int round = 0; round <= TEAM_ROUNDS; round++) {
		prepare_round();
		if (!round)
			begin(0);
		gather_for_round(0);
		snapshot(before);
		barrier();
		work_round(&members[0], store_at(round));
		barrier();
		snapshot(after);
		for (int i = 0; round && i < NR_EVENTS; i++)
			r->event[i] += after[i] - before[i];
		if (round == TEAM_ROUNDS)
			end(0);
		if (team.mode == DUNE) {
			MUST(dune_inside());
			guest_leave();
		}
	}
}

static void start_member(int m)
{
	members[m].index = m;
	members[m].fd = -1;
	if (m == 0)
		return;
	MUST(pthread_create(&members[m].thread, NULL, member_main, &members[m]) == 0);
	while (team.mode == DUNE && members[m].fd < 0)
		asm volatile("pause");
	if (team.mode == DUNE)
		watch_vcpu(members[m].fd);
}

void team_open(const struct work *work, enum mode mode, int nr)
{
	team.work = work;
	team.mode = mode;
	team.nr = nr;
	MUST(nr <= nr_cpus && nr <= MAX_TEAM);
	MUST(TEAM_ROUNDS * team_round_ops(work) <= TEAM_OPS);
	map_area_at(AREA_BASE, AREA_SIZE);
}

void team_prepare(void)
{
	prepare_round();
	touch_tables(0);
	begin(0);
}

void team_close(void)
{
	MUST(munmap(AREA_BASE, AREA_SIZE) == 0);
}

int team_size(void)
{
	return team.nr;
}

volatile char *team_near(void)
{
	return AREA_BASE;
}

volatile char *team_far(void)
{
	return AREA_BASE + AREA_SIZE - GIB;
}

const struct result *team_measure(const struct label *label,
				  const struct work *work)
{
	struct result *r = result_new(label);
	int m, ops = TEAM_ROUNDS * team_round_ops(work), n = 0;

	team_open(work, label->mode, label->vcpus);
	memset(members, 0, sizeof(members));
	for (m = 0; m < team.nr; m++)
		start_member(m);
	lead(r);
	watch_none();
	for (m = 0; m < team.nr; m++) {
		if (m)
			pthread_join(members[m].thread, NULL);
		memcpy(all_costs + n, members[m].cost, ops * sizeof(*all_costs));
		memcpy(all_clean + n, members[m].clean, ops);
		n += ops;
	}
	team_close();
	r->totals = true;
	for (int i = 0; i < NR_EVENTS; i++)
		r->event_mean[i] = (double)(int32_t)r->event[i] / n / divisor();
	result_costs(r, all_costs, all_clean, n);
	return r;
}
