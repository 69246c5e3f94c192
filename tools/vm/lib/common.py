# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Paths, locks, errors and progress shared by the emulator tools."""
import contextlib
import fcntl
import os
import subprocess
import sys
import time

VM = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(os.path.dirname(VM))
BUILD = os.path.join(ROOT, "build")
CACHE = os.path.join(BUILD, "vm")

STATUS_TIMEOUT = 124
STATUS_SETUP = 125
STATUS_KERNEL = 126


class VmError(Exception):
    """A runner or setup error; the text says what happened and what to do next."""


class Progress:
    """One line per stage on stderr, with the elapsed seconds."""

    def __init__(self, quiet=False):
        self.quiet = quiet
        self.start = time.monotonic()

    def elapsed(self):
        return time.monotonic() - self.start

    def __call__(self, text):
        if not self.quiet:
            sys.stderr.write("[vm %5.1fs] %s\n" % (self.elapsed(), text))
            sys.stderr.flush()


def cache_path(*parts):
    path = os.path.join(CACHE, *parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


@contextlib.contextmanager
def lock(name, progress=None):
    """Hold build/vm/locks/NAME: setup steps of parallel runs take turns."""
    path = cache_path("locks", name)
    with open(path, "w") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if progress:
                progress("waiting for another run to finish preparing %s" % name)
            fcntl.flock(f, fcntl.LOCK_EX)
        yield


def sh(argv, hint=None, **kw):
    """Run a setup command; its output is shown only when it fails."""
    r = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, **kw)
    if r.returncode:
        tail = r.stdout.decode(errors="replace").strip().splitlines()[-15:]
        text = "command failed (%d): %s\n  %s" % (r.returncode, " ".join(argv), "\n  ".join(tail))
        raise VmError(text + ("\n  next: " + hint if hint else ""))
    return r.stdout.decode(errors="replace")


def setup(*args):
    """Install missing Debian packages (tools/vm/setup)."""
    r = subprocess.run([os.path.join(VM, "setup"), *args], stdin=subprocess.DEVNULL)
    if r.returncode:
        raise VmError("tools/vm/setup failed; see its message above")
