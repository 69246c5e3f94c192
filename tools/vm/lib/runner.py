# SPDX-License-Identifier: GPL-2.0 OR MIT
"""The command line of tools/vm/run, and a run from preparation to verdict."""
import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import termios
import tty

import kernels
import rootfs
import wire
from common import (BUILD, ROOT, STATUS_SETUP, Progress, VmError, cache_path, setup)
from console import PANIC, Console
from session import Session

EPILOG = """\
exit status: CMD's own; 124 timeout; 125 the runner or the setup failed (its message
says what to do); 126 the guest kernel reported a bug (WARN, BUG, Oops, panic, lockdep,
KASAN, UBSAN, RCU stall, hung task, kmemleak ...) or the emulator a missing EPT flush
(tlbsan), even if CMD succeeded.

CMD runs as root in the project's root folder; build/ is there. Result files: all that
CMD writes below $DUNE_OUT arrives in --out, beside console.log, dmesg, stdout, stderr.

examples:
  tools/vm/run -- true
  tools/vm/run --cpus 4 -- build/apps/textscan --threads 4 --dune CORPUS
  tools/vm/run --no-module --modules kvm_intel -- sh -c 'modprobe kvm_intel; dmesg'
  tools/vm/run --with stress-ng,hwloc -- lstopo-no-graphics
"""


def machine_options(p):
    """Options that say what machine is booted; tools/vm/server has them too."""
    p.add_argument("--cpus", type=int, default=2, metavar="N", help="CPUs (default 2)")
    p.add_argument("--kernel", choices=kernels.NAMES, default="6.1", help="default 6.1")
    p.add_argument("--append", action="append", default=[], metavar="ARGS",
                   help="add to the kernel's command line")
    p.add_argument("--mem", type=int, default=1024, metavar="MB", help="guest memory (default 1024)")
    p.add_argument("--mitigations", action="store_true", help="leave the kernel's default mitigations on")
    p.add_argument("--microcode", action="store_true",
                   help="a CPU with the MSRs for IBRS, IBPB and L1D flush")
    p.add_argument("--kaslr", action="store_true", help="leave KASLR on")
    p.add_argument("--verbose", action="store_true", help="all kernel messages on the console log")
    p.add_argument("--quiet", action="store_true", help="no progress lines on stderr")


def parse(argv):
    p = argparse.ArgumentParser(prog="tools/vm/run", description="Boot a stock Debian kernel in an "
                                "emulated machine, load dune.ko, run CMD inside.", epilog=EPILOG,
                                formatter_class=argparse.RawDescriptionHelpFormatter,
                                usage="%(prog)s [options] -- CMD [ARG...]")
    machine_options(p)
    p.add_argument("--no-module", action="store_true", help="do not load dune.ko")
    p.add_argument("--module", metavar="FILE", help="load this module (default build/kmod/KERNEL/dune.ko)")
    p.add_argument("--modparam", default="", metavar="\"a=b c=d\"", help="module parameters")
    p.add_argument("--keep-module", action="store_true", help="do not unload the module after CMD")
    p.add_argument("--timeout", type=int, default=600, metavar="S",
                   help="seconds for everything, boot included (default 600)")
    p.add_argument("--numa", type=int, default=0, metavar="N", help="NUMA nodes of equal size")
    p.add_argument("--engine", choices=["bochs", "qemu", "native"], default="bochs",
                   help="bochs: VMX emulated (default); qemu: no VMX, fast; native: this machine")
    p.add_argument("--packaged", choices=["trixie", "bookworm"],
                   help="use this Debian release's packaged Bochs, not our build (slow)")
    p.add_argument("--fast", action="store_true", help="use a booted machine that forks for every "
                   "run (tools/vm/server); starts one when there is none")
    p.add_argument("--no-tlbsan", dest="tlbsan", action="store_false",
                   help="do not report translations used after their shootdown")
    p.add_argument("--expect-panic", action="store_true", help="CMD makes the kernel panic: no report, "
                   "and the run goes on (in a crash kernel)")
    p.add_argument("--with", dest="packages", default="", metavar="PKG,PKG",
                   help="Debian packages to have inside")
    p.add_argument("--modules", default="", metavar="MOD,MOD",
                   help="kernel modules to have inside (for modprobe); MOD? only where the kernel has it")
    p.add_argument("--file", action="append", default=[], metavar="PATH",
                   help="host file or folder to have inside under the same absolute path")
    p.add_argument("--out", metavar="DIR", help="where results go (default build/vm/out/...)")
    p.add_argument("--env", action="append", default=[], metavar="NAME=VALUE",
                   help="environment of CMD")
    p.add_argument("--interactive", action="store_true",
                   help="CMD gets a terminal connected to this one (tools/vm/shell)")
    p.add_argument("cmd", nargs=argparse.REMAINDER, metavar="-- CMD ARG...")
    args = p.parse_args(argv)
    if args.cmd[:1] == ["--"]:
        args.cmd = args.cmd[1:]
    if not args.cmd:
        p.error("no command; write it after --")
    args.packages = [x for x in args.packages.split(",") if x]
    args.modules = [x for x in args.modules.split(",") if x]
    return args


