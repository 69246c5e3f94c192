# SPDX-License-Identifier: GPL-2.0 OR MIT
"""One run: feeds the agent, forwards output, collects results, watches the kernel."""
import itertools
import os
import re
import selectors
import shutil
import signal
import sys
import time

import wire
from common import STATUS_KERNEL, STATUS_SETUP, STATUS_TIMEOUT

HANG_GRACE = 40         # seconds for the CPUs' stacks after a timeout
FATAL_GRACE = 5         # seconds for the rest of a panic's text
BOOT_LIMIT = 240        # seconds until the agent must have spoken


class Session:
    """channel: connected socket; console: readable descriptor; process: has poll(), pid, kill()."""

    def __init__(self, args, out_dir, channel, console_fd, process, console, progress, machine):
        self.args = args
        self.out_dir = out_dir
        self.channel = channel
        self.console_fd = console_fd
        self.process = process
        self.console = console
        self.progress = progress
        self.machine = machine
        self.parser = wire.Parser()
        self.frames = iter(())
        self.pending = b""
        self.done = None            # the agent's last word
        self.setup_error = ""
        self.result_file = None
        self.kmsg = []
        self.alive = False
        self.quit_at = None
        self.hang_stage = 0
        self.hang_report = 0
        self.log = open(os.path.join(out_dir, "console.log"), "wb")
        self.stdout_log = open(os.path.join(out_dir, "stdout"), "wb")
        self.stderr_log = open(os.path.join(out_dir, "stderr"), "wb")

    # -- sending ---------------------------------------------------------------------------

    def _send_more(self):
        while True:
            if not self.pending:
                chunk = bytearray()
                for f in self.frames:
                    chunk += f
                    if len(chunk) > 1 << 18:
                        break
                if not chunk:
                    return False
                self.pending = memoryview(bytes(chunk))
            try:
                n = self.channel.send(self.pending)
            except BlockingIOError:
                return True
            except OSError:
                self.frames, self.pending = iter(()), b""
                return False
            self.pending = self.pending[n:]

    # -- receiving -------------------------------------------------------------------------

    def _forward(self, stream, log, data):
        log.write(data)
        log.flush()
        stream.buffer.write(data)
        stream.flush()

    def _frame(self, kind, data):
        self.alive = True
        if kind == wire.STDOUT:
            self._forward(sys.stdout, self.stdout_log, data)
        elif kind == wire.STDERR:
            self._forward(sys.stderr, self.stderr_log, data)
        elif kind == wire.LOG:
            self.progress("guest: " + data.decode(errors="replace"))
        elif kind == wire.ERROR:
            self.setup_error += data.decode(errors="replace") + "\n"
        elif kind == wire.RESULT:
            self._open_result(os.fsdecode(data[4:]), int.from_bytes(data[:4], "little"))
        elif kind == wire.RESULT_DATA and self.result_file:
            self.result_file.write(data)
        elif kind == wire.KMSG:
            self.kmsg.append(data.decode(errors="replace"))
        elif kind == wire.DONE:
            self.done = dict(x.split("=") for x in data.decode().split())

    def _open_result(self, name, mode):
        if self.result_file:
            self.result_file.close()
        top = os.path.realpath(self.out_dir)
        path = os.path.normpath(os.path.join(top, name))
        if not path.startswith(top + "/"):
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.result_file = open(path, "wb")
        os.chmod(path, mode & 0o777 | 0o600)

    # -- the loop --------------------------------------------------------------------------

    def run(self, frames):
        """Until the guest is done or gone; the exit status of the run."""
        self.frames = iter(frames)
        self.channel.setblocking(False)
        sel = selectors.DefaultSelector()
        sel.register(self.channel, selectors.EVENT_READ | selectors.EVENT_WRITE, "channel")
        sel.register(self.console_fd, selectors.EVENT_READ, "console")
        self.started = time.monotonic()
        if self.args.interactive:
            sel.register(sys.stdin, selectors.EVENT_READ, "keys")
        open_fds = 2
        while open_fds:
            for key, mask in sel.select(self._wait()):
                if key.data == "channel" and mask & selectors.EVENT_WRITE and not self._send_more():
                    sel.modify(self.channel, selectors.EVENT_READ, "channel")
                if key.data == "keys":
                    self._keys(sel)
                elif mask & selectors.EVENT_READ and not self._receive(key.data):
                    sel.unregister(key.fileobj)
                    open_fds -= 1
            if self._overdue():
                break
        self._end()
        return self._status()

    def _keys(self, sel):
        data = os.read(sys.stdin.fileno(), 4096)
        if not data:
            sel.unregister(sys.stdin)
            data = b"\4"                    # end of file, as a terminal says it
        self.frames = itertools.chain(self.frames, [wire.frame(wire.STDIN, data)])
        sel.modify(self.channel, selectors.EVENT_READ | selectors.EVENT_WRITE, "channel")

    def _receive(self, what):
        try:
            if what == "channel":
                data = self.channel.recv(1 << 20)
                for kind, payload in self.parser.feed(data):
                    self._frame(kind, payload)
            else:
                data = os.read(self.console_fd, 1 << 16)
                self.log.write(data)
                self.log.flush()
                self.console.feed(data)
                if self.console.fatal and not self.quit_at:
                    self.quit_at = time.monotonic() + FATAL_GRACE
        except BlockingIOError:
            return True
        except OSError:
            return False
        return bool(data)

    def _wait(self):
        return 0.5

    def _overdue(self):
        """True: end the run now. Starts the hang dump at the timeout."""
        now = time.monotonic()
        if self.quit_at and now > self.quit_at:
            return True
        if self.done:
            return False
        spent = now - self.started
        if not self.alive and spent > BOOT_LIMIT and not self.quit_at:
            self.hang_stage = self.hang_stage or 1
        if spent < self.args.timeout and not self.hang_stage:
            return False
        if self.hang_stage <= 1:
            self.hang_stage = 2
            self.hang_report = len(self.console.lines)
            self.progress("timeout after %d s: asking for the stacks of all CPUs" % spent)
            self._signal(signal.SIGUSR1)
            self.quit_at = now + HANG_GRACE
            self.nmi_at = now + 2
        elif self.hang_stage == 2 and now > self.nmi_at:
            self.hang_stage = 3
            self._signal(signal.SIGUSR2)
        return False

    def _signal(self, sig):
        if self.machine and self.process.poll() is None:
            self.machine.interrupt(sig)

    def _end(self):
        if self.process.poll() is None:
            try:
                self.process.wait(timeout=2 if self.done else 0.1)
            except Exception:       # still running: it is ours to end
                self.process.kill()
                self.process.wait()
        for f in (self.log, self.stdout_log, self.stderr_log, self.result_file):
            if f:
                f.close()
        self._kmsg_to_log()
        if not self.done:
            self._keep_emulator_log()

    def _keep_emulator_log(self):
        """All CPUs' registers at the end, for a machine that was not to go on."""
        try:
            shutil.copy(self.machine.log, os.path.join(self.out_dir, "emulator.log"))
        except (AttributeError, OSError, TypeError):
            pass                        # not every engine has one

    def _kmsg_to_log(self):
        """The kernel's own log: also what the console's level left out."""
        if not self.kmsg:
            return
        text = []
        for rec in self.kmsg:
            m = re.match(r"(\d+),\d+,(\d+),[^;]*;(.*)", rec, re.S)
            if m:
                first, *rest = m.group(3).rstrip("\n").split("\n")
                text.append("[%12.6f] %s" % (int(m.group(2)) / 1e6, first))
                text += [x for x in rest if not x.startswith(" ")]
            else:
                text += rec.rstrip("\n").split("\n")
        with open(os.path.join(self.out_dir, "dmesg"), "w") as f:
            f.write("\n".join(text) + "\n")
        if not self.console.reports:
            fresh = type(self.console)(self.progress, stages=False, ignore=self.console.ignore.pattern)
            for line in text:
                fresh.line(line)
            if fresh.reports:
                self.console = fresh

    # -- the verdict -----------------------------------------------------------------------

    def _say(self, text):
        sys.stderr.write(text.rstrip("\n") + "\n")
        sys.stderr.flush()

    def _status(self):
        log = os.path.relpath(os.path.join(self.out_dir, "console.log"))
        if self.hang_stage and not self.done:
            self._say("tools/vm/run: timeout: no end after %d s (--timeout)" % self.args.timeout)
            before = self.hang_report
            self._say("last console lines before:\n" +
                      "\n".join(self.console.lines[max(0, before - 15):before]))
            stacks = self.machine.cpu_stacks()
            if stacks:
                self._say(stacks)
            self._say("what the kernel said when interrupted:\n%s\nall of it: %s" %
                      (self.console.hang_text(before), log))
            return STATUS_TIMEOUT
        if self.console.reports:
            self._say("tools/vm/run: the guest kernel reported:\n%s\nall of it: %s" %
                      (self.console.report_text(), log))
            return STATUS_KERNEL
        if self.setup_error:
            self._say("tools/vm/run: " + self.setup_error)
            if not self.done or self.done["status"] == "125":
                self._say("last kernel messages:\n%s\nall of it: %s" % (self.console.tail(10), log))
                return STATUS_SETUP
        if not self.done:
            self._say("tools/vm/run: the machine stopped before the command ended.\n"
                      "last console lines:\n%s\nall of it: %s%s" %
                      (self.console.tail(), log,
                       "\nemulator: " + self.machine.last_words()))
            return STATUS_KERNEL if self.alive else STATUS_SETUP
        if int(self.done["taint"]) & (1 << 9 | 1 << 7) and not self.machine.known_warning:
            self._say("tools/vm/run: the guest kernel is tainted by a warning or oops (%s); see %s" %
                      (self.done["taint"], log))
            return STATUS_KERNEL
        return int(self.done["status"])
