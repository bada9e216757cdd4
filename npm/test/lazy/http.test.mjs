// What hosts answer to a range, and what becomes of it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { failure, random } from "../rows.mjs";
import { serveFile } from "./server.mjs";
import { lazySources } from "./source.mjs";

const { Http } = await lazySources();
const next = random(3);
const file = Uint8Array.from({ length: 200_000 }, () => next() * 256);
let server;

before(async () => {
  server = await serveFile(file);
});
after(() => server.close());

const at = (way, options = {}) => new Http(`${server.url}/${way}/${Math.random()}`, { pause: 5, patience: 60_000, ...options });
const same = (bytes, from, to) => assert.ok(Buffer.from(bytes).equals(file.subarray(from, to)));
const requests = () => server.log.splice(0).length;

test("a part is one plain request for one range", async () => {
  server.reset();
  const meter = { requests: 0, bytes: 0 };
  same(await at("plain", { headers: { "x-key": "7" } }).read(1000, 500, { meter }), 1000, 1500);
  assert.deepEqual(meter, { requests: 1, bytes: 500 });
  const [{ range, headers }] = server.log;
  assert.equal(range, "bytes=1000-1499");
  assert.equal(headers["x-key"], "7");
  for (const name of ["if-match", "if-range", "if-none-match"]) assert.equal(headers[name], undefined);
});

test("the browser's cache stays out of it", async () => {
  const asked = [];
  const send = async (url, init) => (asked.push(init), new Response(file.slice(0, 4), { status: 206 }));
  await new Http("https://index.example/", { fetch: send }).read(0, 4);
  assert.equal(asked[0].cache, "no-store");
});

test("hidden headers, weak tags and redirects change nothing", async () => {
  for (const way of ["hidden", "weak", "redirect"]) same(await at(way).read(70_000, 100), 70_000, 70_100);
});

test("a part may end with the file, where that is said", async () => {
  same(await at("plain").read(190_000, 65_536, { upTo: true }), 190_000, 200_000);
  await assert.rejects(at("plain").read(190_000, 65_536), failure("range", "10000 bytes"));
});

test("a host that is busy is asked again, when it says", async () => {
  requests();
  same(await at("busy").read(0, 10), 0, 10);
  assert.equal(requests(), 3);
  const start = Date.now();
  same(await at("later").read(0, 10), 0, 10);
  assert.ok(Date.now() - start < 5000);
  requests();
  await assert.rejects(at("down").read(0, 10), failure("network", "503"));
  assert.equal(requests(), 4);
});

test("a refusal is final", async () => {
  requests();
  await assert.rejects(at("forbidden").read(0, 10), failure("network", "403"));
  await assert.rejects(at("missing").read(0, 10), failure("network", "404"));
  await assert.rejects(at("beyond").read(0, 10), failure("range", "416"));
  await assert.rejects(at("plain").read(300_000, 10), failure("range", "416"));
  assert.equal(requests(), 4);
});

test("a connection that breaks, or stands still, is made again", async () => {
  same(await at("cutonce").read(0, 1000), 0, 1000);
  same(await at("stallonce", { patience: 250 }).read(0, 1000), 0, 1000);
  await assert.rejects(at("cut").read(0, 10), failure("network", "bytes 0 to 9", "failed"));
  await assert.rejects(at("stall", { patience: 250 }).read(0, 10), failure("network", "stood still"));
  await assert.rejects(at("silent", { patience: 250 }).read(0, 10), failure("network", "stood still"));
  await assert.rejects(new Http("http://127.0.0.1:1/x", { pause: 1 }).read(0, 10), failure("network", "127.0.0.1:1"));
});

test("a short part is asked for once more", async () => {
  requests();
  same(await at("shortonce").read(500, 100), 500, 600);
  assert.equal(requests(), 2);
  await assert.rejects(at("short").read(500, 100), failure("range", "90 bytes"));
  assert.equal(requests(), 2);
});

test("other bytes than those asked for are noticed", async () => {
  await assert.rejects(at("long").read(500, 100), failure("range", "more bytes"));
  await assert.rejects(at("wrongrange").read(500, 100), failure("range", "bytes 501-600"));
  await assert.rejects(at("multipart").read(500, 100), failure("range", "several parts"));
  await assert.rejects(at("gzip").read(500, 100), failure("range", "compressed as gzip"));
});

test("a host without ranges: a small file is kept whole, one request in all", async () => {
  for (const way of ["whole", "chunked"]) {
    requests();
    const http = at(way);
    same(await http.read(0, 65_536), 0, 65_536);
    same(await http.read(150_000, 50_000), 150_000, 200_000);
    same(await http.read(190_000, 50_000, { upTo: true }), 190_000, 200_000);
    assert.equal(http.whole.length, file.length);
    assert.equal(requests(), 1);
    await assert.rejects(http.read(199_999, 2), failure("range", "200000 bytes"));
  }
});

test("a host without ranges: a large file is refused, unread", async () => {
  for (const way of ["whole", "chunked"]) {
    const meter = { requests: 0, bytes: 0 };
    await assert.rejects(at(way, { keep: 100_000 }).read(0, 10, { meter }), failure("range", "status 200", "100000", "206"));
    assert.ok(meter.bytes < file.length, `${meter.bytes}`);
  }
});

test("no more requests at a time than allowed", async () => {
  server.reset();
  server.delay = 10;
  const http = at("plain", { concurrency: 3 });
  const all = await Promise.all(Array.from({ length: 20 }, (_, i) => http.read(i * 1000, 1000)));
  all.forEach((bytes, i) => same(bytes, i * 1000, i * 1000 + 1000));
  assert.equal(server.most, 3);
  server.delay = 0;
});

test("a signal ends a read that runs, one that waits its turn, and one that pauses", async () => {
  for (const way of ["silent", "stall", "down"]) {
    const control = new AbortController();
    const http = at(way, { concurrency: 1, pause: 10_000 });
    const reads = [http.read(0, 10, { signal: control.signal }), http.read(10, 10, { signal: control.signal })];
    setTimeout(() => control.abort(), 40);
    for (const read of reads) await assert.rejects(read, failure("aborted"));
  }
  await assert.rejects(at("plain").read(0, 10, { signal: AbortSignal.abort() }), failure("aborted"));
});
