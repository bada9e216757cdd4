// Files in parts, from hosts that know no ranges: which parts come, that each is checked, and what is said when one is missing or damaged.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { open } from "nearshore";
import { failure } from "../rows.mjs";
import { serveParts, split } from "./split.mjs";

const PART = 65_536;
const folder = new URL("../../../tests/conformance/", import.meta.url);
const file = await readFile(new URL("filters-tiles.shore", folder));
const { queries } = JSON.parse(await readFile(new URL("filters.json", folder), "utf8"));

let host;
let files;
let list;
let log;
let answers;
beforeEach(() => {
  ({ files, list, log, answers } = host.reset(file, PART));
});
before(async () => (host = await serveParts()));
after(() => host.close());
const address = () => `${host.url}?${Math.random()}`;
const opened = (options) => open(address(), { mode: "lazy", ...options });
const idsOf = (hits) => hits.map(({ id, distance }) => [id, distance]);

test("the hits of the file, by parts that come when they are wanted, once", async () => {
  const whole = await open(new Uint8Array(file));
  const index = await opened();
  assert.deepEqual([index.info.mode, index.info.worker, log.length], ["lazy", false, 2]);
  assert.deepEqual(log, ["x.shore.json", list.parts[0].name], "the list, and the part with the header");
  const all = await Promise.all(queries.map((query) => index.search(query)));
  assert.deepEqual(all.map(idsOf), (await Promise.all(queries.map((query) => whole.search(query)))).map(idsOf));
  const filtered = await index.search(queries[0], { filter: "price < 50" });
  assert.deepEqual(idsOf(filtered), idsOf(await whole.search(queries[0], { filter: "price < 50" })));
  assert.equal((await index.get(7)).text(), "row 1");
  assert.equal(new Set(log).size, log.length, "nothing came twice");
  assert.ok(log.length <= 1 + list.parts.length);
  const again = await open(address());
  assert.deepEqual([again.info.mode, idsOf(await again.search(queries[0]))], ["whole", idsOf(all[0])]);
  await Promise.all([whole, index, again].map((each) => each.close()));
});

test("what is fetched is counted: whole parts, once, and by it a budget cuts", async () => {
  const sent = () => log.reduce((sum, name) => sum + (files.get(name)?.length ?? JSON.stringify(list).length), 0);
  const index = await opened();
  const sums = async () => (({ requests, bytes }) => [requests, bytes])(await index.stats());
  assert.deepEqual(await sums(), [log.length, sent()]);
  // Nothing that is here suffices, and any part is more than the budget: none is asked for.
  const cut = await index.search(queries[0], { budget: { bytes: PART - 1 } });
  assert.deepEqual([cut.stats.complete, cut.stats.bytes, log.length], [false, 0, 2]);
  const [all, alike] = await Promise.all([index.search(queries[0], { budget: { bytes: file.length } }), index.search(queries[0])]);
  assert.equal(all.stats.complete, true);
  assert.deepEqual([all.stats.bytes + alike.stats.bytes, all.stats.requests + alike.stats.requests], [sent() - PART - JSON.stringify(list).length, log.length - 2]);
  assert.deepEqual(await sums(), [log.length, sent()]);
  // What is here costs nothing, and is not waited for.
  const { complete, rounds, requests } = (await index.search(queries[0], { budget: { bytes: 0, rounds: 0 } })).stats;
  assert.deepEqual([complete, rounds, requests], [true, 0, 0]);
  await index.close();
});

test("auto: the list says whether the file comes whole, and nothing comes twice", async () => {
  for (const [options, mode] of [[{}, "whole"], [{ maxBytes: file.length }, "whole"], [{ maxBytes: file.length - 1, cache: "none" }, "lazy"]]) {
    log.length = 0;
    const index = await open(address(), options);
    assert.equal(index.info.mode, mode);
    assert.equal((await index.stats()).requests, log.length);
    assert.deepEqual(log, ["x.shore.json", ...list.parts.map(({ name }) => name)].slice(0, mode === "lazy" ? 2 : undefined));
    assert.equal((await index.search(queries[0])).length, 10);
    await index.close();
  }
  const graph = await readFile(new URL("../../../tests/golden/v1.0/cosine-f32-300-u4.shore", import.meta.url));
  host.reset(graph, PART);
  const index = await open(address());
  assert.deepEqual([index.info.mode, index.info.rows], ["whole", 300]);
  await index.close();
});

test("maxBytes refuses by what parts take", async () => {
  await assert.rejects(opened({ maxBytes: PART - 1 }), failure("quota", "65536", "65535"));
  await assert.rejects(open(address(), { maxBytes: PART - 1 }), failure("quota"));
  assert.deepEqual(log, ["x.shore.json", "x.shore.json"], "no part came");
  await (await opened({ maxBytes: PART })).close();
});

