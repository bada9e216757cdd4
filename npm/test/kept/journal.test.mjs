// The files of a kept index, on a disk that ends at every step there is: what was acknowledged is there, and nothing is there that was not asked for.
import assert from "node:assert/strict";
import { test } from "node:test";
import { sources } from "../lazy/source.mjs";
import { failure, random } from "../rows.mjs";
import { SimulatedDisk } from "./disk.mjs";

const { Journal, Keeper, NearshoreError, crc32c, decode, encode, recordAt, schemaOf, schemaText } = await sources("kept", ["journal", "keeper", "crc", "record", "../errors", "../schema"]);

const MADE = { dimensions: 2, metric: "l2", element: "f32", m: 16, efConstruction: 200, seed: 2n ** 63n + 1n };

/** The `n`th change: rows come, are replaced, and go. */
function change(n) {
  const id = BigInt(n % 7) + 2n ** 60n;
  if (n % 5 === 4) return { kind: n % 10 === 4 ? "delete" : "mask", id };
  const ids = BigUint64Array.of(id, BigInt(n));
  const payloads = n % 2 === 0 ? null : { bytes: new TextEncoder().encode(`row ${n}`), ends: BigUint64Array.of(0n, BigInt(`row ${n}`.length)) };
  const columns = n % 3 === 1 ? new Uint8Array(8 * (1 + (n % 4))).fill(n) : undefined;
  return { kind: "add", call: { ids, vectors: Float32Array.of(n, 1, n, 2), payloads, columns, replace: true, taken: BigUint64Array.of(...(n % 3 === 0 ? [id] : [])) } };
}

/** What a state of the index is to these tests: for each id what it holds. */
function made(state, change) {
  if (change.kind !== "add") state.delete(change.id);
  else change.call.ids.forEach((id, i) => state.set(id, `${change.call.vectors.slice(i * 2, i * 2 + 2)} ${i === 1 ? Buffer.from(change.call.payloads?.bytes ?? "") : ""} ${change.call.columns}`));
  return state;
}

const textOf = (state) => JSON.stringify([...state].map(([id, value]) => [String(id), value]).sort());
const stateAfter = (count) => textOf(Array.from({ length: count }, (_, n) => change(n)).reduce(made, new Map()));

/** Opens what is on a disk: the keeper, the state, and how it began. */
function reopened(disk) {
  const keeper = Keeper.open(disk.place(), MADE, true);
  const { file, hidden, covered } = keeper.snapshot();
  const state = new Map(file ? JSON.parse(Buffer.from(file)).map(([id, value]) => [BigInt(id), value]) : []);
  assert.deepEqual([...hidden, covered], file ? [...state.keys(), 1] : [0]);
  keeper.replay((change) => made(state, change));
  assert.deepEqual(keeper.made, MADE);
  return { keeper, state };
}

const rolled = (state) => ({ file: new TextEncoder().encode(textOf(state)), hidden: BigUint64Array.from([...JSON.parse(textOf(state))], ([id]) => BigInt(id)), covered: 1 });

/** Makes changes from number `from` until the disk ends, three of them in a turn now and then; how many were asked for, and acknowledged. */
async function work({ keeper, state }, from, to) {
  let [asked, acknowledged] = [from, from];
  try {
    while (asked < to) {
      for (let turn = asked % 4 === 0 ? 3 : 1; turn > 0 && asked < to; turn--) {
        const next = change(asked++);
        keeper.change(next, () => made(state, next));
      }
      await keeper.settled();
      acknowledged = asked;
      if (asked % 6 === 0 && state.size > 0) keeper.roll(rolled(state));
    }
  } catch {
    // The end of the disk; or of a roll's, after which the journal goes on.
  }
  return { asked, acknowledged };
}

