// Columns of rows that are built or changed here, and filters by them, against plain predicates over the same rows.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { Index, open } from "nearshore";
import { sources } from "./lazy/source.mjs";
import { failure, random, rows, vector } from "./rows.mjs";

const DIMENSIONS = 8;
const vectors = rows(3000, DIMENSIONS);
const row = (i) => vector(vectors, DIMENSIONS, i);
const TYPES = { price: "f64", brand: "string", sold: "bool", year: "i64" };
const valuesOf = (i) => ({
  price: i % 7 === 0 ? null : (i % 40) / 4,
  brand: ["north", "caf\u00e9", "", undefined][i % 4],
  sold: i % 3 === 0 ? undefined : i % 2 === 0,
  year: i % 5 === 0 ? 2n ** 60n + BigInt(i) : 1990 + (i % 30),
});

/** Conditions, and what they mean for a row. */
const FILTERS = [
  ["price < 3", ({ price }) => price !== null && price < 3],
  ["price is null or brand is null", ({ price, brand }) => price === null || brand === undefined],
  ['brand in ("caf\u00e9", "") and not sold', ({ brand, sold }) => (brand === "caf\u00e9" || brand === "") && sold !== true],
  [{ column: "year", gt: 2n ** 60n + 50n }, ({ year }) => BigInt(year) > 2n ** 60n + 50n],
  ["year between 1995 and 2000.5", ({ year }) => year >= 1995 && year <= 2000],
  ["price > 1000", () => false],
];

/** All rows that meet a condition, by a search for more than there are. */
const found = async (index, filter) => (await index.search(row(2999), { k: 5000, filter, plan: "scan" })).map(({ id }) => Number(id)).sort((a, b) => a - b);

/** Holds an index to a map from ids to values. */
async function agree(index, map, what) {
  for (const [filter, meets] of FILTERS) {
    const wanted = [...map].filter(([, values]) => meets(values)).map(([id]) => id).sort((a, b) => a - b);
    assert.deepEqual(await found(index, filter), wanted, `${what}: ${JSON.stringify(filter, (_, value) => (typeof value === "bigint" ? `${value}n` : value))}`);
  }
}

const answers = async (index) => {
  const all = [];
  for (const [filter] of FILTERS) all.push(...(await index.searchBatch(vectors.subarray(0, 5 * DIMENSIONS), { k: 7, filter })).map((hits) => hits.map(({ id, distance }) => [id, distance])));
  return all;
};

test("rows that are added, updated, deleted and compacted are filtered as what they are now, and so is the file that is saved", async () => {
  const live = await Index.create({ dimensions: DIMENSIONS, columns: TYPES });
  assert.deepEqual(Object.entries(live.info.columns), Object.entries(TYPES), "in the caller's order");
  assert.deepEqual(await found(live, "price < 3"), []);
  const map = new Map();
  const ids = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);
  await live.add(0, row(0), { columns: valuesOf(0), payload: "zero" });
  await live.addMany(ids(1, 300), vectors.subarray(DIMENSIONS, 300 * DIMENSIONS), { columns: ids(1, 300).map(valuesOf) });
  const lists = Object.fromEntries(Object.keys(TYPES).map((name) => [name, ids(300, 600).map((i) => valuesOf(i)[name])]));
  await live.addMany(ids(300, 600), vectors.subarray(300 * DIMENSIONS, 600 * DIMENSIONS), { columns: lists });
  for (const i of ids(0, 600)) map.set(i, valuesOf(i));
  await agree(live, map, "added");
  const next = random(5);
  for (let step = 0; step < 200; step++) {
    const id = Math.floor(next() * 600);
    if (step % 3 === 0) {
      await live.update(id, row(1000 + step), { columns: valuesOf(2000 + step) });
      map.set(id, valuesOf(2000 + step));
    } else assert.equal(await live.delete(id), map.delete(id));
    if (step % 50 === 0) await agree(live, map, `step ${step}`);
  }
  // Without columns a row has none of the values that it had.
  await live.update([...map.keys()][3], row(7));
  map.set([...map.keys()][3], { price: null, brand: undefined, sold: undefined, year: -1 });
  const [first] = FILTERS.splice(4, 1); // a missing year meets nothing
  await agree(live, map, "changed");
  await live.compact();
  await agree(live, map, "compacted");
  const [wanted, bytes] = [await answers(live), await live.save()];
  const opened = await open(bytes.slice());
  await agree(opened, map, "saved");
  assert.deepEqual(await answers(opened), wanted);
  const again = await Index.load(bytes.slice());
  assert.deepEqual(Object.entries(again.info.columns), Object.entries(TYPES));
  assert.deepEqual(await answers(again), wanted);
  await again.add(5000, row(1), { columns: { price: 0.5, brand: "north" } });
  map.set(5000, { price: 0.5, brand: "north", sold: undefined, year: -1 });
  await agree(again, map, "loaded");
  await agree(await open(await again.save()), map, "saved again");
  await again.delete(5000);
  await live.clear();
  assert.deepEqual([live.size, live.info.columns, await found(live, "price < 3")], [0, TYPES, []]);
  await live.add(1, row(1), { columns: { price: 1 } });
  assert.deepEqual(await found(live, "price < 3"), [1]);
  FILTERS.splice(4, 0, first);
});

