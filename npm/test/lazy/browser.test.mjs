// Files in parts in a real browser: its workers, its network stack, its rules across origins.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { open } from "nearshore";
import { launch, pageAt, serve } from "../browser.mjs";
import { rows, vector } from "../rows.mjs";
import { serveFile } from "./server.mjs";

const DIMENSIONS = 24;
const QUERIES = 12;
let browser;
let pages;
let plain;
let secure;
let wanted;

before(async () => {
  const file = new Uint8Array(await readFile(join(import.meta.dirname, "tiles.shore")));
  [browser, pages, plain, secure] = await Promise.all([launch(), serve(join(import.meta.dirname, "../..")), serveFile(file), serveFile(file, { secure: true })]);
  const whole = await open(file);
  const queries = rows(QUERIES, DIMENSIONS, 9);
  const all = await whole.searchBatch(queries);
  wanted = all.map((hits) => [hits.map((hit) => [hit.id, hit.distance, hit.text()]), hits.stats.distances, hits.stats.hops]);
  assert.ok(vector(queries, DIMENSIONS, 0).length === DIMENSIONS);
});
after(async () => {
  await browser?.close();
  for (const server of [pages, plain, secure]) server?.close();
});

/** Opens `url` in a page, searches for all queries one after the other or at a time, and tells what it saw. */
async function searched(url, options = {}, { page, atOnce = false } = {}) {
  const at = page ?? (await pageOf());
  try {
    return await at.evaluate(
      async ([url, options, count, dimensions, atOnce]) => {
        const [{ open }, { rows, vector }] = await Promise.all([import("/dist/index.js"), import("/test/rows.mjs")]);
        const index = await open(url, { mode: "lazy", ...options });
        await index.cache.size(); // what is kept is here now, however slow this machine is
        const queries = rows(count, dimensions, 9);
        const one = (number) => index.search(vector(queries, dimensions, number));
        const all = [];
        if (atOnce) all.push(...(await Promise.all(Array.from({ length: count }, (_, number) => one(number)))));
        else for (let number = 0; number < count; number++) all.push(await one(number));
        return {
          mode: index.info.mode,
          worker: index.info.worker,
          answers: all.map((hits) => [hits.map((hit) => [hit.id, hit.distance, hit.text()]), hits.stats.distances, hits.stats.hops]),
          stats: await index.stats(),
          kept: await index.cache.size(),
        };
      },
      [url, options, QUERIES, DIMENSIONS, atOnce],
    );
  } finally {
    if (!page) await at.close();
  }
}

async function pageOf() {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  await page.goto(`${pages.url}test/page.html`);
  return page;
}

const address = (server, way) => `${server.url}/${way}/${Math.random()}`;

test("another origin, headers hidden, in a worker: the whole file's answers", async () => {
  plain.reset();
  const found = await searched(address(plain, "hidden"));
  assert.deepEqual([found.mode, found.worker], ["lazy", true]);
  assert.deepEqual(found.answers, wanted);
  assert.equal(found.stats.requests, plain.log.length);
  // No request needed a preflight, or carries more than a range.
  for (const { range } of plain.log) assert.match(range, /^bytes=\d+-\d+$/);
});

test("searches at a time, over HTTP/2 too", async () => {
  for (const server of [plain, secure]) {
    server.reset();
    const found = await searched(address(server, "plain"), {}, { atOnce: true });
    assert.deepEqual(found.answers, wanted);
  }
});

test("without a worker, by a Blob, and with codes ahead", async () => {
  assert.deepEqual((await searched(address(plain, "plain"), { worker: false })).answers, wanted);
  assert.deepEqual((await searched(address(plain, "plain"), { mode: "codes" })).answers, wanted);
  const page = await pageOf();
  const blob = await page.evaluate(async () => URL.createObjectURL(await (await fetch("/test/lazy/tiles.shore")).blob()));
  assert.deepEqual((await searched(blob, {}, { page })).answers, wanted);
  await page.close();
});

test("a host that compresses on the fly, or forbids the page, is named", async () => {
  await assert.rejects(searched(address(plain, "gzip")), /send the file uncompressed/);
  const page = await pageOf();
  await assert.rejects(searched(`${pages.url}missing.shore`, {}, { page }), /status 404/);
  await page.close();
});

