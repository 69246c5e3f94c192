# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Tables on the terminal for programs that have none of their own, and the CSV file."""

import csv

import results
from results import COSTS, LABEL, MACHINE

# These have tables of their own.
APART = ('exits', 'trap', 'appel', 'protect', 'scan', 'ipi')


def others_than(programs, rows):
    return [r for r in rows if r.machine['program'] not in programs]


def by_program(rows):
    """[(program, its rows)], in the order in which they ran."""
    table = {}
    for row in rows:
        table.setdefault(row.machine['program'], []).append(row)
    return table.items()


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
    for program, its in by_program(r for r in others_than(APART, rows) if not r.totals):
        print_program(program, its)


def print_program(program, rows):
    print(f'\n{program}')
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
    for program, its in by_program(r for r in others_than(APART, rows) if r.totals):
        print_program_at_once(program, its)


def print_program_at_once(program, rows):
    print(f'\n{program}')
    print(f"{'at once':10}{'state':7}{'layout':10}{'vCPUs':>5} |{'plain Linux':^18}|{'in the guest':^18}|"
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


def print_notes(boot):
    """What programs said beside rows: parts that were skipped, and why."""
    for line in boot['notes']:
        if not line.startswith('pinned by='):
            print(line)


def print_limits(boot):
    """How many held, and those that did not."""
    judged = [limit for limit in boot['limits'] if limit['kind'] != 'goal']
    broken = [limit for limit in judged if not limit['held']]
    if not judged:
        return
    print(f'\nlimits: {len(judged)} judged, {len(broken)} broken')
    for limit in broken:
        was = limit['why'] or (f"measured {limit['measured']:g}, must be {'=' if limit['kind'] == 'exact' else '<='} "
                               f"{limit['bound']:g}")
        print(f"    {limit['program']}: {limit['name']}: {was}")


def write_csv(data, path):
    """One row a measurement; a column 'whose.event' for each event that moved."""
    rows = [(boot, row) for boot in data['boots'] for row in results.rows_of(boot)]
    events = sorted({e for _, r in rows for e in r.events})
    facts = ('date', 'commit', 'kernel', 'mitigations', 'unit')
    with open(path, 'w', newline='') as f:
        out = csv.writer(f)
        out.writerow(['schema_version', *facts, *MACHINE, 'program', *LABEL, 'at_once', *COSTS]
                     + [f'{where}.{name}' for where, name in events])
        for boot, r in rows:
            out.writerow([data['version'], *(boot[k] for k in facts), *(boot['machine'][k] for k in MACHINE),
                          r.machine['program'], *(r.f[k] for k in LABEL), int(r.totals),
                          *(r.f[k] for k in COSTS), *(r.per_op(*e) for e in events)])
