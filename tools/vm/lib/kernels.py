# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Debian's kernels, unpacked below build/vm/kernels/NAME (layout: tools/vm/README.md)."""
import glob
import os
import re
import shutil
import subprocess

from apt import Apt, host_suite
from common import CACHE, VM, VmError, cache_path, lock, sh

# name: package name pattern of the image
DEBIAN = {
    "6.1": r"linux-image-6\.1\.0-\d+-cloud-amd64(-unsigned)?",
    "6.12": r"linux-image-6\.12\.[\w.+~]+-cloud-amd64(-unsigned)?",
}
NAMES = ["6.1", "6.12", "debug"]


class Kernel:
    """A prepared kernel."""

    def __init__(self, name):
        self.name = name
        self.dir = os.path.join(CACHE, "kernels", name)
        self.vmlinuz = os.path.join(self.dir, "vmlinuz")
        self.kdir = os.path.join(self.dir, "kdir")
        self.modules = os.path.join(self.dir, "modules")
        self.system_map = os.path.join(self.dir, "System.map")

    @property
    def version(self):
        with open(os.path.join(self.dir, "version")) as f:
            return f.read().strip()

    def ready(self):
        return all(os.path.exists(os.path.join(self.dir, x))
                   for x in ("vmlinuz", "kdir", "modules", "version"))


def _version_key(name):
    return [int(x) for x in re.findall(r"\d+", name)]


def _pick(apt, pattern):
    """(image package, kernel release) of the newest image that has headers."""
    names = apt.cache("search", "--names-only", "^linux-(image|headers)-6").split("\n")
    names = {line.split(" - ")[0] for line in names}
    images = [n for n in names if re.fullmatch(pattern, n)]
    # a signed image sorts after the unsigned one of the same version
    images.sort(key=lambda n: (_version_key(n), not n.endswith("-unsigned")))
    for image in reversed(images):
        release = re.sub(r"^linux-image-|-unsigned$", "", image)
        if "linux-headers-" + release in names:
            return image, release
    return None, None


def _header_packages(apt, release):
    """The headers package and what it needs for building modules, with versions."""
    out = apt.cache("show", "--no-all-versions", "linux-headers-" + release)
    version = re.search(r"^Version: (\S+)", out, re.M).group(1)
    depends = re.search(r"^Depends: (.*)$", out, re.M).group(1)
    need = ["linux-headers-%s=%s" % (release, version)]
    for dep in depends.split(","):
        name = dep.split()[0].split(":")[0]
        if re.match(r"linux-(headers|kbuild)-", name):
            exact = re.search(r"\(= (\S+)\)", dep)
            need.append("%s=%s" % (name, exact.group(1)) if exact else name)
    return need


def _fix_kdir(root, release):
    """The packages' Makefiles name /usr/src and /usr/lib; ours live elsewhere."""
    src = os.path.join(root, "usr/src")
    for path in glob.glob(src + "/linux-headers-*/**/Makefile", recursive=True) + \
            glob.glob(src + "/linux-headers-*/.kernelvariables"):
        if os.path.islink(path) or os.path.getsize(path) > 4096:
            continue
        with open(path) as f:
            text = f.read()
        fixed = re.sub(r"(?<![\w/])/usr/(src/linux-headers|lib/linux-kbuild)",
                       root.replace("\\", "\\\\") + r"/usr/\1", text)
        if fixed != text:
            with open(path, "w") as f:
                f.write(fixed)
    kdir = os.path.join(src, "linux-headers-" + release)
    for link in ("scripts", "tools"):
        if not os.path.exists(os.path.join(kdir, link)):
            raise VmError("%s/%s does not resolve: Debian changed its kernel packages;\n"
                          "  next: adapt tools/vm/lib/kernels.py" % (kdir, link))
    return kdir


def _decompress_modules(tree):
    for packed, tool in ((".ko.xz", ["xz", "-d"]), (".ko.zst", ["zstd", "-q", "--rm", "-d"])):
        files = glob.glob(tree + "/**/*" + packed, recursive=True)
        for i in range(0, len(files), 200):
            subprocess.check_call(tool + files[i:i + 200])


def _prepare(name, progress):
    suite = host_suite()
    suite = suite if suite in ("bookworm",) else "bookworm"
    apt = Apt("kernels", [suite, suite + "-updates", suite + "-security", suite + "-backports"])
    progress("kernel %s: looking for Debian's packages" % name)
    apt.update()
    image, release = _pick(apt, DEBIAN[name])
    if not image:
        apt.update(force=True)
        image, release = _pick(apt, DEBIAN[name])
    if not image:
        raise VmError("no Debian kernel matches '%s' in %s\n  next: check that the machine's mirror "
                      "has bookworm-security or bookworm-backports" % (DEBIAN[name], apt.suites))
    final = os.path.join(CACHE, "kernels", name)
    shutil.rmtree(final, ignore_errors=True)
    os.makedirs(final)
    debs = os.path.join(final, "debs")
    root = os.path.join(final, "root")
    progress("kernel %s: downloading %s" % (name, release))
    for deb in apt.download([image] + _header_packages(apt, release), debs):
        sh(["dpkg-deb", "-x", deb, root])
    shutil.rmtree(debs)
    kdir = _fix_kdir(root, release)
    os.symlink(os.path.relpath(kdir, final), os.path.join(final, "kdir"))
    for src, dst in (("vmlinuz-" + release, "vmlinuz"), ("config-" + release, "config"),
                     ("System.map-" + release, "System.map")):
        shutil.copy(os.path.join(root, "boot", src), os.path.join(final, dst))
    tree = os.path.join(final, "modules/lib/modules", release)
    os.makedirs(os.path.dirname(tree))
    shutil.move(os.path.join(root, "lib/modules", release), tree)
    for link in ("build", "source"):
        if os.path.islink(os.path.join(tree, link)):
            os.unlink(os.path.join(tree, link))
    _decompress_modules(tree)
    sh(["/sbin/depmod", "-b", os.path.join(final, "modules"), release])
    with open(os.path.join(final, "version"), "w") as f:
        f.write(release + "\n")


def get(name, progress):
    """The Kernel called name, prepared if it was missing."""
    kernel = Kernel(name)
    if kernel.ready():
        return kernel
    with lock("kernel-" + name, progress):
        if kernel.ready():
            return kernel
        if name in DEBIAN:
            _prepare(name, progress)
        elif name == "debug":
            script = os.path.join(VM, "build-debug-kernel")
            if not os.path.exists(script):
                raise VmError("the debug kernel's build script %s is missing" % script)
            progress("kernel debug: building once (long; cached in build/vm/kernels/debug)")
            if subprocess.call([script], stdout=2):
                raise VmError("tools/vm/build-debug-kernel failed; see above")
        else:
            raise VmError("unknown kernel '%s'; known: %s" % (name, " ".join(NAMES)))
    if not kernel.ready():
        raise VmError("kernel %s is incomplete in %s\n  next: delete that folder and try again"
                      % (name, kernel.dir))
    return kernel