test("a signal reaches the worker: what nobody waits for is stopped", { timeout: 120_000 }, async () => {
  const page = await pageOf();
  const url = address(plain, "plain");
  plain.reset();
  const code = await page.evaluate(async ([url, dimensions]) => {
    const { open } = await import("/dist/index.js");
    globalThis.index = await open(url, { mode: "lazy" });
    globalThis.query = new Float32Array(dimensions).fill(1);
    return globalThis.index.info.mode;
  }, [url, DIMENSIONS]);
  assert.equal(code, "lazy");
  plain.delay = 60_000;
  await page.evaluate(() => {
    globalThis.control = new AbortController();
    globalThis.code = globalThis.index.search(globalThis.query, { signal: globalThis.control.signal }).then(() => "fine", (error) => error.code);
  });
  const until = async (done) => {
    while (!done()) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  await until(() => plain.open > 0);
  assert.equal(await page.evaluate(() => (globalThis.control.abort(), globalThis.code)), "aborted");
  await until(() => plain.open === 0);
  assert.ok(plain.aborted > 0);
  plain.delay = 0;
  assert.equal(await page.evaluate(async () => (await globalThis.index.search(globalThis.query)).length), 10);
  await page.close();
});

test("blocks outlive the page: the next visit asks for the head alone, and works without a network", async () => {
  const context = await browser.newContext();
  const visit = async (url, options) => {
    const page = await context.newPage();
    await page.goto(`${pages.url}test/page.html`);
    try {
      return await searched(url, options, { page });
    } finally {
      await page.close();
    }
  };
  const url = address(plain, "plain");
  const first = await visit(url);
  assert.ok(first.kept > 0 && first.stats.cached >= 0);
  plain.reset();
  const second = await visit(url);
  assert.deepEqual(second.answers, wanted);
  assert.deepEqual(plain.log.map(({ range }) => range), ["bytes=0-65535"]);
  assert.equal(second.kept, first.kept);
  // Without a network.
  const { file } = plain;
  plain.refuse = true;
  try {
    for (const mode of ["lazy", "auto"]) assert.deepEqual((await visit(url, { mode })).answers, wanted, mode);
  } finally {
    plain.refuse = false;
  }
  assert.equal(plain.file, file);
  await context.close();
});

/** Changes the files that were kept: `heads`, of an address each, or `blocks`, of an identity each, by what `change` makes of their bytes. */
const rewrite = (page, which, change) =>
  page.evaluate(async ([which, change]) => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("nearshore");
    let changed = 0;
    for await (const [name, handle] of folder.entries()) {
      if (name.includes("-") !== (which === "heads")) continue;
      const bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer());
      if (bytes.length === 0) continue;
      let writable;
      while (!writable) writable = await handle.createWritable().catch(() => new Promise((resolve) => setTimeout(resolve, 10)));
      await writable.write(await (0, eval)(`(${change})`)(bytes));
      await writable.close();
      changed++;
    }
    return changed;
  }, [which, String(change)]);

