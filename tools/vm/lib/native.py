# SPDX-License-Identifier: GPL-2.0 OR MIT
"""A machine that has VT-x: load the module here and run the command here."""
import os
import re
import subprocess
import sys

from common import ROOT, STATUS_KERNEL, STATUS_TIMEOUT, VmError
from console import Console


def _check():
    with open("/proc/cpuinfo") as f:
        if not re.search(r"^flags\s*:.*\bvmx\b", f.read(), re.M):
            raise VmError("this machine has no VT-x (no 'vmx' in /proc/cpuinfo)\n"
                          "  next: use the emulator (leave out --engine native), or enable VT-x "
                          "in the firmware or nested virtualization in the host")
    if os.geteuid():
        raise VmError("--engine native loads a kernel module: run it as root")


def _module(args):
    path = args.module or os.path.join(ROOT, "dune.ko")
    if not os.path.exists(path):
        path = os.path.join(ROOT, "build/kmod/native/dune.ko")
    if not os.path.exists(path):
        raise VmError("no dune.ko for this kernel (%s)\n  next: make, or name it with --module"
                      % os.uname().release)
    return path


def _insmod(args):
    """True when we loaded it."""
    if os.path.exists("/sys/module/dune"):
        return False
    r = subprocess.run(["/sbin/insmod", _module(args)] + args.modparam.split(),
                       stderr=subprocess.PIPE)
    if r.returncode:
        raise VmError("insmod failed: %s\n  next: see dmesg" % r.stderr.decode().strip())
    return True


def run(args, out, progress):
    """The exit status."""
    _check()
    kmsg = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    os.lseek(kmsg, 0, os.SEEK_END)
    loaded = False if args.no_module else _insmod(args)
    env = dict(os.environ, DUNE_OUT=os.path.abspath(out), DUNE_ENGINE="native")
    env.update(e.split("=", 1) for e in args.env if "=" in e)
    progress("running natively on Linux %s" % os.uname().release)
    try:
        status = subprocess.run(args.cmd, cwd=ROOT, env=env, timeout=args.timeout).returncode
        status = 128 - status if status < 0 else status
    except subprocess.TimeoutExpired:
        status = STATUS_TIMEOUT
    except OSError as e:
        sys.stderr.write("%s: %s\n" % (args.cmd[0], e.strerror))
        status = 127
    if loaded and not args.keep_module:
        subprocess.run(["/sbin/rmmod", "dune"])
    console = Console(progress, stages=False)
    while True:
        try:
            record = os.read(kmsg, 8192).decode(errors="replace")
        except BrokenPipeError:
            continue
        except OSError:
            break
        console.line(record.split(";", 1)[-1].split("\n")[0])
    if console.reports:
        sys.stderr.write("tools/vm/run: the kernel reported:\n%s\n" % console.report_text())
        return STATUS_KERNEL
    return status
