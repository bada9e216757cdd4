// What the package promises, through its front door.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Index, open } from "nearshore";
import { exact, rows, vector } from "./rows.mjs";

const ROWS = 400;
const DIMENSIONS = 20;
const vectors = rows(ROWS, DIMENSIONS);
const queries = rows(30, DIMENSIONS, 2);

for (const metric of ["l2", "ip", "cosine"]) {
  test(`${metric}: a scan finds exactly the nearest rows, at their distances`, async () => {
    const index = await Index.build(null, vectors, { dimensions: DIMENSIONS, metric });
    for (let i = 0; i < 30; i++) {
      const query = vector(queries, DIMENSIONS, i);
      const hits = await index.search(query, { k: 10, plan: "scan", rerank: ROWS });
      const truth = exact(vectors, DIMENSIONS, query, 10, metric);
      assert.deepEqual(hits.map((hit) => hit.id), truth.map((hit) => hit.row));
      hits.forEach((hit, at) => assert.ok(Math.abs(hit.distance - truth[at].distance) < 1e-5, `${hit.distance} and ${truth[at].distance}`));
      assert.equal(hits.stats.distances >= ROWS, true);
      assert.equal(hits.stats.complete, true);
    }
    await index.close();
  });
}

test("a walk reaches the recall that it is asked for", async () => {
  // The last thirty are queries, of the same kind as the rows.
  const all = rows(3030, DIMENSIONS, 3);
  const many = all.subarray(0, 3000 * DIMENSIONS);
  const index = await Index.build(null, many, { dimensions: DIMENSIONS });
  let found = 0;
  for (let i = 0; i < 30; i++) {
    const query = vector(all, DIMENSIONS, 3000 + i);
    const truth = new Set(exact(many, DIMENSIONS, query, 10, "l2").map((hit) => hit.row));
    const hits = await index.search(query, { k: 10, recall: 0.99, plan: "walk" });
    assert.ok(hits.stats.hops > 0);
    found += hits.filter((hit) => truth.has(hit.id)).length;
  }
  assert.ok(found / 300 > 0.95, `recall ${found / 300}`);
});

test("a list of numbers, a Float32Array and a batch give the same hits", async () => {
  const index = await Index.build(null, vectors, { dimensions: DIMENSIONS });
  const query = vector(queries, DIMENSIONS, 0);
  const one = await index.search(query);
  assert.equal(one.length, 10);
  assert.deepEqual([...(await index.search(Array.from(query)))], [...one]);
  const batch = await index.searchBatch(queries, { k: 10 });
  assert.equal(batch.length, 30);
  assert.deepEqual([...batch[0]], [...one]);
  const list = await index.searchBatch([Array.from(query), vector(queries, DIMENSIONS, 1)]);
  assert.deepEqual(list.map((hits) => [...hits]), batch.slice(0, 2).map((hits) => [...hits]));
  assert.deepEqual(await index.searchBatch(new Float32Array(0)), []);
});

test("bytes are indexed as bytes and searched with bytes or floats", async () => {
  for (const Type of [Uint8Array, Int8Array]) {
    const bytes = Type.from(vectors, (x) => Math.round(x * 100) + (Type === Uint8Array ? 128 : 0));
    const index = await Index.build(null, bytes, { dimensions: DIMENSIONS });
    assert.equal(index.info.element, Type === Uint8Array ? "u8" : "i8");
    const query = vector(bytes, DIMENSIONS, 17);
    const hits = await index.search(query, { k: 3 });
    assert.deepEqual([hits[0].id, hits[0].distance], [17, 0]);
    assert.deepEqual([...(await index.search(Float32Array.from(query), { k: 3 }))], [...hits]);
  }
});

test("ids are numbers up to 2^53 - 1 and bigints above", async () => {
  const ids = [0, 2 ** 53 - 1, 2n ** 53n, 2n ** 64n - 1n];
  const index = await Index.build(ids, vectors.subarray(0, 4 * DIMENSIONS), { dimensions: DIMENSIONS });
  for (const [row, id] of ids.entries()) {
    const [hit] = await index.search(vector(vectors, DIMENSIONS, row), { k: 1 });
    assert.equal(hit.id, id);
    assert.equal(await index.has(id), true);
    assert.equal((await index.get(id)).id, id);
  }
  assert.equal(await index.has(5n), false);
  assert.equal(await index.get(2 ** 53 - 2), undefined);
  assert.equal((await index.search(vector(vectors, DIMENSIONS, 1), { k: 1 }))[0].id, Number.MAX_SAFE_INTEGER);
});

test("typed id arrays are taken as they are", async () => {
  const few = vectors.subarray(0, 3 * DIMENSIONS);
  for (const ids of [Uint32Array.of(7, 4_000_000_000, 9), BigUint64Array.of(7n, 4_000_000_000n, 9n), [7, 4_000_000_000n, 9]]) {
    const index = await Index.build(ids, few, { dimensions: DIMENSIONS });
    assert.equal((await index.search(vector(few, DIMENSIONS, 1), { k: 1 }))[0].id, 4_000_000_000);
  }
});

