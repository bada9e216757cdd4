#!/usr/bin/env python3
"""Builds or searches an index of another engine: streamed input, one thread, cosine over rows of unit length.

  engines.py build  ENGINE --base base.fbin --rows 1000000 --index DIR
  engines.py search ENGINE --queries query.fbin --truth truth.ibin --index DIR --effort 128
  engines.py truth  -      --base base.fbin --rows 250000 --queries query.fbin --truth out.ibin

Prints `PHASE name` as it goes and one `JSON {...}` line at the end. Packages: numpy faiss-cpu lancedb pyarrow qdrant-edge-py
"""
import argparse, json, os, time

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("what", choices=["build", "search", "truth"])
ap.add_argument("engine")
ap.add_argument("--base")
ap.add_argument("--rows", type=int, default=0, help="the first ROWS of the base; 0: all")
ap.add_argument("--chunk", type=int, default=10_000, help="rows read and handed over at a time")
ap.add_argument("--train", type=int, default=102_400, help="training rows of faiss-ivfpq")
ap.add_argument("--lists", type=int, default=1024, help="lists of faiss-ivfpq")
ap.add_argument("--reserve", action="store_true", help="faiss-hnsw: the storage is made for all rows before the first is added")
ap.add_argument("--iterations", type=int, default=50, help="k-means iterations of lancedb (50 is its default)")
ap.add_argument("--sample-rate", type=int, default=256, help="training rows of lancedb for a centroid (256 is its default)")
ap.add_argument("--no-wal", action="store_true", help="qdrant: no log beside its storage")
ap.add_argument("--index")
ap.add_argument("--queries")
ap.add_argument("--truth")
ap.add_argument("--count", type=int, default=200, help="queries in each of two passes, the first one cold")
ap.add_argument("--effort", type=int, default=128, help="efSearch, hnsw_ef, nprobe")
ap.add_argument("--refine", type=int, default=0, help="lancedb: read the vectors of k x REFINE candidates")
ap.add_argument("--pass-seconds", type=float, default=90, help="give up a pass after this")
ap.add_argument("--threads", type=int, default=1)
a = ap.parse_args()
for v in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "LANCE_CPU_THREADS", "TOKIO_WORKER_THREADS"):
    os.environ[v] = str(a.threads)
import numpy as np


def shape(path):
    n, d = np.fromfile(path, np.uint32, 2)
    return int(n), int(d)


def read(path, dtype, first, count):
    d = shape(path)[1]
    return np.fromfile(path, dtype, count * d, offset=8 + first * d * 4).reshape(-1, d)


def chunks(size=0):
    size = size or a.chunk
    for i in range(0, rows, size):
        yield i, read(a.base, np.float32, i, min(size, rows - i))


def phase(name):
    s = dict(l.split(":", 1) for l in open("/proc/self/status"))
    print(f"PHASE {name} at {time.process_time():.1f} s CPU, anon {int(s['RssAnon'].split()[0]) / 1e3:.0f} MB", flush=True)


class FaissHnsw:
    """IndexHNSWFlat, M 16 (32 links on the base layer), efConstruction 40, efSearch = effort."""
    file = "faiss.index"
    flags = 0

    def __init__(self):
        import faiss
        self.faiss = faiss
        faiss.omp_set_num_threads(a.threads)
        self.path = os.path.join(a.index, self.file)

    def build(self):
        self.i = self.faiss.IndexHNSWFlat(dim, 16)
        if a.reserve:  # clear() keeps what resize() asked for (and wrote zeros to)
            codes = self.faiss.downcast_index(self.i.storage).codes
            codes.resize(rows * dim * 4)
            codes.clear()
        for at, x in chunks():
            self.i.add(x)
            if at % (a.chunk * 5) == 0:
                phase(f"add {at + len(x)}")
        phase("write")
        self.faiss.write_index(self.i, self.path)

    def load(self):
        self.i = self.faiss.read_index(self.path, self.flags)
        self.i.hnsw.efSearch = a.effort

    def search(self, q):
        return self.i.search(q[None, :], 10)[1][0]


