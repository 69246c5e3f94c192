#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Draw results.json of bench/scaling/run as one PNG.

Debian's Python, whatever comes first in PATH: python3-matplotlib is for it.
"""

import argparse
import json
import sys

STYLE = {'local': ('o', 'tab:blue'), 'neighbour': ('s', 'tab:orange'), 'shared': ('^', 'tab:green')}


def sweep(axis, rows, title, unit):
    curves = {}
    for r in rows:
        name = (r['who'], r['mode'])
        curves.setdefault(name, {})[r['vcpus']] = r['mean']
    for (layout, mode), points in sorted(curves.items()):
        x = sorted(points)
        marker, colour = STYLE[layout]
        axis.plot(x, [points[n] for n in x], marker=marker, color=colour,
                  linestyle='--' if mode == 'native' else '-',
                  label=f"{'Linux' if mode == 'native' else 'Dune'}, {layout}")
        axis.set_xticks(x)
    axis.set_title(title)
    axis.set_xlabel('threads at once, each on a CPU of its own')
    axis.set_ylabel(f'{unit} an operation (mean)')
    axis.set_ylim(bottom=0)
    if curves:
        axis.legend(fontsize='small')


def single(axis, rows, unit):
    """Operations on one page, made in plain mode, beside plain Linux."""
    pairs = {}
    for r in rows:
        if not r['sweep'] and r['pages'] == 1 and r['op'] != 'nothing' and \
                (r['caller'] == 'plain' or r['op'] == 'touch'):
            pairs.setdefault("{op} {state}, {who}".format(**r), {})[r['mode']] = r['median']
    y = range(len(pairs))
    axis.barh([i + 0.2 for i in y], [p.get('native', 0) for p in pairs.values()], 0.4, label='Linux')
    axis.barh([i - 0.2 for i in y], [p.get('dune', 0) for p in pairs.values()], 0.4, label='Dune')
    axis.set_yticks(list(y), list(pairs), fontsize='x-small')
    axis.invert_yaxis()
    axis.set_xlabel(f'{unit} (median)')
    axis.set_title('one page; who else is in the process')
    axis.legend(fontsize='small')


def paging(axis, rows, title, name):
    """Guest paging: a bar for Linux and one for Dune, of the rows that name gives one."""
    found = {}
    for r in rows:
        if name(r):
            found.setdefault(name(r), {})[r['mode']] = r['median']
    y = range(len(found))
    axis.barh([i + 0.2 for i in y], [p.get('native', 0) for p in found.values()], 0.4, label='Linux')
    axis.barh([i - 0.2 for i in y], [p.get('dune', 0) for p in found.values()], 0.4, label='Dune')
    axis.set_yticks(list(y), list(found), fontsize='x-small')
    axis.invert_yaxis()
    axis.set_xscale('log')
    axis.set_title(title)
    axis.legend(fontsize='small')


def of_appel(r):
    if r['machine']['program'] == 'appel' and r['op'] != 'nothing':
        return '{op}, {vcpus} threads, {who}'.format(**r)
    return None


def of_protect(r):
    if r['machine']['program'] == 'protect' and r['op'] != 'nothing' and r['state'] == 'shared':
        return '{op} {pages}, {who}'.format(**r)
    return None


def draw(rows, path, title):
    try:
        import matplotlib
    except ImportError as err:
        sys.exit(f'plot.py: needs the Debian package python3-matplotlib ({err})')
    matplotlib.use('Agg')
    from matplotlib import pyplot

    # Of several boots: the sweep of the largest, the rest of the first.
    most = max(r['machine']['cpus'] for r in rows)
    least = min(r['machine']['cpus'] for r in rows)
    sweeps = [r for r in rows if r['sweep'] and r['machine']['cpus'] == most]
    unit = rows[0]['machine']['unit']
    figure, axes = pyplot.subplots(3, 2, figsize=(15, 18), constrained_layout=True)
    sweep(axes[0][0], [r for r in sweeps if r['op'] == 'fault' and r['state'] == 'host'],
          'EPT violation, page mapped by the host', unit)
    sweep(axes[0][1], [r for r in sweeps if r['op'] == 'fault' and r['state'] == 'none'],
          'first touch of anonymous memory', unit)
    sweep(axes[1][0], [r for r in sweeps if r['op'] == 'dontneed'],
          'madvise(DONTNEED) of one page, made in the guest', unit)
    single(axes[1][1], [r for r in rows if r['machine']['cpus'] == least and
                        r['machine']['program'].startswith('ept_')], unit)
    paging(axes[2][0], [r for r in rows if r['machine']['cpus'] == most],
           f'write barriers by page protection, {unit} a page', of_appel)
    paging(axes[2][1], [r for r in rows if r['machine']['cpus'] == least],
           f"changing the program's own page table, {unit}", of_protect)
    figure.suptitle(title)
    figure.savefig(path, dpi=110)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('json', help='results.json')
    p.add_argument('png', help='the picture to write')
    opts = p.parse_args()
    with open(opts.json) as f:
        data = json.load(f)
    machine = data['rows'][0]['machine']
    draw(data['rows'], opts.png,
         f"kernel {machine['kernel']}, mitigations {machine['mitigations']}, commit {data['commit']}")
    return 0


if __name__ == '__main__':
    sys.exit(main())
