// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Ring 3 in Dune mode (dune_user.h): its calls and traps, what it cannot do, and
 * that nothing it does to its registers reaches ring 0 or Linux.
 */
#include "ring3.h"

int main(int argc, char **argv)
{
	test_start(argc, argv, (struct test_opts){ .rounds = 60, .threads = 3 });
	if (opt.native)
		SKIP("there is no ring 3 below a plain process");
	test_part("arguments", part_arguments);
	test_part("syscalls", part_syscalls);
	test_part("handler", part_handler);
	test_part("traps", part_traps);
	test_part("hostile", part_hostile);
	test_part("vmcall", part_vmcall);
	test_part("bad_stacks", part_bad_stacks);
	test_part("bases", part_bases);
	test_part("iopl", part_iopl);
	test_part("segments", part_segments);
	test_part("step_align", part_step_align);
	test_part("faults", part_faults);
	test_part("refused", part_refused);
	test_part("guest_rights", part_guest_rights);
	test_part("trap_handlers", part_trap_handlers);
	test_part("trap_allow", part_trap_allow);
	test_part("nested", part_nested);
	test_part("fork", part_fork);
	test_part("vectors", part_vectors);
	test_part("x87", part_x87);
	test_part("pkru", part_pkru);
	test_part("signals", part_signals);
	test_part("signal_storm", part_signal_storm);
	test_part("signal_leaves", part_signal_leaves);
	test_part("moves", part_moves);
	test_part("quantum", part_quantum);
	return test_end();
}
