/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * RCU verbs outside of the kernel: liburcu. A thread that reads is registered
 * first. Link with -lurcu-memb.
 */
#ifndef SMP_PLAT_RCU_H
#define SMP_PLAT_RCU_H

#include <urcu/urcu-memb.h>
/* Its read_lock and read_unlock are meant to be used in line by any code. */
#include <urcu/static/urcu-memb.h>

/* Without a call, in a shared library too: both are loaded at the start. */
extern DECLARE_URCU_TLS(struct urcu_reader, urcu_memb_reader)
	__attribute__((tls_model("initial-exec")));

typedef struct rcu_head plat_rcu_t;

static inline void plat_rcu_lock(void)
{
	_urcu_memb_read_lock();
}

static inline void plat_rcu_unlock(void)
{
	_urcu_memb_read_unlock();
}

#define plat_call_rcu(rcu, fn)	urcu_memb_call_rcu((rcu), (fn))

static inline void plat_rcu_register(void)
{
	urcu_memb_register_thread();
}

static inline void plat_rcu_unregister(void)
{
	urcu_memb_unregister_thread();
}

/* Waits for every callback that was asked for before. Not under RCU. */
static inline void plat_rcu_barrier(void)
{
	urcu_memb_barrier();
}

#endif /* SMP_PLAT_RCU_H */
