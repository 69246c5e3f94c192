# SPDX-License-Identifier: GPL-2.0 OR MIT
"""Pictures of lines (series.py): curves over CPUs, and bars where there is one point."""

import io
import re

import matplotlib
import series

matplotlib.use('Agg')
# Text stays text, and the same results give the same file.
matplotlib.rcParams.update({'svg.fonttype': 'none', 'svg.hashsalt': 'dune-bench', 'font.size': 9})
from matplotlib import pyplot  # noqa: E402

MARKERS = 'os^Dvph*X<>'
COLOURS = matplotlib.colormaps['tab10'].colors
DASHES = {'native': '--', 'kvm': ':'}
COLUMNS = 3
BARS = 40               # of one picture
NO_DATE = {'png': {'Software': None}, 'svg': {'Date': None, 'Creator': None}}


def axis_of_curves(axis, group, unit):
    """One operation: a curve a mode, plain Linux dashed in the colour of its own counterpart."""
    others = list(dict.fromkeys(line.who for line in group))
    for line in group:
        x = sorted(line.points)
        place = others.index(line.who)
        # Of the two modes that Dune has, calls made in plain mode are drawn thin.
        width = 1 if line.caller == 'plain' and line.mode == 'dune' else 1.8
        axis.plot(x, [series.cost(line.points[n]) for n in x], marker=MARKERS[place % len(MARKERS)],
                  color=COLOURS[place % len(COLOURS)], linestyle=DASHES.get(line.mode, '-'), linewidth=width,
                  markersize=4, label=line.name())
    axis.set_xticks(sorted({n for line in group for n in line.points}))
    axis.set_title(group[0].title())
    axis.set_xlabel('vCPUs at work, each on a CPU of its own' if group[0].swept else 'CPUs of the machine')
    axis.set_ylabel(f'{unit} an operation')
    axis.set_ylim(0, 1.1 * max(series.cost(r) for line in group for r in line.points.values()) or 1)
    axis.legend(fontsize='x-small')


def pairs(made):
    """[(label, cost in plain Linux or None, in Dune or None)] of lines with one point."""
    found = []
    for line in made:
        row = next(iter(line.points.values()))
        if line.mode == 'native':
            if not any(other.native is line for other in made):
                found.append((f'{line.title()}, {line.who}', series.cost(row), None))
            continue
        native = line.native and line.native.points.get(next(iter(line.points)))
        found.append((f'{line.title()}: {line.name()}', series.cost(native) if native else None, series.cost(row)))
    return found


def axis_of_bars(axis, bars, unit):
    y = range(len(bars))
    axis.barh([i + 0.2 for i in y], [b[1] or 0 for b in bars], 0.4, label='plain Linux', color=COLOURS[7])
    axis.barh([i - 0.2 for i in y], [b[2] or 0 for b in bars], 0.4, label='Dune', color=COLOURS[0])
    axis.set_yticks(list(y), [b[0] for b in bars], fontsize='x-small')
    axis.invert_yaxis()
    axis.set_xscale('symlog', linthresh=10)
    axis.set_xlabel(f'{unit} an operation')
    axis.legend(fontsize='x-small')


def figure_of_curves(groups, unit):
    columns = min(COLUMNS, len(groups))
    rows = -(-len(groups) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(5 * columns, 3.6 * rows), squeeze=False,
                                   constrained_layout=True)
    for axis, group in zip(axes.flat, groups):
        axis_of_curves(axis, group, unit)
    for axis in axes.flat[len(groups):]:
        axis.set_visible(False)
    return figure


def figure_of_bars(bars, unit):
    figure, axis = pyplot.subplots(figsize=(10, 1 + 0.32 * len(bars)), constrained_layout=True)
    axis_of_bars(axis, bars, unit)
    return figure


def figures(made, unit):
    """Of one program: [(suffix of the name, figure)]. The caller closes them."""
    curved = [line for line in made if len(line.points) > 1 and line.op != 'nothing']
    alone = [line for line in made if len(line.points) == 1 and line.op != 'nothing']
    drawn = []
    if curved:
        drawn.append(('curves', figure_of_curves(series.by_operation(curved), unit)))
    bars = pairs(alone)
    for part in range(0, len(bars), BARS):
        drawn.append((f'bars{part // BARS or ""}', figure_of_bars(bars[part:part + BARS], unit)))
    return drawn


def svg_of(figure):
    """To stand inside an HTML page: no prolog, no metadata."""
    text = io.StringIO()
    figure.savefig(text, format='svg', metadata=NO_DATE['svg'])
    svg = text.getvalue()
    return re.sub(r'<metadata>.*?</metadata>', '', svg[svg.index('<svg'):], flags=re.S)


def save(figure, path):
    """PATH.png and PATH.svg. Result: their names."""
    for kind in ('png', 'svg'):
        figure.savefig(f'{path}.{kind}', dpi=110, metadata=NO_DATE[kind])
    return [f'{path}.png', f'{path}.svg']


def close(figure):
    pyplot.close(figure)