test("many rows are walked among, and a filter that was asked before sees what came since", async () => {
  const live = await Index.create({ dimensions: DIMENSIONS, metric: "cosine", efConstruction: 40, columns: { half: "bool" } });
  const all = Array.from({ length: 2500 }, (_, i) => i);
  await live.addMany(all, vectors.subarray(0, 2500 * DIMENSIONS), { columns: { half: all.map((i) => i % 2 === 0) } });
  assert.equal(live.info.plan, "walk");
  for (let i = 0; i < 20; i++) {
    const hits = await live.search(row(2600 + i), { filter: "half", k: 10, ef: 20, plan: "walk" });
    assert.ok(hits.length === 10 && hits.every(({ id }) => id % 2 === 0) && hits.stats.hops > 0);
  }
  await live.add(9000, row(2600), { columns: { half: true } });
  await live.add(9001, row(2600), { columns: { half: false } });
  assert.deepEqual((await live.search(row(2600), { filter: "half", k: 1 })).map(({ id }) => id), [9000]);
});

test("what is built with columns filters, and has the bytes of its rows however they are given", async () => {
  const ids = Array.from({ length: 400 }, (_, i) => i);
  const data = vectors.subarray(0, 400 * DIMENSIONS);
  const build = (options) => Index.build(null, data, { dimensions: DIMENSIONS, ...options });
  const built = await build({ columns: ids.map(valuesOf) });
  assert.deepEqual(built.info.columns, TYPES, "types of the values");
  await agree(built, new Map(ids.map((i) => [i, valuesOf(i)])), "built");
  const bytes = await built.save();
  const lists = Object.fromEntries(Object.keys(TYPES).map((name) => [name, ids.map((i) => valuesOf(i)[name])]));
  for (const other of [{ columns: lists }, { columns: lists, columnTypes: TYPES }]) assert.deepEqual(await (await build(other)).save(), bytes);
  assert.deepEqual(await answers(await open(bytes)), await answers(built));
  const types = async (columns, columnTypes) => (await Index.build(null, row(0), { dimensions: DIMENSIONS, columns, columnTypes })).info.columns;
  assert.deepEqual(await types({ a: [1], b: Float32Array.of(1), c: BigInt64Array.of(-5n), d: Uint8Array.of(3), e: [0.5], f: Float64Array.of(7) }), { a: "i64", b: "f64", c: "i64", d: "i64", e: "f64", f: "f64" });
  assert.deepEqual(await types([{ a: 1 }], { a: "f64", b: "bool" }), { a: "f64", b: "bool" });
  assert.deepEqual(await types({ price: [1], note: [null] }, { note: "string" }), { note: "string", price: "i64" }, "types that nobody said are those of the values");
  assert.deepEqual(await types([{ a: 1, ["__proto__"]: true }], { a: "f64" }), Object.fromEntries([["a", "f64"], ["__proto__", "bool"]]));
  assert.equal(await types({}), undefined);
  assert.equal((await build({})).info.columns, undefined);
});

