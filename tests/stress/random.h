/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Random numbers of a thread. */
#ifndef STRESS_RANDOM_H
#define STRESS_RANDOM_H

#include "plat.h"

/* Below limit, of this thread. */
u64 rnd(u64 limit);
void rnd_seed(u64 seed);

#endif /* STRESS_RANDOM_H */
