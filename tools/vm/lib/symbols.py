# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Kernel addresses to names (System.map; right only without KASLR)."""
import bisect
import re

MODULES_BASE = 0xffffffffc0000000


def _load(path):
    addrs, names = [], []
    try:
        with open(path) as f:
            for line in f:
                addr, kind, name = line.split()
                if kind in "tTwW":
                    addrs.append(int(addr, 16))
                    names.append(name)
    except (OSError, ValueError):
        pass
    return addrs, names


def annotate(lines, system_map):
    """The emulator's CPU dump (bochs/hangdump.cc) as readable text."""
    addrs, names = _load(system_map)

    def name(addr):
        if addr >= MODULES_BASE:
            return "module code" if addr < 0xfffffffffe000000 else ""
        i = bisect.bisect_right(addrs, addr) - 1
        if i < 0 or addr - addrs[i] > 0x10000 or addr > addrs[-1]:
            return ""
        return "%s+%#x" % (names[i], addr - addrs[i])

    out = []
    for line in lines:
        m = re.match(r"cpu (\d+) rip (\w+) (.*)", line)
        if m:
            out.append("CPU %s: rip %s %s\n   %s" %
                       (m.group(1), m.group(2), m.group(3), name(int(m.group(2), 16))))
        elif line.startswith("  "):
            text = name(int(line, 16))
            if text:
                out.append("    ? %016x %s" % (int(line, 16), text))
    return "all CPUs, as the emulator sees them (stack words, so some are stale):\n" + "\n".join(out)