test("names that objects have anyway are names like others", async () => {
  const columns = Object.fromEntries(["__proto__", "constructor", "7", "odd `name`", "\u00fcber", "\ufeffmark"].map((name) => [name, "i64"]));
  const live = await Index.create({ dimensions: DIMENSIONS, columns });
  assert.deepEqual(Object.keys(live.info.columns).sort(), Object.keys(columns).sort());
  await live.add(1, row(1), { columns: Object.fromEntries(Object.keys(columns).map((name, i) => [name, i])) });
  await live.add(2, row(2), { columns: {} });
  for (const [i, name] of Object.keys(columns).entries()) assert.deepEqual(await found(live, { column: name, eq: i }), [1], name);
  await assert.rejects(live.add(3, row(3), { columns: { toString: 1 } }), failure("invalid-argument", "no column toString"));
});

test("values and types that cannot be right are refused by column and row, and nothing is changed", async () => {
  const live = await Index.create({ dimensions: DIMENSIONS, columns: TYPES });
  const two = vectors.subarray(0, 2 * DIMENSIONS);
  const cases = [
    [[{}, { price: "7" }], ["column price of row 1", '"7"', "a finite number"]],
    [[{ price: NaN }, {}], ["column price of row 0", "NaN"]],
    [[{ price: 7n }, {}], ["column price of row 0", "7n"]],
    [[{ year: 1.5 }, {}], ["column year of row 0", "1.5", "whole number"]],
    [[{ year: 2 ** 53 }, {}], ["column year of row 0", "bigint"]],
    [[{ year: 2n ** 63n }, {}], ["column year of row 0", "9223372036854775808n"]],
    [[{ sold: 1 }, {}], ["column sold of row 0", "true or false"]],
    [[{ brand: 1 }, {}], ["column brand of row 0", "a string"]],
    [[{ brand: ["a"] }, {}], ["column brand of row 0"]],
    [[{}, { colour: 1 }], ["row 1", "no column colour", "price, brand, sold, year"]],
    [[{}], ["columns has 1", "2"]],
    [[{}, 5], ["columns of row 1", "number"]],
    [{ price: [1] }, ["column price has 1 values", "2"]],
    [{ brand: "ab" }, ["column brand is of type string", "list"]],
    [{ colour: [1, 2] }, ["no column colour"]],
    ["price", ["columns is of type string"]],
  ];
  for (const [columns, words] of cases) await assert.rejects(live.addMany([1, 2], two, { columns }), failure("invalid-argument", ...words));
  await assert.rejects(live.addMany([1, 1], two, { columns: [{ price: 1 }, {}] }), failure("invalid-argument", "id 1 is given twice", "ids[0] and ids[1]"));
  assert.equal(live.size, 0);
  await live.addMany([1, 2], two, { columns: [{ year: -(2n ** 63n) }, null] });
  assert.deepEqual(await found(live, "year is not null"), [1]);
  for (const [columns, words] of [
    [{ price: "float" }, ["column price", '"float"', '"f64"']],
    [{ "": "f64" }, ["0 bytes"]],
    [{ ["\u00e4".repeat(49)]: "f64" }, ["98 bytes", "96"]],
    [Object.fromEntries(Array.from({ length: 41 }, (_, i) => [`c${i}`, "f64"])), ["41 columns", "40"]],
    [["price"], ["columns is"]],
    [7, ["columns is of type number"]],
  ]) await assert.rejects(Index.create({ dimensions: DIMENSIONS, columns }), failure("invalid-argument", ...words));
  const build = (columns, columnTypes) => Index.build(null, two, { dimensions: DIMENSIONS, columns, columnTypes });
  await assert.rejects(build({ a: [1, "x"] }), failure("invalid-argument", "column a of row 1", '"x"'));
  await assert.rejects(build({ a: [null, undefined] }), failure("invalid-argument", "column a", "columnTypes"));
  await assert.rejects(build({ a: [1, 2] }, "f64"), failure("invalid-argument", "columnTypes is of type string"));
  await assert.rejects(build({ a: [1, 2] }, { b: "float" }), failure("invalid-argument", "column b", '"float"'));
  await assert.rejects(build("ab"), failure("invalid-argument", "columns is"));
  for (const [columns, ...words] of [[[], "columns has 0"], [[{}, null, {}], "columns has 3", "2"], [[{}, 5], "columns of row 1"]]) await assert.rejects(build(columns), failure("invalid-argument", ...words));
});