def module_path(args):
    """The module to load, or None."""
    if args.no_module:
        return None
    path = args.module or os.path.join(BUILD, "kmod", args.kernel, "dune.ko")
    if not os.path.exists(path):
        raise VmError("no module %s\n  next: make, or use --no-module" % os.path.relpath(path))
    return path


def job_frames(args, module):
    """The frames that tell the agent what to run."""
    items = ["cwd=" + ROOT, "out=/out", "env=DUNE_ENGINE=" + args.engine]
    if not args.tlbsan:
        items.append("env=DUNE_TLBSAN=0")
    items += ["env=" + e for e in args.env]
    if module:
        yield from wire.path_frames(os.path.realpath(module), "/lib/dune/" + os.path.basename(module))
        items += ["module=/lib/dune/" + os.path.basename(module), "modparam=" + args.modparam]
        if args.keep_module:
            items.append("keep=1")
    if args.kernel == "debug":
        items.append("kmemleak=1")
    if args.interactive:
        items.append("pty=1")
    items += ["arg=" + a for a in args.cmd]
    yield wire.frame(wire.JOB, wire.strings(items))


def stream_frames(path):
    with open(path, "rb") as f:
        while True:
            data = f.read(1 << 20)
            if not data:
                return
            yield data


def file_frames(args, kernel, root_stream, progress):
    """The project's tree and what the command line asks for."""
    yield from rootfs.project_frames(ROOT, root_stream, progress)
    for path in args.file:
        if not os.path.exists(path):
            raise VmError("--file %s: no such file" % path)
        yield from rootfs.host_frames(path, os.path.abspath(path))
    if args.modules:
        yield from rootfs.module_frames(kernel, args.modules)


def out_dir(args):
    if args.out:
        os.makedirs(args.out, exist_ok=True)
        return args.out
    base = os.path.dirname(cache_path("out", "x"))
    name = os.path.basename(args.cmd[0]) + "-"
    return tempfile.mkdtemp(prefix=name, dir=base)


class Prepared:
    """What a run on an emulator needs, ready on the host."""

    def __init__(self, args, progress):
        setup(*(["--qemu"] if args.engine == "qemu" else []))
        self.args = args
        self.progress = progress
        self.kernel = kernels.get(args.kernel, progress)
        self.module = module_path(args)
        self.root = rootfs.stream(progress)
        self.extra = rootfs.extra_stream(args.packages, progress) if args.packages else None

    def base_frames(self):
        yield from stream_frames(self.root)

    def job_frames(self):
        if self.extra:
            yield from stream_frames(self.extra)
        yield from file_frames(self.args, self.kernel, self.root, self.progress)
        yield from job_frames(self.args, self.module)

    def server_frames(self):
        yield from self.base_frames()
        yield wire.frame(wire.POINT)

    def all_frames(self):
        yield from self.base_frames()
        yield from self.job_frames()


def end_process(process):
    if process and process.poll() is None:
        process.kill()
        process.wait()


def run_bochs(args, progress):
    """A full boot for this one command."""
    import bochs
    ready = Prepared(args, progress)
    run_dir = tempfile.mkdtemp(prefix="run-", dir=os.path.dirname(cache_path("tmp", "x")))
    process = None
    try:
        machine = bochs.Machine(args, run_dir, ready.kernel, progress)
        ours, theirs = socket.socketpair()
        console_r, console_w = os.pipe()
        progress("starting %s, %d CPUs, %d MB, kernel %s" %
                 (machine.emulator.note, args.cpus, args.mem, ready.kernel.version))
        process = machine.start(theirs, console_w)
        theirs.close()
        os.close(console_w)
        return one_session(args, progress, ours, console_r, process, machine, ready.all_frames())
    finally:
        end_process(process)
        if not os.environ.get("DUNE_VM_KEEP"):
            shutil.rmtree(run_dir, ignore_errors=True)


