# SPDX-License-Identifier: GPL-2.0 OR MIT
"""The tables of the program 'exits': one line an operation and system."""

SYSTEMS = {'linux': 'plain Linux', 'dune': 'Dune', 'reissue': 'Dune, re-issue', 'kvm': 'KVM'}
EVENTS = (('vm_exits', 'exits'), ('vmread', 'VMREAD'), ('vmwrite', 'VMWRITE'), ('rdmsr', 'RDMSR'),
          ('wrmsr', 'WRMSR'), ('vmptrld', 'VMPTRLD'), ('vmclear', 'VMCLEAR'), ('invept', 'INVEPT'),
          ('invvpid', 'INVVPID'), ('external_interrupts', 'irqs'))
# The rows of one operation belong together, whatever ran first.
ORDER = ('nothing', 'hypercall', 'cpuid', 'getppid', 'rdmsr', 'ept_violation', 'interrupt', 'migrate', 'switch',
         'switch_plain')


def events_of(row, name):
    """A move is made by two CPUs; what others do meanwhile is not the operation's."""
    return row.all_cpus(name) if row.f['op'] == 'migrate' else row.per_op('self', name)


def is_exits(row):
    return row.machine['program'] == 'exits'


def by_place(row):
    return ORDER.index(row.f['op']), list(SYSTEMS).index(row.f['who']), row.f['vcpus']


def key(row):
    return row.f['op'], row.f['who'], row.f['state'], row.f['vcpus']


def print_single(rows, beside):
    """beside: {key: row} of the boot with mitigations, or empty."""
    rows = sorted((r for r in rows if is_exits(r) and not r.totals), key=by_place)
    if not rows:
        return
    extra = f"{'mitig.':>8}" if beside else ''
    print(f"{'exits':14}{'made by':16}|{'min':>7}{'median':>8}{extra} |"
          + ''.join(f'{title:>8}' for _, title in EVENTS))
    for row in rows:
        other = beside.get(key(row))
        extra = f"{other.f['median'] if other else '-':>8}" if beside else ''
        print(f"{row.f['op']:14}{SYSTEMS[row.f['who']]:16}|{row.f['min']:7}{row.f['median']:8}{extra} |"
              + ''.join(f'{events_of(row, name):8g}' for name, _ in EVENTS))
    print('medians of one operation; migrate: of all CPUs, a move; switch: to another thread')


def print_at_once(rows, beside):
    rows = sorted((r for r in rows if is_exits(r) and r.totals), key=by_place)
    if not rows:
        return
    counts = sorted({r.f['vcpus'] for r in rows})
    table = {(r.f['op'], r.f['who'], r.f['vcpus']): r for r in rows}
    print(f"\n{'at once':14}{'made by':16}|" + ''.join(f'{f"{n} CPU":>9}' + (f"{'mitig.':>8}" if beside else '')
                                                      for n in counts))
    for op, who in dict.fromkeys((r.f['op'], r.f['who']) for r in rows):
        line = f'{op:14}{SYSTEMS[who]:16}|'
        for n in counts:
            row = table.get((op, who, n))
            other = beside.get(key(row)) if row else None
            line += f"{row.f['mean'] if row else '-':>9}"
            line += f"{other.f['mean'] if other else '-':>8}" if beside else ''
        print(line)
    print('means of one operation without interrupts, over all threads, each on a CPU of its own')


def print_pinned(lines):
    """What the program printed: 'pinned by=WHO exits=N quiet=N EVENT=ALL/QUIET ...'."""
    pinned = [ln for ln in lines if ln.startswith('pinned by=')]
    if pinned:
        print('\nexits of a pinned thread; events of all / of those with no interrupt near')
        print('\n'.join('    ' + ln[len('pinned by='):] for ln in pinned))