test("what was kept and is damaged is dropped and fetched again; without a network it is an error, never another answer", async () => {
  const context = await browser.newContext();
  const pageHere = async () => {
    const page = await context.newPage();
    await page.goto(`${pages.url}test/page.html`);
    return page;
  };
  // A page of its own each time: one that was left may stay frozen, with its worker and the files that it holds.
  const visit = async (url) => {
    const page = await pageHere();
    plain.reset();
    return searched(url, {}, { page }).finally(() => page.close());
  };
  const page = await pageHere();
  const offline = async (url) => {
    plain.refuse = true;
    try {
      const found = await visit(url).catch((error) => String(error));
      if (typeof found === "string") return found;
      assert.deepEqual(found.answers, wanted);
      return "answered";
    } finally {
      plain.refuse = false;
    }
  };
  const url = address(plain, "plain");
  await visit(url);
  const DAMAGES = [
    (bytes) => bytes.map((byte, at) => (at === 32 + 20_000 ? byte ^ 4 : byte)), // the hot region
    (bytes) => bytes.map((byte, at) => (at === 3 ? byte ^ 4 : byte)), // its digest
    (bytes) => bytes.slice(0, -1),
    (bytes) => bytes.slice(0, 20),
  ];
  for (const damage of DAMAGES) {
    assert.equal(await rewrite(page, "heads", damage), 1);
    // Once is enough: without a network each request is tried again for a while.
    if (damage === DAMAGES[0]) assert.match(await offline(url), /GET .*failed/);
    assert.deepEqual((await visit(url)).answers, wanted, `${damage}`);
  }
  assert.equal(await offline(url), "answered", "and kept again");
  // Damage that came before it was kept: its digest is right, so the first search finds it, and it is forgotten.
  const forge = async (bytes) => {
    const body = bytes.slice(32).map((byte, at) => (at >= 20_000 && at < 20_004 ? byte ^ 4 : byte));
    return new Blob([await crypto.subtle.digest("SHA-256", body), body]).arrayBuffer();
  };
  assert.equal(await rewrite(page, "heads", forge), 1);
  assert.match(await offline(url), /damaged|checksum|corrupt/i);
  assert.equal(await rewrite(page, "heads", () => assert.fail("it is kept no more")), 0);
  assert.deepEqual((await visit(url)).answers, wanted);
  // Every second byte of every block.
  assert.equal(await rewrite(page, "blocks", (bytes) => bytes.map((byte, at) => (at % 2 && at > 16 ? byte ^ 1 : byte))), 1);
  assert.deepEqual((await visit(url)).answers, wanted);
  assert.ok(plain.log.length > 1, "asked again");
  await visit(url);
  assert.deepEqual(plain.log.map(({ range }) => range), ["bytes=0-65535"], "and kept again");
  await context.close();
});

test("two tabs, no network: what the first one holds the second one reads, also where both open at once", async () => {
  const context = await browser.newContext();
  const pageHere = async () => {
    const page = await context.newPage();
    await page.goto(`${pages.url}test/page.html`);
    return page;
  };
  const url = address(plain, "plain");
  const first = await pageHere();
  const { kept } = await searched(url, {}, { page: first });
  plain.refuse = true;
  try {
    // The first has its index open, and so its file, all the while.
    for (const found of await Promise.all([1, 2].map(async () => searched(url, {}, { page: await pageHere() })))) assert.deepEqual([found.answers, found.kept], [wanted, kept]);
    assert.deepEqual((await searched(url, {}, { page: first })).answers, wanted);
  } finally {
    plain.refuse = false;
  }
  await context.close();
});

test("a full quota: what is kept answers without a network", async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${pages.url}test/page.html`);
  const session = await context.newCDPSession(page);
  const url = address(plain, "plain");
  const told = await page.evaluate(async ([url, dimensions]) => {
    const [{ open }, { rows }] = await Promise.all([import("/dist/index.js"), import("/test/rows.mjs")]);
    globalThis.visit = async (...seeds) => {
      const index = await open(url, { mode: "lazy" });
      await index.cache.size();
      const all = [];
      for (const seed of seeds) all.push((await index.search(rows(1, dimensions, seed))).map(({ id }) => id).join());
      const kept = await index.cache.size();
      await index.close();
      return [all[0], kept];
    };
    return visit(9);
  }, [url, DIMENSIONS]);
  await session.send("Storage.overrideQuotaForOrigin", { origin: new URL(pages.url).origin, quotaSize: 1 });
  assert.deepEqual(await page.evaluate(() => visit(9, 10, 11)), told);
  plain.refuse = true;
  try {
    assert.deepEqual(await page.evaluate(() => visit(9)), told);
  } finally {
    plain.refuse = false;
  }
  await context.close();
});

test("two tabs at a time, and memory alone where that is asked for", async () => {
  const context = await browser.newContext();
  const open = async () => {
    const page = await context.newPage();
    await page.goto(`${pages.url}test/page.html`);
    return page;
  };
  const url = address(plain, "plain");
  const [one, two] = await Promise.all([open(), open()]);
  const both = await Promise.all([searched(url, {}, { page: one }), searched(url, {}, { page: two })]);
  for (const { answers } of both) assert.deepEqual(answers, wanted);
  const memory = await searched(address(plain, "plain"), { cache: "memory" }, { page: one });
  assert.deepEqual(memory.answers, wanted);
  assert.deepEqual(await one.evaluate(async (url) => {
    const { open } = await import("/dist/index.js");
    const index = await open(url, { mode: "lazy" });
    await index.cache.clear();
    return [await index.cache.size(), typeof (await index.cache.persist())];
  }, url), [0, "boolean"]);
  await context.close();
});
