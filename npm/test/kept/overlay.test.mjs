// An index over a base, against a plain map of rows: whatever is added, updated and deleted, and wherever the base lies.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Index, open } from "nearshore";
import { exact, failure, random, rows, vector } from "../rows.mjs";
import { serveFile } from "../lazy/server.mjs";
import { sources } from "../lazy/source.mjs";

const home = mkdtempSync(join(tmpdir(), "nearshore-overlay-"));
after(() => rmSync(home, { recursive: true }));

const DIMENSIONS = 8;
/** Whole numbers, which an index keeps as they are: its distances are exact, and a scan finds all. Few values, so many are equal. */
const numbers = (count, seed) => {
  const next = random(seed);
  return Int8Array.from({ length: count * DIMENSIONS }, () => Math.floor(next() * 7) - 3);
};

/** The nearest rows of a map of vectors. */
const nearest = (map, query, k, radius = Infinity) =>
  [...map]
    .map(([id, { vector }]) => [id, vector.reduce((sum, x, i) => sum + (x - query[i]) ** 2, 0)])
    .filter(([, distance]) => distance <= radius)
    .sort((a, b) => a[1] - b[1] || a[0] - b[0])
    .slice(0, k);

async function baseOf(count, seed) {
  const vectors = numbers(count, seed);
  const ids = Array.from({ length: count }, (_, i) => i * 2);
  const base = await Index.build(ids, vectors, { dimensions: DIMENSIONS, payloads: ids.map((id) => `base ${id}`) });
  return { base, map: new Map(ids.map((id, i) => [id, { vector: vector(vectors, DIMENSIONS, i), text: `base ${id}` }])) };
}

test("random changes over a whole base: searches, has, get and size are those of a plain map, kept or not", async () => {
  for (const persist of [undefined, join(home, "random")]) {
    const next = random(21);
    const { base, map } = await baseOf(60, 2);
    const options = { base, ...(persist && { persist }) };
    let live = await Index.create(options);
    const any = numbers(400, 3);
    for (let step = 0; step < 240; step++) {
      const id = Math.floor(next() * 150);
      const given = vector(any, DIMENSIONS, step);
      const text = `local ${step}`;
      const what = next();
      if (what < 0.3) {
        const taken = map.has(id);
        const done = await live.add(id, given, { payload: text }).then(() => true, (error) => failure("invalid-argument", "taken")(error) && false);
        assert.equal(done, !taken, `add ${id}`);
        if (done) map.set(id, { vector: given, text });
      } else if (what < 0.5) {
        await live.update(id, given, { payload: text });
        map.set(id, { vector: given, text });
      } else if (what < 0.95) assert.equal(await live.delete(id), map.delete(id), `delete ${id}`);
      else if (persist) {
        if (next() < 0.5) await live.compact();
        await live.close();
        live = await Index.create(options);
      }
      assert.equal(live.size, map.size, `step ${step}`);
      const [query, k, radius] = [vector(any, DIMENSIONS, 399 - step), 1 + Math.floor(next() * 20), next() < 0.3 ? 40 : undefined];
      const hits = await live.search(query, { k, plan: "scan", ...(radius && { radius }) });
      assert.deepEqual(hits.map((hit) => [hit.id, hit.distance]), nearest(map, query, k, radius), `step ${step}`);
      for (const hit of hits) assert.equal(hit.text(), map.get(hit.id).text);
      assert.ok(hits.stats.complete && hits.stats.distances >= hits.length);
      assert.equal(await live.has(id), map.has(id));
      const row = await live.get(id);
      assert.deepEqual(row && [[...row.vector], row.text()], map.has(id) ? [[...map.get(id).vector], map.get(id).text] : undefined);
    }
    // Many at a time, and more than there are.
    const queries = any.subarray(0, 70 * DIMENSIONS);
    const all = await live.searchBatch(queries, { k: 500, plan: "scan" });
    all.forEach((hits, i) => assert.deepEqual(hits.map((hit) => [hit.id, hit.distance]), nearest(map, vector(queries, DIMENSIONS, i), 500)));
    const fresh = [301, 302, 303];
    await assert.rejects(live.addMany([...fresh, [...map.keys()][0]], any.subarray(0, 4 * DIMENSIONS)), failure("invalid-argument", "row 3", "taken"));
    assert.equal(live.size, map.size);
    await live.addMany(fresh, any.subarray(0, 3 * DIMENSIONS));
    assert.equal(live.size, map.size + 3);
    await live.clear();
    assert.equal(live.size, 60);
    assert.deepEqual((await live.search(queries.subarray(0, DIMENSIONS), { k: 60, plan: "scan" })).length, 60);
    await live.close();
    assert.equal(base.size, 60, "the base is as it was, and open");
  }
});

