// Blocks that outlive a page in a Cache of its own: found again, bounded, and never in the way of a search.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { open } from "nearshore";
import { launch, serve } from "../browser.mjs";
import { rows } from "../rows.mjs";
import { serveFile } from "./server.mjs";

const DIMENSIONS = 24;
const QUERIES = 12;
let browser;
let pages;
let files;
let wanted;

before(async () => {
  const file = new Uint8Array(await readFile(join(import.meta.dirname, "tiles.shore")));
  [browser, pages, files] = await Promise.all([launch(), serve(join(import.meta.dirname, "../..")), serveFile(file)]);
  const whole = await open(file);
  wanted = (await whole.searchBatch(rows(QUERIES, DIMENSIONS, 9))).map((hits) => hits.map((hit) => [hit.id, hit.distance, hit.text()]));
});
after(async () => {
  await browser?.close();
  for (const server of [pages, files]) server?.close();
});

/** A page with `searched(url, { cache })`, which opens, searches, and tells; `entries` of the cache by name. */
async function pageOf(context) {
  const page = await context.newPage();
  await page.goto(`${pages.url}test/page.html`);
  await prepare(page);
  return page;
}
const prepare = (page) => page.evaluate(async ([count, dimensions]) => {
  const [{ open }, { rows }] = await Promise.all([import("/dist/index.js"), import("/test/rows.mjs")]);
  globalThis.open = open;
  globalThis.searched = async (source, { cache, before = () => {}, ...options } = {}) => {
    const index = await open(source, { mode: "lazy", cache: cache ?? (await caches.open("mine")), ...options });
    await index.cache.size(); // what is kept is here now, however slow this machine is
    await before(index);
    const all = await index.searchBatch(rows(count, dimensions, 9));
    const told = { worker: index.info.worker, answers: all.map((hits) => hits.map((hit) => [hit.id, hit.distance, hit.text()])), kept: await index.cache.size() };
    await index.close();
    return told;
  };
  globalThis.entries = async () => (await (await caches.open("mine")).keys()).map(({ url }) => url);
  // Until so many bytes of blocks, which were begun to be written, are there.
  globalThis.written = async (bytes) => {
    const cache = await caches.open("mine");
    for (let there = 0; there < bytes; await new Promise((resolve) => setTimeout(resolve, 10))) {
      const names = (await entries()).filter((name) => name.includes("/blocks/") && !name.endsWith("/order"));
      there = (await Promise.all(names.map(async (name) => (await (await cache.match(name))?.blob())?.size ?? 0))).reduce((sum, size) => sum + size, 0);
    }
  };
}, [QUERIES, DIMENSIONS]);

test("the next visit asks for the head alone, and works without a network; cleared, it begins anew", async () => {
  const context = await browser.newContext();
  const url = `${files.url}/plain/mine`;
  let page = await pageOf(context);
  const first = await page.evaluate(async (url) => {
    const told = await searched(url);
    await written(told.kept);
    return { ...told, entries: await entries() };
  }, url);
  assert.deepEqual([first.worker, first.answers], [false, wanted], "a Cache cannot be sent to a worker");
  assert.ok(first.kept > 10_000);
  assert.ok(first.entries.length < 6 && first.entries.every((name) => name.startsWith("https://nearshore.invalid/")), first.entries.join());
  await page.close();
  page = await pageOf(context);
  files.reset();
  const second = await page.evaluate((url) => searched(url), url);
  assert.deepEqual([second.answers, second.kept], [wanted, first.kept]);
  assert.deepEqual(files.log.map(({ range }) => range), ["bytes=0-65535"]);
  files.refuse = true;
  try {
    assert.deepEqual((await page.evaluate((url) => searched(url), url)).answers, wanted);
  } finally {
    files.refuse = false;
  }
  // Of the same file from elsewhere the blocks are found as well: they go by what they are of.
  files.reset();
  assert.deepEqual((await page.evaluate((url) => searched(url), `${files.url}/plain/elsewhere`)).answers, wanted);
  assert.ok(files.log.every(({ range }) => Number(/\d+/.exec(range)) <= 65_536), files.log.map(({ range }) => range).join());
  const cleared = await page.evaluate(async (url) => {
    const index = await open(url, { mode: "lazy", cache: await caches.open("mine") });
    await index.cache.clear();
    const size = await index.cache.size();
    await index.close();
    while ((await entries()).some((name) => name.includes("/blocks/"))) await new Promise((resolve) => setTimeout(resolve, 10));
    return size;
  }, url);
  assert.equal(cleared, 0);
  await page.reload();
  await prepare(page);
  files.reset();
  assert.deepEqual((await page.evaluate((url) => searched(url), url)).answers, wanted);
  assert.ok(files.log.length > 2);
  await context.close();
});

