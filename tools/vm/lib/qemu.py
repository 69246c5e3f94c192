# SPDX-License-Identifier: GPL-2.0 OR MIT
"""QEMU without hardware help (TCG): no VMX, but quick, and with real NUMA nodes."""
import json
import os
import re
import signal
import socket
import subprocess

import bootimage
import numa
from bochs import Watched, kernel_args
from common import VmError

DRIVERS = ["virtio_pci", "virtio_console"]


def drivers(kernel, names):
    """Paths of the channel's drivers in loading order (none where they are built in)."""
    top = os.path.join(kernel.modules, "lib/modules", kernel.version)
    depends = {}
    with open(top + "/modules.dep") as f:
        for line in f:
            path, _, rest = line.partition(":")
            depends[re.sub(r"\.ko.*", "", os.path.basename(path)).replace("-", "_")] = \
                (path, rest.split())
    order = []
    for name in names:
        if name in depends:
            path, needs = depends[name]
            for p in reversed(needs):           # modules.dep lists the nearest first
                if p not in order:
                    order.append(p)
            order.append(path)
    return [os.path.join(top, p) for p in order]


def _numa(args):
    """Nodes of equal size, CPUs spread in blocks."""
    out = []
    nodes = args.numa
    numa.check(nodes, args.cpus, args.mem)
    per = args.cpus // nodes
    for i in range(nodes):
        out += ["-object", "memory-backend-ram,id=m%d,size=%dM" % (i, args.mem // nodes),
                "-numa", "node,nodeid=%d,memdev=m%d,cpus=%d-%d" % (i, i, i * per, i * per + per - 1)]
    for i in range(nodes):
        for j in range(nodes):
            if i != j:
                out += ["-numa", "dist,src=%d,dst=%d,val=%d" % (i, j, numa.distance(i, j))]
    return out


class Machine(Watched):
    """One QEMU process."""

    def __init__(self, args, run_dir, kernel, progress):
        self.dir = run_dir
        self.kernel = kernel
        self.log = os.path.join(run_dir, "qemu.out")
        guest = bootimage.build_guest(progress)
        with open(os.path.join(run_dir, "initrd"), "wb") as f:
            f.write(bootimage.initramfs(guest, drivers(kernel, DRIVERS)))
        self.argv = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max",
                     "-smp", "%d,sockets=%d" % (args.cpus, args.numa or 1), "-m", str(args.mem), "-nodefaults", "-no-reboot",
                     "-display", "none", "-kernel", kernel.vmlinuz, "-initrd", "initrd",
                     "-append", kernel_args(args), "-serial", "stdio",
                     "-device", "virtio-serial-pci", "-chardev", "socket,id=ch,path=channel",
                     "-device", "virtserialport,chardev=ch,name=dune",
                     "-qmp", "unix:qmp,server=on,wait=off"]
        if args.numa:
            self.argv += _numa(args)
        self.listener = None
        self.note = "QEMU (no VMX)"

    def start(self, console_w):
        """(channel, process)"""
        cwd = os.open(self.dir, os.O_RDONLY)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("/proc/self/fd/%d/channel" % cwd)
        os.close(cwd)
        listener.listen(1)
        listener.settimeout(20)
        with open(self.log, "wb") as err:
            self.process = subprocess.Popen(self.argv, cwd=self.dir, stdin=subprocess.DEVNULL,
                                            stdout=console_w, stderr=err, start_new_session=True)
        try:
            channel, _ = listener.accept()
        except OSError:
            self.process.kill()
            self.process.wait()
            raise VmError("qemu did not start: " + self.last_words())
        finally:
            listener.close()
        return channel, self.process

    def interrupt(self, sig):
        """A hang: an NMI to all CPUs makes the kernel print its stacks."""
        if sig != signal.SIGUSR2:
            return
        try:
            fd = os.open(self.dir, os.O_RDONLY)
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(3)
            s.connect("/proc/self/fd/%d/qmp" % fd)
            s.recv(4096)
            for command in ("qmp_capabilities", "inject-nmi"):
                s.sendall(json.dumps({"execute": command}).encode())
                s.recv(4096)
        except OSError:
            pass

    def last_words(self):
        try:
            with open(self.log, errors="replace") as f:
                return f.read()[-1500:].strip() or "no message"
        except OSError:
            return "no message"

    def cpu_stacks(self):
        return ""
