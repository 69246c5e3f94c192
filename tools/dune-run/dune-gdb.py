# SPDX-License-Identifier: GPL-2.0 OR MIT
"""For gdb, on a program that dune-run runs: source this file, attach, dune-symbols.

gdb knows the program's files but not dune-run's, which is in no link map, and for the
superuser not under its name in /proc/PID/maps. Without its unwind information a
backtrace ends in the first frame.
"""
import os

import gdb

HEAD = 4096


def mappings(pid):
    """Start and name of those that may be the first page of a file."""
    with open('/proc/%d/maps' % pid) as maps:
        for line in maps:
            words = line.rstrip('\n').split(None, 5)
            if words[1].startswith('r--') and int(words[2], 16) == 0:
                yield int(words[0].split('-')[0], 16), words[5] if len(words) > 5 else ''


def files(pid):
    """What the process has open or mapped by that name."""
    folder = '/proc/%d/fd' % pid
    links = [os.path.join(folder, name) for name in os.listdir(folder)]
    names = [os.readlink(link) for link in links] + [name for _, name in mappings(pid)]
    return [name for name in names if os.path.basename(name) == 'dune-run']


def dune_run_of(pid):
    """Its file, and where that is mapped; None: it is not dune-run's process."""
    for name in files(pid):
        try:
            with open(name, 'rb') as f:
                head = f.read(HEAD)
        except OSError:
            continue
        for start, mapped in mappings(pid):
            # Of itself it has the image mapped, or a copy (self.c).
            if mapped not in ('', name, name + '.image'):
                continue
            try:
                if gdb.selected_inferior().read_memory(start, HEAD).tobytes() == head:
                    return name, start
            except gdb.MemoryError:
                pass
    return None


class DuneSymbols(gdb.Command):
    """Load the symbols and the unwind information of dune-run, where it is mapped.

Then a backtrace leads through its stub to the program that it runs. Does nothing in a
process that is not dune-run's."""

    def __init__(self):
        super().__init__('dune-symbols', gdb.COMMAND_FILES)

    def invoke(self, _args, _from_tty):
        pid = gdb.selected_inferior().pid
        found = dune_run_of(pid) if pid else None
        if found:
            gdb.execute('add-symbol-file "%s" -o %#x' % found, to_string=True)
            print('%s at %#x' % found)


DuneSymbols()
