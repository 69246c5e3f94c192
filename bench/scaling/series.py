# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Rows of several boots, put together: what is compared with what, and what grows.

Nothing here knows a program. A line is what a curve is drawn of: one operation
in one mode, over the number of CPUs. Its counterpart is the line of plain Linux.
"""

import results

OPERATION = ('op', 'state', 'pages')
# Of a sweep: workers that have nothing in common, so cost ought not to grow. Where an
# operation was measured apart as well, its unit is the GiB and local workers share it.
LOCAL, APART = 'local', 'apart'
FLAT_PERCENT = 5
MODES = {'native': 'plain Linux', 'dune': 'Dune', 'kvm': 'KVM'}


class Line:
    """points: {number of CPUs or of workers: Row}; swept: it is workers.

    native: the counterpart or None; measured: the others or layouts of all lines of the operation.
    """

    def __init__(self, program, f, swept):
        self.program, self.swept = program, swept
        self.op, self.state, self.pages = (f[k] for k in OPERATION)
        self.who, self.caller, self.mode = f['who'], f['caller'], f['mode']
        self.points = {}
        self.native = None
        self.measured = {self.who}

    def operation(self):
        return self.program, self.op, self.state, self.pages

    def title(self):
        """Of the operation."""
        pages = f", {self.pages} pages" if self.pages > 1 else ''
        return f"{self.op} {self.state}{pages}{', at once' if self.swept and self.state != 'at_once' else ''}"

    def name(self):
        """Among the lines of its operation."""
        where = {'plain': ' in plain mode', 'guest': ''}.get(self.caller, f' {self.caller}')
        return f"{MODES.get(self.mode, self.mode)}{where if self.mode == 'dune' else ''}, {self.who}"


def cost(row):
    """Of one operation: the mean where many are made at once, so that waiting shows; else
    the median. Nanoseconds have interrupts in their mean: always the median."""
    return row.f['mean'] if row.totals and row.machine['unit'] != 'ns' else row.f['median']


def ratio(row, native):
    return cost(row) / cost(native) if row and native and cost(native) else None


def environments(data):
    """Boots that differ in nothing but the number of CPUs: {(kernel, mitigations, unit): boots}."""
    found = {}
    for boot in data['boots']:
        found.setdefault((boot['kernel'], boot['mitigations'], boot['unit']), []).append(boot)
    return found


def gather(boots):
    """{line key: {CPUs of the boot: {vcpus: row}}}, in the order of the rows."""
    found = {}
    for boot in sorted(boots, key=lambda b: b['machine']['cpus']):
        for row in results.rows_of(boot):
            key = row.machine['program'], *(row.f[k] for k in (*OPERATION, 'who', 'caller', 'mode'))
            found.setdefault(key, {}).setdefault(boot['machine']['cpus'], {})[row.f['vcpus']] = row
    return found


def lines(boots):
    """All lines of boots of one environment, natives found."""
    made = []
    for (program, *_), by_cpus in gather(boots).items():
        swept = any(len(by_vcpus) > 1 for by_vcpus in by_cpus.values())
        line = None
        for cpus, by_vcpus in by_cpus.items():
            for vcpus, row in by_vcpus.items():
                line = line or Line(program, row.f, swept)
                # Of a sweep, what the smallest machine with that many CPUs measured.
                line.points.setdefault(vcpus if swept else cpus, row)
        made.append(line)
    find_natives(made)
    for group in by_operation(made):
        measured = {line.who for line in group}
        for line in group:
            line.measured = measured
    return made


def find_natives(made):
    """Plain Linux among the same others, or the only one there is of the operation."""
    natives = {}
    for line in made:
        if line.mode == 'native':
            natives.setdefault(line.operation(), []).append(line)
    for line in made:
        candidates = natives.get(line.operation(), [])
        same = [c for c in candidates if c.who == line.who]
        if line.mode != 'native':
            line.native = same[0] if same else candidates[0] if len(candidates) == 1 else None


def by_operation(made):
    """The lines of each operation; those over workers apart from those over machines."""
    groups = {}
    for line in made:
        groups.setdefault((*line.operation(), line.swept), []).append(line)
    return list(groups.values())


def median(row):
    return row.f['median']


def grown(line, first, last, of):
    """Of a quantity, percent, rounded; None where the line does not go so far, or from nothing."""
    if not line or first not in line.points or last not in line.points or not of(line.points[first]):
        return None
    return round(100 * (of(line.points[last]) / of(line.points[first]) - 1), 6)


class Growth:
    """What a line costs with the most workers, against the fewest."""

    def __init__(self, line):
        self.line = line
        self.first, self.last = min(line.points), max(line.points)
        self.from_cost, self.to_cost = cost(line.points[self.first]), cost(line.points[self.last])
        self.percent = grown(line, self.first, self.last, cost)
        self.median_percent = grown(line, self.first, self.last, median)
        self.native_percent = grown(line.native, self.first, self.last, cost)
        independent = APART if APART in line.measured else LOCAL
        self.ought_to_be_flat = line.swept and line.mode == 'dune' and line.who == independent

    def verdict(self):
        """flat: FLAT_PERCENT at most; as Linux: more, but plain Linux grows as much; grows."""
        if self.percent is not None and self.percent <= FLAT_PERCENT:
            return 'flat'
        if None not in (self.percent, self.native_percent) and self.percent <= self.native_percent + FLAT_PERCENT:
            return 'as Linux'
        return 'grows'


def growths(made):
    return [Growth(line) for line in made if len(line.points) > 1 and line.op != 'nothing']


# Whose counters an event is in, and its name here.
EVENTS = (
    ('IPIs', lambda r: r.all_cpus('ipis_sent')),
    ('INVEPT', lambda r: r.all_cpus('invept')),
    ('INVVPID', lambda r: r.all_cpus('invvpid')),
    ('INVLPG', lambda r: r.all_cpus('invlpg')),
    ('VM exits', lambda r: r.all_cpus('vm_exits')),
    ('kicks', lambda r: r.per_op('vm', 'kicks') + r.all_vcpus('kicks_sent')),
)
EVENT_NAMES = tuple(name for name, _ in EVENTS)


def events(row):
    """Of one operation, over all CPUs and vCPUs, in the order of EVENT_NAMES."""
    return [count(row) for _, count in EVENTS]
