# SPDX-License-Identifier: GPL-2.0 OR MIT
"""From what programs print to JSON, CSV, tables, pictures and the page."""

import copy
import csv
import html.parser
import os
import re
import struct
import subprocess
import unittest
import xml.etree.ElementTree
import zlib

import support
from support import rows

import results


class Page(html.parser.HTMLParser):
    """Text, cells of tables, open elements, and what a browser would fetch."""

    VOID = ('meta', 'br', 'link', 'img')
    OPTIONAL = ('td', 'th')     # without end tags

    def __init__(self, text):
        super().__init__()
        self.open, self.fetched, self.tables, self.scripts = [], [], [], 0
        self.headings, self.words = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.fetched += [v for k, v in attrs if k in ('src', 'href', 'xlink:href') and v and not v.startswith('#')]
        self.scripts += tag == 'script'
        if tag == 'table':
            self.tables.append([])
        elif tag == 'tr':
            self.tables[-1].append([])
        elif tag in ('td', 'th'):
            self.tables[-1][-1].append('')
            self.cell = True
        if tag not in self.VOID + self.OPTIONAL:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.OPTIONAL:
            return
        if tag in self.VOID or not self.open or self.open.pop() != tag:
            raise AssertionError(f'end of {tag} at {self.getpos()}')

    def handle_data(self, data):
        if self.open and self.open[-1] == 'tr' and self.tables[-1][-1]:
            self.tables[-1][-1][-1] += data.strip()
        self.words.append(data)

    def text(self):
        return ' '.join(' '.join(self.words).split())


def png_size(path):
    """Of a PNG whose chunks are sound."""
    with open(path, 'rb') as f:
        data = f.read()
    if data[:8] != b'\x89PNG\r\n\x1a\n':
        raise AssertionError(f'{path}: no PNG')
    at, kinds, pixels = 8, [], b''
    while at < len(data):
        size, kind = struct.unpack('>I4s', data[at:at + 8])
        body, (crc,) = data[at + 8:at + 8 + size], struct.unpack('>I', data[at + 8 + size:at + 12 + size])
        if zlib.crc32(kind + body) != crc:
            raise AssertionError(f'{path}: chunk {kind} is damaged')
        pixels += body if kind == b'IDAT' else b''
        kinds.append(kind)
        at += 12 + size
    if kinds[0] != b'IHDR' or kinds[-1] != b'IEND' or len(set(zlib.decompress(pixels))) < 3:
        raise AssertionError(f'{path}: nothing is drawn')
    return struct.unpack('>II', data[16:24])