/** Values of a row: `odd` is none in every third. */
const valuesOf = (n) => ({ n, odd: n % 3 ? n % 2 === 1 : null });
const FILTERS = [["odd", ({ odd }) => odd === true], ["n < 40 and not odd", ({ n, odd }) => n < 40 && odd !== true], [{ column: "odd", is_null: true }, ({ odd }) => odd === null], ["n >= 0", () => true]];

test("a filter asks both sides, wherever the columns of the base are known from, kept or not", async () => {
  for (const [way, persist] of [["built", undefined], ["opened", join(home, "columns")], ["live", undefined]]) {
    const next = random(17);
    const vectors = numbers(120, 12);
    const any = numbers(400, 13);
    const ids = Array.from({ length: 120 }, (_, i) => i * 2);
    const columns = { n: "i64", odd: "bool" };
    const map = new Map(ids.map((id, i) => [id, { vector: vector(vectors, DIMENSIONS, i), values: valuesOf(id / 2) }]));
    let base = await Index.build(ids, vectors, { dimensions: DIMENSIONS, columns: ids.map((id) => valuesOf(id / 2)) });
    if (way === "opened") base = await open(await base.save());
    if (way === "live") base = await Index.load(await base.save());
    const options = { base, ...(persist && { persist }), ...(way === "opened" && { columns }) };
    let live = await Index.create(options);
    assert.deepEqual(live.info.columns, columns, way);
    for (let step = 0; step < 150; step++) {
      const id = Math.floor(next() * 260);
      const given = vector(any, DIMENSIONS, step);
      if (step % 2) assert.equal(await live.delete(id), map.delete(id));
      else {
        await live.update(id, given, { columns: valuesOf(step) });
        map.set(id, { vector: given, values: valuesOf(step) });
      }
      if (persist && step % 40 === 39) {
        if (step > 100) await live.compact();
        await live.close();
        live = await Index.create(options);
      }
      const [filter, meets] = FILTERS[step % FILTERS.length];
      const [query, k] = [vector(any, DIMENSIONS, 399 - step), 1 + Math.floor(next() * 20)];
      const some = new Map([...map].filter(([, { values }]) => meets(values)));
      assert.deepEqual((await live.search(query, { k, filter, plan: "scan" })).map((hit) => [hit.id, hit.distance]), nearest(some, query, k), `${way}, step ${step}, ${filter}`);
    }
    const batch = await live.searchBatch(any.subarray(0, 70 * DIMENSIONS), { k: 300, filter: "odd", plan: "scan" });
    const some = new Map([...map].filter(([, { values }]) => values.odd === true));
    batch.forEach((hits, i) => assert.deepEqual(hits.map((hit) => [hit.id, hit.distance]), nearest(some, vector(any, DIMENSIONS, i), 300)));
    await assert.rejects(live.search(any.subarray(0, DIMENSIONS), { filter: "even" }), failure("invalid-argument", "no column even"));
    await live.close();
    await base.close();
  }
});

test("columns that are not those of the base, or that nobody said, are refused", async () => {
  const vectors = numbers(20, 7);
  const query = vectors.subarray(0, DIMENSIONS);
  const built = await Index.build(null, vectors, { dimensions: DIMENSIONS, columns: { n: Array.from({ length: 20 }, (_, i) => i) } });
  await assert.rejects(Index.create({ base: built, columns: { n: "f64" } }), failure("invalid-argument", "column n is f64", "i64 in the base"));
  await assert.rejects(Index.create({ base: built, columns: { toString: "f64" } }), failure("invalid-argument", "column toString", "not there in the base"));
  const opened = await open(await built.save());
  const silent = await Index.create({ base: opened });
  await assert.rejects(silent.search(query, { filter: "n < 3" }), failure("invalid-argument", "columns"));
  // What the base turns out not to have is said by the search that asks for it.
  const wrong = await Index.create({ base: opened, columns: { m: "f64" } });
  await assert.rejects(wrong.search(query, { filter: "m < 3" }), failure("invalid-argument", "in the base: ", "no column m"));
  const none = await Index.create({ base: await Index.create({ dimensions: DIMENSIONS, element: "i8" }), columns: { n: "i64" } });
  await assert.rejects(none.search(query, { filter: "n < 3" }), failure("invalid-argument", "in the base: ", "no columns"));
});

