"""nearshore for ann-benchmarks, over the C interface: ctypes and numpy, nothing to compile.

Names and meanings are those of `native/include/nearshore.h`. The shared library is found as the system finds libraries, or where
NEARSHORE_LIBRARY says.
"""

import ctypes
import os
import shutil
import tempfile
from ctypes import POINTER, byref, c_char_p, c_float, c_int32, c_size_t, c_uint32, c_uint64, c_void_p

import numpy

from ..base.module import BaseANN

LIBRARY = "libnearshore_c.so"
METRICS = {"euclidean": 0, "angular": 2}
CODES = ("none", "u4", "rabitq1", "rabitq2", "rabitq4", "pq32", "pq64", "pq128")
LAYOUTS = ("lean", "fast")
F32, SLICE = 0, 1


class Error(ctypes.Structure):
    _fields_ = [("message", ctypes.c_char * 512)]


class Vectors(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("rows", c_size_t), ("dimensions", c_size_t), ("element", c_int32)]

    def __init__(self, matrix):
        """Of a C-contiguous matrix of float32, which must outlive this."""
        super().__init__(matrix.ctypes.data, *matrix.shape, F32)


class BuildOptions(ctypes.Structure):
    _fields_ = [("metric", c_int32), ("m", c_uint32), ("ef_construction", c_uint32), ("threads", c_uint32), ("replace", c_uint32),
                ("codes", c_int32), ("layout", c_int32), ("reserved", c_uint32 * 1)]


class SearchOptions(ctypes.Structure):
    _fields_ = [("ef", c_uint32), ("recall", c_float), ("threads", c_uint32), ("layout", c_int32), ("reserved", c_uint32 * 4)]


def load():
    library = ctypes.CDLL(os.environ.get("NEARSHORE_LIBRARY", LIBRARY))
    library.nearshore_build.argtypes = [c_char_p, POINTER(Vectors), c_void_p, POINTER(BuildOptions), POINTER(Error)]
    library.nearshore_open.argtypes = [c_char_p, c_int32, POINTER(c_void_p), POINTER(Error)]
    library.nearshore_search.argtypes = [c_void_p, POINTER(Vectors), c_size_t, POINTER(SearchOptions), c_void_p, c_void_p, c_void_p,
                                         c_void_p, POINTER(Error)]
    library.nearshore_close.argtypes = [c_void_p]
    library.nearshore_close.restype = None
    return library


class Nearshore(BaseANN):
    """`method_param` may hold M, efConstruction, threads, codes and layout (the words of `nearshore build`); a query argument is an ef,
    or below 1.5 a recall."""

    def __init__(self, metric, method_param):
        self.metric = METRICS[metric]
        self.method_param = method_param
        self.codes = CODES.index(method_param.get("codes", "none"))
        self.layout = LAYOUTS.index(method_param.get("layout", "lean"))
        self.name = f"nearshore ({method_param})"
        self.library = load()
        self.index = c_void_p()
        self.folder = None
        self.options = SearchOptions(layout=self.layout)
        self.counted = 0

    def fit(self, X):
        self.freeIndex()
        X = numpy.ascontiguousarray(X, dtype=numpy.float32)
        # A zero vector has no angle to anything. Left out; the others keep their numbers as ids.
        ids = numpy.flatnonzero(X.any(axis=1)) if self.metric == METRICS["angular"] else numpy.arange(len(X))
        ids = ids.astype(numpy.uint64)
        X = X if len(ids) == len(X) else X[ids]
        param = self.method_param
        options = BuildOptions(self.metric, param.get("M", 0), param.get("efConstruction", 0), param.get("threads", 0),
                               codes=self.codes, layout=self.layout)
        self.folder = tempfile.mkdtemp()
        path = os.fsencode(self.path())
        self.check(lambda error: self.library.nearshore_build(path, Vectors(X), ids.ctypes.data, options, error))
        self.check(lambda error: self.library.nearshore_open(path, SLICE, byref(self.index), error))

    def set_query_arguments(self, effort):
        self.options = SearchOptions(**{"recall" if effort < 1.5 else "ef": effort}, layout=self.layout)
        self.name = f"nearshore ({self.method_param}, {'recall' if effort < 1.5 else 'ef'}: {effort})"
        self.counted = 0

    def query(self, q, n):
        return self.search(q.reshape(1, -1), n)[0]

    def batch_query(self, X, n):
        self.res = self.search(X, n)

    def get_batch_results(self):
        return self.res

    def get_memory_usage(self):
        """KiB: the file, all of which a search may touch. What a process holds beside it is not the index."""
        return os.path.getsize(self.path()) / 1024 if self.index else 0

    def get_additional(self):
        return {"dist_comps": self.counted}

    def freeIndex(self):
        self.library.nearshore_close(self.index)
        self.index = c_void_p()
        if self.folder:
            shutil.rmtree(self.folder)
            self.folder = None

    def done(self):
        self.freeIndex()

    def __str__(self):
        return self.name

    def path(self):
        return os.path.join(self.folder, "index.shore")

    def search(self, queries, n):
        """The ids of the nearest rows: an array a query."""
        queries = numpy.ascontiguousarray(queries, dtype=numpy.float32)
        ids = numpy.empty((len(queries), n), dtype=numpy.uint64)
        distances = numpy.empty((len(queries), n), dtype=numpy.float32)
        counts = numpy.empty(len(queries), dtype=numpy.uintp)
        counters = numpy.empty((len(queries), 2), dtype=numpy.uint64)
        try:
            self.check(lambda error: self.library.nearshore_search(
                self.index, Vectors(queries), n, self.options, ids.ctypes.data, distances.ctypes.data, counts.ctypes.data,
                counters.ctypes.data, error))
        except RuntimeError:
            asked = queries.any(axis=1, keepdims=True)
            if asked.all():
                raise
            # To a query without direction no row is nearer than another: whatever another direction finds is right.
            return self.search(numpy.where(asked, queries, 1), n)
        self.counted += int(counters[:, 0].sum())
        return [found[:count] for found, count in zip(ids, counts)]

    @staticmethod
    def check(call):
        error = Error()
        if call(error) != 0:
            raise RuntimeError(error.message.decode())