def run_packaged(args, progress):
    """A full boot in a packaged Bochs."""
    import packaged
    ready = Prepared(args, progress)
    run_dir = tempfile.mkdtemp(prefix="run-", dir=os.path.dirname(cache_path("tmp", "x")))
    process = None
    try:
        machine = packaged.Machine(args, run_dir, ready.kernel, ready.all_frames(), progress)
        progress("starting %s, %d CPUs, %d MB, kernel %s" %
                 (machine.note, args.cpus, args.mem, ready.kernel.version))
        channel, console_r, process = machine.start()
        return one_session(args, progress, channel, console_r, process, machine, ())
    finally:
        end_process(process)
        if not os.environ.get("DUNE_VM_KEEP"):
            shutil.rmtree(run_dir, ignore_errors=True)


def run_bochs_or_fallback(args, progress):
    """Ours; else trixie's package; else bookworm's."""
    import bochs_build
    if args.packaged:
        return run_packaged(args, progress)
    setup()
    try:
        bochs_build.get(progress)
    except VmError as e:
        import packaged
        sys.stderr.write("tools/vm/run: our own Bochs cannot be built: %s\n" % e)
        for args.packaged in ("trixie", "bookworm"):
            try:
                packaged.get(args.packaged, progress)
                break
            except VmError as e2:
                error = e2
        else:
            raise VmError("no packaged Bochs either: %s" % error)
        sys.stderr.write("tools/vm/run: using Debian %s's package instead: slower, no counters, no "
                         "--fast\n" % args.packaged)
        return run_packaged(args, progress)
    return (run_fast if args.fast else run_bochs)(args, progress)


def run_qemu(args, progress):
    """A full boot in QEMU: no VMX."""
    import qemu
    ready = Prepared(args, progress)
    run_dir = tempfile.mkdtemp(prefix="run-", dir=os.path.dirname(cache_path("tmp", "x")))
    machine = process = None
    try:
        machine = qemu.Machine(args, run_dir, ready.kernel, progress)
        console_r, console_w = os.pipe()
        progress("starting %s, %d CPUs, %d MB, kernel %s" %
                 (machine.note, args.cpus, args.mem, ready.kernel.version))
        channel, process = machine.start(console_w)
        os.close(console_w)
        return one_session(args, progress, channel, console_r, process, machine, ready.all_frames())
    finally:
        end_process(process)
        shutil.rmtree(run_dir, ignore_errors=True)


def run_native(args, progress):
    import native
    return native.run(args, out_dir(args), progress)


def run_fast(args, progress):
    """A fork of a machine that has booted already."""
    import bochs
    import server
    ready = Prepared(args, progress)
    base = server.get(args, ready.kernel, ready.root, ready.server_frames, progress)
    console_r, console_w = os.pipe()
    process = None
    try:
        try:
            channel, process = base.connect(console_w, args)
        except OSError:             # it ended just now, or hangs: once more with a new one
            base.stop()
            base = server.get(args, ready.kernel, ready.root, ready.server_frames, progress)
            channel, process = base.connect(console_w, args)
        os.close(console_w)
        machine = bochs.ForkedMachine(base.dir, ready.kernel, process)
        return one_session(args, progress, channel, console_r, process, machine, ready.job_frames())
    except OSError as e:
        raise VmError("the server does not answer (%s)\n  next: tools/vm/server stop, then try again" % e)
    finally:
        end_process(process)


def one_session(args, progress, channel, console_fd, process, machine, frames):
    out = out_dir(args)
    console = Console(progress, ignore=machine.known_warning,
                      expect=PANIC if args.expect_panic else None)
    session = Session(args, out, channel, console_fd, process, console, progress, machine)
    saved = termios.tcgetattr(0) if args.interactive and os.isatty(0) else None
    if saved:
        tty.setraw(0)
    try:
        status = session.run(frames)
    finally:
        if saved:
            termios.tcsetattr(0, termios.TCSADRAIN, saved)
    progress("ended, status %d; results in %s" % (status, os.path.relpath(out)))
    return status


def main(argv=None):
    args = parse(sys.argv[1:] if argv is None else argv)
    progress = Progress(args.quiet)
    try:
        if args.numa and (args.engine == "native" or args.packaged):
            raise VmError("--numa is for our build of Bochs and for --engine qemu")
        engines = {"qemu": run_qemu, "native": run_native,
                   "bochs": run_bochs_or_fallback}
        return engines[args.engine](args, progress)
    except VmError as e:
        sys.stderr.write("tools/vm/run: %s\n" % e)
        return STATUS_SETUP
    except (OSError, subprocess.SubprocessError) as e:
        if os.environ.get("DUNE_VM_KEEP"):
            raise
        sys.stderr.write("tools/vm/run: unexpected: %s: %s\n  next: try again; with DUNE_VM_KEEP=1 "
                         "in the environment there is a trace and the run's files stay\n" %
                         (type(e).__name__, e))
        return STATUS_SETUP
    except KeyboardInterrupt:
        sys.stderr.write("tools/vm/run: interrupted\n")
        return 130
