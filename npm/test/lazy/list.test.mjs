// Parts on their way: shared by all who want them, stopped with the last, few at a time, counted as what they take.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { failure } from "../rows.mjs";
import { sources } from "./source.mjs";

const { Listed } = await sources("parts", ["list"]);
const MIB = 1024 * 1024;
const turn = (ms = 5) => new Promise((resolve) => setTimeout(resolve, ms));

/** A host of `count` parts that are all alike; `hold` of a part's name says what to wait for before it answers. */
function hostOf(bytes, count) {
  const part = new Uint8Array(bytes);
  const sha256 = createHash("sha256").update(part).digest("hex");
  const list = { format: "nearshore parts", version: 1, file_bytes: bytes * count, part_bytes: bytes, parts: Array.from({ length: count }, (_, i) => ({ name: `${i}`, bytes, sha256 })) };
  const host = { list, part, asked: {}, live: 0, most: 0, stopped: 0, hold: () => turn(), body: () => part };
  host.fetch = async (url, { signal }) => {
    const name = url.split("/").at(-1);
    host.asked[name] = (host.asked[name] ?? 0) + 1;
    if (name === "x.json") return new Response(JSON.stringify(list));
    host.most = Math.max(host.most, ++host.live);
    signal.addEventListener("abort", () => host.stopped++);
    try {
      await Promise.race([host.hold(name), new Promise((resolve) => signal.addEventListener("abort", resolve))]);
      signal.throwIfAborted();
      return new Response(host.body(name));
    } finally {
      host.live--;
    }
  };
  host.open = (options) => new Listed("https://index.example/x.json", { fetch: host.fetch, pause: 5, ...options });
  return host;
}

test("searches at a time share parts that are on their way, however many are kept; few are under way at a time", async () => {
  const host = hostOf(20 * MIB, 6);
  const reader = host.open();
  await Promise.all(Array.from({ length: 8 }, (_, i) => Promise.all(host.list.parts.map((_, number) => reader.read(number * 20 * MIB + i * 1000, 100)))));
  assert.deepEqual(host.asked, { "x.json": 1, 0: 1, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1 });
  assert.equal(host.most, 3, "of no more than 64 MiB");
  reader.close();
  const few = hostOf(65_536, 9);
  await few.open({ concurrency: 2 }).read(0, 9 * 65_536);
  assert.equal(few.most, 2);
});

test("what a part costs is what a read then fetches, also where the kept ones are not all that can be kept", async () => {
  const host = hostOf(20 * MIB, 6);
  const reader = host.open();
  for (const number of [3, 4, 5]) await reader.read(number * 20 * MIB, 10);
  const ranges = [0, 1, 2, 3, 4, 5].map((number) => ({ offset: number * 20 * MIB + 50, bytes: 10 }));
  assert.equal(reader.cost(ranges), 60 * MIB);
  const meter = { requests: 0, bytes: 0 };
  await Promise.all(ranges.map(({ offset, bytes }) => reader.read(offset, bytes, { meter })));
  assert.deepEqual([meter.bytes, meter.requests], [60 * MIB + JSON.stringify(host.list).length, 4]);
  // What is on its way costs whoever joins nothing; what is not in the file costs nobody.
  host.hold = () => turn(30);
  const [first] = [reader.read(0, 10), reader.read(20 * MIB, 10), reader.read(40 * MIB, 10)];
  const gone = [0, 1, 2, 3, 4, 5].filter((number) => reader.cost([{ offset: number * 20 * MIB, bytes: 1 }]) > 0);
  assert.equal(gone.length, 3);
  assert.equal(reader.cost([{ offset: 119 * MIB, bytes: 20 * MIB }, { offset: 500 * MIB, bytes: 1 }]) <= 20 * MIB, true);
  await first;
  reader.close();
});

test("a part is stopped with the last who waits for it, and not before", async () => {
  const host = hostOf(65_536, 3);
  const reader = host.open();
  await reader.ready();
  host.hold = () => new Promise(() => {});
  const [one, other] = [new AbortController(), new AbortController()];
  const meters = [{ requests: 0, bytes: 0 }, { requests: 0, bytes: 0 }];
  const reads = [reader.read(5, 10, { signal: one.signal, meter: meters[0] }), reader.read(65_530, 10, { signal: other.signal, meter: meters[1] })];
  while (host.live < 2) await turn();
  one.abort();
  await assert.rejects(reads[0], failure("aborted"));
  await turn();
  assert.equal(host.stopped, 0);
  other.abort();
  await assert.rejects(reads[1], failure("aborted"));
  await turn();
  assert.deepEqual([host.stopped, host.live], [2, 0]);
  assert.ok(reader.cost([{ offset: 0, bytes: 1 }]) > 0);
  // The next one who wants it asks anew.
  host.hold = () => turn();
  assert.equal((await reader.read(5, 10)).length, 10);
  assert.equal(host.asked[0], 2);
});

test("the list is stopped with the last who waits for it as well", async () => {
  let stopped = 0;
  const reader = new Listed("https://index.example/x.json", { fetch: (_, { signal }) => new Promise(() => signal.addEventListener("abort", () => stopped++)) });
  const control = new AbortController();
  const reads = [reader.read(0, 1, { signal: control.signal }), reader.bytes(control.signal)];
  await turn();
  control.abort();
  for (const read of reads) await assert.rejects(read, failure("aborted"));
  assert.equal(stopped, 1);
});

test("a part that comes slowly is waited for as long as something comes; one that stands still is not", async () => {
  const host = hostOf(65_536, 1);
  const steps = 12;
  let signal;
  const send = (step) => async (url, init) => {
    if (url.endsWith("json")) return host.fetch(url, init);
    ({ signal } = init);
    host.asked[0] = (host.asked[0] ?? 0) + 1;
    let at = 0;
    return new Response(new ReadableStream({
      async pull(stream) {
        if (at === steps) return stream.close();
        await (at > 0 ? step() : turn());
        if (!signal.aborted) stream.enqueue(host.part.subarray((at * 65_536) / steps, (++at * 65_536) / steps));
      },
    }));
  };
  const slow = host.open({ fetch: send(() => turn(100)), patience: 600 });
  assert.equal((await slow.read(0, 100)).length, 100);
  assert.equal(host.asked[0], 1);
  await assert.rejects(host.open({ fetch: send(() => new Promise(() => {})), patience: 50 }).read(0, 100), failure("network", "stood still"));
  assert.equal(host.asked[0], 5, "asked four times");
});

test("a busy host says when to ask for a part again", async () => {
  const host = hostOf(65_536, 1);
  let busy = 3;
  const send = async (url, init) => (url.endsWith("json") || busy-- === 0 ? host.fetch(url, init) : new Response("", { status: 503, headers: { "retry-after": "0" } }));
  // Without that it would wait for hours.
  assert.equal((await host.open({ fetch: send, pause: 10_000_000 }).read(0, 5)).length, 5);
});

test("many parts at a time leave no warning of too many listeners", async () => {
  const warnings = [];
  const warned = (warning) => warnings.push(String(warning));
  process.on("warning", warned);
  const host = hostOf(65_536, 30);
  const reader = host.open();
  const control = new AbortController();
  await reader.read(0, 30 * 65_536, { signal: control.signal });
  await turn();
  process.off("warning", warned);
  assert.deepEqual(warnings, []);
});