test("an index without columns says so, to values and to filters", async () => {
  const live = await Index.create({ dimensions: DIMENSIONS });
  await assert.rejects(live.search(row(0), { filter: "price < 3" }), failure("invalid-argument", "no columns", "Index.create"));
  await assert.rejects(live.add(1, row(0), { columns: { price: 3 } }), failure("invalid-argument", "columns", "Index.create"));
  const other = await Index.create({ dimensions: DIMENSIONS, columns: TYPES });
  await assert.rejects(other.search(row(0), { filter: "prize < 3" }), failure("invalid-argument", "no column prize; there are: price, brand, sold, year"));
  await assert.rejects(other.search(row(0), { filter: "price <" }), failure("invalid-argument", "filter: at character"));
});

test("a file with columns keeps them when it is loaded and changed", async () => {
  const file = await readFile(new URL("../../tests/conformance/filters.shore", import.meta.url));
  const [opened, live] = [await open(file), await Index.load(file)];
  const { dimensions } = live.info;
  const query = new Float32Array(dimensions);
  const ask = async (index) => (await index.search(query, { k: 2000, filter: "price < 20 and not sold", plan: "scan" })).map(({ id }) => id).sort((a, b) => a - b);
  const wanted = await ask(opened);
  assert.ok(wanted.length > 20);
  assert.deepEqual(await ask(live), wanted);
  assert.equal(opened.info.columns, undefined);
  assert.deepEqual(live.info.columns, { group: "i64", price: "i64", brand: "string", score: "f64", sold: "bool" });
  assert.equal(await live.delete(wanted[0]), true);
  await live.add(7_000_000, query, { columns: { price: 3 } });
  assert.deepEqual(await ask(live), [...wanted.slice(1), 7_000_000]);
  assert.deepEqual(await ask(await open(await live.save())), [...wanted.slice(1), 7_000_000]);
});

test("rows for whose values there is no room leave nothing to the rows that come next", async () => {
  const { Engine, schemaText } = await sources(".", ["full", "schema"]);
  const engine = new Engine(await WebAssembly.compile(await readFile(new URL("../dist/nearshore-columns.wasm", import.meta.url))));
  engine.create({ dimensions: 2, metric: "l2", element: "f32", m: 16, efConstruction: 200, seed: 0n, columns: schemaText([["n", "i64"]]) });
  const call = { vectors: Float32Array.of(1, 2), payloads: null, columns: null, replace: false };
  const { core } = engine;
  const full = { ids: BigUint64Array.of(1n), ...call, payloads: { bytes: Uint8Array.of(65, 66, 67, 68), ends: BigUint64Array.of(4n) }, columns: new Uint8Array(16) };
  for (const without of [8, 5, 4, 3, 2]) {
    engine.core = { __proto__: core, reserve: (slot, bytes) => (slot === without ? 0 : core.reserve(slot, bytes)) };
    assert.throws(() => engine.add(full), ({ code }) => code === "quota");
    engine.core = core;
    const id = BigInt(100 + without);
    engine.add({ ...call, ids: BigUint64Array.of(id) });
    assert.deepEqual([engine.has(1n), new Uint32Array(engine.get(id))[1]], [false, 0xffff_ffff], `slot ${without}`);
  }
  const found = engine.search({ data: Float32Array.of(1, 2), count: 1, k: 10, ef: 0, recall: NaN, plan: 255, refine: 255, rerank: 0, radius: NaN, payload: false, filter: "n is null" });
  assert.equal(new Uint32Array(found)[0], 5, "none has the value that was refused");
});
