// Every wrong turn ends in a NearshoreError whose code a program can act on and whose message a person can.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { before, test } from "node:test";
import { Index, NearshoreError, init, open } from "nearshore";
import { failure, rows, vector } from "./rows.mjs";

const DIMENSIONS = 12;
const vectors = rows(200, DIMENSIONS);
let index;
let bytes;

before(async () => {
  index = await Index.build(null, vectors, { dimensions: DIMENSIONS, payloads: Array.from({ length: 200 }, (_, i) => `row ${i}`) });
  bytes = await index.save();
});

const query = vector(vectors, DIMENSIONS, 0);
const invalid = (words) => failure("invalid-argument", ...words);

test("a query that cannot be right is refused by name", async () => {
  const hole = Float32Array.from(query);
  hole[3] = NaN;
  const cases = [
    [[query.subarray(1)], ["vector", "11", "12"]],
    [[hole], ["vector[3]", "NaN"]],
    [[Array(DIMENSIONS).fill(Infinity)], ["vector[0]", "Infinity"]],
    [["no vector"], ["vector", "string"]],
    [[null], ["vector", "null"]],
    [[new Uint8Array(DIMENSIONS)], ["Uint8Array", "f32"]],
    [[query, { k: 0 }], ["k is 0", "at least 1"]],
    [[query, { k: 1.5 }], ["k is 1.5"]],
    [[query, { k: NaN }], ["k is NaN"]],
    [[query, { ef: -1 }], ["ef is -1"]],
    [[query, { recall: 1.2 }], ["recall is 1.2"]],
    [[query, { recall: 0.9, ef: 10 }], ["both ef and recall"]],
    [[query, { plan: "fly" }], ["plan", '"fly"', '"walk"']],
    [[query, { refine: "no" }], ["refine"]],
    [[query, { radius: NaN }], ["radius"]],
    [[query, { rerank: 0 }], ["rerank"]],
  ];
  for (const [args, words] of cases) await assert.rejects(index.search(...args), invalid(words));
  await assert.rejects(index.searchBatch(new Float32Array(13)), invalid(["vectors", "13", "multiple of 12"]));
  await assert.rejects(index.searchBatch([query, [1]]), invalid(["vectors[1]", "1", "12"]));
  await assert.rejects(index.searchBatch(Float32Array.from({ length: 24 }, (_, i) => (i === 15 ? -Infinity : 1))), invalid(["number 3 of vector 1"]));
});

test("a value of another type is refused and shown as what it is: text in quotes, an object by its name", async () => {
  const none = Object.create(null);
  const live = await Index.create({ dimensions: DIMENSIONS });
  const base = { dimensions: DIMENSIONS };
  const many = (of) => Array.from({ length: DIMENSIONS }, (_, i) => (i === 2 ? of : 1));
  const cases = [
    [() => index.search(query, { k: "5" }), 'k is "5"'],
    [() => index.search(query, { k: 5n }), "k is 5"],
    [() => index.search(query, { k: none }), "k is of type object"],
    [() => index.search(query, { ef: [1] }), "ef is of type Array"],
    [() => index.search(query, { recall: "0.9" }), 'recall is "0.9"'],
    [() => index.search(query, { radius: "1" }), 'radius is "1"'],
    [() => index.search(query, { plan: 5n }), "plan is 5"],
    [() => index.search(query, { signal: {} }), "signal is of type Object"],
    [() => index.search(query, { signal: "soon" }), 'signal is "soon"'],
    [() => index.search(query, { filter: 5 }), "filter is 5"],
    [() => index.search(query, { filter: { and: "x" } }), 'is "x"'],
    [() => index.search(query, { filter: { column: "x", lt: none } }), "is of type object"],
    [() => index.search(many("7")), 'vector[2] is "7"'],
    [() => index.search(many(7n)), "vector[2] is 7"],
    [() => index.search(many(null)), "vector[2] is null"],
    [() => index.search(many(undefined)), "vector[2] is undefined"],
    [() => index.search(many(true)), "vector[2] is true"],
    [() => index.searchBatch([query, many(7n)]), "vectors[1][2] is 7"],
    [() => index.searchBatch([query, "123456789012"]), "vectors[1] is of type string"],
    [() => index.searchBatch([query, , query]), "vectors[1] is of type undefined"],
    [() => index.searchBatch([query, null]), "vectors[1] is null"],
    [() => index.has("7"), 'id is "7"'],
    [() => index.get(null), "id is null"],
    [() => live.addMany(["1"], query), 'ids[0] is "1"'],
    [() => live.addMany([1], query, { payloads: null }), "payloads is null"],
    [() => live.addMany([1], query, { payloads: "x" }), "payloads is of type string"],
    [() => Index.create({ dimensions: "12" }), 'dimensions is "12"'],
    [() => Index.create({ ...base, seed: "1" }), 'seed is "1"'],
    [() => Index.create({ ...base, metric: 2n }), "metric is 2"],
    [() => Index.create({ ...base, persist: 2n }), "persist is 2"],
    [() => open(bytes, { mode: {} }), "mode is of type Object"],
    [() => open(bytes, { integrity: 5n }), "integrity is 5"],
    [() => open(bytes, { signal: 1 }), "signal is 1"],
    [() => open(bytes, { maxBytes: "5" }), 'maxBytes is "5"'],
    [() => open(bytes, { maxBytes: NaN }), "maxBytes is NaN"],
    [() => open("https://index.example/x", { fetch: "mine" }), 'fetch is "mine"'],
    [() => open("https://index.example/x", { concurrency: "4" }), 'concurrency is "4"'],
  ];
  for (const [call, words] of cases) await assert.rejects(async () => call(), invalid([words]), words);
  assert.equal(live.size, 0);
  // Nothing at all is no options.
  assert.equal((await (await open(bytes, null)).search(query, null)).length, 10);
});

