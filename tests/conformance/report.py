# SPDX-License-Identifier: GPL-2.0 OR MIT
"""report.md and report.json: what ran, what differed, what it cost."""
import json
import os
import re

from compare import BACKENDS

EMUCOUNT = os.path.join(os.path.dirname(__file__), '..', '..', 'tools', 'vm', 'emucount.h')
# The costliest reasons of a row are these many.
TOP = 4


def exit_names():
    """From where the emulator has them."""
    with open(EMUCOUNT) as f:
        return {int(n): name for n, name in re.findall(r'case (\d+): return "([^"]+)"', f.read())}


def write(out, results, opts):
    rows = [as_json(r) for r in results]
    with open(os.path.join(out, 'report.json'), 'w') as f:
        json.dump(rows, f, indent=1)
    with open(os.path.join(out, 'report.md'), 'w') as f:
        f.write(f'# Conformance: kernel {opts.kernel}, {opts.cpus} CPUs\n\n')
        render(f, rows)


def as_json(result):
    return {'name': result.row.name, 'command': result.row.command, 'kind': result.kind(),
            'exception': result.row.exception, 'verdict': result.verdict(),
            'differences': result.differences(),
            'runs': {mode: {'end': run.end(), **run.numbers} for mode, run in result.runs.items()}}


def render(f, rows):
    write_results(f, rows)
    write_costs(f, rows)
    write_differences(f, [r for r in rows if r['differences']])


def write_results(f, rows):
    f.write('| program | native | reissue | fast | differences |\n|---|---|---|---|---|\n')
    for r in rows:
        ends = ' | '.join(r['runs'][mode]['end'] for mode in BACKENDS)
        f.write(f"| {r['name']} | {ends} | {r['verdict'].replace('|', '&#124;')} |\n")


def millions(n):
    return f'{n / 1e6:.1f}' if n else '-'


def write_costs(f, rows):
    names = exit_names()
    f.write('\n## Costs\n\nMillions of instructions of the whole machine, kernel included, while the '
            'row ran. The native run is the first: it also fills caches, and some programs leave '
            'compiled files there. VM exits of the fast backend per million instructions, and the most '
            'frequent reasons.\n\n'
            '| program | native | reissue | fast | fast/native | exits | of them |\n'
            '|---|---|---|---|---|---|---|\n')
    for r in rows:
        insns = [r['runs'][mode].get('insns', 0) for mode in BACKENDS]
        fast = r['runs']['fast']
        each = (insns[2] or 1) / 1e6
        reasons = sorted(((v, int(k[5:])) for k, v in fast.items() if k.startswith('exit.')), reverse=True)
        text = ', '.join(f'{names.get(k, k)} {v / each:.1f}' for v, k in reasons[:TOP])
        ratio = f'{insns[2] / insns[0]:.2f}' if insns[0] and insns[2] else '-'
        f.write(f"| {r['name']} | {' | '.join(map(millions, insns))} | {ratio} | "
                f"{fast.get('exits', 0) / each:.1f} | {text} |\n")


def write_differences(f, rows):
    if rows:
        f.write('\n## Differences\n\n')
    for r in rows:
        f.write(f"### {r['name']}\n\n    {r['command']}\n\n")
        f.writelines(f'- {text}\n' for text in r['differences'])
        f.write('\n')
