// A file in tiles, opened in parts: the same hits as with the whole file at hand, over every source and every kind of host.
import assert from "node:assert/strict";
import { open as openFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Index, NearshoreError, open } from "nearshore";
import { failure, rows, vector } from "../rows.mjs";
import { serveFile } from "./server.mjs";
import { lazySources } from "./source.mjs";

const DIMENSIONS = 24;
const { mayBringCodes } = await lazySources();
const path = join(import.meta.dirname, "tiles.shore");
const vectors = rows(2000, DIMENSIONS, 9);
const queries = rows(30, DIMENSIONS, 9);
const query = (number) => vector(queries, DIMENSIONS, number);
let file;
let server;
let whole;

before(async () => {
  file = new Uint8Array(await readFile(path));
  server = await serveFile(file);
  whole = await open(file);
});
after(() => server.close());

const lazy = (way = "plain", options = {}) => (server.reset(), open(`${server.url}/${way}/${Math.random()}`, { mode: "lazy", ...options }));
const found = (hits) => [hits.map((hit) => [hit.id, hit.distance, hit.payload && hit.text()]), hits.stats.distances, hits.stats.hops, hits.stats.ef];

/** The same answers as the whole file gives, whatever the options. */
async function same(index, label) {
  for (const [number, options] of [{}, { k: 1 }, { k: 40, recall: 0.99 }, { payload: false }, { radius: 0.02 }, { ef: 100 }, { refine: "records" }].entries()) {
    assert.deepEqual(found(await index.search(query(number), options)), found(await whole.search(query(number), options)), `${label} ${JSON.stringify(options)}`);
  }
}

test("the whole file is searched by its tiles, in memory", async () => {
  assert.deepEqual([whole.info.mode, whole.info.plan, whole.info.rows, whole.info.payload], ["whole", "tiles", 2000, true]);
  const hits = await whole.search(vector(vectors, DIMENSIONS, 42), { k: 3 });
  assert.equal(hits[0].id, 42 * 3 + 1);
  assert.deepEqual(hits[0].json(), { id: 127, text: "x".repeat(27) });
  const { rounds, requests, bytes, cached, complete } = hits.stats;
  assert.deepEqual({ rounds, requests, bytes, cached, complete }, { rounds: 0, requests: 0, bytes: 0, cached: 0, complete: true });
  assert.equal((await whole.stats()).bytes, file.length);
});

test("opened in parts: the same hits, distances, payloads, hops", async () => {
  const index = await lazy();
  assert.deepEqual([index.info.mode, index.info.rows, index.info.fileBytes], ["lazy", 2000, file.length]);
  assert.deepEqual({ ...index.info, mode: 0 }, { ...whole.info, mode: 0 });
  await same(index, "lazy");
  await same(index, "again");
  const many = await index.searchBatch(queries, { k: 5 });
  const wanted = await whole.searchBatch(queries, { k: 5 });
  assert.deepEqual(many.map(found), wanted.map(found));
});

test("opening reads the head alone; a search waits for codes, records, payloads, each once", async () => {
  const index = await lazy();
  const opening = await index.stats();
  assert.equal(opening.requests, server.log.length);
  assert.ok(opening.requests <= 2 && opening.bytes < file.length / 2, JSON.stringify(opening));
  const hits = await index.search(query(0));
  assert.equal(hits.stats.rounds, 3);
  assert.equal(hits.stats.cached, 0);
  assert.ok(hits.stats.bytes < file.length / 2);
  assert.equal(server.log.length, opening.requests + hits.stats.requests);
  const again = await index.search(query(0));
  assert.deepEqual([again.stats.rounds, again.stats.requests, again.stats.bytes], [0, 0, 0]);
  assert.ok(again.stats.cached > 0);
  const sums = await index.stats();
  assert.deepEqual([sums.searches, sums.requests, sums.bytes, sums.cached], [2, opening.requests + hits.stats.requests, opening.bytes + hits.stats.bytes, again.stats.cached]);
  assert.equal((await index.search(query(0), { payload: false })).stats.complete, true);
});

test("every source can be read in parts", async () => {
  const source = { closed: 0, size: async () => file.length, read: async (offset, length) => file.slice(offset, offset + length), close: () => void source.closed++ };
  const handle = await openFile(path);
  for (const [name, each] of Object.entries({ source, handle, path, url: new URL(`file://${path}`), blob: new Blob([file]) })) {
    const index = await open(each, { mode: "lazy" });
    assert.equal(index.info.mode, "lazy", name);
    await same(index, name);
    await index.close();
  }
  await handle.close();
  assert.equal(source.closed, 1);
  await assert.rejects(open(file, { mode: "lazy" }), failure("unsupported", "in memory"));
});