test("an id that cannot be one is refused", async () => {
  for (const id of [-1, 1.5, 2 ** 53, NaN, -1n, 2n ** 64n, "7"]) await assert.rejects(index.has(id), invalid([`id is ${typeof id === "string" ? `"${id}"` : id}`]));
});

test("a build that cannot be right is refused by name", async () => {
  const build = (ids, data, options) => Index.build(ids, data, { dimensions: DIMENSIONS, ...options });
  await assert.rejects(Index.build(null, vectors), invalid(["dimensions"]));
  await assert.rejects(build(null, vectors, { dimensions: 0 }), invalid(["dimensions is 0"]));
  await assert.rejects(build(null, vectors, { dimensions: 7 }), invalid(["vectors", "multiple of 7"]));
  await assert.rejects(build(null, new Float32Array(0)), invalid(["vectors is empty"]));
  await assert.rejects(build([1], vectors), invalid(["ids has 1", "200"]));
  await assert.rejects(build([1, 2, 1], vectors.subarray(0, 36)), invalid(["id 1", "unique"]));
  await assert.rejects(build([1, -2, 3], vectors.subarray(0, 36)), invalid(["ids[1] is -2"]));
  await assert.rejects(build(null, vectors, { metric: "manhattan" }), invalid(["metric", '"manhattan"', '"cosine"']));
  await assert.rejects(build(null, vectors, { payloads: ["one"] }), invalid(["payloads has 1", "200"]));
  await assert.rejects(build(null, vectors, { m: 1 }), invalid(["m must be"]));
  await assert.rejects(build(null, vectors, { efConstruction: 2 ** 31 }), invalid(["efConstruction"]));
  await assert.rejects(build(null, vectors, { seed: -1 }), invalid(["seed is -1"]));
  await assert.rejects(build(null, new Float32Array(24), { metric: "cosine" }), invalid(["row 0", "zero vector"]));
  await assert.rejects(build(null, new Float32Array(12).fill(1e30)), invalid(["row 0"]));
});

