# SPDX-License-Identifier: GPL-2.0 OR MIT
"""The guest's files: a small Debian, packages on request, the project's tree.

A root file system is packages unpacked without their scripts, cached as a
stream of frames (wire.py) that is sent to the agent as it is. Debian's release
is the machine's own, so programs built here find their libraries there.
"""
import hashlib
import os
import re
import shutil
import stat
import subprocess

import elf
import wire
from apt import Apt, host_suite
from common import ROOT, VmError, cache_path, lock, sh

BASE = """dash bash coreutils util-linux procps grep sed mawk findutils kmod diffutils
    libc6 libgcc-s1 libstdc++6 zlib1g strace""".split()
# Pulled in by dependencies, but only packages asked for with --with may need them.
NOT_IN_BASE = re.compile(r"^(perl|libperl|dpkg|debconf|libdb5|libgdbm|init-system-helpers|usrmerge|"
                         r"sysvinit|install-info|login|passwd|adduser|libsemanage|libaudit|libpam)")
# Nobody reads these inside.
DROP = re.compile(r"^usr/share/(doc|man|info|locale|lintian|bug|bash-completion|zoneinfo|zsh|"
                  r"menu|applications|icons|pixmaps|gcc|debconf|common-licenses)/|^usr/lib/systemd/|"
                  r"^etc/(cron|init\.d|logrotate)|^var/(cache|lib/dpkg)|^usr/lib/x86_64-linux-gnu/gconv/"
                  r"|^usr/bin/(localedef|systemd)|^usr/include/|/CORE/|/pkgconfig/|\.a$")
# Of the project's tree: not sent.
SKIP_DIRS = {".git", "build/vm", "build/kmod", "build/cache", "build/mutants"}
SKIP_FILES = re.compile(r"\.(o|a|d|ko|cmd|mod|mod\.c|gcno|deb|iso|img)$|^\..*\.cmd$")
SKIP_MARKER = ".not-in-vm"          # a folder that has this file is left out
LARGE = 48 << 20
LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}


def _unpack(debs, tree):
    for name in LINKS.values():
        os.makedirs(os.path.join(tree, name))
    for name, target in LINKS.items():
        os.symlink(target, os.path.join(tree, name))
    for deb in debs:
        tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
        subprocess.check_call(["tar", "-x", "--keep-directory-symlink", "-C", tree],
                              stdin=tar.stdout)
        tar.wait()
    for name, target in (("usr/bin/awk", "mawk"), ("bin/sh", "dash")):
        path = os.path.join(tree, name)
        if not os.path.lexists(path):
            os.symlink(target, path)
    for name in ("root", "proc", "sys", "dev", "tmp", "run", "out", "mnt", "etc"):
        os.makedirs(os.path.join(tree, name), exist_ok=True)
    for name, text in (("passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:"
                        "/nonexistent:/usr/sbin/nologin\n"),
                       ("group", "root:x:0:\nnogroup:x:65534:\n"), ("hostname", "dune\n"),
                       ("hosts", "127.0.0.1 localhost\n"), ("nsswitch.conf", "passwd: files\n")):
        with open(os.path.join(tree, "etc", name), "w") as f:
            f.write(text)


def tree_frames(tree, prefix="/", drop=None):
    """Frames for everything below tree."""
    seen = {}
    for folder, dirs, files in os.walk(tree):
        dirs.sort()
        for name in sorted(dirs + files):
            path = os.path.join(folder, name)
            rel = os.path.relpath(path, tree)
            if drop and drop.search(rel):
                continue
            st = os.lstat(path)
            guest = prefix + rel
            if stat.S_ISREG(st.st_mode) and st.st_nlink > 1:
                first = seen.setdefault(st.st_ino, guest)
                if first != guest:
                    yield wire.frame(wire.HARDLINK, os.fsencode(first) + b"\0" + os.fsencode(guest))
                    continue
            yield from wire.path_frames(path, guest)


def _closure(packages):
    suite = host_suite()
    apt = Apt("rootfs", [suite, suite + "-updates", suite + "-security"])
    apt.update()
    return apt.closure(packages)


def _base_debs():
    return [d for d in _closure(BASE) if not NOT_IN_BASE.match(os.path.basename(d))]


def _make_stream(out, debs):
    tree = out + ".tree"
    shutil.rmtree(tree, ignore_errors=True)
    os.makedirs(tree)
    _unpack(debs, tree)
    sh(["/sbin/ldconfig", "-r", tree])                 # makes the .so.N links
    os.unlink(os.path.join(tree, "etc/ld.so.cache"))    # the tree is only a part of the guest's
    with open(out + ".new", "wb") as f:
        for frame in tree_frames(tree, drop=DROP):
            f.write(frame)
    with open(out + ".libs", "w") as f:
        f.write("\n".join(os.listdir(tree + "/usr/lib/x86_64-linux-gnu")))
    shutil.rmtree(tree)
    os.rename(out + ".new", out)


