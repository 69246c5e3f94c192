/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Frames between the runner and the guest's agent, both directions: a header
 * of two little-endian 32-bit words (type, length), then the payload.
 * tools/vm/lib/wire.py holds the same numbers.
 */
#ifndef DUNE_WIRE_H
#define DUNE_WIRE_H

#include <stdint.h>

struct wire_header {
	uint32_t type;
	uint32_t len;
};

#define WIRE_MAX_PAYLOAD (256u << 10)

enum {
	/* runner -> agent */
	WIRE_DIR = 1,		/* u32 mode, path */
	WIRE_FILE = 2,		/* u32 mode, path; WIRE_DATA frames follow */
	WIRE_DATA = 3,		/* bytes of the file begun last */
	WIRE_SYMLINK = 4,	/* target NUL path */
	WIRE_HARDLINK = 5,	/* existing path NUL new path */
	WIRE_JOB = 6,		/* NUL-terminated strings "key=value"; see job.c */
	WIRE_STDIN = 7,		/* bytes for the job's terminal */
	WIRE_POINT = 8,		/* begin: base files are there, wait for jobs here (server mode) */

	/* agent -> runner */
	WIRE_LOG = 16,		/* text for the progress lines */
	WIRE_STDOUT = 17,
	WIRE_STDERR = 18,
	WIRE_RESULT = 19,	/* u32 mode, path relative to $DUNE_OUT; WIRE_RESULT_DATA follow */
	WIRE_RESULT_DATA = 20,
	WIRE_KMSG = 21,		/* one /dev/kmsg record */
	WIRE_ERROR = 22,	/* text: the job could not be run (setup) */
	WIRE_DONE = 23,		/* text "status=N taint=N": the last frame */
	WIRE_READY = 24,	/* at WIRE_POINT, before the fork; and in the job after it */
};

#endif
