// Files in parts in a real browser: in its worker, kept for the next visit, with and without a network.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { open } from "nearshore";
import { launch, noted, serve } from "../browser.mjs";
import { rows } from "../rows.mjs";
import { serveParts, split } from "./split.mjs";

const DIMENSIONS = 24;
const QUERIES = 4;
const PART = 65_536;
let browser;
let pages;
let host;
let file;
let wanted;

before(async () => {
  file = new Uint8Array(await readFile(join(import.meta.dirname, "tiles.shore")));
  [browser, pages, host] = await Promise.all([launch(), serve(join(import.meta.dirname, "../..")), serveParts()]);
  const whole = await open(file);
  wanted = (await whole.searchBatch(rows(QUERIES, DIMENSIONS, 9))).map((hits) => hits.map((hit) => [hit.id, hit.distance, hit.text()]));
});
beforeEach(() => host.reset(file, PART));
after(async () => {
  await browser?.close();
  for (const server of [pages, host]) server?.close();
});

const address = () => `${host.url}?${Math.random()}`;

/** Opens `url` in `page`, searches, and tells; what is written a little later is written when it is closed. */
const searched = (page, url, options = {}) =>
  page.evaluate(async ([url, count, dimensions, options]) => {
    const [{ open }, { rows }] = await Promise.all([import("/dist/index.js"), import("/test/rows.mjs")]);
    const index = await open(url, { mode: "lazy", ...options });
    const before = await index.cache.size(); // what is kept is here now, however slow this machine is
    const all = await index.searchBatch(rows(count, dimensions, 9));
    const told = {
      mode: index.info.mode,
      worker: index.info.worker,
      answers: all.map((hits) => hits.map((hit) => [hit.id, hit.distance, hit.text()])),
      requests: all.reduce((sum, { stats }) => sum + stats.requests, 0),
      sums: (await index.stats()).requests,
      before,
      kept: await index.cache.size(),
    };
    await index.close();
    return told;
  }, [url, QUERIES, DIMENSIONS, options]);

async function pageOf(context) {
  const page = await context.newPage();
  await page.goto(`${pages.url}test/page.html`);
  return page;
}

for (const worker of [true, false]) {
  test(`${worker ? "in a worker" : "in the page's own thread"}: after a reload it opens and searches without a network; cleared, it begins anew`, async () => {
    const context = await browser.newContext();
    const url = address();
    let page = await pageOf(context);
    const first = await searched(page, url, { worker });
    assert.deepEqual([first.mode, first.worker, first.answers], ["lazy", worker, wanted]);
    assert.deepEqual([first.sums, first.before], [host.log.length, 0], "every request is counted");
    assert.ok(first.requests > 0 && first.kept > 10_000);
    if (!worker) await noted(page, first.kept);
    await page.reload();
    host.log.length = 0;
    const online = await searched(page, url, { worker });
    assert.deepEqual([online.answers, online.requests], [wanted, 0]);
    assert.ok(host.log.length <= 2 && host.log.every((name) => ["x.shore.json", host.list.parts[0].name].includes(name)), "no more than the list, and the part with the header");
    host.refuse = true;
    host.log.length = 0;
    for (const mode of ["lazy", "auto"]) {
      // A page of its own: what a browser's cache has of the list serves nobody here.
      await page.close();
      page = await pageOf(context);
      const offline = await searched(page, url, { worker, mode });
      assert.deepEqual([offline.mode, offline.worker, offline.answers, offline.requests, offline.before, host.log], ["lazy", worker, wanted, 0, first.kept, []], mode);
    }
    host.refuse = false;
    const left = await page.evaluate(async ([url, worker]) => {
      const index = await (await import("/dist/index.js")).open(url, { mode: "lazy", worker });
      await index.cache.clear();
      const size = await index.cache.size();
      await index.close();
      return size;
    }, [url, worker]);
    assert.equal(left, 0);
    host.refuse = true;
    assert.match(await searched(page, url, { worker }).catch(String), /x\.shore\.json.*failed/);
    await context.close();
  });
}

test("memory alone keeps nothing", async () => {
  const context = await browser.newContext();
  const page = await pageOf(context);
  const url = address();
  assert.deepEqual((await searched(page, url, { cache: "memory" })).answers, wanted);
  host.refuse = true;
  assert.match(await searched(page, url).catch(String), /failed/);
  await context.close();
});

test("a part that is missing or another is named, and what was kept stays right", async () => {
  const context = await browser.newContext();
  const page = await pageOf(context);
  const url = address();
  const [head, ...rest] = host.list.parts;
  for (const { name } of rest) host.files.delete(name);
  assert.match(await searched(page, url).catch(String), /\.part was answered with status 404/);
  host.reset(file, PART);
  for (const { name } of rest) host.files.set(name, host.files.get(name).map((byte, at) => (at === 9 ? byte ^ 1 : byte)));
  // Another address: what a browser's cache has of a part is as good as the part.
  assert.match(await searched(page, url).catch(String), /SHA-256/);
  host.reset(file, PART);
  assert.deepEqual((await searched(page, url)).answers, wanted, "nothing of what was refused was kept");
  // Replaced on the host while nobody looked: the next visit sees another file.
  const other = await readFile(join(import.meta.dirname, "../../../tests/golden/v1.0/cosine-f32-150-tiles.shore"));
  host.reset(new Uint8Array(other), PART);
  const rowsNow = await page.evaluate(async (url) => {
    const index = await (await import("/dist/index.js")).open(url, { mode: "lazy" });
    const { rows } = index.info;
    await index.close();
    return rows;
  }, url);
  assert.equal(rowsNow, 150);
  assert.ok(head.name !== split(other, PART).list.parts[0].name);
  await context.close();
});

test("two tabs at a time: one keeps it on disk, both answer", async () => {
  const context = await browser.newContext();
  const url = address();
  const [one, two] = await Promise.all([pageOf(context), pageOf(context)]);
  for (const { answers } of await Promise.all([searched(one, url), searched(two, url)])) assert.deepEqual(answers, wanted);
  await Promise.all([one, two].map((page) => page.close()));
  host.refuse = true;
  const third = await pageOf(context);
  assert.deepEqual((await searched(third, url)).answers, wanted);
  await context.close();
});
