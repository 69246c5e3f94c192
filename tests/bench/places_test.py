# SPDX-License-Identifier: GPL-2.0 OR MIT
"""The order of places (bench/scaling/places.h) on machines that are not here."""

import ctypes
import math
import os
import subprocess
import unittest

import support

TOPOLOGY = '''
#include <hwloc.h>
#include <stdio.h>
#include <stdlib.h>
/* argv: FILE PACKAGES CORES; distances are 10 at home, 20 to the other of a pair, else 30. */
int main(int argc, char **argv)
{
	int nr = atoi(argv[2]);
	char text[64];
	hwloc_topology_t t;
	hwloc_obj_t nodes[16];
	hwloc_uint64_t far[256];
	hwloc_distances_add_handle_t handle;

	snprintf(text, sizeof(text), "pack:%d [numa] core:%s pu:1", nr, argv[3]);
	hwloc_topology_init(&t);
	hwloc_topology_set_synthetic(t, text);
	hwloc_topology_load(t);
	for (int i = 0; i < nr; i++) {
		nodes[i] = hwloc_get_obj_by_type(t, HWLOC_OBJ_NUMANODE, i);
		for (int j = 0; j < nr; j++)
			far[i * nr + j] = i == j ? 10 : i % 2 == j % 2 ? 20 : 30;
	}
	handle = hwloc_distances_add_create(t, "NUMALatency", HWLOC_DISTANCES_KIND_FROM_OS |
					    HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0);
	return !handle || hwloc_distances_add_values(t, handle, nr, nodes, far, 0) ||
	       hwloc_distances_add_commit(t, handle, 0) || hwloc_topology_export_xml(t, argv[1], 0);
}
'''


class Built(support.Case):
    """What is tested is built from BENCH, once."""

    @classmethod
    def setUpClass(cls):
        cls.build = support.tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.build.cleanup)
        cls.compile('places', 'places_main.c', 'places.c', '-lhwloc')

    @classmethod
    def compile(cls, name, *what):
        subprocess.run(['gcc', '-D_GNU_SOURCE', '-o', os.path.join(cls.build.name, name), *what],
                       cwd=support.BENCH, check=True)

    def order(self, synthetic, *args):
        return self.places({'HWLOC_SYNTHETIC': synthetic}, *args)

    def places(self, env, *args):
        done = subprocess.run([os.path.join(self.build.name, 'places'), *args], capture_output=True, text=True,
                              env={**os.environ, **env}, check=True)
        return [int(n) for n in done.stdout.split()]


class PlacesTest(Built):
    def test_one_socket_is_in_order(self):
        self.assertEqual(self.order('pack:1 core:2 pu:1'), [0, 1])
        self.assertEqual(self.order('pack:1 core:8 pu:1'), list(range(8)))

    def test_two_sockets_of_28_cores_with_smt(self):
        """Cores, their second threads, then the other socket."""
        want = [*range(0, 56, 2), *range(1, 56, 2), *range(56, 112, 2), *range(57, 112, 2)]
        self.assertEqual(self.order('pack:2 [numa] core:28 pu:2'), want)

    def test_second_threads_numbered_as_linux_does(self):
        """CPU 4 is CPU 0's core's second thread."""
        order = self.order('pack:2 core:2 pu:2(indexes=0,4,1,5,2,6,3,7)')
        self.assertEqual(order, [0, 1, 4, 5, 2, 3, 6, 7])

    def test_four_sockets_of_48(self):
        self.assertEqual(self.order('pack:4 [numa] core:48 pu:1'), list(range(192)))

    def test_eight_sockets_of_60(self):
        order = self.order('pack:8 [numa] core:60 pu:2', '--from', '360')
        self.assertEqual(sorted(order), list(range(960)))
        packages = [cpu // 120 for cpu in order]
        self.assertEqual([packages[i * 120] for i in range(8)], [3, 4, 5, 6, 7, 0, 1, 2])
        self.assertTrue(all(len(set(packages[i * 120:(i + 1) * 120])) == 1 for i in range(8)))

    def test_the_first_is_where_it_is_told(self):
        """A second thread: those of the other cores come before its own core's first."""
        self.assertEqual(self.order('pack:2 core:4 pu:2', '--from', '13'),
                         [13, 9, 11, 15, 12, 8, 10, 14, 0, 2, 4, 6, 1, 3, 5, 7])

    def test_shared_caches_first(self):
        self.assertEqual(self.order('pack:1 l3:2 core:3 pu:1', '--from', '4'), [4, 3, 5, 0, 1, 2])

    def test_nearest_package_first(self):
        """By the distances that the machine tells, not by number."""
        self.compile('topology', self.source(), '-lhwloc')
        path = os.path.join(self.folder, 'machine.xml')
        subprocess.run([os.path.join(self.build.name, 'topology'), path, '4', '2'], check=True)
        self.assertEqual(self.places({'HWLOC_XMLFILE': path}), [0, 1, 4, 5, 2, 3, 6, 7])

    def source(self):
        path = os.path.join(self.folder, 'topology.c')
        with open(path, 'w') as f:
            f.write(TOPOLOGY)
        return path

    def test_this_machine(self):
        """All CPUs that this process may use are there, once."""
        order = self.places({})
        self.assertEqual(len(order), len(set(order)))
        self.assertLessEqual(os.sched_getaffinity(0), set(order))


class QuantileTest(Built):
    """What is said of samples, against what is exactly so: the sample is 1, 2, ..., n."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.compile('quantile.so', '-shared', '-fPIC', 'quantile.c', '-lm')

    def setUp(self):
        super().setUp()
        self.lib = ctypes.CDLL(os.path.join(self.build.name, 'quantile.so'))

    def sample(self, n):
        return (ctypes.c_uint32 * n)(*range(1, n + 1))

    def bounds(self, n):
        low, high = ctypes.c_uint32(), ctypes.c_uint32()
        self.lib.quantile_median_bounds(self.sample(n), n, ctypes.byref(low), ctypes.byref(high))
        return low.value, high.value

    @staticmethod
    def chance(n, low):
        """That the median is between the low-th value from below and from above."""
        return 1 - 2 * sum(math.comb(n, i) for i in range(low)) / 2 ** n

    def test_median_bounds_are_the_narrowest_that_hold_95_percent(self):
        for n in (6, 7, 20, 59, 100, 480, 1000):
            low, high = self.bounds(n)
            self.assertEqual(high, n + 1 - low, n)
            self.assertGreaterEqual(self.chance(n, low), 0.95, n)
            self.assertLess(self.chance(n, low + 1), 0.95, n)

    def test_few_values_are_all_there_is(self):
        for n in (1, 2, 5):
            self.assertEqual(self.bounds(n), (1, n))

    def test_p99(self):
        self.lib.quantile_p99.restype = ctypes.c_uint32
        for n, want in ((1, 1), (50, 50), (100, 99), (101, 100), (400, 396)):
            self.assertEqual(self.lib.quantile_p99(self.sample(n), n), want)


if __name__ == '__main__':
    unittest.main()
