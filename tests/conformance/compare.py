# SPDX-License-Identifier: GPL-2.0 OR MIT
"""What a row did in each of its three runs, and where they differ."""
import itertools
import re

BACKENDS = ('native', 'reissue', 'fast')


def _exact(lines):
    return lines


def _shape(lines):
    """Numbers are one thing whatever they are, and so are runs of blanks."""
    out = []
    for line in lines:
        line = re.sub(r'\b(0x)?[0-9a-f]*[0-9][0-9a-f]*\b|[0-9]+(\.[0-9]+)?', '#', line)
        out.append(re.sub(r'\s+', ' ', re.sub(r'#([.:,]#)+', '#', line)).strip())
    return out


def _status(_lines):
    return []


MODES = {'exact': _exact, 'sorted': sorted, 'shape': _shape, 'status': _status}


class Run:
    """One of the three."""

    def __init__(self):
        self.lines = {'out': [], 'err': []}
        self.stacks = []
        self.numbers = {}
        self.ended = False

    def take(self, what, rest):
        if what in self.lines:
            self.lines[what].append(rest)
        elif what == 'stack':
            self.stacks.append(rest)
        elif what == 'end':
            self.numbers = {k: int(v) for k, v in (w.split('=') for w in rest.split())}
            self.ended = True

    def end(self):
        if not self.ended:
            return 'died'
        if self.numbers['timeout']:
            return 'timeout'
        if self.numbers['signal']:
            return f"signal {self.numbers['signal']}"
        left = self.numbers['left']
        return str(self.numbers['status']) + (f' +{left}' if left else '')


class Result:
    def __init__(self, row):
        self.row = row
        self.runs = {mode: Run() for mode in BACKENDS}
        self.death = None

    def take(self, what, mode, rest):
        self.runs[mode].take(what, rest)

    def died(self, why):
        self.death = why

    def complete(self):
        return all(run.ended for run in self.runs.values())

    def ended(self, mode):
        return self.runs[mode].end()

    def _native_is_no_measure(self):
        """The row itself is wrong."""
        native = self.runs['native']
        if native.ended and (native.numbers['timeout'] or native.numbers['left']):
            return 'native: ' + native.end()
        missing = [x for x in native.lines['err'] if re.search(r'(: |command )not found$', x)]
        if missing or native.ended and native.numbers['status'] in (125, 126, 127):
            return 'native: cannot run ' + ' '.join(missing[:1])
        return None

    def differences(self):
        """One line each."""
        if self.death:
            return [self.death]
        wrong = self._native_is_no_measure()
        if wrong:
            return [wrong]
        found = []
        for mode in BACKENDS[1:]:
            found += [f'{mode}: {text}' for text in self._differences(mode)]
        return found

    def _differences(self, mode):
        a, b = self.runs['native'], self.runs[mode]
        if a.end() != b.end():
            yield f'ended with {b.end()}, not {a.end()}'
        for what, name in (('out', 'stdout'), ('err', 'stderr')):
            first = first_difference(self.row.compare, a.lines[what], b.lines[what])
            if first:
                yield f'{name} {first}'

    def _excepted(self):
        """May all that differs differ?"""
        who = self.row.exception.partition(':')[0]
        return who == 'both' or (who in BACKENDS and
                                 all(d.startswith(who + ':') for d in self.differences()))

    def kind(self):
        if not self.differences():
            return 'same'
        return 'excepted' if self._excepted() and not self._native_is_no_measure() else 'differs'

    def verdict(self):
        differences = self.differences()
        if not differences:
            return '-' if self.row.exception == '-' else '- (its exception is no longer needed)'
        if self.kind() == 'excepted':
            return 'excepted: ' + self.row.exception
        return differences[0]

    def details(self):
        if self.kind() != 'differs':
            return
        yield f'{self.row.name}: {self.row.command}'
        for text in self.differences():
            yield '    ' + text
        for mode in BACKENDS:
            for text in self.runs[mode].stacks[:40]:
                yield f'    {mode}: {text}'


def first_difference(how, a, b):
    a, b = MODES[how](a), MODES[how](b)
    for number, (x, y) in enumerate(itertools.zip_longest(a, b), 1):
        if x != y:
            return f'line {number}: {shown(y)}, not {shown(x)}'
    return None


def shown(line):
    return 'nothing' if line is None else '"' + line[:100] + '"'
