// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The program's own handlers of exceptions and interrupts (dune_trap.h): what
 * they see, what they may change, nesting, vector registers, calls, signals,
 * registration beside traps.
 */
#include "traps.h"

static enum dune_trap_action early(struct dune_trap *trap, void *arg)
{
	trap->rip += 2;
	++*(int *)arg;
	return DUNE_TRAP_RESUME;
}

int main(int argc, char **argv)
{
	int calls = 0;

	test_start_raw(argc, argv, (struct test_opts){ .rounds = 300, .threads = 3 });
	if (opt.native)
		SKIP("Linux gives no exceptions away");
	/* Before dune_init() as well. */
	CHECK_EQ(dune_trap_sync(), 0);
	CHECK_EQ(dune_trap_register(DUNE_VECTOR_UD, early, &calls, 0), 0);
	REQUIRE(dune_init() == 0);
	mode_enter();
	asm volatile("ud2");
	mode_exit();
	CHECK_EQ(calls, 1);
	dune_trap_unregister(DUNE_VECTOR_UD);

	test_part("arguments", part_arguments);
	test_part("vectors", part_vectors);
	test_part("int_n", part_int_n);
	test_part("write_registers", part_write_registers);
	test_part("elsewhere", part_elsewhere);
	test_part("single_step", part_single_step);
	test_part("page_faults", part_page_faults);
	test_part("allow", part_allow);
	test_part("bad_rip", part_bad_rip);
	test_part("nesting", part_nesting);
	test_part("nesting_exceeded", part_nesting_exceeded);
	test_part("fills", part_fills);
	test_part("vectors_saved", part_vectors_saved);
	test_part("fpu_state", part_fpu_state);
	test_part("calls", part_calls);
	test_part("fork", part_fork);
	test_part("modes", part_modes);
	test_part("signals", part_signals);
	test_part("signal_storm", part_signal_storm);
	test_part("signal_leaves", part_signal_leaves);
	test_part("deliver", part_deliver);
	test_part("breakpoint_gone", part_breakpoint_gone);
	test_part("guests_own", part_guests_own);
	test_part("crash_inside", part_crash_inside);
	test_part("races", part_races);
	test_part("sync", part_sync);
	return test_end();
}
