// Indexes kept in a real browser: by its private file system, its locks, its quota; and when it is killed.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { launch, launchKillable, serve } from "../browser.mjs";
import { random } from "../rows.mjs";

const root = join(import.meta.dirname, "../..");
let browser;
let server;

before(async () => {
  [browser, server] = await Promise.all([launch(), serve(root)]);
});
after(async () => {
  await browser?.close();
  server?.close();
});

const DIMENSIONS = 8;
/** What every page has at hand. */
const PRELUDE = async () => {
  const [nearshore, tests] = await Promise.all([import("/dist/index.js"), import("/test/rows.mjs")]);
  Object.assign(globalThis, nearshore, tests, { vectors: tests.rows(4000, 8), row: (i) => tests.vector(globalThis.vectors, 8, i % 4000) });
  globalThis.kept = (persist, options) => nearshore.Index.create({ dimensions: 8, persist, ...options });
  globalThis.code = (promise) => promise.then(() => "fine", (error) => (error instanceof nearshore.NearshoreError ? `${error.code}: ${error.message}` : String(error)));
};

async function pageOf(context, at = server.url) {
  const page = await context.newPage();
  await page.goto(`${at}test/page.html`);
  await page.evaluate(PRELUDE);
  return page;
}

test("what was changed is there after a reload, without a network, in a worker", async () => {
  const context = await browser.newContext();
  const own = await serve(root);
  let page = await pageOf(context, own.url);
  const wanted = await page.evaluate(async () => {
    globalThis.live = await kept("notes/of me?");
    await live.addMany(Array.from({ length: 300 }, (_, i) => i), vectors.subarray(0, 300 * 8), { payloads: Array.from({ length: 300 }, (_, i) => `row ${i}`) });
    await live.delete(3);
    await live.update(4, row(700), { payload: "moved" });
    const hits = await live.search(row(700), { k: 5 });
    return [live.info.worker, live.info.kept, live.size, hits.map((hit) => [hit.id, hit.distance, hit.text()])];
  });
  assert.deepEqual(wanted.slice(0, 3), [true, true, 299]);
  assert.deepEqual(wanted[3][0].slice(0, 2), [4, wanted[3][0][1]]);
  // From now on only the page's own files are there, as a service worker would give them.
  own.close();
  await context.route("**/*", (route) => {
    const path = new URL(route.request().url()).pathname;
    return route.fulfill({ body: readFileSync(join(root, path)), contentType: { ".html": "text/html", ".wasm": "application/wasm" }[extname(path)] ?? "text/javascript" });
  });
  for (const way of ["reload", "new tab"]) {
    if (way === "reload") await page.reload();
    else {
      await page.close();
      page = await context.newPage();
      await page.goto(`${own.url}test/page.html`);
    }
    await page.evaluate(PRELUDE);
    assert.deepEqual(await page.evaluate(async () => {
      globalThis.live = await kept("notes/of me?");
      const hits = await live.search(row(700), { k: 5 });
      if (!globalThis.compacted) await live.compact();
      return [live.info.worker, live.info.kept, live.size, hits.map((hit) => [hit.id, hit.distance, hit.text()])];
    }), wanted, way);
  }
  const told = await page.evaluate(async () => {
    const { bytes, durable } = await live.persisted();
    const asked = await live.cache.persist();
    await live.close();
    const again = await kept("notes/of me?");
    const rows = again.size;
    await again.close();
    await Index.remove("notes/of me?");
    const empty = await kept("notes/of me?");
    return [bytes > 10_000, typeof durable, typeof asked, rows, empty.size, await code(live.add(1, row(1)))];
  });
  assert.deepEqual(told.slice(0, 5), [true, "boolean", "boolean", 299, 0]);
  assert.match(told[5], /^closed/);
  await context.close();
});

test("two tabs: the second is told, or waits; it gets the index when the first is closed", async () => {
  const context = await browser.newContext();
  const [one, two] = [await pageOf(context), await pageOf(context)];
  await one.evaluate(async () => {
    globalThis.live = await kept("shared");
    await live.add(1, row(1));
    globalThis.other = await kept("another name");
  });
  const refused = await two.evaluate(async () => [await code(kept("shared")), await code(Index.remove("shared")), await code(kept("shared", { wait: true, signal: AbortSignal.timeout(20) }))]);
  assert.match(refused[0], /^busy: .*"shared".*another tab.*wait: true/);
  assert.match(refused[1], /^busy/);
  assert.match(refused[2], /^aborted/);
  await two.evaluate(() => void (globalThis.waiting = kept("shared", { wait: true })));
  await one.evaluate(() => live.add(2, row(2)));
  await one.close();
  assert.equal(await two.evaluate(async () => (await waiting).size), 2);
  await context.close();
});

test("in the page's own thread there is no such file system, and the error says what helps", async () => {
  const context = await browser.newContext();
  const page = await pageOf(context);
  assert.match(await page.evaluate(() => code(kept("inline", { worker: false }))), /^unsupported: .*worker/);
  assert.match(await page.evaluate(() => code(kept("x", { persist: 5 }))), /^invalid-argument: .*persist/);
  await context.close();
});

