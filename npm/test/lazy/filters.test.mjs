// Filters, and rows by id, of files that are read in parts: what they fetch, what they keep, how they fail. That they answer as the native
// library does is for tests/conformance.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { open } from "nearshore";
import { serveFile } from "./server.mjs";

const folder = new URL("../../../tests/conformance/", import.meta.url);
const { queries, searches } = JSON.parse(await readFile(new URL("filters.json", folder), "utf8"));
const file = new Uint8Array(await readFile(new URL("filters-tiles.shore", folder)));
const whole = new Uint8Array(await readFile(new URL("filters.shore", folder)));
const FILTER = 'price < 20 and brand in ("acme", "zeta")';
const wanted = searches.find((search) => search.file === "filters-tiles" && search.filter === FILTER && search.options.k === 10);
const idsOf = (hits) => hits.map(({ id }) => id);

let server;
before(async () => {
  server = await serveFile(file);
});
after(() => server?.close());
const opened = (way, options) => open(`${server.url}/${way}/${Math.random()}`, { mode: "lazy", ...options });

test("the first search brings the columns, those after it do not, and all of it is counted", async () => {
  const index = await opened("plain");
  server.reset();
  const one = await index.search(queries[0], { filter: FILTER });
  assert.deepEqual(idsOf(one), wanted.hits.map(([id]) => id));
  assert.equal(one.stats.requests, server.log.length);
  assert.equal(one.stats.complete, true);
  assert.ok(one.stats.rounds >= 4 && one.stats.rounds <= 5, `${one.stats.rounds} rounds: columns, their values, codes, records, payloads`);
  const two = await index.search(queries[0], { filter: FILTER });
  assert.deepEqual([idsOf(two), two.stats.requests, two.stats.bytes], [idsOf(one), 0, 0]);
  // Another condition on the same columns needs none of them again.
  const three = await index.search(queries[0], { filter: "price >= 20 and price < 60", payload: false });
  assert.ok(three.stats.rounds <= 2, `${three.stats.rounds} rounds`);
  assert.equal((await index.stats()).requests, server.log.length + 1);
  await index.close();
});

test("first searches at a time share one bringing of the columns; one that fails leaves it to the next", async () => {
  const index = await opened("plain", { cache: "none" });
  server.reset();
  server.delay = 10;
  const one = () => index.search(queries[0], { filter: FILTER });
  const control = new AbortController();
  const stopped = assert.rejects(index.search(queries[0], { filter: FILTER, signal: control.signal }), { code: "aborted" });
  const [leader, ...others] = await Promise.all([one(), one(), one(), (setTimeout(() => control.abort(), 5), one())]);
  await stopped;
  assert.ok(leader.stats.rounds >= 4, "columns, their values, codes, records, payloads");
  for (const hits of others) {
    assert.deepEqual(idsOf(hits), wanted.hits.map(([id]) => id));
    assert.ok(hits.stats.rounds <= 3, `${hits.stats.rounds} rounds: codes, records, payloads`);
  }
  const batch = await index.searchBatch(Float32Array.from(queries.flat()), { filter: "score > 0.5" });
  assert.equal(batch.filter(({ stats }) => stats.rounds > 3).length, 1);
  server.delay = 0;
  await index.close();
});

test("the engine that filters is in the sum of memory", async () => {
  for (const file of [whole, undefined]) {
    const index = file ? await open(file) : await opened("plain");
    const before = (await index.stats()).memoryBytes;
    await index.search(queries[0], { filter: FILTER });
    const after = (await index.stats()).memoryBytes;
    // Of a whole file one engine takes the place of the other; of a file in parts it lies beside it.
    assert.ok(file ? after > 0 : after >= before + 2 ** 20, `${before}, then ${after}`);
    await index.close();
  }
});

test("searches at a time, with filters and without, do not mix", async () => {
  const index = await opened("plain");
  const alone = [];
  for (const filter of [undefined, FILTER, "sold", undefined, "not sold", FILTER]) alone.push(idsOf(await index.search(queries[1], { filter })));
  await index.close();
  const again = await opened("plain", { cache: "none" });
  const together = await Promise.all([undefined, FILTER, "sold", undefined, "not sold", FILTER].map((filter) => again.search(queries[1], { filter })));
  assert.deepEqual(together.map(idsOf), alone);
  const batch = await again.searchBatch(Float32Array.from(queries.flat()), { filter: FILTER });
  assert.deepEqual(idsOf(batch[1]), alone[1]);
  await again.close();
});