def stream(progress):
    """Path of the cached stream of the base root file system; PATH.libs lists its libraries."""
    key = hashlib.sha256((" ".join(BASE) + host_suite() + DROP.pattern + NOT_IN_BASE.pattern +
                          "4").encode())
    out = cache_path("rootfs", "base-" + key.hexdigest()[:12] + ".stream")
    if not os.path.exists(out):
        with lock("rootfs", progress):
            if not os.path.exists(out):
                progress("rootfs: downloading the base packages (once)")
                _make_stream(out, _base_debs())
    return out


def extra_stream(packages, progress):
    """Path of the cached stream of these packages and what they need beyond the base."""
    packages = sorted(set(packages))
    key = hashlib.sha256((" ".join(BASE + packages) + host_suite() + DROP.pattern + "4").encode())
    out = cache_path("rootfs", "with-" + key.hexdigest()[:12] + ".stream")
    if not os.path.exists(out):
        with lock("rootfs", progress):
            if not os.path.exists(out):
                progress("rootfs: downloading " + " ".join(packages))
                base = set(_base_debs())
                debs = [d for d in _closure(BASE + packages) if d not in base]
                _make_stream(out, debs)
    return out


def project_files():
    """Relative paths of the project's tree that a job may want."""
    for folder, dirs, files in os.walk(ROOT):
        rel = os.path.relpath(folder, ROOT)
        rel = "" if rel == "." else rel + "/"
        if SKIP_MARKER in files:
            dirs[:] = []
            continue
        dirs[:] = sorted(d for d in dirs if rel + d not in SKIP_DIRS)
        for name in sorted(files):
            if not SKIP_FILES.search(name):
                yield rel + name
        for name in dirs:
            if os.path.islink(os.path.join(folder, name)):
                yield rel + name


def library_frames(paths, have):
    """The host's libraries that built programs need and the guest does not have."""
    full = [os.path.join(ROOT, p) for p in paths]
    programs = [p for p in full if p.endswith(".so") or ".so." in p or os.access(p, os.X_OK)]
    for name, path in sorted(elf.closure(programs, have).items()):
        with open(path, "rb") as f:
            yield from wire.file_frames("/usr/lib/x86_64-linux-gnu/" + name, f.read(), 0o755)


def _size(rel):
    try:
        return os.lstat(os.path.join(ROOT, rel)).st_size
    except OSError:
        return 0


def _complain_if_large(paths, progress):
    """A large tree makes every run slow: say what to do."""
    sizes = {}
    for rel in paths:
        folder = "/".join(os.path.dirname(rel).split("/")[:2])
        sizes[folder] = sizes.get(folder, 0) + _size(rel)
    total = sum(sizes.values())
    if total > LARGE:
        worst = sorted(sizes, key=sizes.get)[-3:]
        progress("note: the project's tree is %d MB (%s); a file %s in a folder keeps it out" %
                 (total >> 20, ", ".join("%s %d MB" % (f, sizes[f] >> 20) for f in reversed(worst)),
                  SKIP_MARKER))


def project_frames(guest_root, root_stream, progress):
    """The project's tree (sources and build/, not objects), and libraries its programs use."""
    paths = list(project_files())
    _complain_if_large(paths, progress)
    for rel in paths:
        try:
            yield from wire.path_frames(os.path.join(ROOT, rel), guest_root + "/" + rel)
        except FileNotFoundError:
            continue                    # a build going on at the same time replaces files
    with open(root_stream + ".libs") as f:
        have = f.read().split("\n")
    yield from library_frames((p for p in paths if p.startswith("build/")), have)


def host_frames(path, guest_path):
    """A host file or folder at guest_path."""
    yield from wire.path_frames(os.path.realpath(path), guest_path)
    if os.path.isdir(path):
        yield from tree_frames(os.path.realpath(path), guest_path + "/")


def module_frames(kernel, names):
    """Kernel modules with what they depend on, where modprobe finds them; what
    is built into this kernel is there anyway."""
    top = os.path.join(kernel.modules, "lib/modules", kernel.version)
    depends = {}
    with open(top + "/modules.dep") as f:
        for line in f:
            path, _, rest = line.partition(":")
            depends[re.sub(r"\.ko.*", "", os.path.basename(path)).replace("-", "_")] = \
                (path, rest.split())
    built_in = set()
    if os.path.exists(top + "/modules.builtin"):
        with open(top + "/modules.builtin") as f:
            built_in = {os.path.basename(line.strip())[:-3].replace("-", "_") for line in f}
    want = {}
    for name in names:
        optional = name.endswith("?")
        name = name.rstrip("?")
        if name.replace("-", "_") in built_in:
            continue
        if name.replace("-", "_") not in depends:
            if optional:
                continue
            raise VmError("kernel %s has no module %s" % (kernel.version, name))
        path, rest = depends[name.replace("-", "_")]
        want.update((p, 1) for p in [path] + rest)
    guest = "/lib/modules/%s/" % kernel.version
    indexes = [n for n in os.listdir(top) if n.startswith("modules.")]
    for path in indexes + list(want):
        yield from wire.path_frames(os.path.join(top, path), guest + path)
