// What is kept between visits: by whole openings and searches, over files as a browser's workers have them.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { open } from "nearshore";
import { rows } from "../rows.mjs";
import { installFiles } from "./opfs.mjs";
import { serveFile } from "./server.mjs";
import { serveParts } from "./split.mjs";

const DIMENSIONS = 24;
const query = (number) => rows(1, DIMENSIONS, 9 + number);
const file = new Uint8Array(readFileSync(join(import.meta.dirname, "tiles.shore")));
let host;
let disk;
let addresses = 0;

before(async () => {
  host = await serveFile(file);
  disk = installFiles();
  Math.random = () => -0.5; // what is asked for again is so at once
});
after(() => host?.close());

const address = (way = "plain", name = ++addresses) => `${host.url}/${way}/${name}`;
const isHead = (name) => name.includes("-");

/** Opens, does `work` with the index, closes. */
async function visit(url, work = (index) => index.search(query(0)), options = {}) {
  const index = await open(url, { mode: "lazy", ...options });
  try {
    await index.cache.size(); // what is kept is here now
    return await work(index);
  } finally {
    await index.close();
  }
}

async function offline(work) {
  host.refuse = true;
  try {
    return await work();
  } finally {
    host.refuse = false;
  }
}

const ids = (hits) => hits.map(({ id }) => id);

test("a full disk: what is kept answers, in this visit and the next", async () => {
  const url = address();
  const wanted = ids(await visit(url));
  disk.room = 0;
  try {
    await visit(url, async (index) => {
      const before = await index.cache.size();
      assert.ok(before > 0);
      await index.search(query(1));
      assert.equal(await index.cache.size(), before);
      assert.deepEqual(ids(await offline(() => index.search(query(0)))), wanted);
    });
    assert.deepEqual(ids(await offline(() => visit(url))), wanted);
  } finally {
    disk.room = Infinity;
  }
});

test("a file that is gone, or not for this caller, does not open as if there were no network", async () => {
  const url = address();
  const wanted = ids(await visit(url));
  const { file } = host;
  for (const status of [404, 403, 410, 401]) {
    host.status = status;
    for (const mode of ["lazy", "codes", "auto"]) await assert.rejects(visit(url, undefined, { mode }), { code: "network", message: new RegExp(`status ${status}`) });
  }
  for (const status of [500, 503, 520]) {
    host.status = status;
    assert.deepEqual(ids(await visit(url)), wanted, `${status}`);
  }
  host.status = undefined;
  assert.equal(host.file, file);
});

test("without a network an opening waits for blocks that are slow to come: nothing else can answer", async () => {
  const url = address();
  const wanted = ids(await visit(url));
  disk.delay = 700; // longer than an opening waits otherwise
  try {
    const index = await offline(() => open(url, { mode: "lazy" }));
    assert.deepEqual(ids(await offline(() => index.search(query(0)))), wanted);
    await index.close();
  } finally {
    disk.delay = 0;
  }
});

test("a list of parts that is gone does not open either", async () => {
  const parts = await serveParts();
  try {
    parts.reset(file, 65_536);
    const wanted = ids(await visit(parts.url));
    parts.refuse = true;
    assert.deepEqual(ids(await visit(parts.url)), wanted);
    parts.refuse = false;
    parts.files.clear();
    await assert.rejects(visit(parts.url), { code: "network", message: /status 404/ });
  } finally {
    parts.close();
  }
});

test("blocks of many files: those written longest ago go, of all files together there is 1 GiB", async () => {
  const MIB = 1024 * 1024;
  const url = address();
  await visit(url);
  const others = Array.from({ length: 5 }, (_, i) => `${i}`.repeat(48));
  for (const [i, name] of others.entries()) disk.files.set(name, { bytes: new Uint8Array(0), claims: { size: 300 * MIB, lastModified: -9 + i } });
  disk.files.get(others[1]).taken = true; // another tab has it
  await visit(url);
  assert.deepEqual(others.filter((name) => disk.files.has(name)), [1, 3, 4].map((i) => others[i]));
  for (const name of others) disk.files.delete(name);
});

test("an opening that fails keeps nothing", async () => {
  const before = disk.files.size;
  await assert.rejects(visit(address("forbidden")), { code: "network" });
  await assert.rejects(offline(() => visit(address())), { code: "network" });
  assert.equal(disk.files.size, before);
});

test("heads of many addresses: those opened longest ago go, and never this one's", async () => {
  const url = address();
  const wanted = ids(await visit(url));
  const first = [...disk.files.keys()].filter(isHead);
  for (let i = 0; i < 70; i++) {
    await visit(address(), () => {});
    if (i % 20 === 0) await visit(url, () => {});
  }
  const heads = [...disk.files.keys()].filter(isHead);
  assert.equal(heads.length, 64);
  assert.equal(first.filter((name) => heads.includes(name)).length, 1);
  assert.deepEqual(ids(await offline(() => visit(url))), wanted);
});

test("an address that is signed anew each time is that of one file; one that asks for another file is not", async () => {
  const sign = (i) => `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=${i}&X-Amz-Signature=${i}`;
  const url = address();
  const wanted = ids(await visit(`${url}?${sign(1)}`));
  const heads = [...disk.files.keys()].filter(isHead).length;
  assert.deepEqual(ids(await offline(() => visit(`${url}?${sign(2)}`))), wanted);
  await visit(`${url}?${sign(3)}`);
  assert.equal([...disk.files.keys()].filter(isHead).length, heads);
  await assert.rejects(offline(() => visit(`${url}?versionId=2&${sign(2)}`)), { code: "network" });
  await assert.rejects(offline(() => visit(`${url}?st=1`)), { code: "network" });
  // Online the identity of what comes decides.
  host.file = new Uint8Array(readFileSync(join(import.meta.dirname, "../../../tests/golden/v1.0/cosine-f32-150-tiles.shore")));
  try {
    assert.equal(await visit(`${url}?${sign(4)}`, (index) => index.info.rows), 150);
  } finally {
    host.file = file;
  }
  assert.deepEqual(ids(await visit(`${url}?${sign(5)}`)), wanted);
});
