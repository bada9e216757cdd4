// Web servers that people have: the same answers from each as from memory, and a sentence that helps where a server is set up against it.
import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { open } from "nearshore";
import { launch, serve } from "../browser.mjs";
import { failure, rows, vector } from "../rows.mjs";
import { NAMES, absent, fetchOverH2, start } from "./hosts.mjs";
import { lazySources } from "./source.mjs";

const DIMENSIONS = 24;
const QUERIES = 4;
const queries = rows(QUERIES, DIMENSIONS, 9);
const original = join(import.meta.dirname, "tiles.shore");
const file = new Uint8Array(readFileSync(original));
const { Http } = await lazySources();

let files;
let hosts;
let browser;
let pages;
let page;
let wanted;

const found = (hits) => [hits.map((hit) => [hit.id, hit.distance, hit.text()]), hits.stats.distances, hits.stats.hops];

async function answers(index) {
  const all = [];
  for (let number = 0; number < QUERIES; number++) all.push(found(await index.search(vector(queries, DIMENSIONS, number))));
  return all;
}

/** Puts bytes where a file lies, as deployments do: written beside it, then renamed. */
function replace(name, bytes, date = new Date()) {
  writeFileSync(join(files, "next"), bytes);
  utimesSync(join(files, "next"), date, date);
  renameSync(join(files, "next"), join(files, name));
}

before(async () => {
  files = mkdtempSync(join(tmpdir(), "nearshore-files-"));
  copyFileSync(original, join(files, "tiles.shore"));
  wanted = await answers(await open(file));
  const there = NAMES.filter((name) => !absent(name));
  const started = await Promise.all(there.map((name) => start(name, files)));
  hosts = Object.fromEntries(there.map((name, at) => [name, started[at]]));
  if (there.length === 0) return;
  [browser, pages] = await Promise.all([launch(), serve(join(import.meta.dirname, "../.."))]);
  page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
  await page.goto(`${pages.url}test/page.html`);
});
after(async () => {
  await browser?.close();
  pages?.close();
  await Promise.all(Object.values(hosts ?? {}).map((host) => host.close()));
  rmSync(files, { recursive: true, force: true });
});

/** A `fetch` that notes what came. */
function watched(send = fetch) {
  const responses = [];
  return { responses, fetch: async (url, init) => (responses.push(await send(url, init)), responses.at(-1)) };
}