test("what is kept goes on with its columns over whatever becomes of the base, unless others are said", async () => {
  const vectors = numbers(20, 7);
  const query = vectors.subarray(0, DIMENSIONS);
  const n = Array.from({ length: 20 }, (_, i) => i);
  const build = (columns) => Index.build(null, vectors, { dimensions: DIMENSIONS, ...(columns && { columns }) });
  const [none, one, two] = [await build(), await build({ n }), await build({ m: n.map(String), n })];
  const found = async (live, filter) => (await live.search(query, { k: 30, filter, plan: "scan" })).map(({ id }) => id).sort((a, b) => a - b);
  const using = async (options, work) => {
    const live = await Index.create(options);
    try {
      return await work(live);
    } finally {
      await live.close();
    }
  };
  // Kept without columns; the base has some by now.
  const before = { persist: join(home, "without") };
  await using({ ...before, base: none }, (live) => live.add(100, query));
  await using({ ...before, base: one }, async (live) => {
    assert.deepEqual([live.info.columns, live.size, await live.has(100)], [undefined, 21, true]);
    await assert.rejects(live.search(query, { filter: "n < 3" }), failure("invalid-argument", "no columns"));
    await live.add(101, query);
  });
  await assert.rejects(Index.create({ ...before, base: one, columns: { n: "i64" } }), failure("invalid-argument", 'columns is {"n":"i64"}, and none in what is kept', "leave `columns` out"));
  // Kept with columns, and the base has more, or is opened so that none are known, or has none.
  const persist = join(home, "with");
  await using({ persist, base: one }, (live) => live.add(100, query, { columns: { n: 1 } }));
  for (const base of [two, await open(await one.save()), await open(await two.save())]) {
    await using({ persist, base }, async (live) => {
      assert.deepEqual([live.info.columns, await found(live, "n < 3")], [{ n: "i64" }, [0, 1, 2, 100]]);
      await live.compact();
    });
  }
  await using({ persist, base: two }, (live) => assert.rejects(live.search(query, { filter: "m = 'a'" }), failure("invalid-argument", "no column m; there are: n")));
  await using({ persist, base: none }, (live) => assert.rejects(live.search(query, { filter: "n < 3" }), failure("invalid-argument", "in the base: ")));
  await assert.rejects(Index.create({ persist, base: two, columns: { n: "i64", m: "string" } }), failure("invalid-argument", "columns is"));
  // Without a base as well.
  const alone = { dimensions: DIMENSIONS, element: "i8", persist: join(home, "alone") };
  await using({ ...alone, columns: { n: "i64", m: "string" } }, (live) => live.add(1, query, { columns: { n: 5 } }));
  await using(alone, async (live) => assert.deepEqual([Object.keys(live.info.columns), await found(live, "n = 5")], [["n", "m"], [1]]));
  await assert.rejects(Index.create({ ...alone, columns: {} }), failure("invalid-argument", "columns is none"));
});

test("a filter over a base that is read in parts, by HTTP", async () => {
  const server = await serveFile(new Uint8Array(readFileSync(join(import.meta.dirname, "../../../tests/conformance/filters-tiles.shore"))));
  const persist = join(home, "filtered");
  try {
    const base = await open(`${server.url}/plain/x`, { mode: "lazy" });
    const { dimensions } = base.info;
    const columns = { price: "i64", brand: "string", sold: "bool" };
    let live = await Index.create({ base, persist, columns });
    const query = new Float32Array(dimensions);
    const ask = async (filter) => (await live.search(query, { k: 20, filter, recall: 0.99 })).map(({ id }) => id);
    const before = await ask("price < 20");
    assert.equal(before.length, 20);
    await live.delete(before[0]);
    await live.update(before[1], query, { columns: { price: 19, brand: "acme" } });
    await live.add(1_000_001, query, { columns: { price: 21 } });
    const after = await ask("price < 20");
    assert.deepEqual([after[0], after.includes(before[0]), after.includes(1_000_001), after.length], [before[1], false, false, 20]);
    await live.close();
    // Nobody needs to say the columns of what is kept again.
    live = await Index.create({ base, persist });
    assert.deepEqual(await ask("price < 20"), after);
    assert.deepEqual((await ask("price = 21 and brand is null")).slice(0, 1), [1_000_001]);
    // Of a column that no search has brought yet.
    const cut = await live.search(query, { filter: "price < 20 and not sold", budget: { rounds: 0 } });
    assert.deepEqual([cut.stats.complete, cut.map(({ id }) => id)], [false, [before[1]]], "what is here needs no budget");
    await live.close();
    await base.close();
  } finally {
    server.close();
  }
});

