/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Actions of signals, for who delivers these. Bare code, see run.h. */
#ifndef DUNE_RUN_ACTION_H
#define DUNE_RUN_ACTION_H

#include "run.h"

#pragma GCC visibility push(hidden)

/* rt_sigaction(), with no part of ours. */
long action_of_linux(int sig, const struct run_action *new, struct run_action *old);
bool action_is_handler(const struct run_action *a);
/* By default. */
bool action_makes_core(int sig);
/* The action for one delivery; SA_RESETHAND happens here. */
struct run_action action_take(struct run_sigs *s, int sig);

#pragma GCC visibility pop

#endif /* DUNE_RUN_ACTION_H */
