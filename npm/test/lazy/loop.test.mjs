// The loop around a search: what it asks for, keeps, shares, repeats and gives up, with an engine that wants given blocks.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { FakeEngine, answerTo, fakeFile } from "./fake.mjs";
import { failure, random } from "../rows.mjs";
import { serveFile } from "./server.mjs";
import { lazySources } from "./source.mjs";

const { Blocks, Http, Store, drive } = await lazySources();
const file = fakeFile(400, 100);
let server;

before(async () => {
  server = await serveFile(file);
});
after(() => server.close());

/** An engine, and the blocks of the file as served this way. */
function opened(way = "plain", { quota = 1e6, changed = async () => {}, ...options } = {}) {
  server.reset();
  server.file = file;
  const http = new Http(`${server.url}/${way}/${Math.random()}`, { pause: 5, patience: 60_000, ...options });
  return { engine: new FakeEngine(file), blocks: new Blocks(http, new Store(quota), changed) };
}

const same = (driven, query) => assert.ok(Buffer.from(driven.answer).equals(answerTo(file, query)));
const numbers = ({ rounds, requests, bytes, cached, complete }) => ({ rounds, requests, bytes, cached, complete });

test("rounds depend on each other, requests of a round do not: neighbours travel together", async () => {
  const { engine, blocks } = opened();
  const query = [[0, 1, 60, 200], [7, 350]];
  const driven = await drive(engine, blocks, query);
  same(driven, query);
  // 0, 1 | 60 | 200, then 7 | 350: 58 blocks lie between 1 and 60.
  assert.deepEqual(numbers(driven), { rounds: 2, requests: 5, bytes: 600, cached: 0, complete: true });
  assert.equal(engine.slots.size, 0);
});

test("bytes fetched in vain are counted", async () => {
  const { engine, blocks } = opened();
  assert.deepEqual(numbers(await drive(engine, blocks, [[0, 40]])), { rounds: 1, requests: 1, bytes: 4100, cached: 0, complete: true });
});

test("what was fetched is kept: the second search asks nobody", async () => {
  const { engine, blocks } = opened();
  const query = [[3, 4], [90]];
  await drive(engine, blocks, query);
  const again = await drive(engine, blocks, query);
  same(again, query);
  assert.deepEqual(numbers(again), { rounds: 0, requests: 0, bytes: 0, cached: 3, complete: true });
  assert.equal(server.log.length, 2);
  blocks.store.clear();
  assert.equal((await drive(engine, blocks, query)).requests, 2);
});

test("a small quota keeps what was used last, and no more than it says", async () => {
  const { engine, blocks } = opened("plain", { quota: 250 });
  await drive(engine, blocks, [[0], [100], [0], [200]]);
  assert.equal(blocks.store.size, 200);
  assert.deepEqual([0, 100, 200].map((number) => !!blocks.store.get(file.block(number).offset, 100)), [true, false, true]);
  blocks.store.quota = 0;
  blocks.store.put(file.block(5).offset, new Uint8Array(100));
  assert.equal(blocks.store.get(file.block(5).offset, 100), undefined);
});

test("a search that wants nothing is done at once", async () => {
  const { engine, blocks } = opened();
  assert.deepEqual(numbers(await drive(engine, blocks, [])), { rounds: 0, requests: 0, bytes: 0, cached: 0, complete: true });
});

test("searches at a time, over a slow host, share what they read", async () => {
  const { engine, blocks } = opened();
  server.delay = 30;
  const queries = [[[1, 2, 3]], [[2, 3, 300]], [[3], [1]]];
  const all = await Promise.all(queries.map((query) => drive(engine, blocks, query)));
  all.forEach((driven, i) => same(driven, queries[i]));
  assert.deepEqual(all.map(({ requests }) => requests), [1, 1, 0]);
  assert.equal(server.log.length, 2);
  assert.deepEqual(all.map(({ cached }) => cached), [0, 0, 1]);
});

test("any searches at a time get their own blocks, whatever comes first", async () => {
  const next = random(11);
  const { engine, blocks } = opened("plain", { quota: 3000, concurrency: 5 });
  const round = () => [...new Set(Array.from({ length: 1 + Math.floor(next() * 8) }, () => Math.floor(next() * 400)))].sort((a, b) => a - b);
  const queries = Array.from({ length: 60 }, () => [round(), round(), round()]);
  const all = await Promise.all(queries.map((query) => drive(engine, blocks, query)));
  all.forEach((driven, i) => same(driven, queries[i]));
  assert.equal(server.log.length, all.reduce((sum, { requests }) => sum + requests, 0));
});