class ParseTest(support.Case):
    def test_every_row_and_event_is_kept(self):
        lines = support.recorded('emulated-2.log')
        boot = support.result('emulated-2.log')['boots'][0]
        self.assertEqual(len(boot['rows']), sum(ln.startswith('result ') for ln in lines))
        self.assertEqual(sum(len(r['events']) for r in boot['rows']), sum(ln.startswith('event ') for ln in lines))
        self.assertEqual(len(boot['limits']), sum(ln.startswith(('limit ', 'goal ')) for ln in lines))

    def test_machine(self):
        boot = support.result('emulated-2.log')['boots'][0]
        self.assertEqual(boot['machine']['cpus'], 2)
        self.assertEqual((boot['machine']['engine'], boot['machine']['emulated']), ('bochs', True))
        self.assertTrue(boot['machine']['cpu'])
        self.assertGreater(boot['machine']['memory_mib'], 100)
        self.assertEqual((boot['unit'], boot['mitigations'], boot['places']), ('instructions', 'off', [0, 1]))
        self.assertIn('meltdown', boot['vulnerabilities'])
        self.assertFalse(support.result('hardware.log')['boots'][0]['machine']['emulated'])

    def test_a_row(self):
        printed = results.parse([
            'bench program=p unit=instructions cpus=2 reps=9 kernel=k mitigations=off places=0,1',
            'result op=o pages=3 state=s who=w caller=guest mode=dune vcpus=2 reps=9 clean=8 min=1 median=2 mean=2.5 '
            'max=4 p99=4 low=1 high=3',
            'event at=others name=ipis_sent median=1 mean=1.2500'])
        row = printed.boot('d', 'c', {})['rows'][0]
        self.assertEqual((row['program'], row['op'], row['pages'], row['mean'], row['p99'], row['low'], row['high'],
                          row['at_once']), ('p', 'o', 3, 2.5, 4, 1, 3, False))
        self.assertEqual(row['events'], [{'at': 'others', 'name': 'ipis_sent', 'value': 1, 'mean': 1.25}])

    def test_limits(self):
        def judge(line):
            limit = results.limit_of_line('p', line)
            return tuple(limit[k] for k in ('kind', 'name', 'measured', 'bound', 'native', 'held', 'why'))
        self.assertEqual(judge('limit kept a: b, c: measured 3, must be = 3'), ('exact', 'a: b, c', 3, 3, None, True, None))
        self.assertEqual(judge('limit BROKEN a: measured 1.5, must be <= 1, native 7'),
                         ('limit', 'a', 1.5, 1, 7, False, None))
        self.assertEqual(judge('goal missed a: measured 9, aimed at 8'), ('goal', 'a', 9, 8, None, False, None))
        self.assertEqual(judge('limit BROKEN a: no counter'), ('limit', 'a', None, None, None, False, 'no counter'))
        self.assertRaises(results.Unusable, judge, 'limit whatever')

    def test_notes(self):
        notes = ['pinned by=dune exits=3', 'exits: skipped: no KVM', 'SKIP: no device', 'note: no large pages']
        printed = results.parse(['bench program=p cpus=2', notes[0], 'anything else', *notes[1:]])
        self.assertEqual(printed.notes, notes)

    def test_how_programs_ended(self):
        def failed(status, *lines):
            return results.parse(['bench program=p cpus=2', *lines, f'fact status:p {status}']).failed(['p'])
        self.assertEqual(failed(0), [])
        self.assertEqual(failed(77), [])
        self.assertEqual(failed(1), ['p'])
        self.assertEqual(failed(1, 'limits: 3 judged, 1 broken'), [])
        self.assertEqual(failed(139, 'limits: 3 judged, 0 broken'), ['p'])
        self.assertEqual(results.parse(['bench program=p cpus=2']).failed(['p']), ['p'])

    def test_round_trip(self):
        data = support.result('emulated-1.log', 'emulated-2.log')
        path = os.path.join(self.folder, 'results.json')
        results.save(data, path)
        loaded = results.load(self.folder)
        self.assertEqual(loaded, data)
        again = [row.as_dict() for boot in loaded['boots'] for row in results.rows_of(boot)]
        self.assertEqual(again, rows(data))

    def test_csv(self):
        import report
        data = support.result('emulated-1.log', 'emulated-2.log')
        path = os.path.join(self.folder, 'results.csv')
        report.write_csv(data, path)
        with open(path, newline='') as f:
            read = list(csv.DictReader(f))
        self.assertEqual(len(read), len(rows(data)))
        for got, want in zip(read, rows(data)):
            self.assertEqual((got['program'], got['op'], got['median'], got['p99']),
                             (want['program'], want['op'], str(want['median']), str(want['p99'])))
        first = read[0]
        self.assertEqual((first['schema_version'], first['engine'], first['commit'], first['cpus']),
                         ('1', 'bochs', support.COMMIT, '1'))
        self.assertTrue(any(float(r['self.vm_exits'] or 0) for r in read))