test("hosts that hide, move, delay or repeat change nothing", async () => {
  for (const way of ["hidden", "weak", "redirect", "busy", "cutonce", "shortonce", "shiftedonce"]) await same(await lazy(way), way);
});

test("a host without ranges: what is small is taken whole, what is not is refused", async () => {
  const index = await lazy("whole");
  assert.equal(index.info.mode, "whole");
  await same(index, "whole");
  assert.equal(server.log.length, 1);
  await assert.rejects(lazy("whole", { maxBytes: 100_000 }), failure("range", "206"));
});

test("hosts that send something else", async () => {
  await assert.rejects(lazy("gzip"), failure("range", "gzip", ".gz"));
  await assert.rejects(lazy("gzipslice"), failure("range", "gzip"));
  await assert.rejects(lazy("forbidden"), failure("network", "403"));
  await assert.rejects(lazy("short"), failure("truncated", "65526 bytes", String(file.length)));
  const shifted = await lazy("shifted");
  await assert.rejects(shifted.search(query(0)), failure("corrupt"));
});

test("a file that is replaced while it is open is told from a damaged one", async () => {
  const index = await lazy();
  await index.search(query(0));
  const other = file.slice();
  other[80] ^= 1; // another build id
  other.fill(0, 70_000);
  try {
    server.file = other;
    await assert.rejects(index.search(query(1)), failure("changed", "open it again"));
    const damaged = file.slice();
    damaged.fill(0, 70_000);
    server.file = damaged;
    await assert.rejects(index.search(query(1)), failure("corrupt"));
  } finally {
    server.file = file;
  }
  await same(index, "restored");
});

test("a file that was cut short on its host is named so, when it is opened or when its end is wanted", async () => {
  const [at, whole] = [file.length - 20_000, String(file.length)];
  const cut = file.slice(0, at);
  try {
    server.file = cut;
    const truncated = failure("truncated", "cut short", `${at} bytes`, whole);
    await assert.rejects(lazy(), truncated);
    await assert.rejects(lazy("whole"), truncated);
    await assert.rejects(open(new Blob([cut]), { mode: "lazy" }), truncated);
    await assert.rejects(open({ size: async () => at, read: async (offset, length) => cut.slice(offset, offset + length) }, { mode: "lazy" }), truncated);
    // A host that hides how long it is; and one that was cut while it was open.
    const hidden = await lazy("hidden");
    await assert.rejects(hidden.searchBatch(queries), failure("truncated", "cut short", "fewer bytes", whole));
    server.file = file;
    const index = await lazy();
    server.file = cut;
    await assert.rejects(index.searchBatch(queries), truncated);
    // Answers that are short, from a host that has it all.
    server.file = file;
    await assert.rejects((await lazy("shortbehind")).search(query(0)), failure("range"));
  } finally {
    server.file = file;
  }
});

test("a file without tiles is read whole, or not at all", async () => {
  const graph = await (await Index.build(null, vectors, { dimensions: DIMENSIONS })).save();
  try {
    server.file = graph;
    await assert.rejects(lazy(), failure("unsupported", "nearshore export", "--for web"));
    assert.equal((await lazy("plain", { mode: "auto" })).info.mode, "whole");
  } finally {
    server.file = file;
  }
});

test("auto: parts of a large file in tiles, where its host gives parts", async () => {
  assert.equal((await lazy("plain", { mode: "auto" })).info.mode, "whole"); // it is small
  const large = file.slice();
  new DataView(large.buffer).setBigUint64(32, 5_000_000n, true);
  const asked = [];
  const send = (parts) => async (url, { headers, signal }) => {
    const range = new Headers(headers).get("range");
    asked.push(range);
    if (!range) return new Response(asked.length === 1 ? large : file);
    return parts ? fetch(`${server.url}/plain/x`, { headers, signal }) : new Response(new ReadableStream({ pull: (stream) => stream.enqueue(large) }));
  };
  const index = await open("https://index.example/x.shore", { fetch: send(true) });
  assert.equal(index.info.mode, "lazy");
  assert.deepEqual(asked.slice(0, 2), [null, "bytes=0-65535"]);
  const { requests, bytes } = await index.stats();
  assert.ok(requests >= 2 && bytes > 65_536, `${requests} requests, ${bytes} bytes: the first one counts`);
  await same(index, "auto");
  asked.length = 0;
  assert.equal((await open("https://index.example/x.shore", { fetch: send(false), maxBytes: 2_000_000 })).info.mode, "whole");
  assert.deepEqual(asked, [null, "bytes=0-65535", null]);
});

