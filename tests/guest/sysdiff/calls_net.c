// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Sockets. FD_SOCK_A has two datagrams waiting, FD_LISTEN a connection. */
#include "sysdiff.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define NOBODY	IN(struct sockaddr_un, AF_UNIX, "/tmp/sysdiff/nobody")
#define NAME_SIZE sizeof(struct sockaddr_un)

SIG(sendto,
    { FIX_SOCK, .arg = { FD(FD_SOCK_A), OUT(16), SIZE(16), FLAGS(0), CONST(0), CONST(0) } },
    { FIX_SOCK, .arg = { CONST(FD_SOCK_A), OUT(16), CONST(16), CONST(0), NOBODY, NUM(NAME_SIZE) } },
    { FIX_PIPE, .arg = { CONST(FD_PIPE_W), OUT(16), CONST(16), CONST(0), CONST(0), CONST(0) } },
    { FIX_LISTEN, .arg = { CONST(FD_LISTEN), OUT(16), CONST(16), CONST(MSG_NOSIGNAL), CONST(0), CONST(0) } });
SIG(recvfrom,
    { FIX_SOCK, .arg = { FD(FD_SOCK_A), OUT(32), SIZE(32), FLAGS(0), OUT(NAME_SIZE), INOUT(uint32_t, 110) } },
    { FIX_SOCK, .arg = { CONST(FD_SOCK_A), OUT(32), CONST(32), CONST(MSG_PEEK), CONST(0), CONST(0) } },
    { FIX_SOCK, .arg = { CONST(FD_SOCK_A), OUT(4), CONST(4), CONST(MSG_TRUNC), CONST(0), CONST(0) } },
    { FIX_SOCK, .arg = { CONST(FD_SOCK_A), OUT(4), CONST(4), CONST(0), OUT(NAME_SIZE), INOUT(uint32_t, -1) } },
    { FIX_SOCK, .arg = { CONST(FD_SOCK_B), OUT(32), CONST(32), CONST(MSG_DONTWAIT), CONST(0), CONST(0) } });

/* A message whose one piece is in slot 6 and whose control data is in slot 7. */
struct piece { uint64_t addr, size; };
struct rights { struct cmsghdr head; int fd[2]; };
#define RIGHTS_SIZE	(sizeof(struct cmsghdr) + sizeof(int))
#define PIECE		MORE(struct piece, SD_AT(8, 32), 32)
#define RIGHTS		MORE(struct rights, { RIGHTS_SIZE, SOL_SOCKET, SCM_RIGHTS }, { FD_RO })
#define BAD_RIGHTS	MORE(struct rights, { RIGHTS_SIZE, SOL_SOCKET, SCM_RIGHTS }, { FD_BAD })
#define MESSAGE(control)						\
	{ NULL, 0, (void *)SD_AT(6, sizeof(struct piece)), 1,		\
	  control ? (void *)SD_AT(7, sizeof(struct rights)) : NULL,	\
	  control ? sizeof(struct rights) : 0, 0 }
struct message { struct msghdr m; };
#define MSG(control)	INOUT(struct message, MESSAGE(control))
#define MSG_BAD_IOV	INOUT(struct message, { NULL, 0, (void *)SD_HOLE, 1, NULL, 0, 0 })
#define MSG_BAD_NAME	INOUT(struct message, { (void *)SD_HOLE, 16, (void *)SD_AT(6, 16), 1, NULL, 0, 0 })
#define MSG_LONG	INOUT(struct message, { NULL, 0, (void *)SD_AT(6, 16), -1ul, NULL, 0, 0 })

SIG(sendmsg,
    { FIX_SOCK, .arg = { FD(FD_SOCK_A), MSG(0), FLAGS(0) }, .more = { PIECE } },
    { FIX_SOCK | FIX_FDS, .arg = { CONST(FD_SOCK_A), MSG(1), CONST(0) }, .more = { PIECE, RIGHTS } },
    { FIX_SOCK, .arg = { CONST(FD_SOCK_A), MSG(1), CONST(0) }, .more = { PIECE, BAD_RIGHTS } },
    { FIX_SOCK, .arg = { CONST(FD_SOCK_A), MSG_BAD_IOV, CONST(0) } },
    { FIX_SOCK, .arg = { CONST(FD_SOCK_A), MSG_BAD_NAME, CONST(0) }, .more = { PIECE } },
    { FIX_SOCK, .arg = { CONST(FD_SOCK_A), MSG_LONG, CONST(0) }, .more = { PIECE } });
SIG(recvmsg,
    { FIX_SOCK, .arg = { FD(FD_SOCK_A), MSG(1), FLAGS(0) }, .more = { PIECE } },
    { FIX_SOCK, .arg = { CONST(FD_SOCK_A), MSG_BAD_IOV, CONST(0) } },
    { FIX_SOCK, .arg = { CONST(FD_SOCK_A), MSG_LONG, CONST(0) }, .more = { PIECE } },
    { FIX_SOCK, .arg = { CONST(FD_SOCK_B), MSG(0), CONST(MSG_DONTWAIT) }, .more = { PIECE } });

struct messages { struct mmsghdr m[2]; };
#define MSGS	INOUT(struct messages, { { MESSAGE(0), 0 }, { MESSAGE(0), 0 } })
SIG(sendmmsg,
    { FIX_SOCK, .arg = { FD(FD_SOCK_A), MSGS, NUM(2), FLAGS(0) }, .more = { PIECE } });
SIG(recvmmsg,
    { FIX_SOCK, .arg = { FD(FD_SOCK_A), MSGS, NUM(2), FLAGS(MSG_DONTWAIT), CONST(0) }, .more = { PIECE } },
    { FIX_SOCK, .arg = { CONST(FD_SOCK_A), MSGS, CONST(2), CONST(0), INOUTV(struct timespec, 1, 0) },
      .more = { PIECE } });
SIG(accept, { FIX_LISTEN | FIX_FDS, .arg = { FD(FD_LISTEN), OUT(NAME_SIZE), INOUT(uint32_t, 110) } },
    { FIX_LISTEN | FIX_FDS, .arg = { CONST(FD_LISTEN), CONST(0), CONST(0) } },
    { FIX_SOCK, .arg = { CONST(FD_SOCK_A), CONST(0), CONST(0) } });
SIG(accept4,
    { FIX_LISTEN | FIX_FDS, .arg = { FD(FD_LISTEN), OUT(NAME_SIZE), INOUT(uint32_t, 110), FLAGS(SOCK_CLOEXEC) } },
    { FIX_LISTEN | FIX_FDS, .arg = { CONST(FD_LISTEN), CONST(0), CONST(0), CONST(SOCK_NONBLOCK) } });