test("a budget of bytes is kept where the list is not here yet", async () => {
  const cache = memoryCache();
  const url = address();
  const first = await open(url, { mode: "lazy", cache });
  await first.search(queries[0]);
  await first.close();
  host.refuse = true;
  const index = await open(url, { mode: "lazy", cache });
  host.refuse = false;
  log.length = 0;
  const search = (bytes) => index.search(queries.at(-1), { plan: "tiles", recall: 1, budget: { bytes } });
  const none = await search(10);
  assert.deepEqual([none.stats.complete, none.stats.bytes, log], [false, 0, []], "whatever parts are, they are not less");
  const cut = await search(PART - 1);
  assert.deepEqual([cut.stats.complete, log], [false, ["x.shore.json"]]);
  assert.equal(cut.stats.bytes, JSON.stringify(list).length);
  assert.equal((await search(file.length)).stats.complete, true);
  await index.close();
});

test("parts that were replaced on the host: changed, with the address and what to do; with the list as it was, what failed", async () => {
  for (const keep of [false, true]) {
    ({ files, list, log, answers } = host.reset(file, PART));
    const [index, untouched] = [await opened(), await opened()];
    // The next version of the file: its list, and its parts under names of their own, or under the old ones.
    const next = Buffer.from(file);
    for (let at = 20_000; at < next.length; at += PART) next[at] ^= 1;
    const other = split(next, PART);
    const olds = list.parts.map(({ name }) => name);
    if (keep) other.list.parts.forEach(({ name }, i) => files.set(olds[i], other.files.get(name)));
    else host.files = other.files;
    await assert.rejects(index.search(queries[0]), failure(keep ? "corrupt" : "network", ".part"));
    host.list = other.list;
    await assert.rejects(untouched.search(queries[0]), failure("changed", "x.shore.json?", "open it again"));
    // A host that does not answer tells nothing.
    answers.set("x.shore.json", [{ status: 404 }]);
    await assert.rejects(untouched.search(queries[0]), failure(keep ? "corrupt" : "network", ".part"));
    await assert.rejects(untouched.search(queries[0]), failure("changed"));
    await Promise.all([index, untouched].map((each) => each.close()));
  }
});

test("a part that is missing is named", async () => {
  const index = await opened();
  for (const { name } of list.parts.slice(1)) files.delete(name);
  await assert.rejects(index.search(queries[0]), failure("network", ".part", "status 404"));
  await index.close();
  files.delete(list.parts[0].name);
  await assert.rejects(opened(), failure("network", list.parts[0].name, "404"));
});

test("a damaged part is asked for again, and corrupt when it stays so; one of another length too", async () => {
  const [{ name }] = list.parts;
  const damaged = Buffer.from(files.get(name));
  damaged[20_000] ^= 1; // where no search looks
  answers.set(name, [{ body: damaged }]);
  await (await opened()).close();
  assert.deepEqual(log, ["x.shore.json", name, name]);
  files.set(name, damaged);
  await assert.rejects(opened(), failure("corrupt", "part 1 of 4", "SHA-256"));
  files.set(name, damaged.subarray(0, 1000));
  await assert.rejects(opened(), failure("corrupt", "part 1 of 4", "1000 bytes, expected 65536"));
  files.set(name, Buffer.concat([damaged, damaged]));
  await assert.rejects(opened(), failure("corrupt", "more than 65536 bytes"));
});

test("a busy host is asked again", async () => {
  answers.set("x.shore.json", [{ status: 503 }]);
  answers.set(list.parts[0].name, [{ status: 429 }, { status: 503 }]);
  await (await opened()).close();
  assert.equal(log.length, 5);
});

test("a list that cannot be is refused, and names are no addresses", async () => {
  const refused = async (change, code, ...words) => {
    ({ list, log, answers } = host.reset(file, PART));
    change(list);
    await assert.rejects(opened(), failure(code, ...words));
  };
  await refused(() => (host.list = "text"), "corrupt", "no list of parts");
  await refused((list) => (list.version = 2), "unsupported", "expected 1");
  await refused((list) => (list.format = "x"), "corrupt", "`format`");
  await refused((list) => list.parts.pop(), "corrupt", "another number of parts");
  await refused((list) => Object.assign(list, { file_bytes: -1, parts: [] }), "corrupt", "another number of parts");
  await refused((list) => Object.assign(list, { file_bytes: undefined, parts: [] }), "corrupt", "another number of parts");
  await refused((list) => (list.parts[1].sha256 = [list.parts[1].sha256]), "corrupt", "part 2");
  await refused((list) => (list.part_bytes = 1), "corrupt", "another number of parts");
  await refused((list) => (list.parts[1].bytes = 5), "corrupt", "part 2");
  await refused((list) => (list.parts[1].sha256 = "0"), "corrupt", "part 2");
  for (const name of ["../x", "https://other.example/x", "/x", ".x", 7]) await refused((list) => (list.parts[3].name = name), "corrupt", "part 4 has no name");
});