test("a disk that ends at any step has every acknowledged change, and none by halves", async () => {
  const whole = new SimulatedDisk();
  assert.equal((await work(reopened(whole), 0, 40)).acknowledged, 40);
  assert.ok(whole.steps > 100, `${whole.steps} steps`);
  const next = random(4);
  for (let end = 1; end <= whole.steps; end++) {
    const disk = Object.assign(new SimulatedDisk(), { end });
    let run = { asked: 0, acknowledged: 0 };
    try {
      run = await work(reopened(disk), 0, 40);
    } catch {
      // It ended before there was an index.
    }
    assert.ok(disk.ended);
    for (const keeps of [undefined, () => next() < 0.5, () => next() < 0.9, () => false]) {
      const after = disk.after(keeps);
      const found = reopened(after);
      const counts = Array.from({ length: run.asked - run.acknowledged + 1 }, (_, i) => run.acknowledged + i);
      const count = counts.find((count) => stateAfter(count) === textOf(found.state));
      assert.notEqual(count, undefined, `step ${end}: ${textOf(found.state)}, of ${run.acknowledged} to ${run.asked}`);
      // And it goes on from there.
      const { acknowledged } = await work(found, count, count + 9);
      assert.equal(acknowledged, count + 9);
      assert.equal(textOf(reopened(after.after()).state), stateAfter(count + 9));
    }
  }
});

test("a change that comes while others are being acknowledged is flushed before it is", async () => {
  const disk = new SimulatedDisk();
  const { keeper, state } = reopened(disk);
  const make = (n) => {
    const next = change(n);
    keeper.change(next, () => made(state, next));
    return keeper.settled();
  };
  const acknowledged = [];
  for (let n = 0; n < 12; n++) {
    // What the power leaves at this moment has it, and all before it.
    acknowledged.push(make(n).then(() => {
      const there = textOf(reopened(disk.after(() => false)).state);
      assert.ok(Array.from({ length: 13 }, (_, count) => count).some((count) => count > n && stateAfter(count) === there), `change ${n}: ${there}`);
    }));
    await Promise.resolve(); // a turn of the same task: the flush of an earlier one may be under way
  }
  await Promise.all(acknowledged);
});

/** A journal of five changes, each acknowledged but the last `open`. */
async function journalOf(open) {
  const disk = new SimulatedDisk();
  const journal = new Journal(disk.handle("journal"), 3);
  journal.replay(() => {});
  for (let n = 0; n < 5; n++) {
    journal.append(change(n));
    if (n < 5 - open) await journal.settled();
  }
  journal.flush();
  return disk.files.get("journal").safe;
}

/** What a journal of these bytes gives. */
function replayed(bytes) {
  const disk = new SimulatedDisk();
  disk.files.set("journal", { safe: bytes, since: [] });
  const journal = new Journal(disk.handle("journal"), 3);
  const found = [];
  journal.replay((change) => found.push(change));
  return { found, journal };
}

const same = (found, count) => assert.deepEqual(found.reduce(made, new Map()), Array.from({ length: count }, (_, n) => change(n)).reduce(made, new Map()));

test("a journal cut at any byte gives the changes before, and goes on", async () => {
  const bytes = await journalOf(0);
  const ends = [];
  for (let at = 0; at < bytes.length; at = ends.at(-1)) ends.push(recordAt(bytes, at, 3).end);
  assert.equal(ends.length, 5);
  for (let cut = 0; cut <= bytes.length; cut++) {
    const { found, journal } = replayed(bytes.slice(0, cut));
    const whole = ends.filter((end) => end <= cut).length;
    assert.equal(found.length, whole);
    same(found, whole);
    journal.append(change(whole));
    assert.equal(journal.bytes, journal.handle.getSize());
    const again = [];
    new Journal(journal.handle, 3).replay((change) => again.push(change));
    same(again, whole + 1);
  }
});

test("any flipped byte is an error, or ends the journal before a change that nothing followed", async () => {
  const bytes = await journalOf(0);
  const last = bytes.length - encode(change(4), { generation: 3, number: 4, flushed: 4 }).length;
  for (let at = 0; at < bytes.length; at++) {
    const flipped = bytes.slice();
    flipped[at] ^= 1 + (at % 255);
    if (at < last) assert.throws(() => replayed(flipped), failure("corrupt", "damaged", "journal"), `byte ${at}`);
    else same(replayed(flipped).found, 4);
  }
  // Zeros, or what an older journal left, are no changes.
  const old = encode(change(5), { generation: 2, number: 5, flushed: 5 });
  for (const behind of [new Uint8Array(4096), old]) same(replayed(Uint8Array.from([...bytes, ...behind])).found, 5);
});

