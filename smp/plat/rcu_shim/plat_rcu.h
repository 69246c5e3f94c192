/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * RCU verbs for builds under the thread sanitizer, which does not understand
 * liburcu's fences: the same contract, all of it in atomics that it knows.
 * Slow, and for at most PLAT_RCU_READERS threads.
 */
#ifndef SMP_PLAT_RCU_H
#define SMP_PLAT_RCU_H

#define PLAT_RCU_READERS	160

typedef struct plat_rcu {
	struct plat_rcu *next;
	void (*fn)(struct plat_rcu *rcu);
} plat_rcu_t;

void plat_rcu_lock(void);
void plat_rcu_unlock(void);
/* Never sleeps for long; fn runs in a thread of its own. */
void plat_call_rcu(plat_rcu_t *rcu, void (*fn)(plat_rcu_t *rcu));
void plat_rcu_register(void);
void plat_rcu_unregister(void);
/* Waits for every callback that was asked for before. Not under RCU. */
void plat_rcu_barrier(void);

#endif /* SMP_PLAT_RCU_H */
