# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Signals: handlers, timers, masks, waits, faults, EINTR, alternate stacks."""
import ctypes
import faulthandler
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time

got = []
signal.signal(signal.SIGUSR1, lambda s, f: got.append(s))
for _ in range(50):
    os.kill(os.getpid(), signal.SIGUSR1)
print('usr1', len(got))

ticks = []
signal.signal(signal.SIGALRM, lambda s, f: ticks.append(time.monotonic()))
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
while len(ticks) < 5:
    pass
signal.setitimer(signal.ITIMER_REAL, 0)
print('ticks while it computes')
n = len(ticks)
signal.setitimer(signal.ITIMER_REAL, 0.05)
a, b = socket.socketpair()
a.settimeout(0.3)
try:
    a.recv(1)
except TimeoutError:
    print('recv went on after the signal', len(ticks) > n)

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
os.kill(os.getpid(), signal.SIGUSR2)
print('pending', signal.sigpending())
print('waited', signal.sigwait([signal.SIGUSR2]))
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR2])
info = signal.sigtimedwait([signal.SIGRTMIN], 0.05)
print('timed', info)

r, w = os.pipe()
os.set_blocking(w, False)
old = signal.set_wakeup_fd(w)
t = threading.Timer(0.05, lambda: os.kill(os.getpid(), signal.SIGUSR1))
t.start()
print('woken', select.select([r], [], [], 20)[0] == [r], os.read(r, 1))
t.join()
signal.set_wakeup_fd(old)

ep = select.epoll()
ep.register(b, select.EPOLLIN)
a.send(b'x')
print('epoll', ep.poll(5) == [(b.fileno(), select.EPOLLIN)])


def in_child(text):
    p = subprocess.run([sys.executable, '-c', text], capture_output=True, text=True)
    lines = [x for x in p.stderr.splitlines() if 'thread 0x' not in x]
    print(p.returncode, p.stdout.strip(), lines[:2])


in_child('import ctypes; ctypes.string_at(0)')
in_child('import faulthandler, ctypes; faulthandler.enable(); ctypes.string_at(0)')
in_child('import os; os.abort()')
in_child('import os, signal; os.kill(os.getpid(), signal.SIGPIPE); print("ignored")')
in_child('import signal, time; signal.signal(2, lambda *a: print("int")); signal.raise_signal(2)')
in_child('import mmap, os\nf = open("short", "w+b"); f.truncate(4096)\n'
         'm = mmap.mmap(f.fileno(), 4096)\nf.truncate(0)\nm[0]')
faulthandler.dump_traceback_later(100)
faulthandler.cancel_dump_traceback_later()
print('libc', ctypes.CDLL(None).abs(-3))
