/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The guest's first process: brings the system up, receives files, runs one job. */
#ifndef DUNE_AGENT_H
#define DUNE_AGENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* chan.c: the byte channel to the runner */
void chan_open(void);				/* picks the emulator's host calls or a device */
int chan_is_hostcall(void);
void chan_read(void *buf, size_t len);		/* exactly len; powers off when the runner is gone */
ssize_t chan_try_read(void *buf, size_t len);	/* 0: nothing there now */
void chan_write(const void *buf, size_t len);
void chan_fork_point(void);			/* server mode: returns once per job */
void chan_power_off(int status) __attribute__((noreturn));

/* frames over it */
void frame_send(uint32_t type, const void *payload, size_t len);
void frame_text(uint32_t type, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* unpack.c: files from the runner. Takes frames until one that is not about files. */
struct frame {
	uint32_t type, len;
	char *payload;				/* NUL-terminated, valid until the next frame */
};
void unpack_until_other(struct frame *f);
void send_results(const char *dir);

/* job.c */
int run_job(char *strings, size_t len);		/* exit status */

#endif
