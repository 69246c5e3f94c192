// SPDX-License-Identifier: GPL-2.0 OR MIT
// Host calls: a byte channel between the guest's agent and the runner, the
// loader of the boot images, and the fork server.
//
// Set up by the runner through the environment:
//   EMU_CHANNEL_FD   connected stream socket to the runner
//   EMU_CONSOLE_FD   what the first serial port writes
//   EMU_LISTEN_FD    server mode: listening Unix socket for jobs
//   EMU_SERVER_DIR, EMU_IDLE   server mode: when to end (see forkpoint)
//   EMU_IMAGES       boot images, "hexaddress=path:hexaddress=path..."
#include "bochs.h"
#include "cpu/cpu.h"
#include "memory/memory-bochs.h"
#include "hostcall.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int channel_fd = -1, console_fd = -1, listen_fd = -1;

static int env_fd(const char *name)
{
  const char *s = getenv(name);
  return s ? atoi(s) : -1;
}

static void console_flush(void);

void emu_channel_init(void)
{
  channel_fd = env_fd("EMU_CHANNEL_FD");
  console_fd = env_fd("EMU_CONSOLE_FD");
  listen_fd = env_fd("EMU_LISTEN_FD");
  signal(SIGPIPE, SIG_IGN);
  atexit(console_flush);
}

// Lines, not bytes: each write wakes the runner up.
static char line[512];
static unsigned line_len;
static bool written_half_a_line;

static void console_flush(void)
{
  if (line_len && console_fd >= 0) {
    ssize_t unused = write(console_fd, line, line_len);
    (void) unused;
    written_half_a_line = line[line_len - 1] != '\n';
  }
  line_len = 0;
}

// A line of the emulator's own, between the kernel's.
void emu_console_line(const char *text)
{
  dprintf(console_fd >= 0 ? console_fd : 2, "%s%s\n", written_half_a_line ? "\n" : "", text);
  written_half_a_line = false;
}

bool emu_console_write(Bit8u byte)
{
  if (console_fd < 0) return false;
  line[line_len++] = byte;
  if (byte == '\n' || line_len == sizeof line) console_flush();
  return true;
}

static void end(int status)
{
  console_flush();
  fflush(NULL);
  _exit(status);
}

// Nobody reads our results any more: no reason to go on.
void emu_channel_poll(void)
{
  struct pollfd p = { channel_fd, 0, 0 };

  console_flush();
  if (channel_fd >= 0 && poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)))
    end(3);
}

// Host address of a guest linear address for at most *len bytes of one page.
static Bit8u *guest_ptr(BX_CPU_C *cpu, Bit64u laddr, Bit64u *len, unsigned rw)
{
  bx_phy_address paddr;
  Bit64u left = 4096 - (laddr & 4095);

  if (!cpu->dbg_xlate_linear2phy(laddr, &paddr)) return NULL;
  if (*len > left) *len = left;
  Bit8u *p = BX_MEM(0)->getHostMemAddr(cpu, paddr, rw);
  if (p && rw == BX_WRITE) pageWriteStampTable.decWriteStamp(paddr);
  return p;
}

bool emu_read_linear(BX_CPU_C *cpu, Bit64u laddr, Bit64u *value)
{
  Bit64u len = sizeof *value;
  Bit8u *p = guest_ptr(cpu, laddr, &len, BX_READ);

  if (!p || len < sizeof *value) return false;
  memcpy(value, p, sizeof *value);
  return true;
}

// len bytes at laddr to (BX_READ) or from data; false when a page is absent.
bool emu_copy_linear(BX_CPU_C *cpu, Bit64u laddr, void *data, Bit64u len, unsigned rw)
{
  for (Bit64u done = 0; done < len; ) {
    Bit64u n = len - done;
    Bit8u *p = guest_ptr(cpu, laddr + done, &n, rw);

    if (!p) return false;
    if (rw == BX_WRITE) memcpy(p, (Bit8u *) data + done, n);
    else memcpy((Bit8u *) data + done, p, n);
    done += n;
  }
  return true;
}

static Bit64s do_read(BX_CPU_C *cpu, Bit64u buf, Bit64u len, int flags)
{
  Bit64u done = 0;

  if (channel_fd < 0) return -ENOSYS;
  while (done < len) {
    Bit64u n = len - done;
    Bit8u *p = guest_ptr(cpu, buf + done, &n, BX_WRITE);
    if (!p) return done ? (Bit64s) done : -EFAULT;
    ssize_t r = recv(channel_fd, p, n, done ? MSG_DONTWAIT : flags);
    if (r < 0 && errno == EINTR) continue;
    if (r < 0) return done ? (Bit64s) done : -errno;
    done += r;
    if ((Bit64u) r < n) break;
  }
  return done;
}

