# SPDX-License-Identifier: GPL-2.0 OR MIT
"""The lines of the scaling programs: parsed, as tables, CSV and JSON."""

import csv
import json

LABEL = ('op', 'state', 'pages', 'who', 'caller', 'mode', 'vcpus')
COSTS = ('reps', 'clean', 'min', 'median', 'mean', 'max')


def fields(line):
    return dict(f.split('=', 1) for f in line.split()[1:] if '=' in f)


def number(text):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


class Row:
    """One 'result' line and the 'event' lines behind it."""

    def __init__(self, machine, line):
        self.machine = machine
        self.f = {k: number(v) for k, v in fields(line).items()}
        self.events = {}
        self.totals = False

    def add_event(self, line):
        f = fields(line)
        self.totals = 'total' in f
        self.events[f['at'], f['name']] = (number(f['total' if self.totals else 'median']), float(f['mean']))

    def key(self):
        return self.machine['cpus'], *(self.f[k] for k in ('op', 'pages', 'state', 'who', 'vcpus'))

    def per_op(self, where, name):
        """Median where it was measured one by one, mean in a sweep."""
        median, mean = self.events.get((where, name), (0, 0.0))
        return mean if self.totals else median

    def all_cpus(self, name):
        return self.per_op('self', name) + self.per_op('others', name)

    def all_vcpus(self, name):
        return self.per_op('vcpu', name) + self.per_op('vcpus', name)


# These have tables of their own.
APART = ('exits', 'trap', 'appel', 'protect', 'scan', 'ipi')


def others_than(programs, rows):
    return [r for r in rows if r.machine['program'] not in programs]


def parse(lines):
    rows, limits, machine = [], [], {}
    for line in lines:
        if line.startswith('bench '):
            machine = {k: number(v) for k, v in fields(line).items()}
        elif line.startswith('result '):
            rows.append(Row(machine, line))
        elif line.startswith('event '):
            rows[-1].add_event(line)
        elif line.startswith(('limit ', 'limits: ', 'goal ')):
            limits.append(line)
    return rows, limits


def by_key(rows):
    """{key: {column: row}}, columns native, plain (Dune, plain mode), guest."""
    table = {}
    for row in rows:
        column = 'native' if row.f['mode'] == 'native' else row.f['caller']
        table.setdefault(row.key(), {})[column] = row
    return table


def cost(row):
    return f"{'-':>8}{'-':>8}" if row is None else f"{row.f['min']:8}{row.f['median']:8}"


def interrupts(row):
    if row is None:
        return '-'
    counts = (row.all_cpus('ipis_sent'), row.per_op('others', 'external_interrupts'),
              row.per_op('others', 'vm_exits'), row.per_op('vm', 'kicks'))
    return '/'.join(f'{c:g}' for c in counts)


def print_single(rows):
    rows = [r for r in others_than(APART, rows) if not r.totals]
    if not rows:
        return
    print(f"{'operation':12}{'pages':>5} {'state':7}{'others':13}|{'plain Linux':^16} {'i/t/e/k':9}|"
          f"{'Dune, plain mode':^16} {'i/t/e/k':9}|{'from the guest':^16} {'i/t/e/k':9}")
    print(f"{'':38}|" + f"{'min':>8}{'median':>8} {'':9}|" * 3)
    for (_, op, pages, state, who, _), c in by_key(rows).items():
        line = f'{op:12}{pages:5} {state:7}{who:13}'
        for column in ('native', 'plain', 'guest'):
            line += f'|{cost(c.get(column))} {interrupts(c.get(column)):9}'
        print(line)
    print('i/t/e/k: IPIs sent by anyone / interrupts taken by other CPUs / their VM exits /'
          ' vCPUs the module kicked; medians')


def print_sweep(rows):
    rows = [r for r in others_than(APART, rows) if r.totals]
    if not rows:
        return
    print(f"\n{'at once':10}{'state':7}{'layout':10}{'vCPUs':>5} |{'plain Linux':^18}|{'in the guest':^18}|"
          f"{'IPIs':>6}{'kicks':>6}{'exits':>6}{'faults':>7}{'instal':>7}{'spur':>6}{'retry':>6}  others that moved")
    print(f"{'':33}|" + f"{'median':>8}{'mean':>9} |" * 2 + ' per operation')
    for (_, op, _, state, who, vcpus), c in by_key(rows).items():
        line = f'{op:10}{state:7}{who:10}{vcpus:5} '
        for column in ('native', 'guest'):
            r = c.get(column)
            line += '|' + (f"{r.f['median']:8}{r.f['mean']:9.1f} " if r else f"{'-':>8}{'-':>9} ")
        r = c.get('guest')
        if r:
            line += (f"|{r.all_cpus('ipis_sent'):6.2f}{r.per_op('vm', 'kicks'):6.2f}"
                     f"{r.all_cpus('vm_exits'):6.2f}{r.all_vcpus('ept_faults'):7.2f}"
                     f"{r.all_vcpus('ept_installs'):7.2f}{r.all_vcpus('ept_spurious'):6.2f}"
                     f"{r.all_vcpus('ept_retries'):6.2f}  {others(r)}")
        print(line)


SHOWN = {'kicks', 'ept_faults', 'ept_installs', 'ept_spurious', 'ept_retries', 'runs', 'entries', 'syscalls',
         'interrupts', 'host_work', 'resched', 'preempted'}


def others(row):
    """Of the module's counters, what is in no column."""
    sums = {}
    for (where, name), (_, mean) in row.events.items():
        if where in ('vm', 'vcpu', 'vcpus') and name not in SHOWN:
            sums[name] = sums.get(name, 0) + mean
    return ' '.join(f'{n}={v:.2g}' for n, v in sums.items() if abs(v) >= 0.005)


def print_events(rows):
    print('\nevents per operation (self: the CPU that makes it; others: all other CPUs)')
    for row in rows:
        print(' '.join(str(row.f[k]) for k in LABEL))
        for (where, name), (value, mean) in row.events.items():
            kind = 'total' if row.totals else 'median'
            print(f'    {where:7}{name:26}{kind} {value:8}  mean {mean:9.3f}')


def write_csv(rows, path, facts):
    """One row a measurement; a column 'whose.event' for each event that moved."""
    events = sorted({e for r in rows for e in r.events})
    with open(path, 'w', newline='') as f:
        out = csv.writer(f)
        out.writerow([*facts, 'program', 'unit', 'kernel', 'cpus', 'mitigations', *LABEL, *COSTS]
                     + [f'{where}.{name}' for where, name in events])
        for r in rows:
            out.writerow([*facts.values()]
                         + [r.machine.get(k) for k in ('program', 'unit', 'kernel', 'cpus', 'mitigations')]
                         + [r.f[k] for k in LABEL + COSTS] + [r.per_op(*e) for e in events])


def write_json(rows, limits, path, facts):
    data = {**facts, 'limits': limits, 'rows': []}
    for r in rows:
        data['rows'].append({
            'machine': r.machine, **r.f, 'sweep': r.totals,
            'events': [{'at': w, 'name': n, 'total' if r.totals else 'median': v, 'mean': m}
                       for (w, n), (v, m) in r.events.items()]})
    with open(path, 'w') as f:
        json.dump(data, f, indent=1)
        f.write('\n')
