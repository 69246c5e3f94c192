# SPDX-License-Identifier: GPL-2.0 OR MIT
"""The tables of the program 'trap': one line an operation and kind of handler."""

HANDLERS = {'signal': 'plain Linux, signal', 'fast': 'Dune, fast', 'full': 'Dune, full', 'ring3': 'Dune, ring 3'}
EVENTS = (('vm_exits', 'exits'), ('exceptions', 'excepts'), ('iret', 'IRET'), ('xsave', 'XSAVE'), ('xrstor', 'XRSTOR'))


def is_trap(row):
    return row.machine['program'] == 'trap'


def print_single(rows):
    rows = [r for r in rows if is_trap(r) and not r.totals]
    if not rows:
        return
    print(f"{'trap':16}{'handler':20}|{'min':>7}{'median':>8} |" + ''.join(f'{title:>8}' for _, title in EVENTS))
    for row in sorted(rows, key=lambda r: r.f['op']):
        print(f"{row.f['op']:16}{HANDLERS[row.f['who']]:20}|{row.f['min']:7}{row.f['median']:8} |"
              + ''.join(f"{row.per_op('self', name):8g}" for name, _ in EVENTS))
    print('call_entry: what measuring adds to fault_entry; nothing: to fault')


def print_at_once(rows):
    rows = [r for r in rows if is_trap(r) and r.totals]
    for row in rows:
        print(f"{row.f['op']:16}{HANDLERS[row.f['who']]:20}| {row.f['vcpus']} at once: mean {row.f['mean']}")