test("changes of one turn that were never flushed may be lost in any order", async () => {
  const bytes = await journalOf(3);
  const [, , third] = Array.from({ length: 5 }).reduce((ends) => [...ends, recordAt(bytes, ends.at(-1) ?? 0, 3).end], []);
  const holed = bytes.slice();
  holed.fill(0, third - 40, third);
  same(replayed(holed).found, 2);
});

test("a change whose making fails is taken back", async () => {
  const disk = new SimulatedDisk();
  const { keeper, state } = reopened(disk);
  await work({ keeper, state }, 0, 3);
  assert.throws(() => keeper.change(change(3), () => { throw new Error("refused"); }), /refused/);
  await work({ keeper, state }, 3, 5);
  assert.equal(textOf(reopened(disk.after()).state), stateAfter(5));
});

test("a change that is taken back is gone before its refusal is told, even if the power goes then", async () => {
  const disk = new SimulatedDisk();
  const { keeper, state } = reopened(disk);
  await work({ keeper, state }, 0, 3);
  assert.throws(() => keeper.change(change(3), () => { throw new Error("refused"); }), /refused/);
  const next = random(6);
  for (const keeps of [undefined, () => true, () => next() < 0.5, () => false]) assert.equal(textOf(reopened(disk.after(keeps)).state), stateAfter(3));
});

const refusal = new NearshoreError("invalid-argument", "refused");

test("a change that cannot be taken back ends the index: nothing is acknowledged behind it, and what was is there", async () => {
  for (const step of ["truncate", "flush"]) {
    const disk = new SimulatedDisk();
    const { keeper, state } = reopened(disk);
    await work({ keeper, state }, 0, 3);
    const journal = keeper.place.files["journal-0"];
    const sound = journal[step];
    // One of the same turn, which is not flushed yet: whether the disk has it is not known either.
    keeper.change(change(3), () => made(state, change(3)));
    const settled = assert.rejects(keeper.settled(), failure("network", "I/O error", "open the index again"));
    journal[step] = () => { throw new Error("I/O error"); };
    assert.throws(() => keeper.change(change(4), () => { throw refusal; }), failure("network", "I/O error", "refused may be in the journal", "open the index again"));
    journal[step] = sound;
    await settled;
    assert.throws(() => keeper.change(change(5), () => assert.fail("made")), failure("network", "open the index again"));
    assert.throws(() => keeper.roll(rolled(state)), failure("network", "open the index again"));
    keeper.close();
    const found = textOf(reopened(disk.after(() => false)).state);
    assert.ok([3, 4, 5].some((count) => stateAfter(count) === found), found);
  }
});

test("what a write left that failed is cut off, or ends the index", async () => {
  const disk = new SimulatedDisk();
  const { keeper, state } = reopened(disk);
  await work({ keeper, state }, 0, 3);
  const journal = keeper.place.files["journal-0"];
  const { write, truncate } = journal;
  // All of it was written, and then an error came.
  journal.write = (from, options) => {
    write(from, options);
    throw new Error("I/O error");
  };
  assert.throws(() => keeper.change(change(3), () => assert.fail("made")), failure("network", "I/O error"));
  assert.equal(textOf(reopened(disk.after()).state), stateAfter(3));
  journal.truncate = () => { throw new Error("I/O error"); };
  assert.throws(() => keeper.change(change(3), () => assert.fail("made")), failure("network", "refused may be in the journal", "open the index again"));
  Object.assign(journal, { write, truncate });
  assert.throws(() => keeper.change(change(3), () => assert.fail("made")), failure("network", "open the index again"));
});

