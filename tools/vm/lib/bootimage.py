# SPDX-License-Identifier: GPL-2.0 OR MIT
"""What is booted: the agent's initramfs, and the kernel laid out in RAM for Bochs.

Our Bochs build copies images into guest RAM itself, so neither a boot loader
nor (without KASLR) the kernel's decompressor runs in the emulator.
"""
import bz2
import lzma
import os
import struct
import subprocess
import zlib

from common import CACHE, VM, VmError, cache_path, lock, sh

GUEST = os.path.join(VM, "guest")
SETUP_ADDR = 0x90000
CMDLINE_ADDR = 0x9e000
HOOK_ADDR = 0x80000
HOOK_ENTRY = 0x200
LOW_KERNEL = 0x100000
DISK_SIZE = 2 * 16 * 63 * 512


def _newer(target, sources):
    return os.path.exists(target) and all(
        os.path.getmtime(s) <= os.path.getmtime(target) for s in sources)


def _sources(folder, *more):
    return [os.path.join(folder, n) for n in sorted(os.listdir(folder))] + list(more)


def build_guest(progress):
    """Compile the agent and the boot code; returns their folder."""
    out = cache_path("guest", "agent")
    folder = os.path.dirname(out)
    sources = _sources(GUEST, os.path.join(VM, "emucount.h"))
    with lock("guest"):
        if _newer(out, sources):
            return folder
        progress("building the guest's agent")
        c = [s for s in sources if s.endswith(".c")]
        obj = os.path.join(folder, "boot.o")
        sh(["gcc", "-c", "-I" + GUEST, "-o", obj, os.path.join(GUEST, "boot.S")])
        for name in ("boot", "hook"):
            sh(["objcopy", "-O", "binary", "-j", "." + name, obj,
                os.path.join(folder, name + ".bin")])
        sh(["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-static", "-s", "-I" + VM,
            "-o", out + ".new"] + c, hint="run tools/vm/setup")
        os.rename(out + ".new", out)
    return folder


def cpio(entries):
    """A newc archive; entries are (name, mode, rdev (major, minor), data)."""
    out = bytearray()
    entries = entries + [("TRAILER!!!", 0, (0, 0), b"")]
    for ino, (name, mode, rdev, data) in enumerate(entries, 1):
        fields = (ino, mode, 0, 0, 1, 0, len(data), 0, 0, rdev[0], rdev[1], len(name) + 1, 0)
        out += b"070701" + b"".join(b"%08X" % x for x in fields) + name.encode() + b"\0"
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def initramfs(folder, modules=(), more=()):
    """The initramfs's bytes: the agent as /init, drivers in loading order, and more entries."""
    with open(os.path.join(folder, "agent"), "rb") as f:
        agent = f.read()
    entries = [("dev", 0o040755, (0, 0), b""), ("dev/console", 0o020600, (5, 1), b""),
               ("init", 0o100755, (0, 0), agent), ("boot-modules", 0o040755, (0, 0), b"")]
    for i, path in enumerate(modules):
        with open(path, "rb") as f:
            entries.append(("boot-modules/%02d.ko" % i, 0o100644, (0, 0), f.read()))
    return cpio(entries + list(more))


