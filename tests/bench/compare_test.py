# SPDX-License-Identifier: GPL-2.0 OR MIT
"""bench/scaling/compare on recorded results and doctored copies of them."""

import unittest

import support
from support import rows


def touch(data):
    """An operation that was measured one by one, in Dune mode."""
    return next(r for r in rows(data, op='touch', mode='dune') if not r['at_once'])


def sweep(data):
    return next(r for r in rows(data, op='fault', mode='dune', who='local') if r['at_once'])


def event(row, at, name):
    """The event of the row, made where there is none."""
    for e in row['events']:
        if (e['at'], e['name']) == (at, name):
            return e
    row['events'].append({'at': at, 'name': name, 'value': 0, 'mean': 0.0})
    return row['events'][-1]


class CompareTest(support.Case):
    def setUp(self):
        super().setUp()
        self.data = support.result('emulated-1.log', 'emulated-2.log')
        self.old = self.saved(self.data, 'old.json')

    def compare(self, change, *args, data=None, old=None):
        new = self.doctored(data or self.data, change, 'new.json')
        return support.call('compare', old or self.old, new, *args)

    def assert_flagged(self, done, *words):
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        flagged = [line for line in done.stdout.splitlines() if line.startswith('REGRESSION')]
        self.assertEqual(len(flagged), 1, done.stdout)
        for word in words:
            self.assertIn(word, flagged[0])

    def test_the_same(self):
        done = self.compare(lambda d: None)
        self.assertEqual(done.returncode, 0)
        self.assertIn(f"{len(rows(self.data))} rows compared, threshold 5 %: 0 regressions, 0 improvements", done.stdout)

    def test_a_folder_will_do(self):
        self.saved(self.data)
        self.assertEqual(support.call('compare', self.folder, self.folder).returncode, 0)

    def test_regression_is_found(self):
        def dearer(d):
            touch(d)['median'] = round(touch(d)['median'] * 1.06)
        self.assert_flagged(self.compare(dearer), ' touch ', '+6.0 %', 'instructions')

    def test_threshold(self):
        def dearer(d):
            touch(d)['median'] = round(touch(d)['median'] * 1.06)
        self.assertEqual(self.compare(dearer, '--threshold', '7').returncode, 0)
        self.assertEqual(self.compare(dearer, '--threshold', '4').returncode, 1)

    def test_of_a_sweep_the_mean_counts(self):
        def dearer(d):
            sweep(d)['mean'] *= 1.2
        self.assert_flagged(self.compare(dearer), ' fault ', '+20.0 %')

    def test_improvement_is_not_flagged(self):
        def cheaper(d):
            touch(d)['median'] //= 2
        done = self.compare(cheaper)
        self.assertEqual(done.returncode, 0)
        self.assertIn('improved', done.stdout)
        self.assertNotIn('REGRESSION', done.stdout)

    def test_an_ipi_more_is_a_regression(self):
        def more(d):
            event(touch(d), 'others', 'ipis_sent')['value'] += 1
        self.assert_flagged(self.compare(more), 'IPIs', ' touch ')

    def test_of_a_sweep_a_tick_is_none(self):
        def more(d):
            event(sweep(d), 'self', 'ipis_sent')['mean'] += 0.05
        self.assertEqual(self.compare(more).returncode, 0)

    def test_missing_and_new_rows_are_listed(self):
        def other(d):
            d['boots'][1]['rows'].remove(touch({'boots': d['boots'][1:]}))
            sweep(d)['op'] = 'brand_new'
        done = self.compare(other)
        self.assertEqual(done.returncode, 0)
        only = [line for line in done.stdout.splitlines() if line.startswith('only in')]
        self.assertEqual([line.split(':')[0] for line in only], ['only in old', 'only in old', 'only in new'])
        self.assertIn(' touch ', '\n'.join(only))
        self.assertIn(' brand_new ', only[2])

    def test_a_missing_boot_is_one_line(self):
        done = self.compare(lambda d: d['boots'].pop())
        self.assertEqual(done.returncode, 0)
        self.assertIn(f"only in old: all {len(self.data['boots'][1]['rows'])} rows of the boot with 2 CPUs", done.stdout)
        self.assertEqual(done.stdout.count('\nonly in') + done.stdout.startswith('only in'), 1)

    def test_a_missing_program_is_one_line(self):
        def drop(d):
            d['boots'][1]['rows'] = [r for r in d['boots'][1]['rows'] if r['program'] != 'trap']
        done = self.compare(drop)
        gone = [r for r in self.data['boots'][1]['rows'] if r['program'] == 'trap']
        only = [line for line in done.stdout.splitlines() if line.startswith('only in')]
        self.assertEqual(only, [f'only in old: all {len(gone)} rows of trap on 2 CPUs'])

    def test_what_was_measured_elsewhere_is_refused(self):
        def set_all(**values):
            def change(d):
                for boot in d['boots']:
                    for k, v in values.items():
                        (boot['machine'] if k in boot['machine'] else boot)[k] = v
            return change
        for values, word in (({'cpu': 'Other CPU'}, 'CPU: '), ({'nodes': 2}, 'nodes: '), ({'engine': 'native'}, 'machine: '),
                             ({'kernel': '6.12.1'}, 'kernel: '), ({'mitigations': 'on'}, 'mitigations: '),
                             ({'vulnerabilities': {'meltdown': 'Mitigation: PTI'}}, 'meltdown: '),
                             ({'unit': 'ns'}, 'unit: '), ({'memory_mib': 100000}, 'memory: ')):
            with self.subTest(word):
                done = self.compare(set_all(**values))
                self.assertEqual(done.returncode, 2, done.stdout)
                self.assertIn(word, done.stderr)
                forced = self.compare(set_all(**values), '--force')
                self.assertIn(forced.returncode, (0, 1), forced.stderr)
                self.assertIn(f'{len(rows(self.data))} rows compared', forced.stdout)
                self.assertIn(f'different: {word}', forced.stdout)

    def test_unusable_input(self):
        for change, word in ((lambda d: d.update(version=2), 'schema version 2, and this program reads 1'),
                             (lambda d: d.pop('schema'), 'not a result'), (lambda d: d['boots'][0].pop('unit'), 'no unit'),
                             (lambda d: d['boots'][0]['rows'][0].pop('median'), "a row without 'median'"),
                             (lambda d: d['boots'].clear(), 'no boots')):
            with self.subTest(word):
                done = self.compare(change)
                self.assertEqual(done.returncode, 2)
                self.assertIn(word, done.stderr)
        done = support.call('compare', self.old, self.folder + '/nothing.json')
        self.assertEqual((done.returncode, 'No such file' in done.stderr), (2, True))

    def test_nothing_in_common(self):
        def rename(d):
            for row in rows(d):
                row['program'] = 'other'
        done = self.compare(rename)
        self.assertEqual(done.returncode, 2)
        self.assertIn('no row in common', done.stderr)


class NanosecondsTest(support.Case):
    """A median that moved is no regression while the intervals overlap."""

    def compare(self, low, high):
        data = support.result('hardware.log')
        row = rows(data, op='touch')[0]
        row.update(median=1000, low=990, high=1010)
        old = self.saved(data, 'old.json')

        def slower(d):
            rows(d, op='touch')[0].update(median=1200, low=low, high=high)
        return support.call('compare', old, self.doctored(data, slower, 'new.json'))

    def test_overlap_is_no_regression(self):
        done = self.compare(1010, 1300)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_beyond_the_intervals(self):
        done = self.compare(1011, 1300)
        self.assertEqual(done.returncode, 1)
        self.assertIn('+20.0 %', done.stdout)


if __name__ == '__main__':
    unittest.main()