test("a full disk refuses changes, and loses none", async () => {
  const disk = new SimulatedDisk();
  const { keeper, state } = reopened(disk);
  await work({ keeper, state }, 0, 5);
  disk.room = keeper.bytes + 50;
  assert.throws(() => keeper.change(change(5), () => assert.fail("made")), failure("quota", "nothing was changed"));
  assert.throws(() => keeper.roll({ ...rolled(state), file: new Uint8Array(1000) }), failure("quota"));
  // A small one still fits.
  keeper.change({ kind: "delete", id: 2n ** 60n }, () => made(state, { kind: "delete", id: 2n ** 60n }));
  await keeper.settled();
  assert.equal(textOf(reopened(disk.after(() => false)).state), textOf(state));
  disk.room = Infinity;
  await work({ keeper, state }, 5, 12);
  assert.equal(textOf(reopened(disk.after()).state), textOf(state));
});

test("a disk that fails to flush takes no more changes", async () => {
  const disk = new SimulatedDisk();
  const { keeper } = reopened(disk);
  const { flush } = keeper.place.files["journal-0"];
  keeper.place.files["journal-0"].flush = () => { throw new Error("I/O error"); };
  keeper.change(change(0), () => {});
  await assert.rejects(keeper.settled(), failure("network", "I/O error", "open the index again"));
  keeper.place.files["journal-0"].flush = flush;
  assert.throws(() => keeper.change(change(1), () => {}), failure("network", "open the index again"));
  assert.throws(() => keeper.roll(rolled(new Map())), failure("network"));
});

test("a damaged root is made good by its second slot; without one it is an error, never an empty index", async () => {
  const disk = new SimulatedDisk();
  await work(reopened(disk), 0, 20);
  const root = disk.files.get("root").safe;
  assert.equal(root.length, 8192);
  for (const slot of [0, 4096]) {
    for (let at = slot; at < slot + 300; at += 7) {
      const damaged = disk.after();
      damaged.files.get("root").safe[at] ^= 0x10;
      assert.equal(textOf(reopened(damaged).state), stateAfter(20));
      assert.equal(textOf(reopened(damaged.after()).state), stateAfter(20));
    }
  }
  const both = disk.after();
  both.files.get("root").safe[20] ^= 1;
  both.files.get("root").safe[4096 + 20] ^= 1;
  assert.throws(() => reopened(both), failure("corrupt", "root"));
  const short = disk.after();
  for (const name of ["snapshot-0", "snapshot-1"]) short.files.get(name).safe = short.files.get(name).safe.slice(0, -1);
  assert.throws(() => reopened(short), failure("corrupt", "snapshot"));
});

/** The root as it was written, however: first slot, second slot. */
async function roots() {
  const disk = new SimulatedDisk();
  await work(reopened(disk), 0, 6);
  const older = disk.files.get("root").safe.slice();
  await work(reopened(disk), 6, 20);
  const sound = disk.files.get("root").safe.slice();
  const damaged = (at) => Uint8Array.from(sound, (byte, i) => (i === at + 20 ? byte ^ 1 : byte));
  const switched = Uint8Array.from([...sound.subarray(0, 4096), ...older.subarray(4096)]);
  return { disk, sound, cases: { switched, first: damaged(0), second: damaged(4096), cut: sound.slice(0, 4096) } };
}

test("at no moment are both slots of the root unsound: not while one is repaired, nor in a switch, wherever a write may leave anything at all", async () => {
  const { disk, sound, cases } = await roots();
  for (const flushed of [true, false]) {
    for (const [name, root] of Object.entries(cases)) {
      const there = disk.after();
      // What a process that was killed had not flushed is read, but need not be on the disk.
      const before = name === "switched" ? Uint8Array.from([...new Uint8Array(4096), ...root.subarray(4096)]) : new Uint8Array(0);
      there.files.set("root", flushed ? { safe: root, since: [] } : { safe: before, since: [{ at: 0, bytes: root }] });
      const place = there.place();
      const { write } = place.files.root;
      let writes = 0;
      place.files.root.write = (from, options) => {
        writes++;
        // The power goes now: this slot holds anything, and of what was not flushed nothing is left.
        const left = there.after(() => false);
        left.files.get("root").safe.fill(0x5a, options.at, options.at + 4096);
        assert.equal(textOf(reopened(left).state), stateAfter(20), `${name}: slot at ${options.at}`);
        return write(from, options);
      };
      const keeper = Keeper.open(place, MADE, true);
      assert.equal(writes, 1, `${name}: the bad slot alone is written`);
      assert.deepEqual([...there.files.get("root").safe], [...sound], `${name}: on the disk before anything relies on it`);
      const state = JSON.parse(stateAfter(20)).reduce((state, [id, value]) => state.set(BigInt(id), value), new Map());
      keeper.replay(() => {});
      keeper.roll(rolled(state));
      assert.equal(writes, 3, name);
      assert.equal(textOf(reopened(there.after(() => false)).state), stateAfter(20));
    }
  }
});

