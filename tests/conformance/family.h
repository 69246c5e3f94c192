/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* All descendants of this process, which is their subreaper. */
#ifndef CONFORMANCE_FAMILY_H
#define CONFORMANCE_FAMILY_H

unsigned int family_size(void);
void family_kill(void);
/* Where each thread of theirs is, for the row that did not end. */
void family_show(const char *row, const char *mode);

#endif /* CONFORMANCE_FAMILY_H */