test("auto: nothing of a source is read twice, and none of it before its size says what is wanted", async () => {
  for (const [maxBytes, mode] of [[file.length - 1, "lazy"], [file.length, "whole"]]) {
    const reads = [];
    const index = await open({ size: async () => file.length, read: async (offset, length) => (reads.push([offset, offset + length]), file.slice(offset, offset + length)) }, { maxBytes, cache: "none" });
    assert.equal(index.info.mode, mode);
    reads.forEach(([from], at) => assert.equal(from, at === 0 ? 0 : reads[at - 1][1], JSON.stringify(reads)));
    assert.equal(reads[0][1], mode === "lazy" ? 65_536 : file.length);
    const { requests, bytes } = await index.stats();
    assert.deepEqual([requests, bytes], [reads.length, reads.at(-1)[1]]);
    await index.close();
  }
});

test("auto: an opening that goes on in parts after the host refused the file is aborted as any other", async () => {
  const control = new AbortController();
  const send = async (_, { headers }) => {
    if (!new Headers(headers).get("range")) return new Response("", { status: 404 });
    setTimeout(() => control.abort(), 5);
    return new Promise(() => {});
  };
  await assert.rejects(open("https://index.example/x.shore", { fetch: send, signal: control.signal }), failure("aborted"));
});

test("auto: a host may send as few bytes at a time as it likes", async () => {
  const large = file.slice();
  new DataView(large.buffer).setBigUint64(32, 5_000_000n, true);
  let asked = 0;
  const send = async (url, { headers, signal }) => {
    if (new Headers(headers).get("range")) return fetch(`${server.url}/plain/x`, { headers, signal });
    asked++;
    let at = 0;
    return new Response(new ReadableStream({ pull: (stream) => stream.enqueue(large.slice(at, (at += at < 100 ? 7 : 60_000))) }));
  };
  server.reset();
  const index = await open("https://index.example/x.shore", { fetch: send });
  assert.deepEqual([index.info.mode, asked], ["lazy", 1]);
  await index.prefetch(); // codes that were coming unasked are not to meet the next test
});

test("what a search that was stopped, or failed, has fetched is in the index's sums", async () => {
  const index = await lazy();
  const before = (await index.stats()).requests;
  server.delay = 30;
  const control = new AbortController();
  const search = index.search(query(0), { signal: control.signal });
  while (server.log.length === before) await new Promise((resolve) => setTimeout(resolve, 2));
  control.abort();
  await assert.rejects(search, failure("aborted"));
  server.delay = 0;
  const stopped = await index.stats();
  assert.ok(stopped.requests > before);
  assert.equal(stopped.requests, server.log.length);
  assert.equal(stopped.searches, 0, "no answer was given");
  const failing = await lazy("shifted");
  await assert.rejects(failing.search(query(0)), failure("corrupt"));
  const sums = await failing.stats();
  assert.equal(sums.requests, server.log.length);
  assert.ok(sums.bytes > 65_536);
});

test("what a caller gets wrong ends no index, and rows that are looked up are counted", async () => {
  let gone = false;
  const source = {
    size: async () => file.length,
    read(offset, length) {
      if (gone) throw new Error("the session expired");
      return Promise.resolve(file.slice(offset, offset + length));
    },
  };
  const index = await open(source, { mode: "lazy" });
  assert.equal((await index.search(query(0), { budget: null })).length, 10);
  gone = true;
  await assert.rejects(index.search(query(7)), (error) => error instanceof NearshoreError && error.code !== "trapped" && error.message.includes("the session expired"));
  gone = false;
  assert.equal((await index.search(query(7))).length, 10);
  const { requests, bytes } = await index.stats();
  assert.equal(await index.has(1), true);
  const after = await index.stats();
  assert.ok(after.requests > requests && after.bytes > bytes);
});

test("many searches at a time are no reason to warn", async () => {
  const warnings = [];
  const note = (warning) => warnings.push(warning.message);
  process.on("warning", note);
  try {
    const index = await open(path, { mode: "lazy" });
    const control = new AbortController();
    await Promise.all(Array.from({ length: 30 }, (_, at) => index.search(query(at), { signal: control.signal })));
    await index.searchBatch(queries);
    await new Promise((resolve) => setImmediate(resolve)); // when warnings are told
    assert.deepEqual(warnings.filter((warning) => warning.includes("memory leak")), []);
    await index.close();
  } finally {
    process.off("warning", note);
  }
});