test("an option that there is not is refused by name, wherever it is given", async () => {
  const live = await Index.create({ dimensions: DIMENSIONS });
  const one = { dimensions: DIMENSIONS };
  const cases = [
    [() => index.search(query, { filters: "n < 3" }), ["filters", "filter"]],
    [() => index.searchBatch(vectors, { topk: 3 }), ["topk", "k"]],
    [() => index.search(query, { budget: { round: 1 } }), ["round", "rounds"]],
    [() => open(bytes, { mod: "lazy" }), ["mod", "mode"]],
    [() => Index.load(bytes, { workers: false }), ["workers", "worker"]],
    [() => Index.build(null, vectors, { ...one, payload: [] }), ["payload", "payloads"]],
    [() => Index.create({ ...one, columnTypes: { price: "f64" } }), ["columnTypes", "columns"]],
    [() => live.add(1, query, { column: { price: 1 } }), ["column", "columns"]],
    [() => live.update(1, query, { payloads: "x" }), ["payloads", "payload"]],
    [() => live.addMany([1], query, { payload: ["x"] }), ["payload", "payloads"]],
    [() => Index.create({ base: open(bytes) }), ["base", "promise"]],
  ];
  for (const [call, words] of cases) await assert.rejects(async () => call(), invalid(words.map((word) => word)), words[0]);
  assert.equal(live.size, 0);
});

test("a payload is text, bytes or what JSON holds: of anything else nothing would be left", async () => {
  const circle = {};
  circle.self = circle;
  const live = await Index.create({ dimensions: DIMENSIONS });
  for (const payload of [new Map([["a", 1]]), new Set([1]), () => {}, Symbol("x"), { n: 1n }, circle]) {
    await assert.rejects(live.add(1, query, { payload }), invalid(["payload 0", "JSON"]));
  }
  const bytes = Uint8Array.of(9, 8, 7, 6, 5, 4, 3, 2);
  const payloads = [bytes.buffer, new DataView(bytes.buffer, 2, 3), new Uint16Array(bytes.buffer, 2, 2), {}, [], 7, null];
  await live.addMany(payloads.map((_, id) => id), rows(payloads.length, DIMENSIONS), { payloads });
  const found = await Promise.all(payloads.map(async (_, id) => [...((await live.get(id)).payload ?? [])]));
  const text = (of) => [...new TextEncoder().encode(of)];
  assert.deepEqual(found, [[9, 8, 7, 6, 5, 4, 3, 2], [7, 6, 5], [7, 6, 5, 4], text("{}"), text("[]"), text("7"), []]);
});

test("an opening that cannot be right is refused by name", async () => {
  for (const cache of [{}, "disk"]) await assert.rejects(open(bytes, { cache }), invalid(["cache", '"auto"']));
  for (const concurrency of [0, -1, NaN, "4", 0.5]) await assert.rejects(open(bytes, { mode: "lazy", concurrency }), invalid(["concurrency", "at least 1"]));
  await assert.rejects(open(bytes, { mode: "never" }), invalid(["mode"]));
});

test("damaged, cut and foreign files are told apart", async () => {
  await assert.rejects(open(new Uint8Array(0)), (error) => error instanceof NearshoreError && ["truncated", "corrupt"].includes(error.code));
  await assert.rejects(open(bytes.slice(0, bytes.length - 1)), failure("truncated", String(bytes.length)));
  await assert.rejects(open(bytes.slice(0, 100)), failure("truncated"));
  await assert.rejects(open(Uint8Array.from({ length: 100_000 }, (_, i) => i)), failure("corrupt", "not a .shore file"));
  const longer = new Uint8Array(bytes.length + 64);
  longer.set(bytes);
  await assert.rejects(open(longer), failure("corrupt", "trailing"));
});

test("a flipped bit is found by the search that meets it, or by verify, and the answer is never another one", async () => {
  const good = JSON.stringify(await index.search(query, { k: 5 }));
  for (let at = 20_000; at < bytes.length; at += 4_999) {
    const damaged = bytes.slice();
    damaged[at] ^= 4;
    const other = await open(damaged).catch((error) => error);
    if (other instanceof NearshoreError) {
      assert.equal(other.code, "corrupt");
      continue;
    }
    const hits = await other.search(query, { k: 5 }).catch((error) => error);
    if (hits instanceof Error) assert.equal(hits.code, "corrupt");
    else assert.equal(JSON.stringify(hits), good);
    await assert.rejects(other.verify(), failure("corrupt", "block"));
  }
});

