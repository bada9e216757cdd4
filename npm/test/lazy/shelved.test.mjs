// What comes is written a little at a time, so that no thread is held up; and in a Cache it stays in few entries that none is large.
import assert from "node:assert/strict";
import { test } from "node:test";
import { sources } from "./source.mjs";

const { Shelved, shelvesOf, diskOf } = await sources("lazy", ["shelved", "cache"]);
const MIB = 1024 * 1024;
const turn = () => new Promise((resolve) => setTimeout(resolve, 1));
const blockOf = (number, bytes) => new Uint8Array(bytes).fill(number % 251);

/** A place that notes what it is given; `fail` makes it full. */
function place() {
  const state = { written: new Map(), most: 0, mostBytes: 0, atOnce: 0, closed: 0, fail: false };
  let writing = 0;
  state.write = async ({ offsets, blocks }) => {
    state.atOnce = Math.max(state.atOnce, ++writing);
    state.most = Math.max(state.most, offsets.size);
    let bytes = 0;
    for (const offset of offsets) {
      const block = blocks.get(offset);
      bytes += block?.length ?? 0;
      if (block) state.written.set(offset, block);
      else state.written.delete(offset);
    }
    state.mostBytes = Math.max(state.mostBytes, bytes);
    await turn();
    writing--;
    if (state.fail) throw new Error("full");
  };
  state.close = () => state.closed++;
  return state;
}

test("a write is of few blocks, and few bytes; all are written in the end, one write at a time", async () => {
  const where = place();
  const disk = new Shelved(where, 64 * MIB, []);
  for (let i = 0; i < 3000; i++) disk.put(i, blockOf(i, 400));
  for (let i = 3000; i < 3040; i++) disk.put(i, blockOf(i, MIB / 2));
  disk.drop(7);
  disk.close();
  while (!where.closed) await turn();
  assert.equal(where.written.size, 3039);
  assert.ok(where.most <= 128 && where.mostBytes < MIB, `${where.most} blocks, ${where.mostBytes} bytes`);
  assert.deepEqual([where.atOnce, where.closed, where.written.has(7), where.written.get(3001)[0]], [1, 1, false, 3001 % 251]);
});

test("a place that is full ends what is written, not what is in memory", async () => {
  const where = Object.assign(place(), { fail: true });
  const disk = new Shelved(where, 1000, []);
  disk.put(0, blockOf(1, 100));
  disk.clear();
  while (!where.closed) await turn();
  for (let i = 0; i < 50; i++) disk.put(i, blockOf(i, 100));
  assert.ok(disk.get(49, 100) && disk.size <= 1000);
  disk.close();
  await turn();
  assert.equal(where.closed, 1);
});

/** A Cache, and the largest of its entries. */
function fakeCache() {
  const entries = new Map();
  const state = { entries, most: 0, puts: 0, bytes: 0 };
  const body = async (response) => {
    const blob = await response.blob();
    state.most = Math.max(state.most, blob.size);
    state.bytes += blob.size;
    state.puts++;
    return blob;
  };
  return Object.assign(state, {
    keys: async () => [...entries.keys()].map((url) => ({ url })),
    match: async (url) => (entries.has(url) ? new Response(entries.get(url)) : undefined),
    put: async (url, response) => void entries.set(url, await body(response)),
    delete: async (url) => entries.delete(url),
    get total() {
      return [...entries.values()].reduce((sum, { size }) => sum + size, 0);
    },
  });
}

test("entries of a Cache: none is large, they are few, and no more bytes than are kept, and a quarter", async () => {
  const cache = fakeCache();
  const quota = 4 * MIB;
  const open = () => diskOf(cache, "one", quota);
  let disk = await open();
  const still = async () => {
    disk.close();
    for (let last = -1; last !== cache.puts; last = cache.puts) for (let i = 0; i < 5; i++) await turn();
  };
  let number = 0;
  for (let visit = 0; visit < 8; visit++) {
    for (let search = 0; search < 6; search++) {
      for (let i = 0; i < 300; i++, number++) disk.put(number * 1000, blockOf(number, 900));
      await turn();
    }
    assert.ok(disk.get(0, 900), "always used");
    await still();
    assert.ok(cache.most <= MIB, `${cache.most} bytes in an entry`);
    assert.ok(cache.entries.size < 40, `${cache.entries.size} entries`);
    assert.ok(cache.total <= 1.25 * quota + MIB / 2, `${cache.total} bytes`);
    const { size } = disk;
    disk = await open();
    assert.equal(disk.size, size, "what was dropped stays away, and what is kept is there");
  }
  let there = 0;
  for (let i = 0; i < number; i++) {
    const found = disk.get(i * 1000, 900);
    if (found) assert.deepEqual(found, blockOf(i, 900), `${i}`);
    there += found ? 1 : 0;
  }
  assert.ok(there * 900 > quota / 2 && there * 900 === disk.size);
  assert.ok(disk.get((number - 1) * 1000, 900) && disk.get(0, 900));
  assert.ok(cache.bytes < 12 * number * 916, `written ${(cache.bytes / number / 916).toFixed(1)} times`);
  disk.clear();
  await still();
  assert.deepEqual([disk.size, (await open()).size, cache.entries.size], [0, 0, 0]);
  await shelvesOf(cache).save("x", [new Uint8Array(3)]);
  assert.equal((await shelvesOf(cache).load("x")).length, 3);
});
