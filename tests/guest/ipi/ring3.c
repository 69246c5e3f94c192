// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Ring 3 is interrupted: the handlers run, then dune_user_run() returns. */
#include "ipi.h"

#define V 0x45

static char stack[4096] __attribute__((aligned(64)));

/* Code of ring 3: for ever. */
extern const char ring3_spins[];
asm(".text\n"
    "ring3_spins: pause\n"
    "	jmp ring3_spins\n");

/* Pending and masked before: it comes with ring 3's first instruction. */
void part_ring3(void)
{
	uint64_t got, lower;

	counting_begin(V);
	counting_begin(V - 16);
	mode_enter();
	got = own_got(V);
	lower = own_got(V - 16);
	for (int i = 1; i <= 50; i++) {
		struct dune_user u = {
			.regs = { .rip = (uintptr_t)ring3_spins,
				  .rsp = (uintptr_t)stack + sizeof(stack) - 64,
				  .rbx = 0x1234 + i, .rflags = 2 },
		};
		bool both = i % 2;

		CHECK_EQ(dune_ipi_disable(), 1);
		CHECK_EQ(dune_ipi_send(dune_ipi_self(), V), 0);
		if (both)
			CHECK_EQ(dune_ipi_send(dune_ipi_self(), V - 16), 0);
		CHECK_EQ(dune_user_run(&u), DUNE_USER_INTERRUPT);
		/* The last one. */
		CHECK_EQ(u.vector, both ? V - 16 : V);
		CHECK_EQ(u.regs.rbx, 0x1234 + i);
		CHECK(u.regs.rip - (uintptr_t)ring3_spins < 4);
		CHECK_EQ(own_got(V), got + i);
		CHECK_EQ(own_got(V - 16), lower + (i + 1) / 2);
		dune_ipi_enable();
	}
	mode_exit();
}
