/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The system calls that may be made inside the kernel (fastcall.c), by their
 * names in asm/unistd_64.h: F(name), or F_SP(name) for a call whose permission
 * check looks at the caller's stack pointer: current_pt_regs()->sp has to be
 * the guest's before, or F_ZAP(name) for one of those that ride.c knows by
 * their arguments, or F_PURE(name) for one that neither sleeps nor touches
 * user memory: made with irqs off. Whoever wants no difference defines only F.
 * This file may be included many times. docs/syscalls.md tells the story.
 *
 * What is not here is re-issued natively, so a call that is missing costs
 * time and a call that is wrong costs correctness. A call is here when all of
 * this holds, in 6.1 and 6.12:
 *
 * 1. It neither reads nor writes the thread's saved user registers: DUNE_RUN's
 *    are there, not the guest's. Excludes clone, fork, vfork, clone3, execve,
 *    execveat, rt_sigreturn, sigaltstack (the caller's rsp), rt_sigsuspend and
 *    pause (end in a handler only), iopl.
 *    in_compat_syscall() looks at orig_ax, which is ioctl's: right for these.
 * 2. It does not change what is the thread's own in the CPU or VMCS: excludes
 *    arch_prctl, prctl, set_thread_area, modify_ldt, ioperm, rseq, pkey_alloc,
 *    personality, setuid and the other changes of credentials, unshare,
 *    setns, seccomp, ptrace, perf_event_open, exit, exit_group,
 *    set_tid_address, set_robust_list, rt_sigprocmask, rt_sigaction.
 * 3. It cannot close a fd of this process. DUNE_RUN itself runs on a fd, and
 *    in a process of one thread Linux holds no reference for it (fdget());
 *    since 6.6 close() frees the file at once. Excludes close, close_range,
 *    dup2, dup3.
 * 4. It cannot start a task that shares this process's fds, for the same
 *    reason: excludes clone and all of io_uring (its workers are such tasks).
 * 5. It cannot run DUNE_RUN or another ioctl of ours: excludes ioctl.
 * 6. What it leaves behind for the way back to user mode is announced by a
 *    thread flag that ends the stay in the guest: TIF_SIGPENDING,
 *    TIF_NOTIFY_SIGNAL, TIF_NOTIFY_RESUME. That covers signals it causes
 *    (SIGPIPE, SIGXFSZ), files it drops (fput() is task work) and the signal
 *    mask of ppoll, pselect6, epoll_pwait: restore_saved_sigmask_unless()
 *    keeps it replaced only with a signal pending (-ERESTARTNOHAND, but -EINTR
 *    from epoll_pwait and with STICKY_TIMEOUTS), and the signal code puts it
 *    back.
 * 7. What it wants restarted it says with -ERESTART*: finished by Linux' own
 *    signal code on the native path, never shown to the guest.
 *    ERESTART_RESTARTBLOCK too (poll, futex, nanosleep, clock_nanosleep):
 *    restart_syscall() is then a native call.
 * 8. What it may do to the thread is what preemption may do: sleep, change the
 *    CPU, even take CPUs offline or suspend the machine (a write to sysfs). So
 *    the VMCS may be loaded nowhere when it returns, and the mm may have
 *    changed under the vCPU: the caller looks again at everything.
 * 9. Programs make it often, and it is described in tests/guest/sysdiff/calls_*.c:
 *    the test does not link without.
 */
#ifndef F_SP
#define F_SP F
#define FASTCALL_LIST_F_SP
#endif
#ifndef F_ZAP
#define F_ZAP F
#define FASTCALL_LIST_F_ZAP
#endif
#ifndef F_PURE
#define F_PURE F
#define FASTCALL_LIST_F_PURE
#endif

/* who, where, when */
F_PURE(getpid)
F_PURE(gettid)
F_PURE(getppid)
F_PURE(getuid)
F_PURE(geteuid)
F_PURE(getgid)
F_PURE(getegid)
F(getpgrp)
F(getpgid)
F(getsid)
F(getpriority)
F(getcpu)
F(sched_yield)
F(sched_getaffinity)
F(uname)
F(sysinfo)
F(getrusage)
F(times)
F(time)
F(gettimeofday)
F(clock_gettime)
F(clock_getres)
F(clock_nanosleep)
F(nanosleep)
F(getrandom)
F(getcwd)

/* files */
F(read)
F(write)
F(readv)
F(writev)
F(pread64)
F(pwrite64)
F(preadv)
F(pwritev)
F(preadv2)
F(pwritev2)
F(lseek)
F(sendfile)
F(fsync)
F(fdatasync)
F(ftruncate)
F(fallocate)
F(getdents64)
F(fcntl)
F(dup)
F(pipe2)
F(open)
F(openat)
F(stat)
F(fstat)
F(lstat)
F(newfstatat)
F(statx)
F(access)
F(faccessat)
F(faccessat2)
F(readlink)
F(readlinkat)

/* waiting */
F(futex)
F(poll)
F(ppoll)
F(select)
F(pselect6)
F(epoll_wait)
F(epoll_pwait)
F(epoll_pwait2)
F(epoll_ctl)
F(eventfd2)
F(timerfd_settime)
F(timerfd_gettime)

/* memory */
F_ZAP(mmap)
F_ZAP(munmap)
F(mremap)
F_ZAP(madvise)
F(mincore)
F(msync)
F(brk)
/* SELinux asks whether the range is the caller's stack (execstack) */
F_SP(mprotect)

/* sockets */
F(sendto)
F(recvfrom)
F(sendmsg)
F(recvmsg)
F(sendmmsg)
F(recvmmsg)
F(accept)
F(accept4)

#ifdef FASTCALL_LIST_F_SP
#undef F_SP
#undef FASTCALL_LIST_F_SP
#endif
#ifdef FASTCALL_LIST_F_ZAP
#undef F_ZAP
#undef FASTCALL_LIST_F_ZAP
#endif
#ifdef FASTCALL_LIST_F_PURE
#undef F_PURE
#undef FASTCALL_LIST_F_PURE
#endif
