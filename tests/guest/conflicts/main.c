// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Two vCPUs of one process, each on a CPU of its own, make operations that have
 * nothing to do with each other: no cache line of the module's memory, nor of
 * libdune's, may be written by one and touched by the other. For each pair of operations.
 *
 * Both make theirs at the same time, so that lock contention and the like would
 * show; the emulator forgets operations that an interrupt disturbed.
 */
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "conflicts.h"
#include "emucount.h"

#define AREA_BASE 0x200000000000ul
#define WARM_UP 12		/* operations before those that count */
#define MAX_CELLS (MAX_OPS * (MAX_OPS + 1) / 2)

struct side {
	const struct op *op;
	char *area;
	long kept, tried, counted;
	unsigned int why;	/* not kept */
};

static const struct op *ops[MAX_OPS];
static int nr_ops;
static struct cell cells[MAX_CELLS];
static int nr_cells;
static unsigned long nr_areas;
static volatile int ready;

/* Enough for every third to be disturbed, and 50. */
static long max_tries(void)
{
	return opt.rounds * 3 / 2 + 50;
}

/* A region of 1 GiB of its own: an EPT table of level 3, a slot. */
static char *map_area(const struct op *op)
{
	uint64_t bytes = (WARM_UP + max_tries()) * op->step;
	char *area;

	if (!op->step)
		return NULL;
	REQUIRE(bytes <= GIB);
	area = mmap((char *)AREA_BASE + nr_areas++ * GIB, bytes,
		    PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	REQUIRE(area != MAP_FAILED);
	REQUIRE(madvise(area, bytes, MADV_NOHUGEPAGE) == 0);
	if (op->populate)
		op->populate(area, bytes);
	return area;
}

static void unmap_area(const struct side *side)
{
	if (side->area)
		REQUIRE(munmap(side->area, (WARM_UP + max_tries()) *
					   side->op->step) == 0);
}

static void meet(int value)
{
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&ready, __ATOMIC_SEQ_CST) < value)
		asm volatile("pause");
}

static void one_side(int index, void *arg)
{
	struct side *side = (struct side *)arg + index;
	const struct op *op = side->op;
	volatile char *place = side->area;
	uint64_t before;

	pin_to(index);
	if (op->begin)
		op->begin(place);
	for (int i = 0; i < WARM_UP; i++, place += op->step) {
		if (op->prepare)
			op->prepare(place);
		op->run(place);
		if (op->after)
			op->after(place);
	}
	before = op->done();
	meet(2);
	while (side->kept < opt.rounds && side->tried < max_tries()) {
		unsigned int why;

		if (op->prepare)
			op->prepare(place);
		emuconflict_begin();
		op->run(place);
		why = emuconflict_end();
		if (op->after)
			op->after(place);
		if (op->rest)
			spin(op->rest);
		place += op->step;
		side->tried++;
		side->kept += !why;
		side->why |= why;
	}
	side->counted = op->done() - before;
	meet(4);
	if (op->end)
		op->end(side->area);
}

/* Every operation was one: else nothing is shown about it. */
static bool is_complete(const struct side *side)
{
	bool fine = CHECK(side->kept == opt.rounds);

	fine &= CHECK(side->counted >= side->tried);
	if (!fine)
		printf("  %s: %ld operations, %ld of them undisturbed (others by %#x), done %ld\n",
		       side->op->name, side->tried, side->kept, side->why,
		       side->counted);
	return fine;
}

static void run_sides(struct cell *cell, struct side *sides)
{
	ready = 0;
	emuconflict_reset();
	run_threads(2, one_side, sides);
	for (int i = 0; i < 2; i++) {
		cell->op[i] = sides[i].op;
		cell->ops[i] = sides[i].kept;
		cell->disturbed[i] = sides[i].tried - sides[i].kept;
		cell->incomplete |= !is_complete(&sides[i]);
	}
	report_cell(cell);
}

static void measure_cell(struct cell *cell, const struct op *a, const struct op *b)
{
	struct side sides[2] = {
		{ .op = a, .area = map_area(a) },
		{ .op = b, .area = map_area(b) },
	};

	memset(cell, 0, sizeof(*cell));
	run_sides(cell, sides);
	for (int i = 0; i < 2; i++)
		unmap_area(&sides[i]);
}

/*
 * What we share is shared each time. Linux' allocator may give one CPU the page
 * whose struct page another one has just linked into its list: once in a while.
 */
static void run_cell(const struct op *a, const struct op *b)
{
	struct cell *cell = &cells[nr_cells++];

	REQUIRE(nr_cells <= MAX_CELLS);
	measure_cell(cell, a, b);
	for (int again = 0; again < 2 && cell->forbidden; again++)
		measure_cell(cell, a, b);
	CHECK_EQ(cell->forbidden, 0);
}

static void run_row(int a)
{
	for (int b = a; b < nr_ops; b++)
		run_cell(ops[a], ops[b]);
}

static void add_ops(const struct op *some, int nr)
{
	REQUIRE(nr_ops + nr <= MAX_OPS);
	for (int i = 0; i < nr; i++)
		ops[nr_ops++] = &some[i];
}

static const struct op *op_named(const char *name)
{
	for (int i = 0; i < nr_ops; i++)
		if (!strcmp(ops[i]->name, name))
			return ops[i];
	return NULL;
}

/* Pages of one table in turn: here conflicts are to be seen. */
static void control(void)
{
	const struct op *fault = op_named("fault");
	struct op pages = *fault;
	struct cell cell = { .control = true };
	struct side sides[2] = { { .op = &pages }, { .op = &pages } };

	pages.step = 2 * fault->step;
	sides[0].area = map_area(&pages);
	sides[1].area = sides[0].area + fault->step;
	run_sides(&cell, sides);
	unmap_area(&sides[0]);
	CHECK(cell.lines[OWNER_MODULE] >= 1);
}

static int row;

static void part(void)
{
	run_row(row);
}

int main(int argc, char **argv)
{
	bool detector = emucount_available();

	/* What libdune says from now on is this process's. */
	if (detector)
		emuconflict_forget();
	test_start(argc, argv, (struct test_opts){ .threads = 2, .rounds = 100 });
	if (opt.native)
		SKIP("needs Dune mode: what the module does is judged");
	if (!detector)
		SKIP("no conflict detector here");
	REQUIRE(opt.rounds >= 1 && opt.rounds <= 100);
	add_ops(module_ops, nr_module_ops);
	add_ops(paging_ops, nr_paging_ops);
	add_ops(flush_ops, nr_flush_ops);
	paging_handlers();
	report_open();
	test_part("control", control);
	for (row = 0; row < nr_ops; row++)
		test_part(ops[row]->name, part);
	report_matrix(ops, nr_ops, cells, nr_cells);
	report_close();
	return test_end();
}
