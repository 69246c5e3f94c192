// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Who, where, when. */
#include "sysdiff.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <time.h>

SIG(getpid, {});
SIG(gettid, {});
SIG(getppid, {});
SIG(getuid, {});
SIG(geteuid, {});
SIG(getgid, {});
SIG(getegid, {});
SIG(getpgrp, {});
SIG(getpgid, { .arg = { NUM(0) } }, { .arg = { CONST(0x3fffffff) } });
SIG(getsid, { .arg = { NUM(0) } }, { .arg = { CONST(0x3fffffff) } });
SIG(getpriority, { .arg = { NUM(PRIO_PROCESS), NUM(0) } },
    { .arg = { CONST(PRIO_USER), NUM(0) } }, { .arg = { CONST(3), CONST(0) } });
SIG(getcpu, { .arg = { OUTV(4), OUTV(4), CONST(0) } },
    { .arg = { CONST(0), CONST(0), CONST(0) } });
SIG(sched_yield, {});
SIG(sched_getaffinity, { .arg = { NUM(0), SIZE(128), OUT(128) } });
SIG(uname, { .arg = { OUT(sizeof(struct utsname)) } });
SIG(sysinfo, { .arg = { OUTV(sizeof(struct sysinfo)) } });
SIG(getrusage, { .arg = { NUM(RUSAGE_SELF), OUTV(sizeof(struct rusage)) } },
    { .arg = { NUM(RUSAGE_CHILDREN), OUTV(sizeof(struct rusage)) } },
    { .arg = { CONST(RUSAGE_THREAD), OUTV(sizeof(struct rusage)) } });
SIG(times, { .result = RES_ANY, .arg = { OUTV(sizeof(struct tms)) } });
SIG(time, { .result = RES_ANY, .arg = { OUTV(sizeof(time_t)) } });
SIG(gettimeofday, { .arg = { OUTV(sizeof(struct timeval)), OUT(sizeof(struct timezone)) } });
SIG(clock_gettime,
    { .arg = { NUM(CLOCK_REALTIME), OUTV(16) } },
    { .arg = { NUM(CLOCK_MONOTONIC), OUTV(16) } },
    { .arg = { CONST(CLOCK_PROCESS_CPUTIME_ID), OUTV(16) } },
    { .arg = { CONST(CLOCK_THREAD_CPUTIME_ID), OUTV(16) } },
    { .arg = { CONST(CLOCK_MONOTONIC_RAW), OUTV(16) } },
    { .arg = { CONST(CLOCK_BOOTTIME), OUTV(16) } },
    { .arg = { CONST(CLOCK_TAI), OUTV(16) } },
    { .arg = { CONST(77), OUTV(16) } });
SIG(clock_getres, { .arg = { NUM(CLOCK_MONOTONIC), OUT(16) } },
    { .arg = { CONST(CLOCK_MONOTONIC_COARSE), OUT(16) } });
SIG(clock_nanosleep,
    { .arg = { NUM(CLOCK_MONOTONIC), FLAGS(0), IN(struct timespec, 0, 1000), OUT(16) } },
    { .arg = { CONST(CLOCK_REALTIME), CONST(TIMER_ABSTIME), IN(struct timespec, 1, 0), OUT(16) } },
    { .arg = { CONST(CLOCK_MONOTONIC), CONST(0), IN(struct timespec, 0, -1), OUT(16) } },
    { .arg = { CONST(CLOCK_MONOTONIC), CONST(0), IN(struct timespec, -1, 0), OUT(16) } },
    { .arg = { CONST(CLOCK_MONOTONIC), CONST(0), IN(struct timespec, 0, 1000000000), OUT(16) } });
SIG(nanosleep, { .arg = { IN(struct timespec, 0, 1000), OUT(16) } },
    { .arg = { IN(struct timespec, 0, 1000), CONST(0) } },
    { .arg = { IN(struct timespec, 0, -1), OUT(16) } });
SIG(getrandom, { .result = RES_ANY, .arg = { OUTV(32), SIZE(32), FLAGS(0) } });
SIG(getcwd, { .arg = { OUT(256), SIZE(256) } }, { .arg = { OUT(2), SIZE(2) } });
