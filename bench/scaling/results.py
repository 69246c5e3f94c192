# SPDX-License-Identifier: GPL-2.0 OR MIT
"""What the scaling programs print, and the results that are made of it.

README.md documents the file format. A result is {schema, version, date, commit,
boots: [...]}; Result and Row are what the tables, curves and comparisons use.
"""

import json
import os
import re

SCHEMA = 'dune-bench'
VERSION = 1
LABEL = ('op', 'state', 'pages', 'who', 'caller', 'mode', 'vcpus')
COSTS = ('reps', 'clean', 'min', 'median', 'mean', 'max', 'p99', 'low', 'high')
MACHINE = ('cpu', 'cpus', 'nodes', 'memory_mib', 'engine', 'emulated')
BOOT = ('machine', 'kernel', 'mitigations', 'vulnerabilities', 'unit', 'reps', 'places', 'date', 'commit',
        'request', 'rows', 'limits', 'notes')
RESULT = ('date', 'commit', 'boots')


class Unusable(Exception):
    """A file that is no result, or a result of nothing."""


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
    """One measurement. f: label and costs; events: {(whose, name): (median or total, mean)}.

    machine: what was true of the whole program, the program's name included.
    """

    def __init__(self, machine, f):
        self.machine = machine
        self.f = f
        self.events = {}
        self.totals = False

    @classmethod
    def of_line(cls, header, line):
        return cls(header, {k: number(v) for k, v in fields(line).items()})

    @classmethod
    def of_dict(cls, boot, data):
        row = cls({'program': data['program'], 'unit': boot['unit'], 'cpus': boot['machine']['cpus'],
                   'kernel': boot['kernel'], 'mitigations': boot['mitigations']},
                  {k: data[k] for k in LABEL + COSTS})
        row.totals = data['at_once']
        row.events = {(e['at'], e['name']): (e['value'], e['mean']) for e in data['events']}
        return row

    def as_dict(self):
        return {'program': self.machine['program'], **{k: self.f[k] for k in LABEL + COSTS},
                'at_once': self.totals,
                'events': [{'at': at, 'name': name, 'value': value, 'mean': mean}
                           for (at, name), (value, mean) in self.events.items()]}

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


# ---- what programs print ---------------------------------------------------

JUDGED = re.compile(r'limit (?P<verdict>kept|BROKEN) (?P<name>.*): measured (?P<measured>\S+), must be '
                    r'(?P<sign>=|<=) (?P<bound>[^\s,]+)(, native (?P<native>\S+))?$')
UNKNOWN = re.compile(r'limit BROKEN (?P<name>.*): (?P<why>.*)$')
GOAL = re.compile(r'goal (?P<verdict>reached|missed) (?P<name>.*): measured (?P<measured>\S+), aimed at (?P<bound>\S+)$')


def limit_of_line(program, line):
    """A line 'limit ...' or 'goal ...' as {program, kind, name, measured, bound, native, held, why}."""
    limit = {'program': program, 'kind': 'limit', 'measured': None, 'bound': None, 'native': None, 'why': None}
    m = JUDGED.match(line)
    if m:
        return {**limit, 'kind': 'exact' if m['sign'] == '=' else 'limit', 'name': m['name'],
                'measured': number(m['measured']), 'bound': number(m['bound']),
                'native': number(m['native']) if m['native'] else None, 'held': m['verdict'] == 'kept'}
    m = GOAL.match(line)
    if m:
        return {**limit, 'kind': 'goal', 'name': m['name'], 'measured': number(m['measured']),
                'bound': number(m['bound']), 'held': m['verdict'] == 'reached'}
    m = UNKNOWN.match(line)
    if not m:
        raise Unusable(f'no line of a scaling program: {line}')
    return {**limit, 'name': m['name'], 'why': m['why'], 'held': False}


