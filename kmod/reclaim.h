/* SPDX-License-Identifier: GPL-2.0-only */
/* Replicas of EPTs go when memory is short: they are made again by faults. */
#ifndef KMOD_RECLAIM_H
#define KMOD_RECLAIM_H

/* The module's lifetime; process context. 0 or -ENOMEM. */
int reclaim_setup(void);
void reclaim_teardown(void);

#endif /* KMOD_RECLAIM_H */