test("however many of the nearest are hidden, k are found", async () => {
  const { base, map } = await baseOf(400, 5);
  const live = await Index.create({ base });
  const query = new Int8Array(DIMENSIONS);
  for (const [id] of nearest(map, query, 200)) {
    await live.delete(id);
    map.delete(id);
  }
  const hits = await live.search(query, { k: 10, plan: "scan" });
  assert.deepEqual(hits.map((hit) => [hit.id, hit.distance]), nearest(map, query, 10));
  // It was asked for more and more; where little is hidden once is enough.
  assert.ok(hits.stats.distances > 400, `${hits.stats.distances} distances`);
  const other = await Index.create({ base });
  await other.delete(0);
  assert.equal((await other.search(query, { k: 10, plan: "scan" })).stats.distances, 400);
});

test("asking again spends what is left of the budget, and what a cut search knows less is not taken", async () => {
  const { encodeAnswers, over } = await sources(".", ["overlay", "overlay/merge"]);
  const stats = { distances: 5, hops: 1, ef: 8, rounds: 2, requests: 3, bytes: 700, cached: 1, ms: 0, complete: true };
  const asked = [];
  const base = {
    info: { rows: 1000, meta: {}, mode: "lazy" },
    call: async (name, { k, budget }) => {
      asked.push([k, budget.bytes, budget.rounds]);
      // All but the last are hidden; the second time the budget cuts it.
      const hits = asked.length > 1 ? [] : Array.from({ length: k }, (_, id) => ({ id, distance: id }));
      return encodeAnswers([{ hits, stats: { ...stats, complete: asked.length < 2 } }]);
    },
  };
  const local = {
    call: async (name, given) => ({
      describe: () => ({ rows: 0, payload: false, kept: false, over: { hidden: 20, covered: 20 } }),
      search: () => encodeAnswers([{ hits: [], stats: { ...stats, rounds: 0, requests: 0, bytes: 0, cached: 0 } }]),
      hides: () => Uint8Array.from(given, (id) => Number(id < 6n)),
    })[name](),
  };
  const { link } = await over(base, local, String);
  const answer = await link.call("search", { data: new Float32Array(2), count: 1, k: 3, budget: { bytes: 1000, rounds: 3 } });
  assert.deepEqual(asked, [[8, 1000, 3], [16, 300, 1]]);
  assert.deepEqual([...new Uint32Array(answer, 0, 1), ...new BigUint64Array(answer, 24, 1)], [2, 6n], "hits of the first, which knew more");
  const [rounds, requests, bytes, cached, complete] = new Float64Array(answer.slice(-40));
  assert.deepEqual([rounds, requests, bytes, cached, complete], [4, 6, 1400, 2, 0]);
});

test("a base that is another, or none, is refused", async () => {
  const { base } = await baseOf(20, 7);
  await assert.rejects(Index.create({ base, dimensions: 9 }), failure("invalid-argument", "dimensions is 9", "8 in the base"));
  await assert.rejects(Index.create({ base, metric: "cosine" }), failure("invalid-argument", "metric", "base"));
  await assert.rejects(Index.create({ base: {} }), failure("invalid-argument"));
  const persist = join(home, "mixed");
  const live = await Index.create({ base, persist });
  await live.delete(0);
  await assert.rejects(live.save(), failure("unsupported", "base"));
  await live.close();
  await assert.rejects(Index.create({ dimensions: DIMENSIONS, element: "i8", persist }), failure("invalid-argument", "base"));
  const again = await Index.create({ base, persist });
  assert.equal(again.size, 19);
  await base.close();
  await assert.rejects(again.search(new Int8Array(DIMENSIONS)), failure("closed"));
  await again.close();
});