test("payloads come back with hits and rows: bytes, text, JSON, none", async () => {
  const payloads = [Uint8Array.of(1, 2, 3), "nearest \u{1f30a}", { title: "third", tags: [1] }, null];
  const index = await Index.build(null, vectors.subarray(0, 4 * DIMENSIONS), { dimensions: DIMENSIONS, payloads });
  assert.equal(index.info.payload, true);
  const hit = async (row, options) => (await index.search(vector(vectors, DIMENSIONS, row), { k: 1, ...options }))[0];
  assert.deepEqual((await hit(0)).payload, Uint8Array.of(1, 2, 3));
  assert.equal((await hit(1)).text(), "nearest \u{1f30a}");
  assert.deepEqual((await hit(2)).json(), { title: "third", tags: [1] });
  assert.equal("payload" in (await hit(3)), false);
  assert.equal((await hit(3)).text(), "");
  assert.equal((await hit(3)).json(), undefined);
  assert.equal("payload" in (await hit(1, { payload: false })), false);
  assert.deepEqual((await index.get(2)).json(), { title: "third", tags: [1] });
  assert.deepEqual((await index.search(vector(vectors, DIMENSIONS, 0), { k: 4 })).map((hit) => hit.text()).sort(), ["", "\u0001\u0002\u0003", "nearest \u{1f30a}", '{"title":"third","tags":[1]}'].sort());
});

test("a row comes back as it was given", async () => {
  const index = await Index.build(null, vectors, { dimensions: DIMENSIONS });
  assert.deepEqual((await index.get(11)).vector, vectors.slice(11 * DIMENSIONS, 12 * DIMENSIONS));
  const lean = await Index.build(null, vectors, { dimensions: DIMENSIONS, originals: "drop" });
  assert.equal(lean.info.originals, false);
  assert.ok(lean.info.fileBytes < index.info.fileBytes);
  const { vector: near } = await lean.get(11);
  near.forEach((value, i) => assert.ok(Math.abs(value - vectors[11 * DIMENSIONS + i]) < 0.02));
});

test("the same rows, options and seed give the same bytes; what is saved opens again", async () => {
  const options = { dimensions: DIMENSIONS, metric: "cosine", seed: 7 };
  const [one, two] = await Promise.all([Index.build(null, vectors, options), Index.build(null, vectors, options)]);
  const bytes = await one.save();
  assert.deepEqual(await two.save(), bytes);
  const again = await open(bytes);
  const loaded = await Index.load(bytes);
  const query = vector(queries, DIMENSIONS, 3);
  const hits = [...(await one.search(query))];
  assert.deepEqual([...(await again.search(query))], hits);
  assert.deepEqual([...(await loaded.search(query))], hits);
  assert.equal(again.info.identity, one.info.identity);
  assert.match(again.info.identity, /^[0-9a-f]{32}$/);
  await again.verify();
});

test("info and stats say what there is and what was done", async () => {
  const index = await Index.build(null, vectors, { dimensions: DIMENSIONS, metric: "ip", m: 8, efConstruction: 50, seed: 3n });
  const { info } = index;
  assert.deepEqual([info.rows, info.dimensions, info.metric, info.element, info.seed, info.worker], [ROWS, DIMENSIONS, "ip", "f32", 3n, false]);
  assert.equal(info.backend, "wasm128");
  assert.equal(info.meta.m, 8);
  assert.equal(info.meta.ef_construction, 50);
  assert.ok(info.quality.length > 0 && info.quality.every((row) => row.recall > 0 && row.recall <= 1));
  assert.equal(index.size, ROWS);
  await index.searchBatch(queries);
  await index.search(vector(queries, DIMENSIONS, 0));
  const stats = await index.stats();
  assert.equal(stats.searches, 31);
  assert.ok(stats.distances > 31 && stats.memoryBytes > info.fileBytes);
});

test("radius and k bound the hits", async () => {
  const index = await Index.build(null, vectors, { dimensions: DIMENSIONS });
  const query = vector(vectors, DIMENSIONS, 5);
  const all = await index.search(query, { k: 20, plan: "scan" });
  const radius = all[4].distance;
  assert.deepEqual((await index.search(query, { k: 20, plan: "scan", radius })).map((hit) => hit.id), all.slice(0, 5).map((hit) => hit.id));
  assert.equal((await index.search(query, { k: 10_000 })).length, ROWS);
});

test("hundreds of calls at a time are answered, each with its own answer", async () => {
  const index = await Index.build(null, vectors, { dimensions: DIMENSIONS });
  const hits = await Promise.all(Array.from({ length: ROWS }, (_, row) => index.search(vector(vectors, DIMENSIONS, row), { k: 1 })));
  assert.deepEqual(hits.map(([hit]) => hit.id), Array.from({ length: ROWS }, (_, row) => row));
});

test("arrays given to the package stay the caller's", async () => {
  const mine = vectors.slice();
  const index = await Index.build(null, mine, { dimensions: DIMENSIONS });
  const query = vector(mine, DIMENSIONS, 1);
  await index.searchBatch(mine.subarray(0, 2 * DIMENSIONS));
  await index.search(query);
  const bytes = await index.save();
  await open(bytes);
  assert.deepEqual(mine, vectors);
  assert.equal(bytes.length, index.info.fileBytes);
});

test("progress is told stage by stage", async () => {
  const seen = new Set();
  await Index.build(null, rows(3000, DIMENSIONS), { dimensions: DIMENSIONS, onProgress: ({ stage, done, total }) => { seen.add(stage); assert.ok(done <= total); } });
  assert.ok(seen.has("link"), [...seen].join());
});

test("an index is disposed of at the end of its scope", async () => {
  const index = await Index.build(null, vectors, { dimensions: DIMENSIONS });
  await index[Symbol.asyncDispose]();
  await assert.rejects(index.search(vector(vectors, DIMENSIONS, 0)), { code: "closed" });
  await index.close();
});