static Bit64s do_write(BX_CPU_C *cpu, Bit64u buf, Bit64u len)
{
  Bit64u done = 0;

  if (channel_fd < 0) return -ENOSYS;
  while (done < len) {
    Bit64u n = len - done;
    Bit8u *p = guest_ptr(cpu, buf + done, &n, BX_READ);
    if (!p) return -EFAULT;
    ssize_t r = send(channel_fd, p, n, 0);
    if (r < 0 && errno == EINTR) continue;
    if (r < 0) end(3);
    done += r;
  }
  return done;
}

// A job arrives as one connection; its first message carries the console's
// descriptor and says, a letter each, what the job wants otherwise:
// 'n' no TLB sanitizer.
static int receive_console(int conn, char *wishes, size_t size)
{
  char control[CMSG_SPACE(sizeof(int))];
  struct iovec iov = { wishes, size - 1 };
  struct msghdr m;
  int fd;

  memset(&m, 0, sizeof m);
  m.msg_iov = &iov;
  m.msg_iovlen = 1;
  m.msg_control = control;
  m.msg_controllen = sizeof control;
  ssize_t n = recvmsg(conn, &m, MSG_CMSG_CLOEXEC);
  if (n < 1) return -1;
  wishes[n] = 0;
  struct cmsghdr *c = CMSG_FIRSTHDR(&m);
  if (!c || c->cmsg_type != SCM_RIGHTS) return -1;
  memcpy(&fd, CMSG_DATA(c), sizeof fd);
  return fd;
}

// The child's side of a fork: this process is now the machine of one job.
static bool become_job(int conn, int cons)
{
  Bit32u self = getpid();

  close(listen_fd);
  listen_fd = -1;
  channel_fd = conn;
  if (console_fd >= 0) close(console_fd);
  console_fd = cons;
  return send(channel_fd, &self, sizeof self, 0) == sizeof self;
}

// The booted machine waits here, and forks for every connection. Ends when the
// runner removes its socket's folder or nobody came for EMU_IDLE seconds.
static Bit64s forkpoint(void)
{
  static const Bit32u ready[2] = { 24 /* WIRE_READY */, 0 };
  const char *folder = getenv("EMU_SERVER_DIR"), *idle = getenv("EMU_IDLE");
  time_t last = time(NULL), limit = idle ? atoi(idle) : 3600;

  if (listen_fd < 0) return -ENOSYS;
  if (channel_fd >= 0) {
    ssize_t unused = send(channel_fd, ready, sizeof ready, 0);
    (void) unused;
    close(channel_fd);
    channel_fd = -1;
  }
  console_flush();
  fflush(NULL);
  while (1) {
    struct pollfd p = { listen_fd, POLLIN, 0 };

    while (waitpid(-1, NULL, WNOHANG) > 0) last = time(NULL);
    if (poll(&p, 1, 1000) <= 0) {
      if (time(NULL) - last > limit || (folder && access(folder, F_OK))) end(0);
      continue;
    }
    int conn = accept(listen_fd, NULL, NULL);
    if (conn < 0) continue;
    char wishes[64];
    int cons = receive_console(conn, wishes, sizeof wishes);
    pid_t pid = cons < 0 ? -1 : fork();
    if (pid == 0) {
      if (!become_job(conn, cons)) end(3);
      if (strchr(wishes, 'n')) emu_tlbsan_end();
      else emu_tlbsan_begin();
      return 0;
    }
    last = time(NULL);
    close(conn);
    if (cons >= 0) close(cons);
  }
}

static bool load_image(BX_CPU_C *cpu, Bit64u addr, const char *path)
{
  static Bit8u buf[4096];
  int fd = open(path, O_RDONLY);

  if (fd < 0) return false;
  while (1) {
    ssize_t n = read(fd, buf, sizeof buf - (addr & 4095));
    if (n <= 0) break;
    BX_MEM(0)->writePhysicalPage(cpu, addr, n, buf);
    addr += n;
  }
  close(fd);
  return true;
}

static Bit64s load_images(BX_CPU_C *cpu)
{
  char *list = strdup(getenv("EMU_IMAGES") ? getenv("EMU_IMAGES") : "");

  for (char *s = strtok(list, ":"); s; s = strtok(NULL, ":")) {
    char *path = strchr(s, '=');
    if (!path) continue;
    if (!load_image(cpu, strtoull(s, NULL, 16), path + 1)) {
      fprintf(stderr, "emulator: cannot read boot image %s\n", path + 1);
      _exit(4);
    }
  }
  free(list);
  return 0;
}

Bit64s emu_hostcall(BX_CPU_C *cpu, unsigned op, Bit64u a0, Bit64u a1)
{
  switch (op) {
    case HOSTCALL_READ:      return do_read(cpu, a0, a1, 0);
    case HOSTCALL_TRYREAD:   return do_read(cpu, a0, a1, MSG_DONTWAIT);
    case HOSTCALL_WRITE:     return do_write(cpu, a0, a1);
    case HOSTCALL_EXIT:      end((int) a0);
    case HOSTCALL_FORKPOINT: return forkpoint();
    case HOSTCALL_LOAD:      return load_images(cpu);
  }
  return -ENOSYS;
}