test("no limit is no limit, and a source that fails is the source's failure", async () => {
  const index = await lazy();
  for (const ms of [Infinity, 2 ** 31, 1e12]) {
    const hits = await index.search(query(3), { budget: { ms, bytes: Infinity, rounds: Infinity } });
    assert.deepEqual([hits.length, hits.stats.complete], [10, true]);
  }
  await assert.rejects(index.search(query(3), { budget: { ms: -1 } }), failure("invalid-argument", "budget.ms"));
  const read = async (offset, length) => file.slice(offset, offset + length);
  const broken = (size) => open({ read, size }, { mode: "lazy" });
  await assert.rejects(broken(async () => { throw new Error("503"); }), failure("network", "503"));
  await assert.rejects(broken(() => { throw new Error("no"); }), failure("network", "no"));
  await assert.rejects(broken(async () => NaN), failure("invalid-argument", "size()", "NaN"));
});

test("a file that claims more than it has is damaged, and asks for no memory", async () => {
  for (const claim of [2n ** 33n, 2n ** 60n]) {
    const hostile = file.slice();
    new DataView(hostile.buffer).setBigUint64(64, claim, true);
    await assert.rejects(open(new Blob([hostile]), { mode: "lazy" }), failure("corrupt"));
  }
});

test("codes: after they are here a search fetches records alone", async () => {
  const index = await lazy("plain", { mode: "codes" });
  await index.prefetch();
  assert.equal((await index.stats()).requests, 2, "the head, all codes");
  const hits = await index.search(query(0), { payload: false });
  assert.equal(hits.stats.rounds, 1);
  assert.ok(hits.stats.cached > 0);
  await same(index, "codes");
});