class FaissHnswMmap(FaissHnsw):
    """The same file, opened with IO_FLAG_MMAP_IFC."""
    def load(self):
        self.flags = self.faiss.IO_FLAG_MMAP_IFC
        super().load()


class FaissFlat(FaissHnsw):
    """Only the vectors of an IndexHNSWFlat: no graph, so that the growth of the storage is seen in seconds."""
    def build(self):
        self.i = self.faiss.IndexFlatL2(dim)
        for at, x in chunks():
            self.i.add(x)
            if at % (a.chunk * 5) == 0:
                phase(f"add {at + len(x)}")


class FaissIvfPq(FaissHnsw):
    """IndexIVFPQ, 64 codes of 8 bits, nprobe = effort; trained on --train rows spread over the base."""
    def build(self):
        phase("train")
        x = np.empty((min(a.train, rows), dim), np.float32)
        picks = np.linspace(0, rows - 1, len(x)).astype(np.int64)
        m = np.memmap(a.base, np.float32, "r", 8, (rows, dim))
        for j in range(0, len(x), 1024):
            x[j:j + 1024] = m[picks[j:j + 1024]]
        del m
        self.q = self.faiss.IndexFlatL2(dim)
        self.i = self.faiss.IndexIVFPQ(self.q, dim, a.lists, 64, 8)
        self.i.train(x)
        del x
        for at, x in chunks():
            self.i.add(x)
            if at % (a.chunk * 10) == 0:
                phase(f"add {at + len(x)}")
        phase("write")
        self.faiss.write_index(self.i, self.path)

    def load(self):
        self.i = self.faiss.read_index(self.path, self.flags)
        self.i.nprobe = a.effort


class FaissIvfPqMmap(FaissIvfPq):
    """The same file, opened with IO_FLAG_MMAP."""
    def load(self):
        self.flags = self.faiss.IO_FLAG_MMAP
        super().load()


class LanceIvfPq:
    """LanceDB's default vector index: IVF_PQ, lists and sub-vectors chosen by it; its default nprobes."""
    options = {}

    def build(self):
        import lancedb, pyarrow as pa
        schema = pa.schema([("id", pa.int64()), ("vector", pa.list_(pa.float32(), dim))])
        def batches():
            for at, x in chunks():
                yield pa.record_batch([pa.array(np.arange(at, at + len(x))),
                                       pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), dim)], schema=schema)
                if at % (a.chunk * 10) == 0:
                    phase(f"table {at + len(x)}")
        db = lancedb.connect(a.index)  # a table that is there already is only indexed
        t = db.open_table("t") if "t" in db.table_names() else db.create_table("t", batches(), schema=schema)
        phase("index")
        t.create_index(metric="cosine", vector_column_name="vector", max_iterations=a.iterations, sample_rate=a.sample_rate, **self.options)
        print("PHASE", str(t.index_stats("vector_idx"))[:300], flush=True)

    def load(self):
        import lancedb
        self.t = lancedb.connect(a.index).open_table("t")

    def search(self, q):
        s = self.t.search(q, vector_column_name="vector").distance_type("cosine").limit(10).select(["id"])
        s = s.refine_factor(a.refine) if a.refine else s
        return self.more(s).to_arrow().column("id").to_numpy()

    def more(self, s):
        return s


class LanceHnswSq(LanceIvfPq):
    """IVF_HNSW_SQ with LanceDB's defaults; ef = effort."""
    options = {"index_type": "IVF_HNSW_SQ"}

    def more(self, s):
        return s.ef(a.effort)


