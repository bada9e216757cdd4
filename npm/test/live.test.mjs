// Indexes that change: add, update, delete, save, load.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Index } from "nearshore";
import { exact, failure, rows, vector } from "./rows.mjs";

const DIMENSIONS = 16;
const vectors = rows(600, DIMENSIONS);
const row = (i) => vector(vectors, DIMENSIONS, i);

test("rows that were added are found, those deleted are not, those updated where they are now", async () => {
  const live = await Index.create({ dimensions: DIMENSIONS });
  assert.equal(live.size, 0);
  assert.deepEqual([...(await live.search(row(0)))], []);
  await live.add(2n ** 60n, row(0), { payload: { name: "first" } });
  await live.addMany(Array.from({ length: 299 }, (_, i) => i + 1), vectors.subarray(DIMENSIONS, 300 * DIMENSIONS), { payloads: Array.from({ length: 299 }, (_, i) => `row ${i + 1}`) });
  assert.equal(live.size, 300);
  const [first] = await live.search(row(0), { k: 1 });
  assert.equal(first.id, 2n ** 60n);
  assert.deepEqual(first.json(), { name: "first" });
  assert.equal((await live.search(row(7), { k: 1 }))[0].text(), "row 7");

  assert.equal(await live.delete(7), true);
  assert.equal(await live.delete(7), false);
  assert.equal(live.size, 299);
  assert.equal(await live.has(7), false);
  assert.equal(await live.get(7), undefined);
  assert.notEqual((await live.search(row(7), { k: 1 }))[0].id, 7);

  await live.update(8, row(400), { payload: "moved" });
  assert.equal(live.size, 299);
  const [moved] = await live.search(row(400), { k: 1 });
  assert.deepEqual([moved.id, moved.text()], [8, "moved"]);
  await live.update(9000, row(401));
  assert.equal(live.size, 300);
});

test("an index that was made empty can be emptied again", async () => {
  const live = await Index.create({ dimensions: DIMENSIONS, metric: "ip", m: 5 });
  await live.addMany([1, 2], vectors.subarray(0, 2 * DIMENSIONS));
  await live.clear();
  assert.deepEqual([live.size, live.info.metric, [...(await live.search(row(1)))]], [0, "ip", []]);
  await live.add(1, row(1));
  assert.equal((await Index.load(await live.save())).info.meta.m, 5);
  await assert.rejects((await Index.load(await live.save())).clear(), failure("unsupported", "Index.create"));
});

test("a live index finds what a scan finds, nearly always", async () => {
  const live = await Index.create({ dimensions: DIMENSIONS, metric: "cosine" });
  await live.addMany(Array.from({ length: 500 }, (_, i) => i), vectors.subarray(0, 500 * DIMENSIONS));
  let found = 0;
  for (let i = 500; i < 550; i++) {
    const truth = new Set(exact(vectors.subarray(0, 500 * DIMENSIONS), DIMENSIONS, row(i), 10, "cosine").map((hit) => hit.row));
    found += (await live.search(row(i), { k: 10, ef: 100 })).filter((hit) => truth.has(hit.id)).length;
  }
  assert.ok(found / 500 > 0.97, `recall ${found / 500}`);
});

test("what is saved loads again, and goes on changing", async () => {
  const live = await Index.create({ dimensions: DIMENSIONS });
  await live.addMany(Array.from({ length: 200 }, (_, i) => i), vectors.subarray(0, 200 * DIMENSIONS));
  await live.delete(3);
  const again = await Index.load(await live.save());
  assert.equal(again.size, 199);
  assert.equal(await again.has(3), false);
  assert.equal((await again.search(row(5), { k: 1 }))[0].id, 5);
  await again.add(3, row(500));
  assert.equal(again.size, 200);
  assert.equal((await again.search(row(500), { k: 1 }))[0].id, 3);
  const third = await Index.load(await again.save());
  assert.equal((await third.search(row(500), { k: 1 }))[0].id, 3);
});

test("a built index loads and takes more rows", async () => {
  const built = await Index.build(null, vectors.subarray(0, 300 * DIMENSIONS), { dimensions: DIMENSIONS });
  const live = await Index.load(await built.save());
  assert.equal(live.size, 300);
  await live.add(1000, row(450));
  assert.equal((await live.search(row(450), { k: 1 }))[0].id, 1000);
  assert.equal((await live.search(row(20), { k: 1 }))[0].id, 20);
});

test("deleting what is not there leaves a file as it is, originals and all", async () => {
  const built = await Index.build(null, vectors.subarray(0, 300 * DIMENSIONS), { dimensions: DIMENSIONS });
  const bytes = await built.save();
  const live = await Index.load(bytes.slice());
  assert.equal(await live.delete(7_000), false);
  assert.deepEqual(await live.save(), bytes);
  assert.equal(await live.delete(7), true);
  assert.equal(live.size, 299);
});

