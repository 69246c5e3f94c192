# SPDX-License-Identifier: GPL-2.0 OR MIT
"""The tables of the programs 'appel', 'protect', 'scan' and 'ipi'."""


def of(program, rows):
    return [r for r in rows if r.machine['program'] == program]


def pairs(rows, *names):
    """{key: {mode: row}}, in the order of the rows."""
    table = {}
    for row in rows:
        table.setdefault(tuple(row.f[n] for n in names), {})[row.f['mode']] = row
    return table


def median(row):
    return f"{row.f['median']:9}" if row else f"{'-':>9}"


def print_appel(rows):
    rows = of('appel', rows)
    if not rows:
        return
    print(f"\n{'a page of':12}{'heaps':7}{'threads':>8} |{'plain Linux':>12}{'':>10}|{'Dune':>9}{'':>10}|"
          f"{'kicks':>7}")
    print(f"{'':27} |{'median':>12}{'mean':>10}|{'median':>9}{'mean':>10}| of a page")
    for (op, who, vcpus), c in pairs(rows, 'op', 'who', 'vcpus').items():
        line = f'{op:12}{who:7}{vcpus:8} '
        for mode, width in (('native', 12), ('dune', 9)):
            r = c.get(mode)
            line += f"|{r.f['median']:{width}}{r.f['mean']:10.1f}" if r else f"|{'-':>{width}}{'-':>10}"
        r = c.get('dune')
        if r:
            line += f"|{r.all_vcpus('kicks_sent'):7.2f}"
        print(line)


def print_protect(rows):
    rows = of('protect', rows)
    if not rows:
        return
    print(f"\n{'operation':10}{'pages':>6} {'others use':11}{'others':9}|{'Linux':>9}{'IPIs':>6}|{'Dune':>9}"
          f"{'hypercalls':>11}{'kicks':>6}{'exits of others':>16}")
    for (op, pages, where, who), c in pairs(rows, 'op', 'pages', 'state', 'who').items():
        n, d = c.get('native'), c.get('dune')
        line = f"{op:10}{pages:6} {where:11}{who:9}|{median(n)}" + (f"{n.all_cpus('ipis_sent'):6g}|" if n else f"{'':6}|")
        if d:
            line += (f"{median(d)}{d.per_op('vcpu', 'hypercalls'):11g}{d.all_vcpus('kicks_sent'):6g}"
                     f"{d.per_op('others', 'vm_exits'):16g}")
        print(line)
    print('medians; nothing: what measuring adds')


def print_scan(rows):
    rows = of('scan', rows)
    if not rows:
        return
    print(f"\n{'operation':10}{'heap':6}{'by':14}|{'pages':>6}{'min':>9}{'median':>9}{'max':>9}")
    for r in rows:
        print(f"{r.f['op']:10}{r.f['state']:6}{r.f['who']:14}|{r.f['pages']:6}{r.f['min']:9}{r.f['median']:9}{r.f['max']:9}")
    print('scan: one page of 16 dirty; write: the first to a page after a scan')


def print_ipi(rows):
    rows = of('ipi', rows)
    if not rows:
        return
    print(f"\n{'call':12}{'by':10}|{'min':>8}{'median':>8}{'mean':>10}{'max':>8}")
    for r in rows:
        print(f"{r.f['op']:12}{r.f['who']:10}|{r.f['min']:8}{r.f['median']:8}{r.f['mean']:10}{r.f['max']:8}")
    print('send: of the caller; round_trip: of both CPUs, waiting included')


def print_all(rows):
    print_appel(rows)
    print_protect(rows)
    print_scan(rows)
    print_ipi(rows)