class Printed:
    """The lines of all programs of one boot, taken apart."""

    def __init__(self):
        self.facts, self.headers, self.rows, self.limits, self.notes = {}, [], [], [], []
        self.judged = set()     # programs whose limits were judged to the end

    def add(self, line):
        if line.startswith('fact '):
            _, name, value = (line + '  ').split(' ', 2)
            self.facts[name] = number(value.strip())
        elif line.startswith('bench '):
            self.headers.append({k: number(v) for k, v in fields(line).items()})
        elif line.startswith('result '):
            self.rows.append(Row.of_line(self.headers[-1], line))
        elif line.startswith('event '):
            self.rows[-1].add_event(line)
        elif line.startswith(('limit ', 'goal ')):
            self.limits.append(limit_of_line(self.headers[-1]['program'], line))
        elif line.startswith('limits: '):
            self.judged.add(self.headers[-1]['program'])
        elif line.startswith(('pinned by=', 'SKIP', 'note: ')) or ': skipped: ' in line:
            self.notes.append(line)

    def failed(self, programs):
        """Those that did not end well. Status 1 is a broken limit when limits were judged; 77 a skip."""
        status = {p: self.facts.get(f'status:{p}') for p in programs}
        return [p for p in programs if status[p] not in (0, 77) and not (status[p] == 1 and p in self.judged)]

    def boot(self, date, commit, request):
        """As it is stored. request: what was asked for, so that --resume knows whether it is this."""
        header, facts = self.headers[0], self.facts
        vulnerabilities = {k.split(':', 1)[1]: v for k, v in facts.items() if k.startswith('vulnerability:')}
        machine = {k: facts.get(k) for k in MACHINE}
        machine.update(cpus=header['cpus'], emulated=facts.get('engine') != 'native')
        return {'machine': machine, 'kernel': header['kernel'], 'mitigations': header['mitigations'],
                'vulnerabilities': vulnerabilities, 'unit': header['unit'], 'reps': header['reps'],
                'places': [int(n) for n in str(header.get('places', '')).split(',') if n],
                'date': date, 'commit': commit, 'request': request,
                'rows': [r.as_dict() for r in self.rows], 'limits': self.limits, 'notes': self.notes}


def parse(lines):
    printed = Printed()
    for line in lines:
        printed.add(line)
    return printed


# ---- files -----------------------------------------------------------------

def rows_of(boot):
    return [Row.of_dict(boot, data) for data in boot['rows']]


def make(boots):
    return {'schema': SCHEMA, 'version': VERSION, 'date': max(b['date'] for b in boots),
            'commit': boots[-1]['commit'], 'boots': boots}


def check(data, path):
    """Result: None. Raises Unusable, with what is wrong."""
    if not isinstance(data, dict) or data.get('schema') != SCHEMA:
        raise Unusable(f'{path}: not a result of bench/scaling/run (no schema {SCHEMA})')
    if data.get('version') != VERSION:
        raise Unusable(f"{path}: schema version {data.get('version')}, and this program reads {VERSION}: "
                       'use the tools of the commit that wrote it, or measure again')
    missing = [k for k in RESULT if k not in data] or \
        [k for boot in data['boots'] for k in BOOT if k not in boot]
    if missing:
        raise Unusable(f"{path}: damaged: no {', '.join(sorted(set(missing)))}")
    if not data['boots']:
        raise Unusable(f'{path}: no boots in it')
    for boot in data['boots']:
        try:
            rows_of(boot)
        except (KeyError, TypeError) as err:
            raise Unusable(f'{path}: damaged: a row without {err}') from None


def load(path):
    """The result in a file, or in results.json of a folder. Raises Unusable."""
    if os.path.isdir(path):
        path = os.path.join(path, 'results.json')
    try:
        with open(path) as f:
            data = json.load(f)
    except OSError as err:
        raise Unusable(f'{path}: {err.strerror}') from None
    except ValueError as err:
        raise Unusable(f'{path}: not JSON: {err}') from None
    check(data, path)
    return data


def save(data, path):
    """Whole or not at all: a run may be interrupted."""
    with open(path + '.new', 'w') as f:
        json.dump(data, f, indent=1)
        f.write('\n')
    os.replace(path + '.new', path)