test("many rows are added together or not at all", async () => {
  const live = await Index.create({ dimensions: DIMENSIONS });
  await live.add(2, row(2));
  await assert.rejects(live.addMany([0, 1, 2], vectors.subarray(0, 3 * DIMENSIONS)), failure("invalid-argument", "row 2", "id 2 is taken"));
  assert.equal(live.size, 1);
  assert.equal(await live.has(0), false);
  for (const ids of [[7, 8, 7], Uint32Array.of(7, 8, 7), BigUint64Array.of(7n, 8n, 7n)]) {
    await assert.rejects(live.addMany(ids, vectors.subarray(0, 3 * DIMENSIONS)), failure("invalid-argument", "id 7 is given twice", "ids[0] and ids[2]"));
  }
  await assert.rejects(live.add(2, row(3)), failure("invalid-argument", "taken"));
  await assert.rejects(live.add(5, row(3).subarray(1)), failure("invalid-argument", "15", "16"));
  await assert.rejects(live.addMany([1], row(3), { payloads: [] }), failure("invalid-argument", "payloads"));
  await assert.rejects(Index.create({ dimensions: 4, m: 1 }), failure("invalid-argument", "m must be"));
  await assert.rejects(Index.create({ dimensions: 4, element: "f16" }), failure("invalid-argument", "element"));
});

test("deleting most rows leaves an index that still finds the rest", async () => {
  const live = await Index.create({ dimensions: DIMENSIONS });
  await live.addMany(Array.from({ length: 400 }, (_, i) => i), vectors.subarray(0, 400 * DIMENSIONS));
  for (let i = 0; i < 400; i++) if (i % 5 !== 0) await live.delete(i);
  assert.equal(live.size, 80);
  for (let i = 0; i < 400; i += 5) assert.equal((await live.search(row(i), { k: 1 }))[0].id, i);
});

/** A file of `count` rows with originals, payloads and a measured table, opened so that it can change. */
async function loaded(count, options = {}) {
  const made = await Index.build(Array.from({ length: count }, (_, i) => i), vectors.subarray(0, count * DIMENSIONS), { dimensions: DIMENSIONS, metric: "cosine", m: 8, seed: 5, ...options });
  return Index.load(await made.save());
}

test("info of a loaded file tells what the first change makes of it", async () => {
  const live = await loaded(300, { payloads: Array.from({ length: 300 }, (_, i) => `row ${i}`) });
  const file = live.info;
  assert.ok(file.originals && file.payload && file.fileBytes > 0 && file.quality.length > 0 && file.meta.rows === 300 && file.refine === "originals");
  assert.equal(await live.delete(4711), false);
  await live.compact();
  assert.deepEqual(live.info, file, "nothing was changed yet");

  await live.add(1000, row(400));
  const { rows: count, dimensions, metric, element, seed, payload, originals, refine, plan, fileBytes, buildId, identity, quality, meta } = live.info;
  assert.deepEqual({ count, dimensions, metric, element, seed, payload }, { count: 301, dimensions: DIMENSIONS, metric: "cosine", element: "f32", seed: 5n, payload: true });
  assert.deepEqual({ originals, refine, plan }, { originals: false, refine: "records", plan: "scan" });
  assert.deepEqual({ fileBytes, buildId, identity, quality, meta }, { fileBytes: 0, buildId: 0n, identity: "0".repeat(32), quality: [], meta: {} });
  await live.addMany(Array.from({ length: 60 }, (_, i) => 2000 + i), vectors.subarray(410 * DIMENSIONS, 470 * DIMENSIONS));
  assert.equal(live.info.rows, 361);
  const again = await Index.load(await live.save());
  assert.ok(again.info.fileBytes > 0 && again.info.payload && !again.info.originals && again.info.rows === 361);
});

test("info tells the truth after a change that was refused, and of how searches go", async () => {
  const live = await loaded(300);
  await assert.rejects(live.add(7, row(400)), failure("invalid-argument"));
  assert.deepEqual([live.info.rows, live.info.originals, live.info.payload], [300, false, false]);
  const many = rows(2100, DIMENSIONS, 9);
  const large = await Index.create({ dimensions: DIMENSIONS, efConstruction: 20, m: 4 });
  assert.equal(large.info.plan, "scan");
  await large.addMany(Array.from({ length: 2100 }, (_, i) => i), many, { payloads: Array.from({ length: 2100 }, () => "p") });
  assert.deepEqual([large.info.plan, large.info.payload], ["walk", true]);
});

test("an update puts a whole row in the place of another, and adds one that is not there", async () => {
  const live = await Index.create({ dimensions: 2 });
  await live.add(1, [1, 0], { payload: "one" });
  await live.update(1, [0, 1]);
  const row = await live.get(1);
  assert.deepEqual([row.text(), [...row.vector].map(Math.round), live.size], ["", [0, 1], 1]);
  await live.update(2, [1, 1], { payload: "two" });
  assert.deepEqual([(await live.get(2)).text(), live.size, await live.delete(3)], ["two", 2, false]);
  await live.close();
});

test("compact drops what deletes and updates left", async () => {
  const live = await Index.create({ dimensions: DIMENSIONS });
  await live.addMany(Array.from({ length: 100 }, (_, i) => i), vectors.subarray(0, 100 * DIMENSIONS));
  for (let id = 0; id < 10; id++) await live.delete(id);
  for (let id = 10; id < 15; id++) await live.update(id, row(200 + id));
  const before = (await live.save()).length;
  await live.compact();
  const bytes = await live.save();
  assert.ok(bytes.length < before, `${bytes.length} after, ${before} before`);
  assert.equal(live.size, 90);
  const hits = await live.search(row(212), { k: 90 });
  assert.deepEqual([hits.length, hits[0].id], [90, 12]);
  // A file with tombstones loses them as well; one without stays the file that it is.
  const saved = await Index.load(bytes);
  await saved.compact();
  assert.equal(saved.info.fileBytes, bytes.length);
  await saved.delete(50);
  const gone = await Index.load(await saved.save());
  await gone.compact();
  assert.deepEqual([gone.info.rows, gone.info.fileBytes], [89, 0]);
});
