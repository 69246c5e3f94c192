// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Priorities: what runs first, what interrupts what, and to which depth. */
#include "ipi.h"

#include <string.h>

#define EVENTS 64

/* Vectors as handlers begin, and -vector as they end. */
static volatile int events[EVENTS], nr_events;
static volatile int irqs[256];
/* What the first handler of a vector sends to its own thread, up to three. */
static unsigned int sends[256][3];

static void event(int what)
{
	if (nr_events < EVENTS)
		events[nr_events++] = what;
}

static enum dune_trap_action logs(struct dune_trap *trap, void *arg)
{
	unsigned int v = trap->vector;

	event(v);
	irqs[v] = irqs_are_on();
	for (int i = 0; i < 3; i++)
		if (sends[v][i]) {
			unsigned int to = sends[v][i];

			sends[v][i] = 0;
			CHECK_EQ(dune_ipi_send(dune_ipi_self(), to), 0);
		}
	spin(100);
	event(-(int)v);
	return DUNE_TRAP_RESUME;
}

static void log_begin(void)
{
	memset(sends, 0, sizeof(sends));
	nr_events = 0;
	for (unsigned int v = 32; v < 255; v++)
		CHECK_EQ(dune_trap_register(v, logs, NULL, 0), 0);
}

static void log_is(const char *what, const int *want, int n)
{
	CHECK_EQ(nr_events, n);
	for (int i = 0; i < n && i < nr_events; i++)
		if (!CHECK_EQ(events[i], want[i]))
			printf("    %s: event %d\n", what, i);
}

#define LOG_IS(...) do { \
	static const int want_[] = { __VA_ARGS__ }; \
	log_is(__func__, want_, ARRAY_SIZE(want_)); \
} while (0)

/* Pending together: one after another, the highest first, none twice. */
void part_order(void)
{
	static const unsigned int vectors[] = { 0x45, 0xef, 0x20, 0x4a, 0x90, 0xfe, 0x33 };

	log_begin();
	mode_enter();
	dune_ipi_disable();
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
		CHECK_EQ(dune_ipi_send(dune_ipi_self(), vectors[i]), 0);
	CHECK_EQ(nr_events, 0);
	dune_ipi_enable();
	spin(10000);
	mode_exit();
	LOG_IS(0xfe, -0xfe, 0xef, -0xef, 0x90, -0x90, 0x4a, -0x4a, 0x45, -0x45, 0x33, -0x33,
	       0x20, -0x20);
}

/* A higher class at once; the same class and lower ones, and itself, afterwards. */
void part_nesting(void)
{
	log_begin();
	sends[0x42][0] = 0x4f;
	sends[0x42][1] = 0x51;
	sends[0x42][2] = 0x33;
	sends[0x51][0] = 0x42;
	mode_enter();
	CHECK_EQ(dune_ipi_send(dune_ipi_self(), 0x42), 0);
	spin(10000);
	mode_exit();
	LOG_IS(0x42, 0x51, -0x51, -0x42, 0x4f, -0x4f, 0x42, -0x42, 0x33, -0x33);
	CHECK_EQ(irqs[0x42], 1);
	CHECK_EQ(irqs[0x51], 1);
}

/* DUNE_IPI_NESTING are active; the next waits for the last of them. */
void part_nesting_bound(void)
{
	log_begin();
	for (unsigned int v = 0x30; v < 0x90; v += 0x10)
		sends[v][0] = v + 0x10;
	mode_enter();
	CHECK_EQ(dune_ipi_send(dune_ipi_self(), 0x30), 0);
	spin(10000);
	mode_exit();
	LOG_IS(0x30, 0x40, 0x50, 0x60, -0x60, 0x70, -0x70, 0x80, -0x80, 0x90, -0x90,
	       -0x50, -0x40, -0x30);
	CHECK_EQ(DUNE_IPI_NESTING, 4);
	CHECK_EQ(irqs[0x30] + irqs[0x40] + irqs[0x50], 3);
	CHECK_EQ(irqs[0x60] + irqs[0x70] + irqs[0x80] + irqs[0x90], 0);
}

/* ---- the interrupted code's registers ---- */

static enum dune_trap_action changes_rax(struct dune_trap *trap, void *arg)
{
	event(trap->vector);
	trap->rax = 0x1234;
	return DUNE_TRAP_DELIVER;	/* means nothing here */
}

static enum dune_trap_action masks(struct dune_trap *trap, void *arg)
{
	event(trap->vector);
	trap->rflags &= ~0x200ull;
	return DUNE_TRAP_RESUME;
}

/* Turns interrupts on, and waits until a handler has changed rax. */
static uint64_t waits_in_rax(void)
{
	uint64_t rax = 0, turns = 100000000;

	asm volatile("sti\n"
		     "1: pause\n"
		     "dec %1\n"
		     "jz 2f\n"
		     "test %0, %0\n"
		     "jz 1b\n"
		     "2:\n"
		     : "+a"(rax), "+r"(turns) : : "cc", "memory");
	return rax;
}

void part_frame(void)
{
	log_begin();
	CHECK_EQ(dune_trap_register(0x50, changes_rax, NULL, 0), 0);
	CHECK_EQ(dune_trap_register(0x60, masks, NULL, 0), 0);
	mode_enter();
	dune_ipi_disable();
	CHECK_EQ(dune_ipi_send(dune_ipi_self(), 0x50), 0);
	CHECK_EQ(waits_in_rax(), 0x1234);
	CHECK(dune_inside());
	CHECK_EQ(nr_events, 1);

	/* The first turns them off in the frame: the other waits until they are on. */
	nr_events = 0;
	dune_ipi_disable();
	CHECK_EQ(dune_ipi_send(dune_ipi_self(), 0x60), 0);
	CHECK_EQ(dune_ipi_send(dune_ipi_self(), 0x40), 0);
	dune_ipi_enable();
	spin(10000);
	CHECK(!irqs_are_on());
	CHECK_EQ(nr_events, 1);
	dune_ipi_enable();
	asm volatile("nop");
	CHECK_EQ(nr_events, 3);
	mode_exit();
	LOG_IS(0x60, 0x40, -0x40);
}