test("the golden list of parts is the golden file", async () => {
  const golden = (name) => join(import.meta.dirname, "../../../tests/golden", name);
  const [whole, answers] = await Promise.all([open(golden("v1.0/cosine-f32-150-tiles.shore")), readFile(golden("v1.0/cosine-f32-150-tiles.json"), "utf8").then(JSON.parse)]);
  const given = answers.queries.filter(({ form }) => form === "f32").map(({ bits }) => new Float32Array(Uint32Array.from(bits).buffer));
  assert.ok(given.length > 0);
  for (const mode of ["lazy", "whole"]) {
    const index = await open(golden("parts/cosine-f32-150-tiles.shore.json"), { mode });
    assert.deepEqual([index.info.mode, index.info.identity, index.info.rows], [mode, whole.info.identity, 150]);
    for (const query of given) assert.deepEqual(idsOf(await index.search(query)), idsOf(await whole.search(query)));
    await index.close();
  }
  await whole.close();
});

test("from a folder, in Node", async () => {
  const here = await mkdtemp(join(tmpdir(), "parts-"));
  try {
    for (const [name, bytes] of files) await writeFile(join(here, name), bytes);
    await writeFile(join(here, "x.shore.json"), JSON.stringify(list));
    const index = await open(join(here, "x.shore.json"), { mode: "lazy" });
    assert.equal((await index.search(queries[0])).length, 10);
    await index.close();
    await rm(join(here, list.parts[2].name));
    await assert.rejects(open(join(here, "x.shore.json"), { mode: "whole" }), failure("network", list.parts[2].name));
  } finally {
    await rm(here, { recursive: true });
  }
});

/** A Cache as browsers have it, as far as it is used. */
function memoryCache() {
  const entries = new Map();
  return {
    match: async (url) => entries.has(url) ? new Response(entries.get(url)) : undefined,
    put: async (url, response) => void entries.set(url, await response.arrayBuffer()),
    delete: async (url) => entries.delete(url),
    keys: async () => [...entries.keys()].map((url) => ({ url })),
  };
}

test("what came is kept: with the host gone the list opens, and searches that were made are made again without a request", async () => {
  const cache = memoryCache();
  const url = address();
  const first = await open(url, { mode: "lazy", cache });
  const wanted = idsOf(await first.search(queries[0]));
  assert.ok((await first.cache.size()) > 0);
  await first.close();
  host.refuse = true;
  log.length = 0;
  for (const mode of ["lazy", "auto"]) {
    const again = await open(url, { mode, cache });
    assert.deepEqual([idsOf(await again.search(queries[0])), (await again.search(queries[0])).stats.requests, log], [wanted, 0, []], mode);
    await again.close();
  }
  // Not everything is there; once the host is, what is missing comes, by the list that it has then.
  const index = await open(url, { mode: "lazy", cache });
  const whole = await open(new Uint8Array(file));
  const last = queries.at(-1);
  await assert.rejects(index.search(last, { plan: "tiles", recall: 1 }), failure("network", "x.shore.json"));
  host.refuse = false;
  assert.deepEqual(idsOf(await index.search(last)), idsOf(await whole.search(last)));
  assert.equal(log[0], "x.shore.json");
  await index.close();
  // One that was replaced meanwhile is another file: nothing of the old one is mixed with it.
  host.refuse = true;
  const old = await open(url, { mode: "lazy", cache });
  const next = await readFile(new URL("../../../tests/golden/v1.0/cosine-f32-150-tiles.shore", import.meta.url));
  host.reset(next, PART);
  await assert.rejects(old.search(queries[1], { recall: 1 }), failure("changed"));
  assert.deepEqual(idsOf(await old.search(queries[0])), wanted, "what is here stays right");
  await old.close();
  const now = await open(url, { mode: "lazy", cache });
  assert.equal(now.info.rows, 150);
  await Promise.all([now, whole].map((each) => each.close()));
});

test("nothing of it goes on once the index is closed, or its opening was stopped", async () => {
  const connections = () => new Promise((resolve) => host.server.getConnections((_, count) => resolve(count)));
  const quiet = async () => {
    while ((await connections()) > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  const send = (address, options) => fetch(address, { ...options, headers: { connection: "close" } });
  for (const mode of ["lazy", "auto"]) {
    answers.set(list.parts[0].name, [{ silent: true }]);
    const control = new AbortController();
    const opening = opened({ mode, fetch: send, signal: control.signal });
    while (!log.includes(list.parts[0].name)) await new Promise((resolve) => setTimeout(resolve, 10));
    control.abort();
    await assert.rejects(opening, failure("aborted"), mode);
    await quiet();
    log.length = 0;
  }
  const index = await opened({ fetch: send });
  for (const { name } of list.parts.slice(1)) answers.set(name, [{ silent: true }]);
  const searching = index.search(queries[0]);
  searching.catch(() => {});
  while (log.length < 3) await new Promise((resolve) => setTimeout(resolve, 10));
  await index.close();
  await assert.rejects(searching, failure("closed"));
  await quiet();
});
