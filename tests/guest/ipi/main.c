// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Interrupts between threads (dune_ipi.h): semantics, exactly once, and what
 * interrupted code must not notice. --rounds is the number of sends.
 */
#include "ipi.h"

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ .rounds = 20000, .threads = 4, .seconds = 1 });
	if (opt.native)
		SKIP("Linux has no interrupts between threads");
	test_part("arguments", part_arguments);
	test_part("self", part_self);
	test_part("masking", part_masking);
	test_part("masked_calls", part_masked_calls);
	test_part("unhandled", part_unhandled);
	test_part("polls", part_polls);
	test_part("order", part_order);
	test_part("nesting", part_nesting);
	test_part("nesting_bound", part_nesting_bound);
	test_part("frame", part_frame);
	test_part("ring3", part_ring3);
	test_part("running", part_running);
	test_part("outside", part_outside);
	test_part("polling", part_polling);
	test_part("plain_sender", part_plain_sender);
	test_part("multicast", part_multicast);
	test_part("death", part_death);
	test_part("death_race", part_death_race);
	test_part("foreign", part_foreign);
	test_part("signal_leaves", part_signal_leaves);
	test_part("fork", part_fork);
	test_part("exact", part_exact);
	test_part("exact_two", part_exact_two);
	test_part("storm", part_storm);
	return test_end();
}
