# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Our Bochs: Debian trixie's source, our instrumentation, cached in build/vm/bochs."""
import filecmp
import glob
import hashlib
import os
import re
import shutil
import subprocess

from apt import Apt
from common import CACHE, VM, VmError, cache_path, lock, sh

ORIG = "bochs_3.0+dfsg.orig.tar.xz"
ORIG_SHA256 = "78f6c73d4a6472d5130a87ab9dc306d02c7c71ed8e25b3a8ef642e2a7acd282b"
PATCHES = os.path.join(VM, "bochs")
CONFIGURE = """--enable-smp --enable-cpu-level=6 --enable-vmx=2 --enable-x86-64
    --enable-all-optimizations --enable-avx --enable-evex --enable-memtype --enable-pci
    --enable-instrumentation=instrument/dune --with-nogui --disable-docbook --disable-plugins
    --disable-sb16 --disable-gameport --disable-show-ips""".split()
CXXFLAGS = "-O3 -fomit-frame-pointer -pipe"


class Bochs:
    """An emulator to start: ours, or a packaged one."""

    def __init__(self, argv, share, ours, note, env=None):
        self.argv = argv        # command prefix
        self.share = share      # folder with the BIOS images
        self.ours = ours        # has our instrumentation
        self.note = note
        self.env = env or {}


def _inputs():
    return sorted(glob.glob(PATCHES + "/*")) + [os.path.join(VM, "emucount.h"),
                                                os.path.join(VM, "emuconflict.h"),
                                                os.path.join(VM, "guest", "hostcall.h")]


def key():
    h = hashlib.sha256((ORIG_SHA256 + " ".join(CONFIGURE) + CXXFLAGS).encode())
    for path in _inputs():
        with open(path, "rb") as f:
            h.update(path.rsplit("/", 1)[1].encode() + f.read())
    return h.hexdigest()[:16]


def _firmware(apt, folder):
    """BIOS and VGA BIOS from their packages."""
    if os.path.exists(folder + "/BIOS-bochs-latest"):
        return
    debs = folder + ".debs"
    tree = folder + ".tree"
    for deb in apt.download(["bochsbios", "vgabios"], debs):
        sh(["dpkg-deb", "-x", deb, tree])
    os.makedirs(folder, exist_ok=True)
    for path in glob.glob(tree + "/usr/share/**/*", recursive=True):
        if os.path.isfile(path) and "/doc/" not in path:
            shutil.copy(path, os.path.join(folder, os.path.basename(path)))
    shutil.rmtree(debs)
    shutil.rmtree(tree)
    if not os.path.exists(folder + "/BIOS-bochs-latest"):
        raise VmError("the bochsbios package has no BIOS-bochs-latest")


def _source(apt, folder):
    """Unpack the pinned source tarball into folder."""
    tar = cache_path("bochs", ORIG)
    if not os.path.exists(tar):
        # the .dsc may be gone from the mirror; the tarball counts, and it is pinned
        subprocess.run(["apt-get", *apt.options(), "-qq", "source", "--download-only", "bochs=3.0*"],
                       cwd=os.path.dirname(tar), stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        if not os.path.exists(tar):
            subprocess.run(["apt-get", *apt.options(), "-qq", "source", "--download-only", "bochs"],
                           cwd=os.path.dirname(tar), stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
    if not os.path.exists(tar):
        raise VmError("apt could not get %s (trixie's source package of bochs)" % ORIG)
    with open(tar, "rb") as f:
        if hashlib.sha256(f.read()).hexdigest() != ORIG_SHA256:
            os.unlink(tar)
            raise VmError("%s does not match its pinned SHA256" % ORIG)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    sh(["tar", "-xf", tar, "-C", folder, "--strip-components=1"])


def _replace(path, text, stale):
    """Write a file that has changed; then remove what was made from it."""
    with open(path) as f:
        if f.read() == text:
            return
    with open(path, "w") as f:
        f.write(text)
    _unlink(stale)


def _unlink(path):
    if os.path.exists(path):
        os.unlink(path)


def _same(path, folder):
    copy = os.path.join(folder, os.path.basename(path))
    return os.path.exists(copy) and filecmp.cmp(path, copy, shallow=False)


def _build(progress):
    base = os.path.join(CACHE, "bochs")
    os.makedirs(base, exist_ok=True)
    stamp = key()
    apt = Apt("trixie", ["trixie"], source=True)
    apt.update()
    _firmware(apt, os.path.join(base, "share"))
    src = os.path.join(base, "src")
    applied, hooks = base + "/applied.patch", PATCHES + "/hooks.patch"
    if not os.path.exists(src + "/.stock"):
        progress("bochs: unpacking Debian's source (3.0)")
        _source(apt, src)
        open(src + "/.stock", "w").close()
        _unlink(applied)
    # patched files are compiled anew, and most of the rest with them: not without need
    if not os.path.exists(applied) or not filecmp.cmp(applied, hooks, shallow=False):
        if os.path.exists(applied):
            sh(["patch", "-R", "-p1", "-s", "-i", applied], cwd=src)
            os.unlink(applied)
        sh(["patch", "-p1", "-s", "-i", hooks], cwd=src)
        shutil.copy(hooks, applied)
    dune = os.path.join(src, "instrument/dune")
    configured = os.path.join(base, "configured")
    if not os.path.exists(dune):
        shutil.copytree(os.path.join(src, "instrument/stubs"), dune)
    with open(os.path.join(src, "instrument/stubs/Makefile.in")) as f:
        text = f.read()
    objects = [os.path.basename(x)[:-3] + ".o" for x in _inputs() if x.endswith(".cc")]
    _replace(dune + "/Makefile.in", text.replace("  instrument.o\n", "  %s\n" % " ".join(objects)),
             stale=configured)
    for path in _inputs():
        if path.endswith(".patch"):
            continue
        if path.endswith(("/instrument.h", "/emucount.h", "/emuconflict.h")) and not _same(path, dune):
            # Bochs' makefiles take our hooks for those of the stubs
            os.utime(os.path.join(src, "instrument/stubs/instrument.h"))
        shutil.copy(path, dune)
    env = dict(os.environ, CXXFLAGS=CXXFLAGS, CFLAGS="-O2 -pipe")
    text = " ".join(CONFIGURE) + CXXFLAGS
    if not os.path.exists(configured) or open(configured).read() != text:
        progress("bochs: configuring")
        sh(["nice", "-n", "5", "./configure"] + CONFIGURE, cwd=src, env=env)
        with open(configured, "w") as f:
            f.write(text)
    progress("bochs: compiling (about 4 minutes, once)")
    sh(["nice", "-n", "5", "make", "-j%d" % (os.cpu_count() or 1), "bochs"], cwd=src, env=env)
    shutil.copy(src + "/bochs", base + "/bochs.new")
    sh(["strip", base + "/bochs.new"])
    os.rename(base + "/bochs.new", base + "/bochs")
    with open(base + "/key", "w") as f:
        f.write(stamp)


def _current():
    try:
        with open(os.path.join(CACHE, "bochs/key")) as f:
            return f.read().strip() == key()
    except OSError:
        return False


def get(progress):
    """Our build (made when missing)."""
    base = os.path.join(CACHE, "bochs")
    if not _current():
        with lock("bochs", progress):
            if not _current():
                _build(progress)
    return Bochs([base + "/bochs"], base + "/share", True, "own build of Bochs 3.0")
