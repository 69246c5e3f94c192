#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Draw what shootdown-sim --json wrote: a panel a machine, a curve a policy.

Debian's Python, whatever comes first in PATH: python3-matplotlib is for it.
"""

import argparse
import json
import sys


def panel(axis, machine):
    curves = {}
    for r in machine['results']:
        curves.setdefault(r['policy'], []).append((r['targets'], r['median_ns'] / 1000, r['p99_ns'] / 1000))
    for policy, points in curves.items():
        points = sorted(points)
        x = [p[0] for p in points]
        line, = axis.plot(x, [p[1] for p in points], marker='.', label=policy)
        axis.fill_between(x, [p[1] for p in points], [p[2] for p in points], color=line.get_color(), alpha=0.15)
    axis.set_xscale('log', base=2)
    axis.set_yscale('log')
    axis.set_title(f"{machine['topology']}: {machine['cpus']} CPUs, {machine['nodes']} nodes (simulated)",
                   fontsize='small')
    axis.set_xlabel('CPUs in guest')
    axis.set_ylabel('shootdown, µs (median to p99)')
    axis.grid(alpha=0.3)
    axis.legend(fontsize='x-small')


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('json', help='written by shootdown-sim --json')
    p.add_argument('png', help='to write')
    opts = p.parse_args()
    try:
        import matplotlib
    except ImportError:
        sys.exit('needs the package python3-matplotlib')
    matplotlib.use('Agg')
    from matplotlib import pyplot
    with open(opts.json, encoding='utf-8') as f:
        machines = json.load(f)['machines']
    columns = min(3, len(machines))
    rows = -(-len(machines) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(5.5 * columns, 4.2 * rows), squeeze=False)
    for axis, machine in zip(axes.flat, machines):
        panel(axis, machine)
    for axis in list(axes.flat)[len(machines):]:
        axis.remove()
    figure.tight_layout()
    figure.savefig(opts.png, dpi=110)


if __name__ == '__main__':
    main()