test("a signal that has fired, or fires, aborts", async () => {
  const gone = AbortSignal.abort("enough");
  const aborted = (error) => failure("aborted")(error) && error.cause === "enough";
  await assert.rejects(index.search(query, { signal: gone }), aborted);
  await assert.rejects(index.searchBatch(vectors, { signal: gone }), aborted);
  await assert.rejects(open(bytes, { signal: gone }), aborted);
  await assert.rejects(Index.build(null, vectors, { dimensions: DIMENSIONS, signal: gone }), aborted);
});

test("a build stops when progress says so, or fires the signal", async () => {
  const many = rows(3000, DIMENSIONS);
  let told = 0;
  await assert.rejects(Index.build(null, many, { dimensions: DIMENSIONS, onProgress: () => ++told < 3 }), failure("aborted"));
  assert.equal(told, 3);
  const controller = new AbortController();
  const stop = Index.build(null, many, { dimensions: DIMENSIONS, signal: controller.signal, onProgress: () => controller.abort() });
  await assert.rejects(stop, failure("aborted"));
});

test("an exception in onProgress rejects the build and is its cause, whenever it is thrown", async () => {
  const many = rows(300, DIMENSIONS);
  let reports = 0;
  await Index.build(null, many, { dimensions: DIMENSIONS, onProgress: () => void reports++ });
  for (const last of [1, reports]) {
    for (const thrown of [new RangeError("mine"), "text", undefined]) {
      let told = 0;
      const onProgress = () => { if (++told === last) throw thrown; };
      await assert.rejects(Index.build(null, many, { dimensions: DIMENSIONS, onProgress }), (error) => failure("aborted", "onProgress threw")(error) && error.cause === thrown);
      assert.equal(told, last);
    }
  }
  let told = 0;
  await assert.rejects(Index.build(null, many, { dimensions: DIMENSIONS, onProgress: () => ++told < reports }), failure("aborted", "onProgress returned false"));
});

test("a payload that is no JSON says so", async () => {
  const [hit] = await index.search(query, { k: 1 });
  assert.throws(() => hit.json(), failure("invalid-argument", "payload of row 0 is not JSON"));
  const row = await index.get(3);
  assert.throws(() => row.json(), failure("invalid-argument", "payload of row 3"));
});

test("where there is no room for an engine that is an error of ours", async () => {
  const { Instance } = WebAssembly;
  WebAssembly.Instance = class { constructor() { throw new RangeError("could not allocate memory"); } };
  try {
    await assert.rejects(open(bytes), failure("quota", "could not allocate memory"));
    await assert.rejects(Index.create({ dimensions: 2 }), failure("quota", "could not allocate memory"));
  } finally {
    WebAssembly.Instance = Instance;
  }
  await (await open(bytes)).close();
});

test("a signal ends the wait for an engine that does not come", async () => {
  const server = createServer(() => {});
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const given = init({ wasm: `http://127.0.0.1:${server.address().port}/engine.wasm` });
  const failed = assert.rejects(given, failure("network"));
  await assert.rejects(open(bytes, { signal: AbortSignal.timeout(20) }), failure("aborted"));
  await assert.rejects(Index.build(null, vectors, { dimensions: DIMENSIONS, signal: AbortSignal.timeout(20) }), failure("aborted"));
  server.closeAllConnections();
  server.close();
  await failed;
  await (await open(bytes)).close();
});

test("options that are none, and a progress that is promised, are refused", async () => {
  for (const given of [index.search(query, 5), index.search(query, { budget: 5 }), index.search(query, "k")]) await assert.rejects(given, failure("invalid-argument", "expected an object of: "));
  assert.equal((await index.search(query, null)).length > 0, true);
  const onProgress = async () => false;
  await assert.rejects(Index.build(null, vectors, { dimensions: DIMENSIONS, onProgress }), failure("aborted", "promise"));
});

test("after close every call rejects with `closed`", async () => {
  const other = await open(bytes);
  await other.close();
  const calls = [other.search(query), other.searchBatch(vectors), other.has(1), other.get(1), other.save(), other.verify(), other.stats(), other.prefetch(), other.cache.clear()];
  for (const call of calls) await assert.rejects(call, failure("closed"));
  assert.equal((await index.search(query, { k: 1 }))[0].id, 0, "other indexes live on");
});
