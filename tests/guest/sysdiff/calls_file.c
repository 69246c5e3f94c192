// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Files, pipes, directories. */
#include "sysdiff.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* Two pieces of slots 6 and 7; the ends of both are ends of memory. */
#define IOV		INOUT(struct iovec2, { { (void *)SD_AT(6, 40), 40 }, { (void *)SD_AT(7, 24), 24 } })
#define IOV_HALF	INOUT(struct iovec2, { { (void *)SD_AT(6, 40), 40 }, { (void *)SD_HOLE, 24 } })
#define IOV_KERNEL	INOUT(struct iovec2, { { (void *)SD_AT(6, 40), 40 }, { (void *)0xffff888000000000, 24 } })
#define IOV_HUGE	INOUT(struct iovec2, { { (void *)SD_AT(6, 40), 40 }, { (void *)SD_AT(7, 24), -1ul } })
#define IOV_LONG	INOUT(struct iovec2, { { (void *)SD_AT(6, 40), 4096 }, { (void *)SD_AT(7, 24), 24 } })
struct iovec2 { struct iovec iov[2]; };

SIG(read,
    { FIX_FILE, .arg = { FD(FD_FILE), OUT(64), SIZE(64) } },
    { FIX_PIPE, .arg = { CONST(FD_PIPE_R), OUT(64), SIZE(64) } },
    { FIX_EVENT, .arg = { CONST(FD_EVENT), OUT(8), SIZE(8) } },
    { FIX_PIPE, .arg = { CONST(FD_PIPE_W), OUT(64), CONST(64) } },
    { FIX_SOCK, .arg = { CONST(FD_SOCK_A), OUT(64), SIZE(64) } });
SIG(write,
    { FIX_FILE, .arg = { FD(FD_FILE), OUT(64), SIZE(64) } },
    { FIX_PIPE, .arg = { CONST(FD_PIPE_W), OUT(64), SIZE(64) } },
    { FIX_EVENT, .arg = { CONST(FD_EVENT), IN(uint64_t, 5), SIZE(8) } },
    { FIX_EVENT, .arg = { CONST(FD_EVENT), IN(uint64_t, -1), CONST(8) } },
    { FIX_SOCK, .arg = { CONST(FD_SOCK_A), OUT(64), SIZE(64) } });
#define VECTORED(name, pipe_fd)							\
	SIG(name,								\
	    { FIX_FILE, .arg = { FD(FD_FILE), IOV, NUM(2) } },			\
	    { FIX_FILE, .arg = { CONST(FD_FILE), IOV_HALF, CONST(2) } },	\
	    { FIX_FILE, .arg = { CONST(FD_FILE), IOV_KERNEL, CONST(2) } },	\
	    { FIX_FILE, .arg = { CONST(FD_FILE), IOV_HUGE, CONST(2) } },	\
	    { FIX_FILE, .arg = { CONST(FD_FILE), IOV_LONG, CONST(2) } },	\
	    { FIX_PIPE, .arg = { CONST(pipe_fd), IOV, CONST(2) } })
VECTORED(readv, FD_PIPE_R);
VECTORED(writev, FD_PIPE_W);
SIG(pread64, { FIX_FILE, .arg = { FD(FD_FILE), OUT(64), SIZE(64), NUM(10) } },
    { FIX_PIPE, .arg = { CONST(FD_PIPE_R), OUT(64), CONST(64), CONST(0) } });
SIG(pwrite64, { FIX_FILE, .arg = { FD(FD_FILE), OUT(64), SIZE(64), NUM(10) } },
    { FIX_PIPE, .arg = { CONST(FD_PIPE_W), OUT(64), CONST(64), CONST(0) } });
SIG(preadv, { FIX_FILE, .arg = { FD(FD_FILE), IOV, NUM(2), NUM(10), NUM(0) } },
    { FIX_FILE, .arg = { CONST(FD_FILE), IOV_HALF, CONST(2), CONST(10), CONST(0) } });
SIG(pwritev, { FIX_FILE, .arg = { FD(FD_FILE), IOV, NUM(2), NUM(10), NUM(0) } },
    { FIX_FILE, .arg = { CONST(FD_FILE), IOV_HALF, CONST(2), CONST(10), CONST(0) } });
SIG(preadv2, { FIX_FILE, .arg = { FD(FD_FILE), IOV, NUM(2), NUM(10), NUM(0), FLAGS(0) } },
    { FIX_FILE, .arg = { CONST(FD_FILE), IOV, CONST(2), CONST(-1), CONST(0), CONST(0) } },
    { FIX_PIPE, .arg = { CONST(FD_PIPE_R), IOV, CONST(2), CONST(-1), CONST(0), CONST(RWF_NOWAIT) } });