test("a read ends with the last search that waits for it, not with the first", async () => {
  const { engine, blocks } = opened("silent");
  const [one, two] = [new AbortController(), new AbortController()];
  const searches = [drive(engine, blocks, [[1, 2]], {}, one.signal), drive(engine, blocks, [[2]], {}, two.signal)];
  const first = assert.rejects(searches[0], failure("aborted"));
  const second = assert.rejects(searches[1], failure("aborted"));
  await new Promise((resolve) => setTimeout(resolve, 50));
  one.abort();
  await first;
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual([server.log.length, server.aborted], [1, 0]);
  two.abort();
  await second;
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual([server.log.length, server.aborted], [1, 1]);
  assert.equal(engine.slots.size, 0);
});

test("an aborted search does not take along those that share its reads", async () => {
  const { engine, blocks } = opened();
  server.delay = 50;
  const control = new AbortController();
  const searches = [drive(engine, blocks, [[1, 2]], {}, control.signal), drive(engine, blocks, [[2, 9]])];
  const first = assert.rejects(searches[0], failure("aborted"));
  setTimeout(() => control.abort(), 10);
  await first;
  same(await searches[1], [[2, 9]]);
  await assert.rejects(drive(engine, blocks, [[1]], {}, AbortSignal.abort()), failure("aborted"));
});

test("a damaged block is asked for once more, after a look at the header", async () => {
  let looks = 0;
  const changed = async () => void looks++;
  const once = opened("shiftedonce", { changed });
  same(await drive(once.engine, once.blocks, [[1], [2]]), [[1], [2]]);
  assert.equal(looks, 1);
  const always = opened("shifted", { changed });
  await assert.rejects(drive(always.engine, always.blocks, [[1]]), failure("corrupt"));
  assert.equal(server.log.length, 2);
  assert.equal(always.engine.slots.size, 0);
});

test("a file that was replaced is named so, and what was kept of it stays sound", async () => {
  const changed = async () => { throw Object.assign(new Error("another file"), { name: "NearshoreError", code: "changed" }); };
  const { engine, blocks } = opened("plain", { changed });
  same(await drive(engine, blocks, [[1]]), [[1]]);
  server.file = fakeFile(400, 100, 2);
  await assert.rejects(drive(engine, blocks, [[2]]), failure("changed"));
  server.file = fakeFile(1, 100, 2);
  await assert.rejects(drive(engine, blocks, [[300]]), failure("changed"));
  same(await drive(engine, blocks, [[1]]), [[1]]);
});

test("a damaged block of what is kept is fetched", async () => {
  const { engine, blocks } = opened();
  blocks.store.put(file.block(4).offset, new Uint8Array(100));
  const driven = await drive(engine, blocks, [[4]]);
  same(driven, [[4]]);
  assert.deepEqual(numbers(driven), { rounds: 1, requests: 1, bytes: 100, cached: 0, complete: true });
  assert.ok(Buffer.from(blocks.store.get(file.block(4).offset, 100)).equals(answerTo(file, [[4]])));
});

test("a budget cuts a search before what it does not allow, and only what must be fetched counts", async () => {
  const query = [[0, 100], [200]];
  const rounds = opened();
  assert.deepEqual(numbers(await drive(rounds.engine, rounds.blocks, query, { rounds: 1 })), { rounds: 1, requests: 2, bytes: 200, cached: 0, complete: false });
  const bytes = opened();
  assert.deepEqual(numbers(await drive(bytes.engine, bytes.blocks, query, { bytes: 299 })), { rounds: 1, requests: 2, bytes: 200, cached: 0, complete: false });
  const none = opened();
  assert.deepEqual(numbers(await drive(none.engine, none.blocks, query, { bytes: 0 })), { rounds: 0, requests: 0, bytes: 0, cached: 0, complete: false });
  const enough = opened();
  assert.equal((await drive(enough.engine, enough.blocks, query, { bytes: 300, rounds: 2 })).complete, true);
  assert.equal((await drive(enough.engine, enough.blocks, query, { bytes: 0, rounds: 0 })).complete, true);
});

test("time that is up cuts a search, and its reads", async () => {
  const { engine, blocks } = opened("silent");
  const driven = await drive(engine, blocks, [[0], [1]], { ms: 60 });
  assert.deepEqual(numbers(driven), { rounds: 1, requests: 1, bytes: 0, cached: 0, complete: false });
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(server.aborted, 1);
});

test("a host that fails fails the search, and leaves nothing behind", async () => {
  const { engine, blocks } = opened("forbidden");
  await assert.rejects(drive(engine, blocks, [[0, 100, 200]]), failure("network", "403"));
  assert.equal(engine.slots.size, 0);
  assert.equal(blocks.store.size, 0);
});
