// Indexes kept in a folder: opened again, killed, refused.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Index } from "nearshore";
import { exact, failure, random, rows, vector } from "../rows.mjs";

const DIMENSIONS = 8;
const vectors = rows(4000, DIMENSIONS);
const row = (i) => vector(vectors, DIMENSIONS, i);
const home = mkdtempSync(join(tmpdir(), "nearshore-kept-"));
after(() => rmSync(home, { recursive: true }));

let folders = 0;
const folder = () => join(home, `index ${folders++}`);
const kept = (persist, options = {}) => Index.create({ dimensions: DIMENSIONS, persist, ...options });

test("what was changed is there when the index is opened again, from its journal and from a snapshot", async () => {
  const place = folder();
  let live = await kept(place, { metric: "cosine", efConstruction: 77 });
  assert.equal(live.info.kept, true);
  await live.add(2n ** 63n, row(0), { payload: { name: "first" } });
  await live.addMany(Array.from({ length: 199 }, (_, i) => i + 1), vectors.subarray(DIMENSIONS, 200 * DIMENSIONS), { payloads: Array.from({ length: 199 }, (_, i) => `row ${i + 1}`) });
  assert.equal(await live.delete(7), true);
  assert.equal(await live.delete(7), false);
  await live.update(8, row(400), { payload: "moved" });
  await assert.rejects(live.add(9, row(3)), failure("invalid-argument", "taken"));
  await assert.rejects(live.addMany([500, 501, 9], vectors.subarray(0, 3 * DIMENSIONS)), failure("invalid-argument", "row 2"));
  const answers = async () => (await live.searchBatch(vectors.subarray(0, 20 * DIMENSIONS), { k: 5 })).map((hits) => hits.map((hit) => [hit.id, hit.distance, hit.text()]));
  const wanted = await answers();
  for (const way of ["journal", "snapshot", "snapshot and journal"]) {
    if (way === "snapshot") await live.compact();
    await live.close();
    live = await kept(place, { metric: "cosine" });
    assert.equal(live.size, 199, way);
    assert.deepEqual(await answers(), wanted, way);
    assert.deepEqual([await live.has(7), await live.has(2n ** 63n), (await live.get(8)).text()], [false, true, "moved"]);
    assert.equal(live.info.fileBytes > 0, way === "snapshot");
    if (way === "snapshot") {
      await live.add(1000, row(0).map((x) => -x));
      await live.delete(1000);
    }
  }
  const { bytes, durable } = await live.persisted();
  assert.deepEqual([bytes, durable], [readdirSync(place).filter((name) => name !== "lock").reduce((sum, name) => sum + statSync(join(place, name)).size, 0), true]);
  await live.clear();
  assert.equal(live.size, 0);
  await live.close();
  live = await kept(place, { metric: "cosine" });
  assert.equal(live.size, 0);
  await live.add(1, row(1));
  await live.close();
  // What it was made with held all the time.
  live = await kept(place, { metric: "cosine" });
  const loaded = await Index.load(await live.save());
  assert.equal(loaded.info.meta.ef_construction, 77);
  assert.equal(await (await Index.create({ dimensions: 2 })).persisted(), undefined);
  await live.close();
});

test("columns are kept: filters find what they found, from the journal and from a snapshot; others are refused", async () => {
  const place = folder();
  const columns = { price: "f64", brand: "string", sold: "bool" };
  const valuesOf = (i) => ({ price: i % 5 ? i / 4 : null, brand: ["north", "caf\u00e9"][i % 3], sold: i % 2 === 0 });
  let live = await kept(place, { columns });
  const ids = Array.from({ length: 150 }, (_, i) => i);
  await live.addMany(ids, vectors.subarray(0, 150 * DIMENSIONS), { columns: ids.map(valuesOf), payloads: ids.map((i) => `row ${i}`) });
  await live.add(200, row(200), { columns: { brand: "caf\u00e9" } });
  await live.add(201, row(201));
  await live.update(3, row(300), { columns: { price: 1000 } });
  await live.delete(4);
  const answers = async () => {
    const all = [];
    for (const filter of ["price < 20 and not sold", "brand = 'caf\u00e9'", "price is null", "price = 1000"]) all.push((await live.search(row(0), { k: 200, filter })).map(({ id, distance }) => [id, distance]));
    return all;
  };
  const wanted = await answers();
  assert.deepEqual(wanted.map((hits) => hits.length), [Array.from(ids, valuesOf).filter(({ price, sold }, i) => i !== 3 && i !== 4 && price !== null && price < 20 && !sold).length, 50, 32, 1]);
  for (const way of ["journal", "snapshot", "snapshot and journal"]) {
    if (way === "snapshot") await live.compact();
    await live.close();
    live = await kept(place, { columns: Object.fromEntries(Object.entries(columns).reverse()) });
    assert.deepEqual(live.info.columns, columns, way);
    assert.deepEqual(await answers(), wanted, way);
    if (way === "snapshot") {
      await live.add(500, row(3), { columns: { price: 1000 } });
      await live.delete(500);
    }
  }
  await live.close();
  for (const other of [{}, { price: "f64" }, { ...columns, price: "i64" }]) await assert.rejects(kept(place, { columns: other }), failure("invalid-argument", "columns is", "kept under this name"));
  live = await kept(place, { columns });
  await live.clear();
  await live.close();
  live = await kept(place, { columns });
  await live.add(1, row(1), { columns: { price: 2 } });
  assert.deepEqual((await live.search(row(1), { filter: "price = 2" })).map(({ id }) => id), [1]);
  await live.close();
  const plain = folder();
  await (await kept(plain)).close();
  await assert.rejects(kept(plain, { columns }), failure("invalid-argument", '"price":"f64"', "and none in what is kept"));
});