class SeriesTest(support.Case):
    def lines(self, *names):
        import series
        return series.lines(support.result(*names)['boots'])

    def test_sweeps_are_over_workers(self):
        line = next(ln for ln in self.lines('emulated-1.log', 'emulated-2.log')
                    if (ln.op, ln.state, ln.who, ln.mode) == ('fault', 'none', 'local', 'dune'))
        self.assertTrue(line.swept)
        self.assertEqual({n: r.machine['cpus'] for n, r in line.points.items()}, {1: 1, 2: 2})
        self.assertEqual((line.native.mode, line.native.who), ('native', 'local'))

    def test_others_are_over_machines(self):
        line = next(ln for ln in self.lines('emulated-1.log', 'emulated-2.log')
                    if (ln.op, ln.state, ln.mode) == ('touch', 'host', 'dune'))
        self.assertEqual((line.swept, sorted(line.points)), (False, [1, 2]))

    def test_the_only_native_line_is_everybodys(self):
        """In trap, others= is the kind of handler."""
        lines = [ln for ln in self.lines('emulated-2.log') if (ln.program, ln.op) == ('trap', 'fault')]
        self.assertEqual({ln.native.who for ln in lines if ln.mode == 'dune'}, {'signal'})
        self.assertGreater(len(lines), 2)

    def test_growth(self):
        import series
        line = next(ln for ln in self.lines('emulated-1.log', 'emulated-2.log')
                    if (ln.op, ln.state, ln.who, ln.mode) == ('fault', 'host', 'local', 'dune'))
        line.points[1].f['mean'], line.points[2].f['mean'] = 100, 105
        self.assertTrue(series.Growth(line).ought_to_be_flat)
        self.assertEqual((series.Growth(line).percent, series.Growth(line).verdict()), (5, 'flat'))
        line.points[2].f['mean'] = 106
        self.assertEqual(series.Growth(line).verdict(), 'grows')
        line.native = copy.deepcopy(line)
        self.assertEqual(series.Growth(line).verdict(), 'as Linux')
        line.points[2].f['mean'], line.points[2].f['median'] = 112, line.points[1].f['median'] * 3
        self.assertEqual(series.Growth(line).median_percent, 200)
        self.assertEqual(series.Growth(line).verdict(), 'grows')

    def test_where_apart_was_measured_local_is_not_alone(self):
        import series
        data = support.result('emulated-1.log', 'emulated-2.log')
        for row in rows(data, op='fault', state='host', who='neighbour'):
            row['who'] = 'apart'
        flat = {(g.line.op, g.line.state, g.line.who) for g in series.growths(series.lines(data['boots']))
                if g.ought_to_be_flat}
        self.assertEqual(flat, {('fault', 'host', 'apart'), ('fault', 'none', 'local')})

    def test_sweeps_are_drawn_apart(self):
        import series
        lines = self.lines('emulated-1.log', 'emulated-2.log')
        for group in series.by_operation(lines):
            self.assertEqual(len({line.swept for line in group}), 1)
        self.assertEqual(sum(map(len, series.by_operation(lines))), len(lines))


