// Blocks on disk: found again, bounded, and never in the way of a search.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { random } from "../rows.mjs";
import { lazySources } from "./source.mjs";

const { BlockFile, Blocks, FILES, Store, bringCodes, headOf, openParts } = await lazySources();

/** A synchronous handle on memory; `room` bytes fit the disk. */
class FakeHandle {
  bytes = new Uint8Array(0);
  room = Infinity;
  closed = false;

  read(into, { at }) {
    if (this.closed) throw new Error("closed");
    const part = this.bytes.subarray(at, at + into.length);
    into.set(part);
    return part.length;
  }
  write(from, { at }) {
    if (this.closed) throw new Error("closed");
    const fits = Math.min(from.length, this.room - at);
    if (fits < from.length && this.strict) throw new Error("quota");
    const bytes = new Uint8Array(Math.max(this.bytes.length, at + fits));
    bytes.set(this.bytes);
    bytes.set(from.subarray(0, fits), at);
    this.bytes = bytes;
    return fits;
  }
  truncate(bytes) {
    this.bytes = this.bytes.slice(0, bytes);
  }
  getSize() {
    return this.bytes.length;
  }
  close() {
    this.closed = true;
  }
}

const block = (number, bytes = 100) => Uint8Array.from({ length: bytes }, (_, i) => number * 7 + i);
const has = (file, number, bytes = 100) => {
  const found = file.get(number * 1000, bytes);
  if (found) assert.deepEqual(found, block(number, bytes));
  return found !== undefined;
};

test("blocks are found again by the next visit", () => {
  const handle = new FakeHandle();
  const file = new BlockFile(handle, 1e6);
  for (let i = 0; i < 20; i++) file.put(i * 1000, block(i));
  assert.ok(has(file, 7) && !file.get(7000, 99) && !file.get(7001, 100));
  const again = new BlockFile(handle, 1e6);
  for (let i = 0; i < 20; i++) assert.ok(has(again, i), `${i}`);
  assert.equal(again.size, file.size);
  again.drop(3000);
  assert.ok(!has(again, 3));
  again.clear();
  assert.equal(handle.bytes.length, 0);
  assert.ok(!has(new BlockFile(handle, 1e6), 5));
});

test("a visit that ended in the middle of a block loses that block alone", () => {
  const handle = new FakeHandle();
  const file = new BlockFile(handle, 1e6);
  for (let i = 0; i < 5; i++) file.put(i * 1000, block(i));
  for (const cut of [1, 99, 100, 115]) {
    const torn = Object.assign(new FakeHandle(), { bytes: handle.bytes.slice(0, -cut) });
    const again = new BlockFile(torn, 1e6);
    assert.deepEqual([0, 1, 2, 3, 4].map((i) => has(again, i)), [true, true, true, true, false], `${cut}`);
    again.put(9000, block(9));
    assert.ok(has(new BlockFile(torn, 1e6), 9) && has(new BlockFile(torn, 1e6), 3));
  }
});

test("any bytes are taken for no block, or for one that its check will refuse", () => {
  const next = random(5);
  for (let round = 0; round < 300; round++) {
    const bytes = Uint8Array.from({ length: Math.floor(next() * 400) }, () => (next() < 0.5 ? 0 : next() * 256));
    const file = new BlockFile(Object.assign(new FakeHandle(), { bytes }), 1e6);
    assert.ok(file.size <= bytes.length);
    file.put(1000, block(1));
    assert.ok(has(file, 1));
  }
});

test("a full file keeps what was used last", () => {
  const handle = new FakeHandle();
  const file = new BlockFile(handle, 5000);
  for (let i = 0; i < 200; i++) {
    file.put(i * 1000, block(i));
    assert.ok(has(file, 0), "always used"); // with every step
    assert.ok(has(file, i));
    assert.ok(file.size <= 5000 && handle.bytes.length <= 5000);
  }
  assert.ok(!has(file, 100));
  const again = new BlockFile(handle, 5000);
  assert.ok(has(again, 0) && has(again, 199));
  file.put(5e9, block(1, 3000));
  assert.equal(file.get(5e9, 3000), undefined);
});