test("a change that nobody waited for is there after close", async () => {
  const place = folder();
  const live = await kept(place);
  const [added, closed] = [live.add(1, row(1)), live.close()];
  await closed;
  await added;
  const again = await kept(place);
  assert.equal(await again.has(1), true);
  await again.close();
});

test("other element types; and an index that is not like the kept one is refused", async () => {
  const place = folder();
  const bytes = Int8Array.from({ length: 50 * DIMENSIONS }, (_, i) => (i * 37) % 256 - 128);
  let live = await kept(place, { element: "i8" });
  await live.addMany(Array.from({ length: 50 }, (_, i) => i), bytes);
  await live.update(3, bytes.subarray(0, DIMENSIONS));
  await live.close();
  for (const other of [{ element: "u8" }, { dimensions: 9, element: "i8" }, { element: "i8", metric: "ip" }]) await assert.rejects(kept(place, other), failure("invalid-argument", "kept under this name"));
  live = await kept(place, { element: "i8" });
  assert.deepEqual([...(await live.get(3)).vector], [...bytes.subarray(0, DIMENSIONS)]);
  assert.equal(live.size, 50);
  await live.close();
  await assert.rejects(kept(""), failure("invalid-argument", "persist"));
  await assert.rejects(kept(join(place, "root", "within")), failure("network", "root/within"));
});

test("one holder at a time: others are told, or wait; what a dead one left is taken over", async () => {
  const place = folder();
  const first = await kept(place);
  await assert.rejects(kept(place), failure("busy", "wait: true", String(process.pid)));
  await assert.rejects(Index.remove(place), failure("busy"));
  const control = new AbortController();
  const waiting = kept(place, { wait: true });
  const stopped = kept(place, { wait: true, signal: control.signal });
  control.abort();
  await assert.rejects(stopped, failure("aborted"));
  await first.add(1, row(1));
  await first.close();
  const second = await waiting;
  assert.equal(second.size, 1);
  await second.close();
  const lock = join(place, "lock");
  assert.equal(existsSync(lock), false);
  for (const left of [JSON.stringify({ pid: 2 ** 22 + 1, start: 0 }), JSON.stringify({ pid: process.pid, start: 5 }), '{"pid":'] ) {
    writeFileSync(lock, left);
    // One without a holder may be about to get it, unless it is old.
    if (left.length < 10) {
      await assert.rejects(kept(place), failure("busy"));
      utimesSync(lock, 1, 1);
    }
    const third = await kept(place);
    assert.equal(JSON.parse(readFileSync(lock, "utf8")).pid, process.pid);
    await third.close();
  }
  assert.deepEqual(readdirSync(place).filter((name) => name.startsWith("lock")), []);
  await Index.remove(place);
  assert.equal(existsSync(place), false);
  await Index.remove(place);
});

