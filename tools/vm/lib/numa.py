# SPDX-License-Identifier: GPL-2.0 OR MIT
"""NUMA nodes for an emulator that has none: ACPI tables SRAT and SLIT.

Linux takes tables that an initramfs brings (CONFIG_ACPI_TABLE_UPGRADE; Debian's
kernels have it) as if the firmware had made them. Our debug kernel does not; its
NUMA_EMU makes nodes of its own, CPU i in node i modulo their number. All CPUs
are in one package, as with sub-NUMA clustering. Layout: ACPI specification,
"System Resource Affinity Table" and "System Locality Information Table".
"""
import struct

from common import VmError

FOLDER = "kernel/firmware/acpi"
LOCAL, NEAR, FAR = 10, 20, 30


def distance(a, b):
    """Nodes come in pairs, as sockets on one board do."""
    if a == b:
        return LOCAL
    return NEAR if a // 2 == b // 2 else FAR


def check(nodes, cpus, mem_mb):
    """Nodes of equal size, in blocks: of CPUs and of memory."""
    if cpus % nodes or mem_mb % nodes:
        raise VmError("--numa %d: --cpus and --mem must be multiples of it" % nodes)
    # By this CPU model's CPUID, 6.12 takes pairs of CPUs for threads of one core.
    if cpus < 2 * nodes:
        raise VmError("--numa %d: takes at least %d CPUs, two a node" % (nodes, 2 * nodes))


def _table(signature, revision, body):
    head = struct.pack("<4sIBB6s8sI4sI", signature, 36 + len(body), revision, 0, b"DUNE  ",
                       b"DUNENUMA", 1, b"DUNE", 1)
    table = bytearray(head + body)
    table[9] = -sum(table) & 0xff
    return bytes(table)


def srat(nodes, cpus, mem_mb):
    """Which node each APIC id and each range of memory belongs to."""
    body = struct.pack("<IQ", 1, 0)
    for cpu in range(cpus):
        node = cpu * nodes // cpus
        body += struct.pack("<BBBBIB3sI", 0, 16, node, cpu, 1, 0, b"\0\0\0", 0)
    size = mem_mb // nodes << 20
    for node in range(nodes):
        body += struct.pack("<BBIHQQIIQ", 1, 40, node, 0, node * size, size, 0, 1, 0)
    return _table(b"SRAT", 3, body)


def slit(nodes):
    body = struct.pack("<Q", nodes)
    body += bytes(distance(a, b) for a in range(nodes) for b in range(nodes))
    return _table(b"SLIT", 1, body)


def _is_fake(args):
    return args.numa and args.kernel == "debug"


def kernel_words(args):
    return ["numa=fake=%d" % args.numa] if _is_fake(args) else []


def emulator_nodes(args):
    """For tools/vm/bochs/nodes.cc; empty: there are none."""
    if not args.numa:
        return ""
    return "%d %d %d" % (0 if _is_fake(args) else args.numa, args.cpus, args.mem)


def initramfs_entries(args):
    """Entries for bootimage.cpio(); none without --numa."""
    if not args.numa or _is_fake(args):
        return []
    check(args.numa, args.cpus, args.mem)
    entries, path = [], ""
    for part in FOLDER.split("/"):
        path = (path + "/" + part).lstrip("/")
        entries.append((path, 0o040755, (0, 0), b""))
    for name, data in (("srat", srat(args.numa, args.cpus, args.mem)), ("slit", slit(args.numa))):
        entries.append(("%s/%s.aml" % (FOLDER, name), 0o100644, (0, 0), data))
    return entries