test("auto: codes come unasked where they are few, there is room, and nobody saves data", async () => {
  const room = (quota, usage) => ({ estimate: async () => ({ quota, usage }) });
  const there = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  const tell = (value) => Object.defineProperty(globalThis, "navigator", { value, configurable: true, writable: true });
  try {
    const cases = [
      [true, undefined],
      [true, { storage: room(1e9, 5e8) }],
      [true, { storage: { estimate: () => Promise.reject(new Error("not today")) } }],
      [true, { storage: room(1e6, 999_999) }, { cache: "memory" }], // which does not depend on that room
      [false, { storage: room(1e6, 999_999) }],
      [false, { connection: { saveData: true } }],
      [false, undefined, { cache: "none" }],
    ];
    for (const [number, [wanted, navigator, options]] of cases.entries()) {
      tell(navigator);
      const index = await lazy("plain", { mode: "auto", maxBytes: file.length - 1, ...options });
      assert.equal(index.info.mode, "lazy", "more than may be read at once");
      if (wanted) while ((await index.cache.size()) === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      else await new Promise((resolve) => setTimeout(resolve, 50));
      const { rounds } = (await index.search(query(0), { payload: false })).stats;
      assert.equal(rounds, wanted ? 1 : 2, `case ${number}`);
      await index.close();
    }
  } finally {
    if (there) Object.defineProperty(globalThis, "navigator", there);
    else delete globalThis.navigator;
  }
});

test("auto: codes come unasked by what they take, which is more where parts come whole", async () => {
  const codes = { offset: 100_000, blocks: 10, blockBytes: 1000 };
  const asked = [];
  const costs = (bytes) => ({ cost: (ranges) => (asked.push(...ranges), bytes) });
  assert.deepEqual([await mayBringCodes({ codes }, {}, false), await mayBringCodes({ codes }, costs(5_000_000), false), await mayBringCodes({ codes }, costs(4_000_000), false)], [true, false, true]);
  assert.deepEqual(asked[0], { offset: 100_000, bytes: 10_000 });
});

test("without a network that is what is said, at once", async () => {
  const there = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  let asked = 0;
  const send = async () => {
    asked++;
    throw new TypeError("Failed to fetch");
  };
  try {
    Object.defineProperty(globalThis, "navigator", { value: { onLine: false }, configurable: true });
    await assert.rejects(open("https://index.example/x.shore", { mode: "lazy", fetch: send }), failure("network", "there is no network"));
    assert.equal(asked, 1);
    Object.defineProperty(globalThis, "navigator", { value: { onLine: true }, configurable: true });
    await assert.rejects(open("https://index.example/x.shore", { mode: "lazy", fetch: send }), failure("network", "CORS"));
  } finally {
    if (there) Object.defineProperty(globalThis, "navigator", there);
    else delete globalThis.navigator;
  }
});

test("what is kept: its size, forgetting it, keeping nothing", async () => {
  const index = await lazy();
  assert.equal(await index.cache.size(), 0);
  const { bytes } = (await index.search(query(0))).stats;
  const size = await index.cache.size();
  assert.ok(size > 0 && size <= bytes);
  await index.cache.clear();
  assert.equal(await index.cache.size(), 0);
  assert.equal((await index.search(query(0))).stats.cached, 0);
  const none = await lazy("plain", { cache: "none" });
  await none.search(query(0));
  assert.equal((await none.search(query(0))).stats.cached, 0);
  assert.equal(await none.cache.size(), 0);
});

test("a budget cuts a search: the hits that it has by then, and it says so", async () => {
  const cold = async (budget) => (await lazy()).search(query(0), { budget });
  const full = await cold({});
  for (const [budget, hits] of [[{ rounds: 0 }, 0], [{ rounds: 1 }, 0], [{ rounds: 2 }, 10], [{ bytes: full.stats.bytes - 1 }, 10], [{ bytes: 0 }, 0]]) {
    const cut = await cold(budget);
    assert.deepEqual([cut.stats.complete, cut.length], [false, hits], JSON.stringify(budget));
    assert.ok(cut.stats.rounds <= (budget.rounds ?? 3) && cut.stats.bytes <= (budget.bytes ?? Infinity));
    // Without the last round there are all hits, but no payloads.
    if (hits > 0) assert.deepEqual([cut.map(({ id, distance, payload }) => [id, distance, payload])], [full.map(({ id, distance }) => [id, distance, undefined])]);
  }
  assert.equal((await cold({ rounds: 3, bytes: full.stats.bytes, ms: 60_000 })).stats.complete, true);
  const index = await lazy();
  server.delay = 200;
  const late = await index.search(query(0), { budget: { ms: 20 } });
  assert.deepEqual([late.stats.complete, late.length], [false, 0]);
  await assert.rejects(index.search(query(0), { budget: { ms: -1 } }), failure("invalid-argument", "budget.ms"));
});

test("a signal ends a search and an opening, and what they asked for", async () => {
  const index = await lazy();
  server.delay = 200;
  const control = new AbortController();
  setTimeout(() => control.abort(), 20);
  await assert.rejects(index.search(query(0), { signal: control.signal }), failure("aborted"));
  const other = new AbortController();
  setTimeout(() => other.abort(), 20);
  await assert.rejects(open(`${server.url}/plain/y`, { mode: "lazy", signal: other.signal }), failure("aborted"));
  server.delay = 0;
  await same(index, "after");
});

test("closing ends what is under way", async () => {
  const index = await lazy();
  server.delay = 200;
  const late = assert.rejects(index.search(query(0)), failure("closed"));
  await index.close();
  await late;
  await assert.rejects(index.search(query(0)), failure("closed"));
  await assert.rejects(index.prefetch(), failure("closed"));
  await assert.rejects(index.cache.size(), failure("closed"));
});

test("what takes the whole file is named", async () => {
  const index = await lazy();
  for (const call of [() => index.save(), () => index.verify(), () => index.search(query(0), { plan: "scan" })]) {
    await assert.rejects(call(), failure("unsupported", "exported from"));
  }
  await same(index, "after");
  await assert.rejects(lazy("plain", { integrity: "sha256-x" }), failure("unsupported", "integrity"));
  await assert.rejects(Index.load(path, { mode: "lazy" }), failure("unsupported", "Index.load"));
  const loaded = await Index.load(path);
  assert.equal(await loaded.has(4), true);
  await loaded.verify();
  const given = vector(vectors, DIMENSIONS, 0);
  for (const change of [() => loaded.add(8, given), () => loaded.update(4, given), () => loaded.delete(4), () => loaded.addMany([8], given)]) {
    await assert.rejects(change(), failure("unsupported", "file in tiles", "exported from", "Index.create({ base })"));
  }
  const over = await Index.create({ base: await open(file) });
  await over.add(8, given);
  assert.deepEqual((await over.search(given, { k: 2 })).map(({ id }) => id).sort(), [1, 8]);
  assert.equal((await loaded.search(vector(vectors, DIMENSIONS, 42), { plan: "scan" }))[0].id, 127);
});

test("damaged files are refused, whole or in parts", async () => {
  const damaged = file.slice();
  damaged[200] ^= 1;
  await assert.rejects(open(damaged), failure("corrupt"));
  await assert.rejects(open(new Blob([damaged]), { mode: "lazy" }), failure("corrupt"));
  await assert.rejects(open(file.slice(0, -1)), failure("truncated"));
  const body = file.slice();
  body.fill(0, 70_000);
  await assert.rejects((await open(body)).search(query(0)), failure("corrupt"));
});