test("a condition that does not fit says where, and the index goes on", async () => {
  for (const index of [await opened("plain"), await open(whole)]) {
    const rejects = (filter, message) => assert.rejects(index.search(queries[0], { filter }), (error) => error.code === "invalid-argument" && message.test(error.message), String(filter));
    await rejects("prize < 3", /^filter: at character 1: no column prize; there are: group, price, brand, score, sold$/);
    await rejects("price < ", /^filter: at character/);
    await rejects("brand < 3", /^filter: at character 1: column brand is string/);
    await rejects({ column: "price", less: 3 }, /column price, `less` is 3, expected one of eq, ne, lt/);
    await rejects({ and: [] }, /`and` is of type Array, expected a list of at least one condition/);
    await rejects({ column: "price", eq: null }, /is_null: true/);
    await rejects(7, /^filter is 7, expected a string/);
    assert.equal((await index.search(queries[0], { filter: "price < 50" })).length, 10);
    const none = await index.search(queries[0], { filter: { column: "brand", in: [] } });
    assert.equal(none.length, 0);
    const has = await index.search(queries[0], { filter: { column: "brand", not_in: [] }, k: 1000 });
    const same = await index.search(queries[0], { filter: { not: { column: "brand", is_null: true } }, k: 1000 });
    assert.deepEqual(idsOf(has), idsOf(same));
    assert.ok(has.length > 500 && has.length < 900);
    await index.close();
  }
});

test("a budget cuts a search before its columns come", async () => {
  const index = await opened("plain");
  const cut = await index.search(queries[0], { filter: FILTER, budget: { rounds: 1 } });
  assert.deepEqual([cut.length, cut.stats.complete, cut.stats.rounds], [0, false, 1]);
  assert.deepEqual(idsOf(await index.search(queries[0], { filter: FILTER })), wanted.hits.map(([id]) => id));
  await index.close();
});

test("a damaged column is asked for again, and corrupt when it stays so", async () => {
  const view = new DataView(file.buffer, file.byteOffset);
  const tables = Array.from({ length: view.getUint32(12, true) }, (_, i) => 4096 + i * 64).filter((at) => view.getUint16(at, true) === 18);
  assert.equal(tables.length, 5, "columns");
  const damaged = file.slice();
  for (const at of tables) damaged[Number(view.getBigUint64(at + 8, true)) + 5] ^= 1;
  const other = await serveFile(damaged);
  const index = await open(`${other.url}/plain/x`, { mode: "lazy" });
  await assert.rejects(index.search(queries[0], { filter: "price < 20" }), (error) => error.code === "corrupt" && /column/.test(error.message));
  assert.equal((await index.search(queries[0])).length, 10);
  await index.close();
  other.close();
});

test("rows by id are those of the whole file, and fetch little", async () => {
  const [index, all] = [await opened("plain"), await open(whole)];
  server.reset();
  for (const id of [2, 7, 4497]) {
    const [found, same] = await Promise.all([index.get(id), all.get(id)]);
    assert.deepEqual([found.id, found.text(), found.vector], [id, same.text(), same.vector]);
    assert.equal(await index.has(id), true);
  }
  assert.ok(server.log.length <= 8, `${server.log.length} requests: the map of ids, then a row and its payload each`);
  for (const id of [0, 3, 4502, 2n ** 64n - 1n]) assert.deepEqual([await index.get(id), await index.has(id)], [undefined, false]);
  const many = await Promise.all(Array.from({ length: 50 }, (_, row) => index.get(row * 5 + 2)));
  assert.deepEqual(many.map((row) => row.text()), many.map((_, row) => `row ${row}`));
  // A small file in tiles that was opened whole is looked into alike.
  const here = await open(file);
  assert.deepEqual([here.info.mode, (await here.get(7)).text(), await here.has(8)], ["whole", "row 1", false]);
  await Promise.all([index, all, here].map((each) => each.close()));
});