class Qdrant:
    """An embedded Qdrant shard: HNSW m 16, ef_construct 40 (as Faiss), f32 vectors, optimizer defaults, hnsw_ef = effort."""
    cold = False

    def build(self):
        import qdrant_edge as qe
        place = {"memory": qe.Memory.Cold} if self.cold else {}
        config = qe.EdgeConfig(wal_enabled=False if a.no_wal else None, vectors=qe.EdgeVectorParams(size=dim, distance=qe.Distance.Cosine, **place),
                               hnsw_config=qe.HnswIndexConfig(m=16, ef_construct=40, full_scan_threshold=10_000,
                                                              max_indexing_threads=a.threads, **place))
        s = qe.EdgeShard.create(a.index, config)
        for at, x in chunks(1000):
            s.update(qe.UpdateOperation.upsert_points([qe.Point(at + j, r.tolist()) for j, r in enumerate(x)]))
            if at % 25_000 == 0:
                phase(f"upsert {at + len(x)}")
        phase("optimize")
        s.optimize()
        phase("flush")
        s.flush()
        s.close()

    def load(self):
        import qdrant_edge as qe
        self.qe, self.s = qe, qe.EdgeShard.load(a.index)

    def search(self, q):
        qe = self.qe
        r = self.s.search(qe.SearchRequest(query=qe.Query.Nearest(q.tolist()), limit=10, with_vector=False, with_payload=False,
                                           params=qe.SearchParams(hnsw_ef=a.effort)))
        return [p.id for p in r]


class QdrantCold(Qdrant):
    """The same with vectors and graph placed `Cold` (on disk)."""
    cold = True


ENGINES = {"faiss-hnsw": FaissHnsw, "faiss-hnsw-mmap": FaissHnswMmap, "faiss-flat": FaissFlat, "faiss-ivfpq": FaissIvfPq,
           "faiss-ivfpq-mmap": FaissIvfPqMmap, "lance-ivfpq": LanceIvfPq, "lance-hnswsq": LanceHnswSq, "qdrant": Qdrant,
           "qdrant-cold": QdrantCold}
if a.base:
    rows, dim = shape(a.base)
    rows = min(rows, a.rows) if a.rows else rows

if a.what == "truth":
    q = read(a.queries, np.float32, 0, 2 * a.count)
    best, ids = np.empty((len(q), 0), np.float32), np.empty((len(q), 0), np.uint32)
    for at, x in chunks():
        best = np.hstack([best, q @ x.T])
        ids = np.hstack([ids, np.broadcast_to(np.arange(at, at + len(x), dtype=np.uint32), (len(q), len(x)))])
        top = np.argsort(-best, 1)[:, :100]
        best, ids = np.take_along_axis(best, top, 1), np.take_along_axis(ids, top, 1)
    with open(a.truth, "wb") as f:
        np.array(ids.shape, np.uint32).tofile(f)
        ids.tofile(f)
        (1 - best).astype(np.float32).tofile(f)
elif a.what == "build":
    os.makedirs(a.index, exist_ok=True)
    ENGINES[a.engine]().build()
    size = sum(os.path.getsize(os.path.join(r, f)) for r, _, fs in os.walk(a.index) for f in fs)
    blocks = sum(os.stat(os.path.join(r, f)).st_blocks * 512 for r, _, fs in os.walk(a.index) for f in fs)
    print("JSON " + json.dumps({"engine": a.engine, "rows": rows, "index_mb": round(size / 1e6, 1), "on_disk_mb": round(blocks / 1e6, 1),
                                "cpu_s": round(time.process_time(), 1)}))
else:
    q = read(a.queries, np.float32, 0, 2 * a.count)
    t = read(a.truth, np.uint32, 0, 2 * a.count)[:, :10]
    e = ENGINES[a.engine]()
    phase("open")
    w = time.perf_counter()
    e.load()
    res = {"engine": a.engine, "effort": a.effort, "refine": a.refine, "open_s": round(time.perf_counter() - w, 2)}
    phase("search")
    for name, first in (("cold", 0), ("then", a.count)):
        ms, hits, begun, c = [], 0, time.perf_counter(), time.process_time()
        for i in range(first, min(first + a.count, len(q))):
            w = time.perf_counter()
            ids = e.search(q[i])
            ms.append((time.perf_counter() - w) * 1e3)
            hits += len(set(map(int, ids)) & set(map(int, t[i])))
            if time.perf_counter() - begun > a.pass_seconds:
                break
        ms = np.array(ms)
        res[name] = {"queries": len(ms), "recall": round(hits / (10 * len(ms)), 4), "mean_ms": round(ms.mean(), 3),
                     "p50_ms": round(np.median(ms), 3), "p99_ms": round(np.quantile(ms, .99), 3),
                     "cpu_ms": round((time.process_time() - c) * 1e3 / len(ms), 3)}
        phase(name)
    print("JSON " + json.dumps(res))