/** A window of the usual kind, and a private one: their files are not made in the same way. */
const WINDOWS = {
  usual: async () => {
    const profile = mkdtempSync(join(tmpdir(), "nearshore-profile-"));
    const { context, kill } = await launchKillable(profile);
    return { context, end: async () => (await kill(), rmSync(profile, { recursive: true, force: true, maxRetries: 5 })) };
  },
  private: async () => {
    const context = await browser.newContext();
    return { context, end: () => context.close() };
  },
};

for (const [kind, open] of Object.entries(WINDOWS)) {
  test(`a full quota refuses changes: what was acknowledged stays, searches go on (${kind} window)`, { timeout: 60_000 }, async () => {
    const { context, end } = await open();
    const page = await pageOf(context);
    const session = await context.newCDPSession(page);
    const quota = (bytes) => session.send("Storage.overrideQuotaForOrigin", { origin: new URL(server.url).origin, ...(bytes && { quotaSize: bytes }) });
    await quota(6_000_000);
    const [next, size, failed, found, there] = await page.evaluate(async () => {
      globalThis.live = await kept("full");
      let id = 0;
      let failed;
      for (; !failed && id < 200; ) failed = await live.add(id, row(id), { payload: "x".repeat(100_000) }).then(() => (id++, ""), (error) => `${error.code}: ${error.message}`);
      return [id, live.size, failed, (await live.search(row(id - 1), { k: 1 }))[0]?.id, await live.has(id)];
    });
    assert.match(failed, /^quota: .*nothing was changed/);
    assert.ok(next > 5 && size === next && !there, `${next} rows acknowledged, ${size} there`);
    assert.equal(found, next - 1);
    const again = await page.evaluate(async (rows) => {
      await live.compact(); // for which there is no room either
      await live.close();
      globalThis.live = await kept("full");
      const texts = await Promise.all(Array.from({ length: rows }, async (_, id) => (await live.get(id))?.text().length));
      return [live.size, texts.every((length) => length === 100_000), await code(live.add(5e5, row(1), { payload: "x".repeat(100_000) }))];
    }, next);
    assert.deepEqual(again.slice(0, 2), [next, true]);
    assert.match(again[2], /^quota/);
    await quota();
    assert.deepEqual(await page.evaluate(async () => (await live.add(5e5, row(1)), [await live.delete(0), live.size])), [true, next]);
    await end();
  });
}

test("a browser that is killed, again and again, loses nothing that it said is safe", { timeout: 120_000 }, async () => {
  const profile = mkdtempSync(join(tmpdir(), "nearshore-profile-"));
  const next = random(12);
  const acknowledged = new Set();
  let from = 0;
  try {
    for (let round = 0; round < 3; round++) {
      const { context, kill } = await launchKillable(profile);
      const told = [];
      await context.exposeBinding("told", (_, id) => void told.push(id));
      const page = await pageOf(context);
      const found = await page.evaluate(async (beyond) => {
        globalThis.live = await kept("notes", { efConstruction: 20, columns: { n: "i64" } });
        const ids = [];
        for (let id = 0; id < beyond; id++) ids.push(live.has(id));
        const there = (await Promise.all(ids)).flatMap((has, id) => (has ? [id] : []));
        const wrong = [];
        for (const id of there) if ((await live.get(id)).text() !== `row ${id}`) wrong.push(id);
        // Found by a search, too: as the nearest, or as near as another.
        for (const id of there.slice(-20)) {
          const [hit] = await live.search(row(id), { k: 1, plan: "scan" });
          if (!(hit.distance < 0.01)) wrong.push(id);
        }
        const filtered = await live.search(row(0), { k: live.size + 1, filter: "n >= 0", plan: "scan" });
        if (filtered.length !== live.size) wrong.push(-1);
        for (const { id } of filtered.slice(-3)) if ((await live.search(row(0), { filter: `n = ${id}` }))[0].id !== id) wrong.push(id);
        return { size: live.size, there, wrong };
      }, from + 3000);
      assert.deepEqual(found.wrong, []);
      assert.equal(found.size, found.there.length);
      const there = new Set(found.there);
      for (const id of acknowledged) assert.ok(there.has(id), `round ${round}: row ${id} was acknowledged, and is lost`);
      // One by one; and then many at a time, which share a flush.
      const together = round < 1 ? 1 : 8;
      from = Math.max(-1, ...there) + 1;
      await page.evaluate(([from, together]) => {
        const one = async (id) => {
          await live.add(id, row(id), { payload: `row ${id}`, columns: { n: id } });
          told(id);
        };
        (async () => {
          for (let id = from; ; id += together) {
            await Promise.all(Array.from({ length: together }, (_, i) => one(id + i)));
            if (id % 64 === 0) await live.compact();
          }
        })();
      }, [from, together]);
      while (told.length < 5) await sleep(2);
      await sleep(next() * 500);
      await kill();
      for (const id of told) acknowledged.add(id);
    }
    assert.ok(acknowledged.size > 50, `${acknowledged.size} acknowledged`);
  } finally {
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
});
