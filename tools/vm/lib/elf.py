# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Which shared libraries an ELF program needs, read from the file."""
import os
import struct

SEARCH = ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib", "/lib",
          "/usr/local/lib"]
PT_LOAD, PT_DYNAMIC = 1, 2
DT_NEEDED, DT_STRTAB = 1, 5


def needed(path):
    """Names in DT_NEEDED; [] for anything but a dynamic 64-bit ELF file."""
    try:
        with open(path, "rb") as f:
            return _needed(f)
    except (OSError, struct.error):
        return []


def _needed(f):
    head = f.read(64)
    if head[:5] != b"\x7fELF\x02" or head[16:18] not in (b"\2\0", b"\3\0"):
        return []
    phoff, = struct.unpack_from("<Q", head, 0x20)
    size, count = struct.unpack_from("<HH", head, 0x36)
    f.seek(phoff)
    table = f.read(size * count)
    loads, dynamic = [], None
    for i in range(count):
        kind, _, offset, vaddr, _, filesz = struct.unpack_from("<IIQQQQ", table, i * size)
        if kind == PT_LOAD:
            loads.append((vaddr, offset, filesz))
        elif kind == PT_DYNAMIC:
            dynamic = offset, filesz
    if not dynamic:
        return []
    f.seek(dynamic[0])
    entries = list(struct.iter_unpack("<QQ", f.read(dynamic[1] & ~15)))
    strtab = next(value for tag, value in entries if tag == DT_STRTAB)
    strtab = next(strtab - v + o for v, o, n in loads if v <= strtab < v + n)
    names = []
    for tag, value in entries:
        if tag == DT_NEEDED:
            f.seek(strtab + value)
            names.append(f.read(256).split(b"\0")[0].decode())
    return names


def find(name):
    """The host's file for a library name, or None."""
    for folder in SEARCH:
        path = os.path.join(folder, name)
        if os.path.exists(path):
            return os.path.realpath(path)
    return None


def closure(paths, have):
    """{name: host path} of the libraries these programs need, directly or not, beyond have."""
    found, todo = {}, [n for p in paths for n in needed(p)]
    seen = set(have)
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        path = find(name)
        if path:
            found[name] = path
            todo += needed(path)
    return found