class PlotTest(support.Case):
    """The program plot, once; then what it wrote."""

    @classmethod
    def setUpClass(cls):
        folder = support.tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.out = folder.name
        cls.data = support.result('emulated-1.log', 'emulated-2.log')
        for row in rows(cls.data, program='ept_fault'):
            row['program'] = 'invented'     # nothing knows it
        first = cls.data['boots'][0]
        first['rows'] = [r for r in first['rows'] if r['program'] != 'trap']
        limit = cls.data['boots'][1]['limits'][0]
        limit.update(name='<doctored> & broken', held=False)
        results.save(cls.data, os.path.join(cls.out, 'results.json'))
        cls.done = support.call('plot', cls.out)
        with open(os.path.join(cls.out, 'report.html')) as f:
            cls.text = f.read()
        cls.page = Page(cls.text)

    def test_exit_status(self):
        self.assertEqual(self.done.returncode, 0, self.done.stderr)
        self.assertEqual(self.done.stderr, '')

    def test_pictures(self):
        names = os.listdir(os.path.join(self.out, 'plots'))
        self.assertLessEqual({'invented-curves.png', 'invented-curves.svg', 'trap-bars.png', 'trap-bars.svg'}, set(names))
        for name in names:
            path = os.path.join(self.out, 'plots', name)
            if name.endswith('.png'):
                width, height = png_size(path)
                self.assertGreater(min(width, height), 100, name)
                continue
            root = xml.etree.ElementTree.parse(path).getroot()
            self.assertEqual(root.tag, '{http://www.w3.org/2000/svg}svg')

    def test_a_curve_for_each_mode(self):
        root = xml.etree.ElementTree.parse(os.path.join(self.out, 'plots/invented-curves.svg')).getroot()
        words = {t.text for t in root.iter('{http://www.w3.org/2000/svg}text')}
        for who in ('local', 'neighbour', 'shared'):
            self.assertLessEqual({f'plain Linux, {who}', f'Dune, {who}'}, words)

    def test_page_stands_alone(self):
        self.assertEqual((self.page.fetched, self.page.scripts, self.page.open), ([], 0, []))
        self.assertNotRegex(self.text, r'@import|url\((?!#)')
        self.assertEqual(self.text.count('<svg'), self.text.count('</svg>'))
        self.assertGreaterEqual(self.text.count('<svg'), 2)

    def test_claims_are_at_the_top(self):
        text = self.page.text()
        self.assertLess(text.index('No time was measured'), text.index('Limits:'))
        self.assertIn('an emulator', text)

    def cell(self, columns, **like):
        """Of the table that has these columns: the row that is like this, as a dict."""
        for table in self.page.tables:
            if set(columns) <= set(table[0]):
                for row in table[1:]:
                    found = dict(zip(table[0], row))
                    if all(found[k] == v for k, v in like.items()):
                        return found
        raise AssertionError(f'no row {like}')

    def test_a_row_of_a_program_that_nothing_knows(self):
        both = [r for r in rows(self.data, program='invented', op='touch', state='none')]
        native = next(r for r in both if r['mode'] == 'native')['median']
        dune = next(r for r in both if r['mode'] == 'dune')['median']
        found = self.cell(('operation', 'ratio'), operation='touch none', mode='Dune', CPUs='1')
        self.assertEqual((found['plain Linux'], found['here'], found['ratio']),
                         (str(native), str(dune), f'{dune / native:.2f}'))

    def test_predicted_and_measured(self):
        limit = next(ln for ln in self.data['boots'][1]['limits'] if ln['kind'] == 'exact' and ln['held'])
        found = self.cell(('what', 'predicted'), what=limit['name'])
        self.assertEqual(found['predicted'], f"{limit['bound']:g}")
        self.assertTrue(found['2 CPUs'].startswith(f"{limit['measured']:g}"))

    def test_a_broken_limit_shows(self):
        judged = [ln for b in self.data['boots'] for ln in b['limits'] if ln['kind'] != 'goal']
        broken = sum(not ln['held'] for ln in judged)
        self.assertGreaterEqual(broken, 1)
        self.assertIn(f'{len(judged)} judged, {broken} broken', self.page.text())
        self.assertIn('&lt;doctored&gt; &amp; broken', self.text)
        self.assertRegex(self.text, r'doctored[^<]*(<td>[^<]*)*\s*(<td class="">\s*)?<td class="broken">')

    def test_growth_of_local_work(self):
        found = self.cell(('grows by', 'at most 5 %'), operation='fault host, at once', others='local')
        self.assertEqual(found['at most 5 %'], 'held')
        self.assertRegex(found['grows by'], r'^[+-]\d+\.\d %$')


class HardwareTest(support.Case):
    """Nanoseconds: other columns, and other claims."""

    def test_page(self):
        data = support.result('hardware.log')
        self.saved(data)
        done = support.call('plot', self.folder, '--no-pictures')
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(os.path.join(self.folder, 'report.html')) as f:
            page = Page(f.read())
        self.assertNotIn('No time was measured', page.text())
        self.assertIn('interval that holds the median with 95 % confidence', page.text())
        row = rows(data, op='touch', mode='native')[0]
        cells = next(r for t in page.tables for r in t if r[0].startswith('touch '))
        for value in (row['median'], row['p99'], f"{row['low']} to {row['high']}"):
            self.assertIn(str(value), cells)

    def test_other_schema_version(self):
        data = support.result('hardware.log')
        data['version'] = 99
        self.saved(data)
        done = support.call('plot', self.folder)
        self.assertEqual(done.returncode, 2)
        self.assertIn('schema version 99, and this program reads 1', done.stderr)


