"""The adapter for ann-benchmarks as that project drives it, on a set small enough for brute force.

ann-benchmarks itself is not needed: what the adapter uses of it is one base class. NEARSHORE_LIBRARY names the library.
"""

import importlib.util
import os
import sys
import types
import unittest

import numpy

HERE = os.path.dirname(os.path.abspath(__file__))


class BaseANN:
    """What the adapter inherits from."""


def adapter():
    """The module under the name and among the neighbours that it has in ann-benchmarks."""
    for name in ("ann_benchmarks", "ann_benchmarks.algorithms", "ann_benchmarks.algorithms.base", "ann_benchmarks.algorithms.nearshore"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = []
    base = types.ModuleType("ann_benchmarks.algorithms.base.module")
    base.BaseANN = BaseANN
    sys.modules[base.__name__] = base
    spec = importlib.util.spec_from_file_location("ann_benchmarks.algorithms.nearshore.module", os.path.join(HERE, "module.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


Nearshore = adapter().Nearshore
ROWS, QUERIES, DIMENSIONS, N = 4000, 100, 16, 10


def nearest(metric, rows, queries):
    if metric == "angular":
        lengths = numpy.linalg.norm(rows, axis=1)
        scores = queries @ (rows / numpy.where(lengths > 0, lengths, 1)[:, None]).T
        scores[:, lengths == 0] = -numpy.inf
        return numpy.argsort(-scores, axis=1)[:, :N]
    return numpy.argsort(((queries[:, None] - rows[None]) ** 2).sum(axis=2), axis=1)[:, :N]


def recall(found, truth):
    return sum(len(set(map(int, f)) & set(map(int, t))) for f, t in zip(found, truth)) / truth.size


class Adapter(unittest.TestCase):
    def setUp(self):
        random = numpy.random.default_rng(1)
        self.rows = random.standard_normal((ROWS, DIMENSIONS)).astype(numpy.float32)
        self.queries = random.standard_normal((QUERIES, DIMENSIONS)).astype(numpy.float32)

    def test_recall_against_brute_force_and_the_same_answers_one_by_one_and_in_a_batch(self):
        for metric in ("euclidean", "angular"):
            self.rows[7] = 0
            truth = nearest(metric, self.rows, self.queries)
            algorithm = Nearshore(metric, {"M": 12, "efConstruction": 60})
            self.assertEqual(algorithm.get_memory_usage(), 0)
            algorithm.fit(self.rows)
            self.assertGreater(algorithm.get_memory_usage(), ROWS * DIMENSIONS / 1024)
            recalls, costs = [], []
            for ef in (10, 40, 160):
                algorithm.set_query_arguments(ef)
                self.assertIn(f"ef: {ef}", str(algorithm))
                found = [algorithm.query(query, N) for query in self.queries]
                costs.append(algorithm.get_additional()["dist_comps"])
                recalls.append(recall(found, truth))
                algorithm.batch_query(self.queries, N)
                numpy.testing.assert_array_equal(algorithm.get_batch_results(), found)
                self.assertEqual(algorithm.get_additional()["dist_comps"], 2 * costs[-1])
            self.assertGreater(recalls[0], 0.5, metric)
            self.assertGreater(recalls[-1], 0.99, metric)
            self.assertEqual(sorted(recalls), recalls, metric)
            self.assertEqual(sorted(costs), costs, metric)
            algorithm.set_query_arguments(0.95)
            self.assertGreater(recall([algorithm.query(query, N) for query in self.queries], truth), 0.9)
            algorithm.batch_query(numpy.zeros((2, DIMENSIONS)), N)
            self.assertEqual([len(found) for found in algorithm.get_batch_results()], [N, N])
            folder = algorithm.folder
            algorithm.freeIndex()
            algorithm.done()
            self.assertFalse(os.path.exists(folder))

    def test_codes_and_layouts_are_searched_by(self):
        truth = nearest("euclidean", self.rows, self.queries)
        costs = set()
        for param in ({}, {"codes": "u4"}, {"codes": "rabitq1"}, {"layout": "fast"}):
            algorithm = Nearshore("euclidean", {"M": 12, "efConstruction": 60, **param})
            algorithm.fit(self.rows)
            algorithm.set_query_arguments(160)
            self.assertGreater(recall([algorithm.query(query, N) for query in self.queries], truth), 0.97, param)
            costs.add(algorithm.get_additional()["dist_comps"])
            algorithm.done()
        self.assertEqual(len(costs), 4, "each goes its own way")
        self.assertRaises(ValueError, Nearshore, "euclidean", {"codes": "u5"})

    def test_numbers_of_any_type_and_layout_are_taken(self):
        algorithm = Nearshore("euclidean", {})
        algorithm.fit(numpy.asfortranarray(self.rows.astype(numpy.float64)))
        algorithm.set_query_arguments(20)
        self.assertEqual(algorithm.query(self.rows[3].astype(numpy.float64), 1)[0], 3)
        self.assertEqual(len(algorithm.query(self.rows[3], ROWS + 5)), ROWS)
        algorithm.done()

    def test_what_the_library_refuses_is_an_error_with_its_words(self):
        algorithm = Nearshore("euclidean", {"M": 100_000})
        self.assertRaisesRegex(RuntimeError, "m must be", algorithm.fit, self.rows)
        algorithm.done()


if __name__ == "__main__":
    unittest.main()
