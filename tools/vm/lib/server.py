# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Booted once, run many times: a booted emulator that forks for every job.

A server is one booted machine (kernel, CPUs, memory, options) waiting at a
marker with the base files in place. Each job connects, gets a copy-on-write
child of the whole machine, and sends its own module, programs and files.
"""
import array
import hashlib
import os
import shutil
import signal
import socket
import struct
import time

import bochs
import bootimage
import wire
from common import CACHE, VmError, cache_path, lock
from console import Console

BOOT_LIMIT = 300
IDLE_SECONDS = 3600


class JobProcess:
    """A server's child, seen from the runner: not our child, so by pid."""

    def __init__(self, pid):
        self.pid = pid

    def poll(self):
        try:
            with open("/proc/%d/stat" % self.pid) as f:
                return None if f.read().rsplit(")", 1)[1].split()[0] != "Z" else 0
        except OSError:
            return 0

    def kill(self):
        try:
            os.kill(self.pid, signal.SIGKILL)
        except OSError:
            pass

    def wait(self, timeout=5):
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                raise TimeoutError
            time.sleep(0.02)


def label(args):
    """What a server is for, as text; one server per label."""
    return "kernel=%s cpus=%d numa=%d mem=%d kaslr=%d mitigations=%d microcode=%d verbose=%d append=%s" % (
        args.kernel, args.cpus, args.numa, args.mem, args.kaslr, args.mitigations, args.microcode, args.verbose,
        " ".join(args.append))


class Server:
    """The folder of one server: socket, pid, key."""

    def __init__(self, name):
        self.label = name
        self.dir = os.path.join(CACHE, "servers", hashlib.sha256(name.encode()).hexdigest()[:12])

    def _path(self, name):
        return os.path.join(self.dir, name)

    def read(self, name):
        try:
            with open(self._path(name)) as f:
                return f.read().strip()
        except OSError:
            return ""

    def pid(self):
        """The running server's pid, or 0."""
        pid = int(self.read("pid") or 0)
        try:
            with open("/proc/%d/cmdline" % pid) as f:
                return pid if self.dir in f.read() else 0
        except OSError:
            return 0

    def stop(self):
        pid = self.pid()
        if pid:
            os.kill(pid, signal.SIGTERM)
        shutil.rmtree(self.dir, ignore_errors=True)
        return pid

    def _socket_address(self, folder_fd):
        # the real path may be longer than a socket address can be
        return "/proc/self/fd/%d/socket" % folder_fd

    def listen(self):
        fd = os.open(self.dir, os.O_RDONLY)
        try:
            s = socket.socket(socket.AF_UNIX)
            s.bind(self._socket_address(fd))
            s.listen(16)
            return s
        finally:
            os.close(fd)

    def connect(self, console_fd, args):
        """A fresh machine: (channel, JobProcess)."""
        fd = os.open(self.dir, os.O_RDONLY)
        try:
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(20)
            s.connect(self._socket_address(fd))
        finally:
            os.close(fd)
        wishes = b"j" if args.tlbsan else b"jn"
        s.sendmsg([wishes], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [console_fd]))])
        data = s.recv(4, socket.MSG_WAITALL)
        if len(data) != 4:
            raise OSError("the server did not answer")
        return s, JobProcess(struct.unpack("<I", data)[0])

    def boot(self, args, kernel, frames, key, progress):
        """Boot the machine up to the marker and leave it running."""
        if os.path.exists(self._path("bochs.log")):
            shutil.copy(self._path("bochs.log"), self.dir + ".previous.log")
        self.stop()
        os.makedirs(self.dir)
        machine = bochs.Machine(args, self.dir, kernel, progress)
        ours, theirs = socket.socketpair()
        console_r, console_w = os.pipe()
        progress("booting a server: " + self.label)
        listener = self.listen()
        process = machine.start(theirs, console_w, listener, EMU_SERVER_DIR=self.dir,
                                EMU_IDLE=str(IDLE_SECONDS))
        theirs.close()
        os.close(console_w)
        listener.close()
        console = Console(progress)
        try:
            self._feed_until_ready(ours, console_r, console, frames, progress)
        except BaseException:
            process.kill()
            process.wait()
            shutil.rmtree(self.dir, ignore_errors=True)
            raise
        finally:
            ours.close()
            os.close(console_r)
        for name, text in (("pid", str(process.pid)), ("label", self.label), ("key", key)):
            with open(self._path(name), "w") as f:
                f.write(text)
        with open(self._path("boot-console.log"), "w") as f:
            f.write("\n".join(console.lines))
        progress("the server is ready (pid %d; ends after %d min without jobs)" %
                 (process.pid, IDLE_SECONDS // 60))

    def _feed_until_ready(self, channel, console_fd, console, frames, progress):
        import selectors
        parser = wire.Parser()
        sel = selectors.DefaultSelector()
        sel.register(channel, selectors.EVENT_READ | selectors.EVENT_WRITE)
        sel.register(console_fd, selectors.EVENT_READ)
        channel.setblocking(False)
        pending = memoryview(b"")
        end = time.monotonic() + BOOT_LIMIT
        while time.monotonic() < end:
            for key, mask in sel.select(1):
                if key.fileobj == console_fd:
                    console.feed(os.read(console_fd, 65536))
                elif mask & selectors.EVENT_WRITE:
                    pending = pending or memoryview(next(frames, b""))
                    if not pending:
                        sel.modify(channel, selectors.EVENT_READ)
                    else:
                        pending = pending[channel.send(pending):]
                if key.fileobj == channel and mask & selectors.EVENT_READ:
                    data = channel.recv(65536)
                    if not data:
                        raise VmError("the server's machine stopped while booting; last lines:\n" +
                                      console.tail())
                    for kind, payload in parser.feed(data):
                        if kind == wire.READY:
                            return
                        if kind in (wire.LOG, wire.ERROR):
                            progress("guest: " + payload.decode(errors="replace"))
        raise VmError("the server did not boot within %d s; last lines:\n%s" %
                      (BOOT_LIMIT, console.tail()))


def machine_key(kernel, root_stream):
    """Changes when a running server is out of date."""
    import bochs_build
    guest = os.path.join(os.path.dirname(bootimage.__file__), "..", "guest")
    stamps = [str(os.stat(kernel.vmlinuz).st_mtime_ns), root_stream, bochs_build.key()]
    for name in sorted(os.listdir(guest)):
        with open(os.path.join(guest, name), "rb") as f:
            stamps.append(hashlib.sha256(f.read()).hexdigest())
    return hashlib.sha256(" ".join(stamps).encode()).hexdigest()[:16]


def get(args, kernel, root_stream, make_frames, progress):
    """A running, current server for args."""
    server = Server(label(args))
    key = machine_key(kernel, root_stream)
    with lock("server-" + os.path.basename(server.dir), progress):
        if server.pid() and server.read("key") == key:
            return server
        server.boot(args, kernel, make_frames(), key, progress)
    return server


def all_servers():
    top = os.path.dirname(cache_path("servers", "x"))
    for name in sorted(os.listdir(top)):
        try:
            with open(os.path.join(top, name, "label")) as f:
                yield Server(f.read().strip())
        except OSError:
            pass
