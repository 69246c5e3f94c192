# SPDX-License-Identifier: GPL-2.0 OR MIT
"""One HTML page of a result (results.py): tables, curves, limits. Needs nothing but itself to be read."""

import os

import curves
import jinja2
import series

HERE = os.path.dirname(os.path.abspath(__file__))


def shown(value):
    """A number as a person reads it."""
    if value is None:
        return '-'
    if isinstance(value, float) and not value.is_integer():
        return f'{value:.1f}' if abs(value) >= 100 else f'{value:.3g}'
    return f'{int(value)}'


def cpus(number):
    return f"{number} CPU{'s' if number != 1 else ''}"


def percent(value):
    return '-' if value is None else f'{value:+.1f} %'


def line_rows(line):
    """A table row for each number of CPUs."""
    for n in sorted(line.points):
        row = line.points[n]
        native = line.native.points.get(n) if line.native else None
        if line.mode == 'native':
            native, row = row, None
        yield {'line': line, 'n': n, 'native': native, 'dune': row, 'ratio': series.ratio(row, native),
               'native_events': series.events(native) if native else None,
               'events': series.events(row) if row else None}


def program_table(made):
    """{rows, events: indexes of series.EVENT_NAMES that are not 0 throughout, mixed: kinds of n}."""
    used = {id(line.native) for line in made if line.native}
    rows = [row for line in made if line.mode != 'native' or id(line) not in used for row in line_rows(line)]
    moved = [i for i in range(len(series.EVENTS))
             if any(any(e and abs(e[i]) >= 0.005 for e in (row['events'], row['native_events'])) for row in rows)]
    return {'rows': rows, 'events': moved}


def program_parts(made, unit):
    pictures = []
    for _, figure in curves.figures(made, unit):
        pictures.append(curves.svg_of(figure))
        curves.close(figure)
    return {'name': made[0].program, 'table': program_table(made), 'pictures': pictures}


def limits_of(boots, kind):
    """[(program, name, bound or None, [cell of each boot])]. Exact ones have one bound a row."""
    table = {}
    for i, boot in enumerate(boots):
        for limit in boot['limits']:
            if limit['kind'] != kind:
                continue
            key = limit['program'], limit['name'], limit['bound'] if kind == 'exact' else None
            table.setdefault(key, [[] for _ in boots])[i].append(limit)
    return [(*key, cells) for key, cells in table.items()]


def environment(boots):
    """What the template shows of boots that differ in the number of CPUs."""
    boots = sorted(boots, key=lambda b: b['machine']['cpus'])
    made = series.lines(boots)
    programs = {}
    for line in made:
        programs.setdefault(line.program, []).append(line)
    growths = series.growths(made)
    judged = [limit for b in boots for limit in b['limits'] if limit['kind'] != 'goal']
    return {'boots': boots, 'unit': boots[0]['unit'], 'kernel': boots[0]['kernel'],
            'mitigations': boots[0]['mitigations'], 'emulated': boots[0]['machine']['emulated'],
            'local': [g for g in growths if g.ought_to_be_flat],
            'growths': [g for g in growths if not g.ought_to_be_flat and g.line.mode != 'native'],
            'exact': limits_of(boots, 'exact'), 'limits': limits_of(boots, 'limit'),
            'goals': limits_of(boots, 'goal'), 'judged': len(judged),
            'broken': sum(not limit['held'] for limit in judged),
            'programs': [program_parts(its, boots[0]['unit']) for its in programs.values()]}


def render(data):
    """Result: the page."""
    env = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True,
                             lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    env.filters.update(shown=shown, percent=percent, cpus=cpus)
    return env.get_template('report.html.j2').render(
        data=data, environments=[environment(b) for b in series.environments(data).values()],
        event_names=series.EVENT_NAMES, cost=series.cost,
        flat_percent=series.FLAT_PERCENT, modes=series.MODES)
