/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KMOD_DEV_H
#define KMOD_DEV_H

/* Register /dev/dune; last in setup, first in teardown. */
int dev_setup(void);
void dev_teardown(void);

#endif /* KMOD_DEV_H */