test("a disk that is full is written no more, and what is there is read: by this visit and the next", () => {
  for (const strict of [false, true]) {
    const handle = Object.assign(new FakeHandle(), { room: 250, strict });
    const store = new Store(250);
    store.disk = new BlockFile(handle, 1e6);
    for (let i = 0; i < 5; i++) store.put(i * 1000, block(i));
    assert.deepEqual([0, 1, 2].map((i) => has(store.disk, i)), [true, true, false]);
    assert.deepEqual([handle.bytes.length, store.size], [232, 232], "nothing is left of what did not fit");
    assert.ok(store.get(4000, 100));
    assert.ok(has(new BlockFile(handle, 1e6), 0));
    store.clear();
    assert.equal(store.size, 0);
  }
});

test("no room while blocks move up to make room: the others are still read", () => {
  for (const strict of [false, true]) {
    const handle = Object.assign(new FakeHandle(), { strict });
    const file = new BlockFile(handle, 1160); // of ten
    for (let i = 0; i < 10; i++) file.put(i * 1000, block(i));
    handle.room = 150; // the first to move fits, the second does not
    file.put(10_000, block(10));
    assert.deepEqual(Array.from({ length: 11 }, (_, i) => has(file, i)), [0, 0, 0, 0, 0, 1, 0, 1, 1, 1, 0].map(Boolean), `${strict}`);
  }
});

test("a disk that cannot be read is given up: nothing throws", () => {
  const handle = new FakeHandle();
  const store = new Store(0);
  store.disk = new BlockFile(handle, 1e6);
  store.put(0, block(0));
  handle.read = () => {
    throw new Error("gone");
  };
  assert.equal(store.get(0, 100), undefined);
  assert.ok(handle.closed);
  store.put(1000, block(1));
  store.clear();
  assert.equal(store.size, 0);
});

test("what memory forgets the disk still has", () => {
  const store = new Store(150);
  store.disk = new BlockFile(new FakeHandle(), 1e6);
  for (let i = 0; i < 5; i++) store.put(i * 1000, block(i));
  for (let i = 0; i < 5; i++) assert.deepEqual(store.get(i * 1000, 100), block(i));
});

test("what memory answers is used on disk as well", () => {
  const handle = new FakeHandle();
  const store = new Store(1e6);
  store.disk = new BlockFile(handle, 5000);
  for (let i = 0; i < 100; i++) {
    store.put(i * 1000, block(i));
    assert.ok(store.get(0, 100));
  }
  const again = new BlockFile(handle, 5000);
  assert.ok(has(again, 0) && has(again, 99) && !has(again, 50));
});

test("many blocks are found in few reads", () => {
  const handle = new FakeHandle();
  const count = 20_000; // 2.3 MB
  const record = new Float64Array(2 + 13);
  handle.bytes = new Uint8Array(count * record.byteLength);
  for (let i = 0; i < count; i++) {
    record.set([i * 1000, 104, i]);
    handle.bytes.set(new Uint8Array(record.buffer), i * record.byteLength);
  }
  let reads = 0;
  const { read } = FakeHandle.prototype;
  handle.read = (...asked) => (reads++, read.apply(handle, asked));
  const file = new BlockFile(handle, 1e8);
  assert.ok(reads < 5, `${reads} reads`);
  assert.equal(file.size, handle.bytes.length);
  for (const i of [0, 8737, 8738, 17_475, count - 1]) assert.equal(new Float64Array(file.get(i * 1000, 104).buffer)[0], i);
});