SIG(pwritev2, { FIX_FILE, .arg = { FD(FD_FILE), IOV, NUM(2), NUM(10), NUM(0), FLAGS(0) } },
    { FIX_FILE, .arg = { CONST(FD_FILE), IOV, CONST(2), CONST(-1), CONST(0), CONST(RWF_APPEND) } });
SIG(lseek,
    { FIX_FILE, .arg = { FD(FD_FILE), NUM(17), NUM(SEEK_SET) } },
    { FIX_FILE, .arg = { CONST(FD_FILE), NUM(17), CONST(SEEK_CUR) } },
    { FIX_FILE, .arg = { CONST(FD_FILE), NUM(-17), CONST(SEEK_END) } },
    { FIX_FILE, .arg = { CONST(FD_FILE), NUM(17), CONST(SEEK_DATA) } },
    { FIX_FILE, .arg = { CONST(FD_FILE), NUM(17), CONST(SEEK_HOLE) } },
    { FIX_PIPE, .arg = { CONST(FD_PIPE_R), CONST(0), CONST(SEEK_CUR) } });
SIG(sendfile,
    { FIX_FILE | FIX_PIPE, .arg = { FD(FD_PIPE_W), FD(FD_RO), INOUT(uint64_t, 40), SIZE(100) } },
    { FIX_FILE | FIX_PIPE, .arg = { CONST(FD_PIPE_W), CONST(FD_RO), CONST(0), CONST(100) } },
    { FIX_FILE | FIX_SOCK, .arg = { CONST(FD_SOCK_A), CONST(FD_RO), CONST(0), CONST(100) } },
    { FIX_FILE, .arg = { CONST(FD_FILE), CONST(FD_RO), INOUT(uint64_t, -1), CONST(100) } });
SIG(fsync, { FIX_FILE, .arg = { FD(FD_FILE) } },
    { FIX_PIPE, .arg = { CONST(FD_PIPE_R) } });
SIG(fdatasync, { FIX_FILE, .arg = { FD(FD_FILE) } },
    { FIX_PIPE, .arg = { CONST(FD_PIPE_R) } });
SIG(ftruncate, { FIX_FILE, .arg = { FD(FD_FILE), NUM(5000) } },
    { FIX_FILE, .arg = { CONST(FD_FILE), CONST(12000) } });
#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
SIG(fallocate,
    { FIX_FILE, .arg = { FD(FD_FILE), FLAGS(0), NUM(0), CONST(12000) } },
    { FIX_FILE, .arg = { CONST(FD_FILE), CONST(FALLOC_FL_KEEP_SIZE), CONST(0), CONST(12000) } },
    { FIX_FILE, .arg = { CONST(FD_FILE), CONST(PUNCH), NUM(0), CONST(5000) } },
    { FIX_FILE, .arg = { CONST(FD_FILE), CONST(0), CONST(0), CONST(0) } },
    { FIX_FILE, .arg = { CONST(FD_FILE), CONST(0), CONST(0), CONST(-1) } },
    { FIX_FILE, .arg = { CONST(FD_FILE), CONST(0), CONST(1ul << 62), CONST(1ul << 63) } });
SIG(getdents64, { FIX_DIR, .arg = { FD(FD_DIR), OUT(512), SIZE(512) } });
#define FCNTL(fix, fd, cmd, ...) { fix, .arg = { FD(fd), CONST(cmd), __VA_ARGS__ } }
#define FREE_LOCK(start, len) INOUT(struct flock, F_WRLCK, SEEK_SET, start, len, 0)
SIG(fcntl,
    { FIX_FILE | FIX_FDS, .arg = { CONST(FD_FILE), NUM(F_GETFD), CONST(1) } },
    FCNTL(FIX_FILE | FIX_FDS, FD_FILE, F_DUPFD, NUM(50)),
    FCNTL(FIX_FILE | FIX_FDS, FD_FILE, F_DUPFD_CLOEXEC, NUM(50)),
    FCNTL(FIX_FILE, FD_FILE, F_SETFD, NUM(FD_CLOEXEC)),
    FCNTL(FIX_FILE, FD_FILE, F_GETFL, CONST(0)),
    FCNTL(FIX_FILE, FD_FILE, F_SETFL, NUM(O_NONBLOCK | O_APPEND)),
    FCNTL(FIX_FILE, FD_FILE, F_GETLK, FREE_LOCK(0, 10)),
    FCNTL(FIX_FILE, FD_FILE, F_SETLK, FREE_LOCK(10, 10)),
    FCNTL(FIX_FILE, FD_FILE, F_SETLKW, FREE_LOCK(-1, 10)),
    FCNTL(FIX_FILE, FD_FILE, F_OFD_SETLK, FREE_LOCK(100, 10)),
    FCNTL(FIX_FILE, FD_FILE, F_GETOWN_EX, OUT(8)),
    FCNTL(FIX_FILE, FD_FILE, F_GET_SEALS, CONST(0)),
    FCNTL(FIX_PIPE, FD_PIPE_R, F_GETPIPE_SZ, CONST(0)),
    FCNTL(FIX_PIPE, FD_PIPE_R, F_SETPIPE_SZ, NUM(8192)),
    FCNTL(FIX_FILE, FD_FILE, 9999, CONST(0)));