test("a source without an address keeps its blocks as well", async () => {
  const context = await browser.newContext();
  const page = await pageOf(context);
  const reads = await page.evaluate(async (url) => {
    const file = new Uint8Array(await (await fetch(url)).arrayBuffer());
    const reads = [];
    for (let visit = 0; visit < 2; visit++) {
      let count = 0;
      const { kept } = await searched({ size: async () => file.length, read: async (offset, length) => (count++, file.slice(offset, offset + length)) });
      await written(kept);
      reads.push(count);
    }
    return reads;
  }, `${files.url}/x`);
  assert.ok(reads[0] > 5 && reads[1] <= 2, reads.join());
  await context.close();
});

test("damaged entries are fetched again; a cache that fails, or is full, fails no search", async () => {
  const context = await browser.newContext();
  const page = await pageOf(context);
  const url = `${files.url}/plain/damaged`;
  await page.evaluate(async (url) => {
    await written((await searched(url)).kept);
    const cache = await caches.open("mine");
    for (const name of await entries()) {
      if (!name.includes("/blocks/")) continue;
      const bytes = new Uint8Array(await (await cache.match(name)).arrayBuffer());
      for (let at = 100; at < bytes.length; at += 5000) bytes[at] ^= 1;
      await cache.put(name, new Response(bytes));
    }
  }, url);
  files.reset();
  assert.deepEqual((await page.evaluate((url) => searched(url), url)).answers, wanted);
  assert.ok(files.log.length > 1);
  const answers = await page.evaluate(async (url) => {
    const fail = () => { throw new Error("denied"); };
    const reject = async () => { throw new DOMException("full", "QuotaExceededError"); };
    const none = async () => undefined;
    const all = [];
    for (const cache of [
      { match: fail, put: fail, delete: fail, keys: fail },
      { match: reject, put: reject, delete: reject, keys: reject },
      { match: none, put: reject, delete: none, keys: async () => [] },
      { match: none }, // one that has no keys, as elsewhere
      { match: () => new Promise(() => {}), put: none, delete: none, keys: () => new Promise(() => {}) }, // one that never answers
    ]) {
      const index = await open(`${url}${Math.random()}`, { mode: "lazy", cache });
      const { rows } = await import("/test/rows.mjs");
      all.push((await index.searchBatch(rows(12, 24, 9))).map((hits) => hits.map((hit) => [hit.id, hit.distance, hit.text()])));
      await index.close();
    }
    return all;
  }, url);
  for (const each of answers) assert.deepEqual(each, wanted);
  await context.close();
});

test("what was used longest ago goes, entries become one again, and what was dropped stays away", async () => {
  const context = await browser.newContext();
  const page = await pageOf(context);
  const found = await page.evaluate(async () => {
    const { diskOf } = await import("/dist/cache.js");
    const cache = await caches.open("mine");
    const block = (number) => new Uint8Array(100).fill(number);
    const ofOne = async () => (await entries()).filter((name) => name.includes("/one/"));
    const reopened = async (disk) => {
      disk.close();
      for (let last; ; ) {
        const now = String(await ofOne());
        if (now === last) return diskOf(cache, "one", 2000);
        last = now;
        await new Promise((resolve) => setTimeout(resolve, 60));
      }
    };
    let disk = await diskOf(cache, "one", 2000);
    let most = 0;
    for (let i = 0; i < 60; i++) {
      disk.put(i * 1000, block(i));
      if (!disk.get(0, 100)) return "the block that is always used is gone";
      if (disk.size > 2000) return `${disk.size} bytes`;
      if (i % 3 === 2) disk = await reopened(disk);
      most = Math.max(most, (await ofOne()).length);
    }
    const there = [...Array(60).keys()].filter((i) => disk.get(i * 1000, 100)?.every((byte) => byte === i));
    disk.drop(59_000);
    disk = await reopened(disk);
    const dropped = disk.get(59_000, 100);
    const other = await diskOf(cache, "two", 2000);
    other.put(5, block(5));
    other.close();
    while (!(await entries()).some((name) => name.includes("/two/"))) await new Promise((resolve) => setTimeout(resolve, 10));
    disk.clear();
    disk.put(7000, block(9));
    disk = await reopened(disk);
    const cleared = [disk.size, disk.get(7000, 100)?.[0], (await diskOf(cache, "two")).size];
    return { there, most, dropped: dropped === undefined, cleared };
  });
  assert.deepEqual(found.there.slice(-8), [52, 53, 54, 55, 56, 57, 58, 59]);
  assert.ok(found.there.includes(0) && !found.there.includes(20), found.there.join());
  assert.ok(found.most <= 17, `${found.most} entries`);
  assert.deepEqual([found.dropped, found.cleared], [true, [100, 9, 100]]);
  await context.close();
});
