// Places of a browser that are strict: a policy that allows the least, a service worker, a page that must not be held up.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { open } from "nearshore";
import { launch, pageAt, serve } from "./browser.mjs";
import { serveFile } from "./lazy/server.mjs";
import { rows, vector } from "./rows.mjs";

const root = join(import.meta.dirname, "..");
const DIMENSIONS = 24;
let browser;
let server;
/** Serves parts of a file in tiles, at another origin. */
let host;
let tiles;
let query;
let wanted;

before(async () => {
  [browser, server] = await Promise.all([launch(), serve(root)]);
  const file = new Uint8Array(await readFile(join(root, "test/lazy/tiles.shore")));
  host = await serveFile(file);
  tiles = `${host.url}/plain/tiles.shore`;
  const whole = await open(file);
  query = [...vector(rows(1, DIMENSIONS, 9), DIMENSIONS, 0)];
  wanted = (await whole.search(query)).map((hit) => [hit.id, hit.distance, hit.text()]);
});
after(async () => {
  await browser?.close();
  server?.close();
  host?.close();
});

test("the least that a content security policy may allow, and no complaint about it", async () => {
  const strict = await serve(root, {
    "content-security-policy": `default-src 'none'; img-src data:; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self' ${host.url}`,
  });
  const page = await pageAt(browser, `${strict.url}test/page.html`);
  try {
    const found = await page.evaluate(async ([url, query]) => {
      const complaints = [];
      document.addEventListener("securitypolicyviolation", (event) => complaints.push(`${event.violatedDirective} ${event.blockedURI}`));
      const { open, Index } = await import("/dist/index.js");
      const index = await open(url, { mode: "lazy" });
      const built = await Index.build(null, Float32Array.from({ length: 400 }, (_, i) => i % 7), { dimensions: 4 });
      const again = await open(new Blob([await built.save()]));
      const report = {
        hits: (await index.search(query)).map((hit) => [hit.id, hit.distance, hit.text()]),
        modes: [index, built, again].map(({ info }) => info.mode),
        workers: [index, built, again].map(({ info }) => info.worker),
        own: [...complaints],
      };
      // The policy is in force.
      try {
        new Function("return 1")();
        report.strict = false;
      } catch {
        report.strict = true;
      }
      return report;
    }, [tiles, query]);
    assert.deepEqual(found, { hits: wanted, modes: ["lazy", "whole", "whole"], workers: [true, true, true], own: [], strict: true });
  } finally {
    await page.close();
    strict.close();
  }
});

test("a service worker, which may import nothing at run time: in parts and whole", async () => {
  // Its scope is where its script lies, unless the server says that it may be more.
  const wide = await serve(root, { "service-worker-allowed": "/" });
  const context = await browser.newContext();
  try {
    for (const mode of ["lazy", "whole", "index"]) {
      const page = await context.newPage();
      await page.goto(`${wide.url}test/page.html`);
      const found = await page.evaluate(async ([file, mode, query]) => {
        const controlled = new Promise((resolve) => navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true }));
        const registration = await navigator.serviceWorker.register(`/test/service-worker.js?${mode}`, { type: "module", scope: "/" });
        await controlled;
        const answer = await (await fetch(`/search?${new URLSearchParams({ file, mode, vector: JSON.stringify(query) })}`)).json();
        await registration.unregister();
        return answer;
      }, [tiles, mode, query]);
      // The package's usual script loads another: the error says what to import.
      if (mode === "index") assert.match(found.failed, /nearshore\/service-worker/);
      else assert.deepEqual(found, { mode, worker: false, backend: "wasm128", hits: wanted });
      await page.close();
    }
  } finally {
    await context.close();
    wide.close();
  }
});

/** Milliseconds of processor time: a quarter of a frame, and what a browser calls a long task. */
const [TURN_MS, LONG_TASK_MS] = [4, 50];

test("searches in a worker never hold the page up", async () => {
  const page = await pageAt(browser, `${server.url}test/page.html`);
  await page.evaluate(async ([url, dimensions]) => {
    const [{ Index, open }, tests] = await Promise.all([import("/dist/index.js"), import("/test/rows.mjs")]);
    const vectors = tests.rows(3000, 64);
    globalThis.at = { tests, vectors, built: await Index.build(null, vectors, { dimensions: 64 }), lazy: await open(url, { mode: "lazy", cache: "none" }), queries: tests.rows(60, dimensions, 9) };
  }, [tiles, DIMENSIONS]);
  await browser.startTracing(page, { categories: ["-*", "toplevel", "disabled-by-default-devtools.timeline", "devtools.timeline"] });
  const workers = await page.evaluate(async (dimensions) => {
    const { tests, vectors, built, lazy, queries } = globalThis.at;
    for (let i = 0; i < 300; i++) await built.search(tests.vector(vectors, 64, i), { k: 10 });
    await Promise.all(Array.from({ length: 300 }, (_, i) => built.search(tests.vector(vectors, 64, i), { k: 100 })));
    await built.searchBatch(vectors.subarray(0, 1000 * 64), { k: 10 });
    for (let i = 0; i < 60; i++) await lazy.search(tests.vector(queries, dimensions, i));
    return [built.info.worker, lazy.info.worker];
  }, DIMENSIONS);
  const { traceEvents } = JSON.parse(String(await browser.stopTracing()));
  await page.close();
  assert.deepEqual(workers, [true, true]);
  const thread = ({ pid, tid }) => `${pid} ${tid}`;
  const mains = new Set(traceEvents.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain").map(thread));
  const onMain = traceEvents.filter((event) => mains.has(thread(event)));
  // What the test itself sends, and what runs until the first await in it, is not ours.
  const theirs = onMain.filter(({ args }) => args?.chrome_mojo_event_info?.mojo_interface_tag === "blink.mojom.DevToolsSession");
  const turns = onMain.filter(({ name, ts, dur }) => name === "RunTask" && !theirs.some((event) => event.ts >= ts && event.ts < ts + dur));
  assert.ok(turns.length > 300, `${turns.length} turns`);
  // Of some the browser does not tell. A collection of garbage, or a machine that does other things, may lengthen a few.
  const took = turns.flatMap(({ tdur }) => tdur ?? []).map((us) => us / 1000).sort((a, b) => b - a);
  assert.ok(took.length > 300, `${took.length} turns`);
  assert.ok(took[Math.floor(took.length / 100)] < TURN_MS && took[0] < LONG_TASK_MS, `turns took ${took.slice(0, 10)} ms of processor time`);
});