test("what has columns is of a layout that versions without them refuse; what has none is as it was", () => {
  const columns = [["price", "f64"], ["brand", "string"]];
  const layoutOf = (made) => {
    const disk = new SimulatedDisk();
    Keeper.open(disk.place(), made, false);
    const root = Buffer.from(disk.files.get("root").safe);
    return { disk, version: JSON.parse(root.subarray(8, 8 + root.readUInt32LE(4)).toString()).version };
  };
  assert.equal(layoutOf(MADE).version, 1);
  const { disk, version } = layoutOf({ ...MADE, columns: schemaText(columns) });
  assert.equal(version, 2);
  const opened = (some) => Keeper.open(disk.after().place(), { ...MADE, columns: schemaText(some) }, false).made.columns;
  assert.equal(opened(columns), schemaText(columns));
  assert.equal(opened([...columns].reverse()), schemaText(columns), "whatever their order");
  for (const other of [[], [["price", "i64"], columns[1]], [columns[0]]]) assert.throws(() => opened(other), failure("invalid-argument", "columns is", '{"brand":"string","price":"f64"} in what is kept'));
  assert.equal(Keeper.open(disk.after().place(), { ...MADE, columns: schemaText([columns[0]]) }, false, false).made.columns, schemaText(columns), "those of a base count where nothing is kept");
  const long = Array.from({ length: 40 }, (_, i) => [`${i}`.padStart(96, "x"), "f64"]);
  const empty = new SimulatedDisk();
  assert.throws(() => Keeper.open(empty.place(), { ...MADE, columns: schemaText(long) }, false), failure("invalid-argument", "too long"));
  Keeper.open(empty.place(), { ...MADE, columns: schemaText(long.slice(0, 30)) }, false);
});

test("a schema is what it was, whatever the names are", () => {
  const columns = [["7", "i64"], ["caf\u00e9 \ud83d\ude80", "f64"], ["a\u0000b", "bool"], ["x".repeat(96), "string"], ["__proto__", "i64"]];
  assert.deepEqual(schemaOf(schemaText(columns)), columns);
  assert.deepEqual([schemaOf(""), schemaText([])], [[], ""]);
});

test("records are what they were, whatever they hold; checksums are CRC-32C", () => {
  assert.equal(crc32c(new TextEncoder().encode("123456789")), 0xe3069283);
  const standing = { generation: 1, number: 2, flushed: 2 };
  const ids = BigUint64Array.of(1n, 2n ** 64n - 1n, 5n);
  for (const vectors of [Float32Array.of(1, -2, 3.5), Uint8Array.of(1, 2, 255), Int8Array.of(-128, 0, 127)]) {
    for (const payloads of [null, { bytes: Uint8Array.of(9, 8, 7), ends: BigUint64Array.of(0n, 2n, 3n) }, { bytes: new Uint8Array(0), ends: new BigUint64Array(3) }]) {
      for (const replace of [false, true]) {
        for (const columns of [undefined, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), new Uint8Array(0)]) {
          const call = { ids, vectors, payloads, columns, replace, taken: BigUint64Array.of(5n) };
          const record = encode({ kind: "add", call }, standing);
          assert.equal(record.length % 8, 0);
          assert.deepEqual(recordAt(record, 0, 1), { ...standing, end: record.length });
          assert.deepEqual(decode(record, 0, record.length), { kind: "add", call });
          // Kinds that versions without columns know are those of rows without.
          assert.equal(new Uint32Array(record.buffer, 4, 1)[0], (replace ? 2 : 1) + (columns ? 4 : 0));
        }
      }
    }
  }
});