test("damage is an error that says so, and Index.remove a way out", async () => {
  const place = folder();
  let live = await kept(place);
  for (let i = 0; i < 20; i++) await live.add(i, row(i));
  await live.close();
  const journal = readFileSync(join(place, "journal-0"));
  journal[700] ^= 4;
  writeFileSync(join(place, "journal-0"), journal);
  await assert.rejects(kept(place), failure("corrupt", `the index kept as ${JSON.stringify(place)}: journal-0 is damaged at byte `));
  journal[700] ^= 4;
  writeFileSync(join(place, "journal-0"), journal);
  live = await kept(place);
  await live.compact();
  await live.close();
  // Where opening looks, and where it does not.
  const snapshot = readFileSync(join(place, "snapshot-1"));
  const named = `the index kept as ${JSON.stringify(place)}: snapshot-1`;
  let later = 0;
  for (let damaged = 17_000; damaged < snapshot.length; damaged += 500) {
    writeFileSync(join(place, "snapshot-1"), snapshot.map((byte, at) => byte ^ Number(at === damaged)));
    const opened = await kept(place).catch((error) => error);
    if (opened instanceof Error) failure("corrupt", named)(opened);
    else {
      await assert.rejects(opened.verify(), failure("corrupt", named, "block"));
      await opened.close();
      later++;
    }
  }
  assert.ok(later > 0);
  writeFileSync(join(place, "snapshot-1"), snapshot.map((byte, at) => byte ^ Number(at === 100)));
  await assert.rejects(kept(place), failure("corrupt", named));
  writeFileSync(join(place, "snapshot-1"), snapshot.subarray(0, 900));
  await assert.rejects(kept(place), failure("corrupt", named, "cut short"));
  const root = readFileSync(join(place, "root"));
  writeFileSync(join(place, "root"), root.map((byte, at) => byte ^ Number(at % 4096 === 20)));
  await assert.rejects(kept(place), failure("corrupt", `the index kept as ${JSON.stringify(place)}: root is damaged`, "Index.remove"));
  await Index.remove(place);
  live = await kept(place);
  assert.equal(live.size, 0);
  await live.close();
});

test("a journal becomes a snapshot by itself", async () => {
  const place = folder();
  const live = await kept(place, { m: 4, efConstruction: 10 });
  // Above 4 MiB at once, by payloads.
  await live.addMany([1, 2], vectors.subarray(0, 2 * DIMENSIONS), { payloads: ["x".repeat(3e6), "y".repeat(3e6)] });
  while (statSync(join(place, "journal-1")).size > 0 || statSync(join(place, "snapshot-1")).size < 6e6 || statSync(join(place, "journal-0")).size > 0) await sleep(5);
  await live.add(3, row(3));
  await live.close();
  const again = await kept(place);
  assert.deepEqual([again.size, (await again.get(2)).text().length], [3, 3e6]);
  await again.close();
});

test("a process that is killed, again and again, loses nothing that it was told is safe", { timeout: 120_000 }, async () => {
  const place = folder();
  const next = random(8);
  const there = new Set();
  let from = 10;
  for (let round = 0; round < 5; round++) {
    const child = spawn(process.execPath, [join(import.meta.dirname, "child.mjs"), place, String(from)], { stdio: ["ignore", "pipe", "inherit"] });
    let said = "";
    child.stdout.on("data", (data) => (said += data));
    const gone = new Promise((resolve) => child.on("close", resolve));
    while (!said.includes("\n")) await sleep(2);
    await sleep(next() * 400);
    child.kill("SIGKILL");
    await gone;
    const lines = said.split("\n").slice(0, -1);
    assert.ok(lines.length > 0);
    for (const line of lines) line[0] === "+" ? there.add(Number(line.slice(1))) : there.delete(Number(line.slice(1)));
    const last = Math.max(...lines.map((line) => Number(line.slice(1))));
    const live = await kept(place, { columns: { n: "i64", tag: "string" } });
    // The change that was under way may be there as well: one row more, or one less.
    const maybe = new Set([last + 1, last - 1]);
    for (const id of there) assert.ok(maybe.has(id) || (await live.has(id)), `row ${id} of round ${round}`);
    for (let id = 0; id < last - 1; id++) if (!there.has(id)) assert.equal(await live.has(id), false, `row ${id}`);
    assert.ok(Math.abs(live.size - there.size) <= 1, `${live.size} rows, ${there.size}`);
    for (const id of [last + 1, last - 1]) (await live.has(id)) ? there.add(id) : there.delete(id);
    assert.equal(live.size, there.size);
    // And they are found as what they were.
    const ids = [...there];
    const all = Float32Array.from(ids.flatMap((id) => [...row(id % 4000)]));
    for (let i = 0; i < 5; i++) {
      const id = ids[Math.floor(next() * ids.length)];
      const [hit] = await live.search(row(id % 4000), { k: 1, ef: 100 });
      assert.ok(hit.distance <= exact(all, DIMENSIONS, row(id % 4000), 1, "l2")[0].distance + 0.01);
      assert.equal((await live.get(id)).text(), `row ${id}`);
    }
    const tagged = (await live.search(row(0), { k: 4000, filter: "tag = 't1'", plan: "scan" })).map(({ id }) => id);
    assert.deepEqual(tagged.sort((a, b) => a - b), ids.filter((id) => id % 2 && id % 3 === 1).sort((a, b) => a - b));
    assert.deepEqual((await live.search(row(0), { filter: `n = ${ids[0]}` })).map(({ id }) => id), [ids[0]]);
    await live.close();
    from = last + 2;
  }
});