def _unpack(payload):
    """The ELF vmlinux inside a bzImage's compressed payload."""
    if payload[:2] == b"\x1f\x8b":
        return zlib.decompressobj(31).decompress(payload)
    if payload[:6] == b"\xfd7zXZ\0":
        return lzma.LZMADecompressor().decompress(payload)
    if payload[:3] == b"BZh":
        return bz2.BZ2Decompressor().decompress(payload)
    tools = {b"\x02\x21\x4c\x18": ["lz4", "-d", "-c"], b"\x28\xb5\x2f\xfd": ["zstd", "-d", "-c"]}
    tool = tools.get(payload[:4])
    if not tool:
        raise VmError("unknown compression of the kernel (magic %s)" % payload[:6].hex())
    # the image's size follows the stream: tools complain about it after the whole output
    r = subprocess.run(tool, input=payload[:-4], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if r.stdout[:4] != b"\x7fELF":
        raise VmError("%s could not unpack the kernel: %s" % (tool[0], r.stderr.decode()))
    return r.stdout


def _flatten(elf):
    """(load address, entry, bytes) of an ELF kernel's loadable segments."""
    entry, phoff = struct.unpack_from("<QQ", elf, 0x18)
    phsize, phnum = struct.unpack_from("<HH", elf, 0x36)
    segments = []
    for i in range(phnum):
        kind, _, off, _, paddr, filesz = struct.unpack_from("<IIQQQQ", elf, phoff + i * phsize)
        if kind == 1 and filesz:
            segments.append((paddr, elf[off:off + filesz]))
    base = min(p for p, _ in segments)
    out = bytearray(max(p + len(d) for p, d in segments) - base)
    for paddr, data in segments:
        out[paddr - base:paddr - base + len(data)] = data
    return base, entry, bytes(out)


class KernelImage:
    """A bzImage, taken apart once (cached by name and time stamp)."""

    def __init__(self, kernel):
        with open(kernel.vmlinuz, "rb") as f:
            self.data = f.read()
        if self.data[0x202:0x206] != b"HdrS":
            raise VmError("%s is not a bzImage" % kernel.vmlinuz)
        self.setup_size = ((self.data[0x1f1] or 4) + 1) * 512
        tag = "%s-%d" % (kernel.version, os.stat(kernel.vmlinuz).st_mtime_ns)
        self.flat_path = os.path.join(CACHE, "boot", tag + ".flat")

    def flat(self, progress):
        """Path of the uncompressed kernel: 16 bytes (address, entry), then the image."""
        if os.path.exists(self.flat_path):
            return self.flat_path
        with lock("flatten"):
            if os.path.exists(self.flat_path):
                return self.flat_path
            progress("unpacking the kernel image (once)")
            off, size = struct.unpack_from("<II", self.data, 0x248)
            start = self.setup_size + off
            base, entry, image = _flatten(_unpack(self.data[start:start + size]))
            os.makedirs(os.path.dirname(self.flat_path), exist_ok=True)
            with open(self.flat_path + ".new", "wb") as f:
                f.write(image)
            with open(self.flat_path + ".addr", "w") as f:
                f.write("%#x %#x" % (base, entry))
            os.rename(self.flat_path + ".new", self.flat_path)
        return self.flat_path

    def setup(self, initrd_addr, initrd_size, hook):
        """The real-mode part with the boot loader's fields filled in."""
        s = bytearray(self.data[:self.setup_size])
        s[0x210] = 0xff                                     # type_of_loader: other
        s[0x211] |= 0x80                                    # heap below is usable
        struct.pack_into("<H", s, 0x224, 0xdff0 - 0x200)    # heap_end_ptr
        struct.pack_into("<II", s, 0x218, initrd_addr, initrd_size)
        struct.pack_into("<I", s, 0x228, CMDLINE_ADDR)
        if hook:
            struct.pack_into("<I", s, 0x214, HOOK_ADDR)     # code32_start
        return bytes(s)


def bochs_images(run_dir, kernel, guest_folder, initrd, cmdline, mem_mb, kaslr, progress):
    """Write the boot images into run_dir; returns (disk path, EMU_IMAGES text)."""
    if len(cmdline) > 2000:
        raise VmError("the kernel command line is too long (%d)" % len(cmdline))
    image = KernelImage(kernel)
    initrd_addr = (min(mem_mb, 2048) - 16 << 20) - len(initrd) & ~0xfff
    parts = [(SETUP_ADDR, "setup", image.setup(initrd_addr, len(initrd), not kaslr)),
             (CMDLINE_ADDR, "cmdline", cmdline.encode() + b"\0"), (initrd_addr, "initrd", initrd)]
    listed = []
    if kaslr:
        parts.append((LOW_KERNEL, "kernel", image.data[image.setup_size:]))
    else:
        flat = image.flat(progress)
        with open(flat + ".addr") as f:
            base, entry = (int(x, 16) for x in f.read().split())
        with open(os.path.join(guest_folder, "hook.bin"), "rb") as f:
            hook = bytearray(f.read())
        struct.pack_into("<Q", hook, HOOK_ENTRY, entry)
        parts.append((HOOK_ADDR, "hook", bytes(hook)))
        listed.append("%x=%s" % (base, flat))
    for addr, name, data in parts:
        path = os.path.join(run_dir, "boot." + name)
        with open(path, "wb") as f:
            f.write(data)
        listed.append("%x=%s" % (addr, path))
    disk = os.path.join(run_dir, "boot.disk")
    with open(os.path.join(guest_folder, "boot.bin"), "rb") as f:
        sector = f.read()
    with open(disk, "wb") as f:
        f.write(sector)
        f.truncate(DISK_SIZE)
    return disk, ":".join(listed)