SIG(dup, { FIX_FILE | FIX_FDS, .arg = { FD(FD_FILE) } });
SIG(pipe2, { FIX_FDS, .arg = { OUT(8), FLAGS(O_CLOEXEC) } },
    { FIX_FDS, .arg = { OUT(8), FLAGS(O_DIRECT | O_NONBLOCK) } });
SIG(open,
    { FIX_FDS, .arg = { STR(SD_FOLDER "/file"), FLAGS(O_RDWR), NUM(0) } },
    { FIX_FDS | FIX_DIR, .arg = { STR(SD_FOLDER "/new"), CONST(O_CREAT | O_EXCL | O_RDWR), NUM(0640) } },
    { FIX_FDS, .arg = { STR(SD_FOLDER "/file"), CONST(O_CREAT | O_EXCL | O_RDWR), CONST(0640) } },
    { FIX_FDS, .arg = { STR(SD_FOLDER "/file"), CONST(O_DIRECTORY), CONST(0) } },
    { FIX_FDS, .arg = { STR(SD_FOLDER "/missing"), CONST(O_RDONLY), CONST(0) } },
    { FIX_FDS, .arg = { STR(""), CONST(O_RDONLY), CONST(0) } },
    { FIX_FDS, .arg = { STR(SD_FOLDER "/file/below"), CONST(O_RDONLY), CONST(0) } },
    { FIX_FDS, .arg = { STR(SD_FOLDER), CONST(O_WRONLY), CONST(0) } });
SIG(openat,
    { FIX_FDS, .arg = { FD(FD_DIR), STR("../file"), FLAGS(O_RDWR), NUM(0) } },
    { FIX_FDS, .arg = { CONST(AT_FDCWD), STR(SD_FOLDER "/ro"), CONST(O_RDWR | O_CLOEXEC), CONST(0) } },
    { FIX_FDS | FIX_DIR, .arg = { CONST(FD_DIR), STR("../new"), CONST(O_CREAT | O_RDWR), NUM(0600) } },
    { FIX_FDS, .arg = { CONST(AT_FDCWD), STR(SD_FOLDER), CONST(O_TMPFILE | O_RDWR), CONST(0600) } });

#define STAT OUT(sizeof(struct stat))
SIG(stat, { .arg = { STR(SD_FOLDER "/ro"), STAT } },
    { .arg = { STR(SD_FOLDER "/missing"), STAT } });
SIG(lstat, { .arg = { STR(SD_FOLDER "/link"), STAT } });
SIG(fstat, { .arg = { FD(FD_RO), STAT } });
SIG(newfstatat,
    { .arg = { FD(FD_DIR), STR("../ro"), STAT, FLAGS(0) } },
    { .arg = { CONST(FD_RO), STR(""), STAT, CONST(AT_EMPTY_PATH) } },
    { .arg = { CONST(AT_FDCWD), STR(SD_FOLDER "/link"), STAT, CONST(AT_SYMLINK_NOFOLLOW) } });
SIG(statx,
    { .arg = { FD(FD_DIR), STR("../ro"), FLAGS(0), FLAGS(STATX_BASIC_STATS), OUT(256) } },
    { .arg = { CONST(FD_RO), STR(""), CONST(AT_EMPTY_PATH), CONST(STATX_BTIME), OUT(256) } });
SIG(access, { .arg = { STR(SD_FOLDER "/ro"), NUM(R_OK) } },
    { .arg = { STR(SD_FOLDER "/ro"), CONST(X_OK) } });
SIG(faccessat, { .arg = { FD(FD_DIR), STR("../ro"), NUM(W_OK) } });
SIG(faccessat2, { .arg = { FD(FD_DIR), STR("../ro"), NUM(W_OK), FLAGS(AT_EACCESS) } });
SIG(readlink, { .arg = { STR(SD_FOLDER "/link"), OUT(64), SIZE(64) } },
    { .arg = { STR(SD_FOLDER "/ro"), OUT(64), CONST(64) } });
SIG(readlinkat, { .arg = { FD(FD_DIR), STR("../link"), OUT(64), SIZE(64) } });
