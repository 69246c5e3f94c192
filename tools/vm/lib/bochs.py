# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Starting the emulator: configuration, kernel command line, process."""
import os
import subprocess

import bochs_build
import bootimage
import numa
import symbols
from common import VmError

MAX_CPUS = 15
MAX_CORES = 8
MICROCODE = ', add_features="sca_mitigations"'

CONFIG = """\
megs: {mem}
romimage: file="{share}/BIOS-bochs-latest"
vgaromimage: file="{share}/vgabios.bin"
cpu: model=corei7_skylake_x, count={sockets}:{cores}:1, ips=15000000, reset_on_triple_fault=0{features}
clock: sync=none
display_library: nogui
boot: disk
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path="{disk}", mode=flat, cylinders=2, heads=16, spt=63
com1: enabled=1, mode=file, dev=/dev/null
log: "{log}"
panic: action=fatal
error: action=report
info: action=report
"""


def sockets(cpus):
    """Bochs has at most 8 cores a socket."""
    nr = next(n for n in range(1, cpus + 1) if cpus % n == 0 and cpus // n <= MAX_CORES)
    return {"sockets": nr, "cores": cpus // nr}


def kernel_args(args):
    """The kernel command line; args is the runner's parsed command line."""
    words = ["console=ttyS0,115200", "idle=halt", "no_timer_check", "edd=off", "panic=-1",
             "cryptomgr.notests", "random.trust_cpu=on", "rcupdate.rcu_cpu_stall_timeout=120"]
    if not args.kaslr:
        words.append("nokaslr")
    if not args.mitigations:
        words.append("mitigations=off")
    if not any(w.startswith("reboot=") for w in " ".join(args.append).split()):
        words.append("reboot=t,force")
    words += numa.kernel_words(args)
    words.append("ignore_loglevel" if args.verbose else "loglevel=7")
    return " ".join(words + args.append)


class Watched:
    """What can be asked of a running emulator."""

    dir = log = dump = kernel = process = None
    known_warning = None        # a kernel warning this emulator causes, as a pattern

    def interrupt(self, sig):
        """A hang: SIGUSR1 makes our build write its CPUs' states, SIGUSR2 sends an NMI."""
        try:
            os.kill(self.process.pid, sig)
        except OSError:
            pass

    def last_words(self):
        """Why the emulator stopped, from its own output."""
        text = ""
        for path in (self.log, os.path.join(self.dir, "bochs.out")):
            try:
                with open(path, errors="replace") as f:
                    lines = [x for x in f if "PANIC" in x or "emulator:" in x or ">>" in x]
                    text += "".join(lines[-5:])
            except OSError:
                pass
        return text.strip() or "no message; see %s" % self.log

    def cpu_stacks(self):
        """The emulator's own view of all CPUs, with the kernel's symbols."""
        try:
            with open("%s.%d" % (self.dump, self.process.pid)) as f:
                lines = f.read().splitlines()
        except OSError:
            return "(the emulator gave no CPU states)"
        return symbols.annotate(lines, self.kernel)


class Machine(Watched):
    """One Bochs process."""

    def __init__(self, args, run_dir, kernel, progress):
        if not 1 <= args.cpus <= MAX_CPUS:
            raise VmError("Bochs takes 1 to %d CPUs, not %d" % (MAX_CPUS, args.cpus))
        self.dir = run_dir
        self.kernel = kernel
        self.tlbsan = getattr(args, "tlbsan", True)     # a server's jobs choose for themselves
        self.emulator = bochs_build.get(progress)
        guest = bootimage.build_guest(progress)
        cmdline = kernel_args(args)
        disk, self.images = bootimage.bochs_images(
            run_dir, kernel, guest, bootimage.initramfs(guest, more=numa.initramfs_entries(args)),
            cmdline, args.mem, args.kaslr, progress)
        self.nodes = numa.emulator_nodes(args)
        self.log = os.path.join(run_dir, "bochs.log")
        self.dump = os.path.join(run_dir, "cpus.txt")
        self.config = os.path.join(run_dir, "bochsrc")
        with open(self.config, "w") as f:
            f.write(CONFIG.format(mem=args.mem, share=self.emulator.share, **sockets(args.cpus),
                                  disk=disk, log=self.log,
                                  features=MICROCODE if args.microcode else ""))

    def start(self, channel, console, listen=None, **more_env):
        """channel, console, listen: sockets or pipe ends whose descriptors Bochs gets."""
        fds = {"EMU_CHANNEL_FD": channel, "EMU_CONSOLE_FD": console, "EMU_LISTEN_FD": listen}
        fds = {k: v if isinstance(v, int) else v.fileno() for k, v in fds.items() if v is not None}
        env = dict(os.environ, EMU_IMAGES=self.images, EMU_DUMP=self.dump,
                   EMU_TLBSAN=str(int(self.tlbsan)), EMU_NODES=self.nodes,
                   **{k: str(v) for k, v in fds.items()}, **more_env)
        out = open(os.path.join(self.dir, "bochs.out"), "wb")
        self.process = subprocess.Popen(self.emulator.argv + ["-q", "-f", self.config], env=env,
                                        stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                        pass_fds=list(fds.values()), start_new_session=True)
        out.close()
        return self.process


class ForkedMachine(Watched):
    """A server's child."""

    def __init__(self, server_dir, kernel, process):
        self.dir = server_dir
        self.log = os.path.join(server_dir, "bochs.log")
        self.dump = os.path.join(server_dir, "cpus.txt")
        self.kernel = kernel
        self.process = process
