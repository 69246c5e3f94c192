// SPDX-License-Identifier: GPL-2.0 OR MIT
/* From code that keeps its caller's vector registers to code that does not. */
#include "fpu.h"

void dune_call_saved(void (*fn)(void *), void *arg)
{
	void *area = fpu_alloca(0);

	fpu_save(area);
	fn(arg);
	fpu_restore(area);
}
