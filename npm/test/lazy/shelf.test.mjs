// Blocks that outlive a page without a worker: in its database, bounded, and never in the way of a search.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { open } from "nearshore";
import { launch, noted, serve } from "../browser.mjs";
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

async function pageOf(context) {
  const page = await context.newPage();
  await page.goto(`${pages.url}test/page.html`);
  return page;
}

/** Opens `url` in a page's own thread, and searches. */
const searched = (page, url, options = {}) =>
  page.evaluate(async ([url, count, dimensions, options]) => {
    const [{ open }, { rows }] = await Promise.all([import("/dist/index.js"), import("/test/rows.mjs")]);
    const index = await open(url, { mode: "lazy", worker: false, ...options });
    await index.cache.size(); // what is kept is here now, however slow this machine is
    const all = await index.searchBatch(rows(count, dimensions, 9));
    const told = { worker: index.info.worker, answers: all.map((hits) => hits.map((hit) => [hit.id, hit.distance, hit.text()])), kept: await index.cache.size(), stats: await index.stats() };
    await index.close();
    return told;
  }, [url, QUERIES, DIMENSIONS, options]);

test("without a worker the next visit asks for the head alone, and works without a network; cleared, it begins anew", async () => {
  const context = await browser.newContext();
  const url = `${files.url}/plain/shelf`;
  const page = await pageOf(context);
  const first = await searched(page, url);
  assert.deepEqual([first.worker, first.answers], [false, wanted]);
  assert.ok(first.kept > 10_000);
  await noted(page, first.kept);
  await page.reload();
  files.reset();
  const second = await searched(page, url);
  assert.deepEqual(second.answers, wanted);
  assert.deepEqual(files.log.map(({ range }) => range), ["bytes=0-65535"]);
  assert.equal(second.kept, first.kept);
  await page.close();
  const gone = await pageOf(context);
  files.refuse = true;
  try {
    assert.deepEqual((await searched(gone, url)).answers, wanted);
  } finally {
    files.refuse = false;
  }
  // Kept by nobody where memory alone is asked for.
  files.reset();
  assert.deepEqual((await searched(gone, url, { cache: "memory" })).answers, wanted);
  assert.ok(files.log.length > 1);
  assert.equal(await gone.evaluate(async (url) => {
    const index = await (await import("/dist/index.js")).open(url, { mode: "lazy", worker: false });
    await index.cache.clear();
    const size = await index.cache.size();
    await index.close();
    return size;
  }, url), 0);
  await gone.reload();
  files.reset();
  assert.deepEqual((await searched(gone, url)).answers, wanted);
  assert.ok(files.log.length > 1);
  await context.close();
});

test("damaged blocks are fetched again, a damaged head as well", async () => {
  const context = await browser.newContext();
  const url = `${files.url}/plain/damaged`;
  const page = await pageOf(context);
  const { kept } = await searched(page, url);
  await noted(page, kept);
  for (const store of ["blocks", "heads"]) {
    await page.evaluate(async (name) => {
      const database = await new Promise((resolve) => { indexedDB.open("nearshore").onsuccess = (event) => resolve(event.target.result); });
      const store = database.transaction(name, "readwrite").objectStore(name);
      await new Promise((resolve) => {
        store.openCursor().onsuccess = ({ target: { result: cursor } }) => {
          if (!cursor) return resolve();
          cursor.value[Math.min(cursor.value.length - 1, 70_000)] ^= 1;
          cursor.update(cursor.value);
          cursor.continue();
        };
      });
      database.close();
    }, store);
    await page.reload();
    files.reset();
    const code = await searched(page, url).then(({ answers }) => assert.deepEqual(answers, wanted), (error) => String(error));
    // What opening brought is checked by the first search that uses it: it is forgotten, and the next opening is sound.
    if (code) assert.match(code, /corrupt|damage|checksum/);
    assert.deepEqual((await searched(page, url)).answers, wanted);
    assert.ok(files.log.length > 1, store);
  }
  await context.close();
});

