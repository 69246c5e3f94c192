# SPDX-License-Identifier: GPL-2.0 OR MIT
"""What the tests of bench/scaling share. BENCH: the folder that is tested, which
check-mutants sets to a broken copy; BUILD: where built programs are."""

import copy
import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BENCH = os.environ.get('BENCH', os.path.join(ROOT, 'bench/scaling'))
PYTHON = '/usr/bin/python3'     # Debian's, which has matplotlib and jinja2
sys.dont_write_bytecode = True
sys.path.insert(0, BENCH)

import results  # noqa: E402

DATE = '2000-01-01T00:00:00+00:00'
COMMIT = '0123456789ab'


def recorded(name):
    """Lines that programs printed."""
    with open(os.path.join(HERE, 'recorded', name)) as f:
        return f.read().splitlines()


def result(*names, commit=COMMIT):
    """The result of recorded boots."""
    return results.make([results.parse(recorded(n)).boot(DATE, commit, {}) for n in names])


def call(program, *args):
    return subprocess.run([PYTHON, os.path.join(BENCH, program), *args], capture_output=True, text=True)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def saved(self, data, name='results.json'):
        path = os.path.join(self.folder, name)
        with open(path, 'w') as f:
            json.dump(data, f)
        return path

    def doctored(self, data, change, name):
        """A copy that change(data) has worked on, in a file."""
        data = copy.deepcopy(data)
        change(data)
        return self.saved(data, name)


def rows(data, **like):
    """Those of all boots whose fields are as said."""
    return [r for b in data['boots'] for r in b['rows'] if all(r[k] == v for k, v in like.items())]