test("over a base that is read in parts, by HTTP: what is hidden is not found, k are, budgets and signals hold", async () => {
  const D = 24;
  const file = new Uint8Array(readFileSync(join(import.meta.dirname, "../lazy/tiles.shore")));
  const server = await serveFile(file);
  try {
    const vectors = rows(2000, D, 9);
    const map = new Map(Array.from({ length: 2000 }, (_, i) => [i * 3 + 1, vector(vectors, D, i)]));
    const base = await open(`${server.url}/plain/x`, { mode: "lazy" });
    // No change asks the base: an id of it that is added takes its row's place, and one that is nowhere is taken for one of it.
    const apart = await Index.create({ base });
    await apart.add(1, vector(vectors, D, 7));
    assert.deepEqual([apart.size, await apart.delete(5), apart.size, await base.has(1), await base.has(5)], [2001, true, 2000, true, false]);
    const twins = await apart.search(vector(vectors, D, 7), { k: 2 });
    assert.deepEqual(twins.map(({ id }) => id).sort((a, b) => a - b), [1, 22]);
    assert.equal((await apart.search(vector(vectors, D, 0), { k: 50 })).filter(({ id }) => id === 1).length <= 1, true);
    await apart.close();
    const persist = join(home, "lazy");
    let live = await Index.create({ base, persist });
    assert.deepEqual([live.size, live.info.mode, live.info.metric, live.info.dimensions, live.info.kept], [2000, "lazy", "cosine", D, true]);
    const next = random(31);
    const others = rows(600, D, 33);
    for (let step = 0; step < 300; step++) {
      const id = 3 * Math.floor(next() * 2000) + 1;
      const given = vector(others, D, step);
      if (step % 3 === 0) await live.add(10_000 + step, given, { payload: "new" });
      else if (step % 3 === 1) await live.update(id, given);
      else await live.delete(id);
      if (step % 3 === 2) map.delete(id);
      else map.set(step % 3 === 0 ? 10_000 + step : id, given);
    }
    await live.close();
    live = await Index.create({ base, persist });
    const size = live.size;
    const ids = [...map.keys()];
    const all = Float32Array.from(ids.flatMap((id) => [...map.get(id)]));
    const place = new Map(ids.map((id, i) => [id, i]));
    let found = 0;
    for (let i = 0; i < 40; i++) {
      const query = vector(others, D, 300 + i);
      const hits = await live.search(query, { k: 10, recall: 0.99 });
      assert.equal(hits.length, 10);
      const truth = exact(all, D, query, 2000, "cosine");
      const distance = new Map(truth.map((hit) => [ids[hit.row], hit.distance]));
      hits.forEach((hit, at) => {
        assert.ok(place.has(hit.id), `row ${hit.id} is hidden`);
        assert.ok(Math.abs(hit.distance - distance.get(hit.id)) < 0.02, `row ${hit.id} lies elsewhere by now`);
        assert.ok(at === 0 || hit.distance >= hits[at - 1].distance);
      });
      const wanted = new Set(truth.slice(0, 10).map((hit) => ids[hit.row]));
      found += hits.filter((hit) => wanted.has(hit.id)).length;
      assert.ok(hits.stats.rounds >= 0 && hits.stats.complete);
    }
    assert.ok(found / 400 > 0.9, `recall ${found / 400}`);
    const { requests, bytes } = await live.stats();
    assert.ok(requests > 10 && bytes > 100_000);
    // A row that is here is told, and so are others, for which the base's file is looked into.
    assert.equal(await live.has(10_000), true);
    assert.equal((await live.get(10_000)).text(), "new");
    assert.equal(await live.has(777_777), false);
    assert.equal(await live.get(777_777), undefined);
    const below = ids.find((id) => id < 10_000);
    assert.deepEqual([await live.has(below), (await live.get(below)).id], [true, below]);
    await live.delete(10_000);
    assert.deepEqual([await live.has(10_000), live.size], [false, size - 1]);

    await base.cache.clear();
    server.reset();
    const cut = await live.search(vector(others, D, 500), { k: 5, budget: { rounds: 0 } });
    assert.equal(cut.stats.complete, false);
    assert.equal(server.log.length, 0);
    assert.ok(cut.every((hit) => hit.id >= 10_000 || place.has(hit.id)) && cut.length > 0, "what is here needs no budget");
    server.delay = 5000;
    await assert.rejects(live.search(vector(others, D, 501), { signal: AbortSignal.timeout(30) }), failure("aborted"));
    await live.close();
    await base.close();
  } finally {
    server.close();
  }
});