test("what was used longest ago goes: of one file, and of all files", async () => {
  const context = await browser.newContext();
  const page = await pageOf(context);
  const found = await page.evaluate(async () => {
    const { diskOf } = await import("/dist/shelf.js");
    const block = (number) => new Uint8Array(100).fill(number);
    const reopened = async (disk, name, ...limits) => {
      disk.close();
      return diskOf(name, ...limits);
    };
    let disk = await diskOf("one", 2000);
    for (let i = 0; i < 60; i++) {
      disk.put(i * 1000, block(i));
      if (!disk.get(0, 100)) return "the block that is always used is gone";
      if (disk.size > 2000) return `${disk.size} bytes`;
    }
    disk.put(99_000, new Uint8Array(1500));
    disk = await reopened(disk, "one", 2000);
    const there = [...Array(60).keys()].filter((i) => disk.get(i * 1000, 100)?.every((byte) => byte === i));
    const wrong = [disk.get(0, 99), disk.get(1, 100), disk.get(99_000, 1500)].filter(Boolean).length;
    disk.drop(59_000);
    disk = await reopened(disk, "one", 2000);
    const dropped = disk.get(59_000, 100);
    disk.close();
    for (const name of ["two", "three"]) {
      const other = await diskOf(name, 2000);
      for (let i = 0; i < 10; i++) other.put(i, block(i));
      other.close();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    // Room for this one and one other: "one" was used first.
    (await diskOf("four", 2000, 1500)).close();
    const sizes = [];
    for (const name of ["one", "two", "three"]) {
      const other = await diskOf(name, 2000, Infinity);
      sizes.push(other.size);
      other.close();
    }
    return { there, wrong, dropped: dropped === undefined, sizes };
  });
  assert.deepEqual(found.there.slice(-8), [52, 53, 54, 55, 56, 57, 58, 59]);
  assert.ok(found.there.includes(0) && !found.there.includes(20));
  assert.deepEqual([found.wrong, found.dropped, found.sizes], [0, true, [0, 0, 1000]]);
  await context.close();
});

test("of many addresses those opened last are kept", async () => {
  const context = await browser.newContext();
  const page = await pageOf(context);
  const there = await page.evaluate(async () => {
    const { load, save } = await import("/dist/shelf.js");
    for (let i = 0; i < 70; i++) {
      await save(`https://x/${i}`, [new Uint8Array([i])]);
      if (i === 60) await save("https://x/0", [new Uint8Array([200])]);
    }
    await save("https://x/69", []);
    const all = [];
    for (let i = 0; i < 70; i++) if (await load(`https://x/${i}`)) all.push(i);
    return [all, (await load("https://x/0"))[0]];
  });
  assert.deepEqual(there, [[0, ...Array.from({ length: 62 }, (_, i) => i + 7)], 200]);
  await context.close();
});

test("a database that opens late is not waited for: searches go on, and it is used once it is there", async () => {
  const context = await browser.newContext();
  const url = `${files.url}/plain/late`;
  const page = await pageOf(context);
  const told = await page.evaluate(async ([url, count, dimensions]) => {
    const { open: openDatabase } = indexedDB;
    const waiting = [];
    indexedDB.open = function (...args) {
      const request = {};
      waiting.push(() => {
        const real = openDatabase.apply(this, args);
        real.onupgradeneeded = () => Object.assign(request, { result: real.result }).onupgradeneeded?.();
        real.onsuccess = () => Object.assign(request, { result: real.result }).onsuccess?.();
      });
      return request;
    };
    const [{ open }, { rows }] = await Promise.all([import("/dist/index.js"), import("/test/rows.mjs")]);
    const index = await open(url, { mode: "lazy", worker: false });
    const answers = (await index.searchBatch(rows(count, dimensions, 9))).map((hits) => hits.map((hit) => [hit.id, hit.distance, hit.text()]));
    const { cached } = await index.stats();
    const pending = waiting.length;
    indexedDB.open = openDatabase;
    for (const go of waiting) go();
    const size = await index.cache.size();
    await index.close();
    return { answers, cached, pending, size };
  }, [url, QUERIES, DIMENSIONS]);
  assert.deepEqual(told.answers, wanted);
  assert.ok(told.pending > 0, "the database had not opened when the answers were there");
  assert.ok(told.size > 10_000);
  await noted(page, told.size);
  // What came before the database did is kept as well.
  await page.reload();
  files.reset();
  assert.deepEqual((await searched(page, url)).answers, wanted);
  assert.deepEqual(files.log.map(({ range }) => range), ["bytes=0-65535"]);
  await context.close();
});

test("no room, or no database: searches go on, and say nothing", async () => {
  const context = await browser.newContext();
  const page = await pageOf(context);
  const session = await context.newCDPSession(page);
  await session.send("Storage.overrideQuotaForOrigin", { origin: new URL(pages.url).origin, quotaSize: 1 });
  assert.deepEqual((await searched(page, `${files.url}/plain/full`)).answers, wanted);
  await session.send("Storage.overrideQuotaForOrigin", { origin: new URL(pages.url).origin });
  for (const broken of ["undefined", "{ open() { throw new Error('denied') } }", "{ open: () => ({}) }", "{ open: () => { const r = {}; setTimeout(() => r.onerror()); return r; } }"]) {
    await page.reload();
    await page.evaluate((broken) => Object.defineProperty(globalThis, "indexedDB", { value: (0, eval)(`(${broken})`) }), broken);
    assert.deepEqual((await searched(page, `${files.url}/plain/none`)).answers, wanted, broken);
  }
  await context.close();
});
