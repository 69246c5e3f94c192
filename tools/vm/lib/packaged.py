# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Debian's own Bochs packages, when ours cannot be built.

They lack our host calls, so a boot loader on an ISO starts the kernel, the
agent reads its files from a disk, and answers over the second serial port.
"""
import os
import shutil
import socket
import subprocess
import threading

import bootimage
from apt import Apt
from bochs import MAX_CPUS, Watched, kernel_args
from common import CACHE, VmError, lock, setup, sh
from qemu import drivers

DRIVERS = ["libata", "ata_piix", "sd_mod"]
SECTOR = 512
CYLINDER = 16 * 63 * SECTOR

CONFIG = """\
memory: guest={mem}, host={mem}
romimage: file="{share}/BIOS-bochs-latest"
vgaromimage: file="{vga}"
cpu: model=corei7_skylake_x, count=1:{cpus}:1, ips=15000000, reset_on_triple_fault=0
clock: sync=none
plugin_ctrl: speaker=0, gameport=0, parallel=0
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
display_library: rfb, options="timeout=0"
boot: cdrom
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path="{dir}/boot.iso", status=inserted
ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15
ata1-master: type=disk, path="{dir}/job.disk", mode=flat, cylinders={cylinders}, heads=16, spt=63
com1: enabled=1, mode=file, dev="{dir}/console"
com2: enabled=1, mode=file, dev="{dir}/answers"
log: "{dir}/bochs.log"
panic: action=fatal
error: action=ignore
info: action=ignore
"""


def get(suite, progress):
    """Folder with SUITE's bochs unpacked."""
    tree = os.path.join(CACHE, "bochs-" + suite)
    with lock("bochs-" + suite, progress):
        if os.path.exists(tree + "/usr/bin/bochs"):
            return tree
        progress("bochs: downloading the packaged one of %s" % suite)
        apt = Apt("bochs-" + suite, [suite])
        apt.update()
        shutil.rmtree(tree, ignore_errors=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            os.makedirs(os.path.join(tree, "usr", name))
            os.symlink("usr/" + name, os.path.join(tree, name))
        for deb in apt.closure(["bochs", "bochsbios", "vgabios"]):
            tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
            subprocess.check_call(["tar", "-x", "--keep-directory-symlink", "-C", tree],
                                  stdin=tar.stdout)
            tar.wait()
    return tree


class Machine(Watched):
    """One packaged Bochs process."""

    def __init__(self, args, run_dir, kernel, frames, progress):
        if not 1 <= args.cpus <= MAX_CPUS:
            raise VmError("Bochs takes 1 to %d CPUs, not %d" % (MAX_CPUS, args.cpus))
        setup("--iso")
        self.dir = run_dir
        self.kernel = kernel
        self.log = os.path.join(run_dir, "bochs.log")
        self.suite = args.packaged
        self.tree = get(args.packaged, progress)
        self.note = "Debian %s's packaged Bochs (slow, no counters, no --fast)" % args.packaged
        if args.packaged == "bookworm":
            self.known_warning = r"WARNING: .* at arch/x86/kernel/fpu/xstate.c"    # 2.7's sizes
        self._iso(args, kernel, bootimage.build_guest(progress))
        with open(run_dir + "/job.disk", "wb") as f:
            for frame in frames:
                f.write(frame)
            cylinders = f.tell() // CYLINDER + 1
            f.truncate(cylinders * CYLINDER)
        share = self.tree + "/usr/share"
        vga = [p for p in (share + "/vgabios/vgabios.bin", share + "/bochs/VGABIOS-lgpl-latest")
               if os.path.exists(p)]
        if not vga:
            raise VmError("no VGA BIOS in %s" % self.tree)
        with open(run_dir + "/bochsrc", "w") as f:
            f.write(CONFIG.format(mem=args.mem, cpus=args.cpus, dir=run_dir, cylinders=cylinders,
                                  share=share + "/bochs", vga=vga[0]))
        with open(run_dir + "/go", "w") as f:
            f.write("c\n")              # these builds stop in their debugger first

    def _iso(self, args, kernel, guest):
        top = os.path.join(self.dir, "iso")
        os.makedirs(top)
        for path in ("/usr/lib/ISOLINUX/isolinux.bin",
                     "/usr/lib/syslinux/modules/bios/ldlinux.c32"):
            shutil.copy(path, top)
        shutil.copy(kernel.vmlinuz, top + "/kernel")
        with open(top + "/initrd", "wb") as f:
            f.write(bootimage.initramfs(guest, drivers(kernel, DRIVERS)))
        with open(top + "/isolinux.cfg", "w") as f:
            f.write("default linux\nprompt 0\nlabel linux\n kernel kernel\n append initrd=initrd %s\n"
                    % kernel_args(args))
        sh(["xorriso", "-as", "mkisofs", "-quiet", "-o", self.dir + "/boot.iso", "-b", "isolinux.bin",
            "-c", "boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table", top])

    def start(self):
        """(channel, console descriptor, process)"""
        ends = []
        for name in ("console", "answers"):
            os.mkfifo(os.path.join(self.dir, name))
            ends.append(os.open(os.path.join(self.dir, name), os.O_RDONLY | os.O_NONBLOCK))
            # a writer of our own, so that the reader sees no end before the emulator opens it
            ends.append(os.open(os.path.join(self.dir, name), os.O_WRONLY))
        console, console_hold, answers, answers_hold = ends
        os.set_blocking(answers, True)
        lib = "%s/usr/lib/x86_64-linux-gnu" % self.tree
        env = dict(os.environ, BXSHARE=self.tree + "/usr/share/bochs",
                   LTDL_LIBRARY_PATH=lib + "/bochs/plugins")
        program = self.tree + "/usr/bin/bochs-bin"
        if not os.path.exists(program):
            program = self.tree + "/usr/bin/bochs"
        with open(self.dir + "/bochs.out", "wb") as out:
            self.process = subprocess.Popen(
                [self.tree + "/lib64/ld-linux-x86-64.so.2", "--library-path", lib,
                 program, "-q", "-f", self.dir + "/bochsrc",
                 "-rc", self.dir + "/go"], env=env, cwd=self.dir, stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, start_new_session=True)
        ours, theirs = socket.socketpair()

        def close_when_ended():
            self.process.wait()
            os.close(console_hold)
            os.close(answers_hold)

        def pump():
            while True:
                data = os.read(answers, 65536)
                if not data:
                    theirs.close()
                    return
                theirs.sendall(data)
        threading.Thread(target=close_when_ended, daemon=True).start()
        threading.Thread(target=pump, daemon=True).start()
        return ours, console, self.process

    def interrupt(self, sig):
        pass

    def cpu_stacks(self):
        return ""
