# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Kernel addresses to names (right only without KASLR)."""
import bisect
import os
import re
import shutil
import subprocess
import tempfile

from common import VM

MODULES_BASE = 0xffffffffc0000000


def _load(path):
    addrs, names = [], []
    try:
        with open(path) as f:
            for line in f:
                word = line.split()
                if len(word) == 3 and word[1] in "tTwW":
                    addrs.append(int(word[0], 16))
                    names.append(word[2])
    except (OSError, ValueError):
        pass
    return addrs, names


def find(kernel):
    """A file of the kernel's symbols. Debian's System.map is empty, so ask a running kernel, once."""
    if os.path.exists(kernel.system_map) and os.path.getsize(kernel.system_map) > 100000:
        return kernel.system_map
    path = os.path.join(kernel.dir, "kallsyms-" + kernel.version)
    if not os.path.exists(path):
        with tempfile.TemporaryDirectory() as out:
            subprocess.run([os.path.join(VM, "run"), "--quiet", "--no-module", "--kernel", kernel.name,
                            "--cpus", "1", "--timeout", "90", "--out", out, "--", "sh", "-c",
                            "grep -i ' t ' /proc/kallsyms | sort > $DUNE_OUT/kallsyms"],
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            if os.path.exists(out + "/kallsyms"):
                shutil.copy(out + "/kallsyms", path + ".new")
                os.rename(path + ".new", path)
    return path


def annotate(lines, kernel):
    """The emulator's CPU dump (bochs/hangdump.cc) as readable text."""
    addrs, names = _load(find(kernel))

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