for (const name of NAMES) {
  const here = { skip: absent(name) };

  test(`${name}: parts, after a redirect too, and where files are compressed on the fly`, here, async () => {
    for (const place of ["files", "moved", "packed"]) {
      const seen = watched();
      const index = await open(`${hosts[name].plain}/${place}/tiles.shore`, { mode: "lazy", fetch: seen.fetch });
      assert.equal(index.info.mode, "lazy", place);
      assert.deepEqual(await answers(index), wanted, place);
      // A request for a range says that it wants the bytes as they are, so no server had a reason to compress.
      for (const { status, headers } of seen.responses) assert.deepEqual([status, headers.get("content-encoding")], [206, null], place);
      assert.ok((await index.stats()).bytes < file.length);
      await index.close();
    }
  });

  test(`${name}: a browser that takes compressed parts breaks them, and is told`, here, async () => {
    const url = `${hosts[name].plain}/packed/tiles.shore`;
    // As Firefox does, for ranges too.
    const headers = { "accept-encoding": "gzip, deflate, br, zstd, identity" };
    if (name === "caddy") return assert.rejects(open(url, { mode: "lazy", headers }), failure("range", "compressed as gzip", ".gz"));
    // These send the whole file: welcome if it is small.
    const index = await open(url, { mode: "lazy", headers });
    assert.equal(index.info.mode, "whole");
    assert.deepEqual(await answers(index), wanted);
    await assert.rejects(open(url, { mode: "lazy", headers, maxBytes: 100_000 }), failure("range", "status 200", "206"));
  });

  test(`${name}: what is beyond the end, or not there`, here, async () => {
    const at = (path) => new Http(`${hosts[name].plain}/files/${path}`, { pause: 5 });
    await assert.rejects(at("tiles.shore").read(file.length, 10), failure("range", "416"));
    await assert.rejects(at("tiles.shore").read(file.length - 10, 20), failure("range", "10 bytes"));
    assert.deepEqual(await at("tiles.shore").read(file.length - 10, 20, { upTo: true }), file.slice(-10));
    await assert.rejects(at("missing.shore").read(0, 10), failure("network", "404"));
    // An upload that ended early: its head is sound, and says how many bytes there should be.
    replace(`${name}-cut.shore`, file.subarray(0, 70_000));
    const cut = open(`${hosts[name].plain}/files/${name}-cut.shore`, { mode: "lazy" });
    await assert.rejects(cut, failure("truncated", "70000 bytes", String(file.length)));
  });

  test(`${name}: a file that is replaced between two requests`, here, async () => {
    const path = `${name}-changes.shore`;
    const [then, now] = [new Date("2026-01-01"), new Date("2026-01-02")];
    const seen = watched();
    const tags = () => new Set(seen.responses.splice(0).map(({ headers }) => headers.get("etag")));
    replace(path, file, then);
    const index = await open(`${hosts[name].plain}/files/${path}`, { mode: "lazy", cache: "none", fetch: seen.fetch });
    assert.deepEqual(await answers(index), wanted);
    const [first, ...others] = tags();
    assert.ok(first && others.length === 0, `${first} ${others}`);
    // Another file of the same length: its tag is the old one if no second has gone by, which is all that some servers look at.
    const other = file.slice();
    other[80] ^= 1; // its build id
    other.fill(0, 70_000);
    replace(path, other, then);
    await assert.rejects(answers(index), failure("changed", "open it again"));
    if (name !== "apache") assert.deepEqual([...tags()], [first]);
    replace(path, other.subarray(0, 70_000), now);
    await assert.rejects(answers(index), failure("changed", "open it again"));
    // The same bytes, deployed once more: another tag, and no change.
    replace(path, file, now);
    tags();
    assert.deepEqual(await answers(index), wanted);
    const [second, ...more] = tags();
    assert.ok(second && second !== first && more.length === 0, `${second} ${more}`);
  });

  test(`${name}: HTTP/2 over TLS, from Node`, here, async () => {
    const { send, protocol, close } = fetchOverH2(hosts[name].secure);
    const index = await open(`${hosts[name].secure}/files/tiles.shore`, { mode: "lazy", fetch: send });
    assert.deepEqual(await answers(index), wanted);
    assert.deepEqual([index.info.mode, protocol()], ["lazy", "h2"]);
    close();
  });

  test(`${name}: HTTP/2 over TLS, from a page of another origin`, here, async () => {
    for (const place of ["files", "packed"]) {
      const report = await page.evaluate(
        async ([url, count, dimensions, worker]) => {
          const [{ open }, { rows, vector }] = await Promise.all([import("/dist/index.js"), import("/test/rows.mjs")]);
          const queries = rows(count, dimensions, 9);
          const index = await open(url, { mode: "lazy", cache: "memory", worker });
          const all = [];
          for (let number = 0; number < count; number++) all.push(await index.search(vector(queries, dimensions, number)));
          return {
            mode: index.info.mode,
            answers: all.map((hits) => [hits.map((hit) => [hit.id, hit.distance, hit.text()]), hits.stats.distances, hits.stats.hops]),
            requests: (await index.stats()).requests,
            // What a page knows of its own requests; a worker's it does not see.
            protocols: performance.getEntriesByType("resource").filter(({ name }) => name.startsWith(url)).map((entry) => entry.nextHopProtocol),
          };
        },
        [`${hosts[name].secure}/${place}/tiles.shore`, QUERIES, DIMENSIONS, place !== "files"],
      );
      assert.deepEqual(report.answers, wanted, place);
      assert.equal(report.mode, "lazy");
      assert.ok(report.requests > 3);
      if (place === "files") assert.deepEqual(new Set(report.protocols), new Set(["h2"]));
    }
  });
}