test("codes that were brought ahead stay, however many records come, and records have room beside them", async () => {
  const MIB = 1024 * 1024;
  const store = new Store(64 * MIB);
  let asked = 0;
  const read = async (offset, bytes) => (asked++, new Uint8Array(bytes));
  const blocks = new Blocks({ read }, store, async () => {});
  const codes = { offset: 5000, blocks: 62, blockBytes: MIB };
  store.put(5000 + MIB, new Uint8Array(MIB)); // one that a search brought
  await bringCodes({ codes }, blocks, store, { rounds: 0, requests: 0, bytes: 0, cached: 0 });
  assert.equal(asked, 61);
  for (let i = 0; i < 400; i++) {
    store.put(1e9 + i * MIB, new Uint8Array(MIB / 4));
    assert.ok(store.size <= 66 * MIB);
    for (let back = 0; back < Math.min(i, 12); back++) assert.ok(store.get(1e9 + (i - back) * MIB, MIB / 4), "used last");
  }
  assert.equal(blocks.missing(Array.from({ length: 62 }, (_, i) => ({ offset: 5000 + i * MIB, bytes: MIB }))), 0);
  store.drop(5000);
  assert.equal(store.get(5000, MIB), undefined);
  store.clear();
  assert.deepEqual([store.size, store.get(5000 + MIB, MIB)], [0, undefined]);
});

test("a place whose blocks lie in memory anyway is all the memory there is", () => {
  const kept = new Map();
  const disk = { memory: true, get: (offset) => kept.get(offset), put: (offset, block) => kept.set(offset, block), drop() {}, use() {}, clear() {}, close() {}, size: 7 };
  const store = new Store(1e6);
  store.put(0, block(0));
  store.pin(1000, 1000);
  store.put(1000, block(1).subarray());
  store.attach(disk);
  store.put(2000, new Uint8Array(new Uint8Array(300).buffer, 100, 100));
  assert.deepEqual([...kept.keys()], [1000, 0, 2000]);
  assert.equal(kept.get(2000).buffer.byteLength, 100, "no view of more");
  assert.equal(store.get(1000, 100), kept.get(1000), "what is pinned is there once");
  kept.clear();
  assert.deepEqual([0, 1000, 2000].map((offset) => store.get(offset, 100) !== undefined), [false, true, false]);
});

test("where there is no such file system there is no disk", async () => {
  assert.equal(await FILES.diskOf("0".repeat(48)), undefined);
});

test("what opening brought spares a second request, if it is of the same file and all there", async () => {
  const file = new Uint8Array(readFileSync(join(import.meta.dirname, "tiles.shore")));
  // A hot region that does not come with the first request.
  const view = new DataView(file.buffer);
  view.setBigUint64(64, 100_000n - view.getBigUint64(56, true), true);
  assert.equal(headOf(file).hotEnd, 100_000);
  const opened = async (kept, offline = false) => {
    const reads = [];
    const read = async (offset, bytes) => {
      reads.push([offset, bytes]);
      if (offline) throw Object.assign(new Error("no network"), { code: "network" });
      return file.slice(offset, offset + bytes);
    };
    const { pieces } = await openParts({ read }, { maxBytes: Infinity }, {}, undefined, async () => kept);
    assert.deepEqual(Buffer.concat(pieces), Buffer.from(file.subarray(0, 100_000)));
    return reads;
  };
  const [first, second] = [[0, 65_536], [65_536, 34_464]];
  // What came before this reader is not asked for again, where a host shows by the rest that it serves parts; one that has nothing to show does not matter.
  const start = file.slice(0, 65_536);
  for (const [url, bytes, wanted] of [["https://index.example/x", start, [second]], [undefined, start, [second]], [undefined, start.slice(0, 65_535), [first, second]]]) {
    const reads = [];
    const { pieces } = await openParts({ url, read: async (offset, bytes) => (reads.push([offset, bytes]), file.slice(offset, offset + bytes)) }, { maxBytes: Infinity, start: bytes }, {});
    assert.deepEqual([reads, Buffer.concat(pieces)], [wanted, Buffer.from(file.subarray(0, 100_000))]);
  }
  assert.deepEqual(await opened(undefined), [first, second]);
  const kept = file.slice(0, 100_000);
  assert.deepEqual(await opened(kept), [first]);
  assert.deepEqual(await opened(kept, true), [first]);
  const another = kept.slice();
  another[90] ^= 1; // its identity
  for (const other of [another, kept.slice(0, 99_999), file.slice(0, 100_008), new Uint8Array(0), new Uint8Array(100_000)]) {
    assert.deepEqual(await opened(other), [first, second]);
  }
});