class RunTest(support.Case):
    """bench/scaling/run with a machine that only says what was recorded."""

    def machine(self, fails, edit):
        """A stand-in for tools/vm/run: prints recorded/emulated-N of --cpus N, notes that it ran."""
        path = os.path.join(self.folder, 'machine')
        with open(path, 'w') as f:
            f.write(f'''#!/bin/sh
echo "$*" >> {self.folder}/calls
[ "$2" = "{fails}" ] && exit 125
sed -e '{edit}' {support.HERE}/recorded/emulated-$2.log
''')
        os.chmod(path, 0o755)
        return path

    def run_it(self, *args, fails='', edit=''):
        return support.call('run', '--out', os.path.join(self.folder, 'out'), '--vm', self.machine(fails, edit), *args)

    def boots(self):
        with open(os.path.join(self.folder, 'calls')) as f:
            return [re.match(r'--cpus (\d)', line)[1] for line in f]

    PROGRAMS = ('ept_fault', 'trap')

    def test_interrupted_and_resumed(self):
        done = self.run_it('--cpus', '1,2', *self.PROGRAMS, fails='2')
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('--resume', done.stderr)
        done = self.run_it('--cpus', '1,2', '--resume', *self.PROGRAMS)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.boots(), ['1', '2', '2'])
        data = results.load(os.path.join(self.folder, 'out'))
        self.assertEqual([b['machine']['cpus'] for b in data['boots']], [1, 2])

    def test_asked_for_otherwise_is_measured_again(self):
        self.run_it('--cpus', '1', *self.PROGRAMS)
        done = self.run_it('--cpus', '1', '--resume', '--reps', '7', *self.PROGRAMS)
        self.assertIn('measured again', done.stderr)
        self.run_it('--cpus', '1', '--reps', '7', *self.PROGRAMS)
        self.assertEqual(self.boots(), ['1', '1', '1'])

    def test_progress(self):
        done = self.run_it('--cpus', '1,2', *self.PROGRAMS)
        said = [line for line in done.stderr.splitlines() if ' runs; left: ' in line]
        self.assertEqual(said[0], 'bench: boot 1 of 2 (1 CPUs, mitigations off): ept_fault runs; left: trap; then 2 CPUs')
        self.assertEqual(said[-1], 'bench: boot 2 of 2 (2 CPUs, mitigations off): trap runs; left: nothing')

    def test_full_is_four_boots(self):
        done = self.run_it('--full', fails='1')
        self.assertNotEqual(done.returncode, 0)
        with open(os.path.join(self.folder, 'calls')) as f:
            text = f.read()
        listed = subprocess.run(['make', '-s', '-C', support.BENCH, 'list'], capture_output=True, text=True).stdout.split()
        for program in listed:
            self.assertIn(f'build/bench/{program} ', text)
        self.assertIn('--check', text)

    def test_broken_limit(self):
        edit = 's/^limit kept \\(.*: VM exits\\): measured/limit BROKEN \\1: measured/; s/status:trap 0/status:trap 1/'
        done = self.run_it('--cpus', '2', '--check', *self.PROGRAMS, edit=edit + '; /^fact status:trap/i limits: 9 judged')
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stdout, r'limits: \d+ judged, [1-9]\d* broken\n +\w+: .*: VM exits: measured')
        self.assertEqual(self.run_it('--cpus', '2', '--check', *self.PROGRAMS).returncode, 0)

    def test_a_program_that_died(self):
        done = self.run_it('--cpus', '2', *self.PROGRAMS, edit='s/status:trap 0/status:trap 139/')
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('failed: trap', done.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.folder, 'out/results.json')))

    def test_tables(self):
        done = self.run_it('--cpus', '2', *self.PROGRAMS)
        touch = next(r for r in rows(support.result('emulated-2.log'), op='touch', state='none', mode='dune'))
        self.assertRegex(done.stdout, rf"touch +1 none .*\| +{touch['min']} +{touch['median']} ")
        self.assertIn('written: ', done.stdout)

    def test_help(self):
        for program in ('run', 'plot', 'compare'):
            done = support.call(program, '--help')
            self.assertEqual((done.returncode, done.stdout.startswith('usage: ')), (0, True), program)


if __name__ == '__main__':
    unittest.main()
