// The package in a real browser: workers, policies, and the same bytes as in Node.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { join } from "node:path";
import { Index } from "nearshore";
import { launch, pageAt, serve } from "./browser.mjs";
import { TRAP_K, trappingEngine } from "./trapping.mjs";

const root = join(import.meta.dirname, "..");
let browser;
let server;

before(async () => {
  [browser, server] = await Promise.all([launch(), serve(root)]);
});
after(async () => {
  await browser?.close();
  server?.close();
});

/** Runs `body` in a page of its own, with the package and the rows of the tests at hand. */
async function inPage(body, argument, { prepare, at = server } = {}) {
  const page = await pageAt(browser, `${at.url}test/page.html`, prepare);
  try {
    return await page.evaluate(
      async ([source, argument]) => {
        const [nearshore, tests] = await Promise.all([import("/dist/index.js"), import("/test/rows.mjs")]);
        const build = (rows, options) => nearshore.Index.build(null, tests.rows(rows, 16), { dimensions: 16, ...options });
        const code = (promise) => promise.then(() => "fine", (error) => (error instanceof nearshore.NearshoreError ? error.code : String(error)));
        return (0, eval)(`(${source})`)({ ...nearshore, ...tests, build, code }, argument);
      },
      [body.toString(), argument],
    );
  } finally {
    await page.close();
  }
}

test("searches run in a worker, and the bytes are those that Node builds", async () => {
  const { rows } = await import("./rows.mjs");
  const here = await Index.build(null, rows(2500, 16), { dimensions: 16 });
  const there = await inPage(async ({ build, rows, vector }) => {
    const index = await build(2500);
    const hits = await index.search(vector(rows(2500, 16), 16, 77), { k: 3, plan: "walk" });
    return { worker: index.info.worker, backend: index.info.backend, hits: hits.map(({ id, distance }) => [id, distance]), bytes: Array.from(await index.save()) };
  });
  assert.equal(there.worker, true);
  assert.equal(there.backend, "wasm128");
  assert.ok(Buffer.from(there.bytes).equals(await here.save()));
  const hits = await here.search(rows(2500, 16).subarray(77 * 16, 78 * 16), { k: 3, plan: "walk" });
  assert.deepEqual(there.hits, hits.map(({ id, distance }) => [id, distance]));
});

test("columns in a worker, built and changed: bytes and answers are those of Node", async () => {
  const work = async ({ Index, rows, vector }) => {
    const data = rows(600, 16);
    const valuesOf = (i) => ({ price: i % 7 ? i / 4 : null, brand: ["north", "caf\u00e9"][i % 3], n: 2n ** 60n + BigInt(i) });
    const built = await Index.build(null, data, { dimensions: 16, columns: Array.from({ length: 600 }, (_, i) => valuesOf(i)) });
    const live = await Index.load(await built.save());
    await live.delete(5);
    await live.update(6, vector(data, 16, 5), { columns: { price: 1 } });
    const ask = async (index) => (await index.search(vector(data, 16, 5), { k: 5, filter: "price < 20 or n = 1152921504606847000" })).map(({ id, distance }) => [id, distance]);
    const answers = [await ask(built), await ask(live)];
    // Changes are made in their order, with columns and without.
    const [, gone] = await Promise.all([live.add(1000, vector(data, 16, 5), { columns: { price: 2 } }), live.delete(1000), live.add(1001, vector(data, 16, 5), { columns: { price: 3 } })]);
    answers.push(gone, await ask(live));
    return { worker: built.info.worker, types: live.info.columns, answers, bytes: Array.from(await built.save()) };
  };
  const { rows, vector } = await import("./rows.mjs");
  const here = await work({ Index, rows, vector });
  const there = await inPage(work);
  assert.deepEqual(there, { ...here, worker: true });
  assert.deepEqual(here.types, { price: "f64", brand: "string", n: "i64" });
  const [, before, gone, after] = here.answers;
  assert.deepEqual([before[0][0], gone, after.slice(0, 2).map(([id]) => id)], [6, true, [6, 1001]]);
});

test("without SIMD the other engine is taken: the same bytes", async () => {
  const run = async ({ build }) => {
    const index = await build(600);
    return [index.info.backend, index.info.identity];
  };
  const prepare = (page) => page.addInitScript(() => { WebAssembly.validate = () => false; });
  const [simd, scalar] = await Promise.all([inPage(run), inPage(run, null, { prepare })]);
  assert.deepEqual([simd[0], scalar[0]], ["wasm128", "scalar"]);
  assert.equal(simd[1], scalar[1]);
});

test("a page stays responsive while a build runs, and aborts it at once", async () => {
  const { ticks, stages, code, ms, alive } = await inPage(async ({ build, code, rows, vector }) => {
    const other = await build(100);
    let ticks = 0;
    const timer = setInterval(() => ticks++, 10);
    const stages = new Set();
    const controller = new AbortController();
    const building = build(20_000, { signal: controller.signal, onProgress: ({ stage }) => void stages.add(stage) });
    setTimeout(() => controller.abort(), 500);
    const start = performance.now();
    const result = await code(building);
    clearInterval(timer);
    const [hit] = await other.search(vector(rows(100, 16), 16, 3), { k: 1 });
    return { ticks, stages: [...stages], code: result, ms: performance.now() - start, alive: hit.id };
  });
  assert.equal(code, "aborted");
  assert.ok(ms < 2500, `${ms} ms`);
  assert.ok(ticks > 10, `${ticks} ticks`);
  assert.ok(stages.length > 0);
  assert.equal(alive, 3);
});

test("errors cross the worker boundary as what they are", async () => {
  const codes = await inPage(async ({ build, code, open, rows, vector }) => {
    const index = await build(50);
    const bytes = await index.save();
    const query = vector(rows(50, 16), 16, 0);
    const found = [
      await code(index.search([1])),
      await code(index.search(query, { signal: AbortSignal.abort() })),
      await code(open(bytes.slice(0, 5000))),
      await code(open(new Blob([new Uint8Array(20_000)]))),
      await code(open("/missing.shore")),
      await code(index.search(query)),
    ];
    const late = code(index.search(query));
    await index.close();
    return [...found, await late, await code(index.search(query))];
  });
  assert.deepEqual(codes, ["invalid-argument", "aborted", "truncated", "corrupt", "network", "fine", "closed", "closed"]);
});

test("in a worker an exception in onProgress rejects the build and is its cause, and `false` stops it", async () => {
  const { stray, found } = await inPage(async ({ build }) => {
    let stray = 0;
    addEventListener("error", () => stray++);
    const thrown = new RangeError("mine");
    const found = [];
    for (const onProgress of [() => { throw thrown; }, () => false]) {
      const start = performance.now();
      const error = await build(20_000, { onProgress }).catch((error) => error);
      found.push([error.code, error.message, error.cause === thrown, performance.now() - start < 2500]);
    }
    return { stray, found };
  });
  assert.deepEqual([stray, found], [0, [["aborted", "onProgress threw: mine", true, true], ["aborted", "onProgress returned false", false, true]]]);
});

test("a trap in a worker poisons its index alone", async () => {
  const codes = await inPage(async ({ build, code, init, rows, vector }, [engine, trap]) => {
    await init({ wasm: Uint8Array.from(engine) });
    const [one, two] = await Promise.all([build(50), build(50)]);
    const query = vector(rows(50, 16), 16, 0);
    return [await code(one.search(query)), await code(one.search(query, { k: trap })), await code(one.search(query)), await code(two.search(query)), two.info.worker];
  }, [Array.from(await trappingEngine()), TRAP_K]);
  assert.deepEqual(codes, ["fine", "trapped", "trapped", "fine", true]);
});

test("hundreds of calls at a time are answered in order", async () => {
  const ids = await inPage(async ({ build, rows, vector }) => {
    const [index, all] = [await build(400), rows(400, 16)];
    const hits = await Promise.all(Array.from({ length: 400 }, (_, row) => index.search(vector(all, 16, row), { k: 1 })));
    return hits.map(([hit]) => hit.id);
  });
  assert.deepEqual(ids, Array.from({ length: 400 }, (_, row) => row));
});

test("addresses relative to the page, blob addresses, files, and a fetch of one's own", async () => {
  const found = await inPage(async ({ build, open }) => {
    const index = await build(60);
    const bytes = await index.save();
    const address = URL.createObjectURL(new Blob([bytes]));
    const opened = await Promise.all([
      open(address),
      open(new File([bytes], "x.shore")),
      open("here.shore", { fetch: async (url) => (url.pathname === "/test/here.shore" ? new Response(bytes) : Response.error()) }),
      open({ size: async () => bytes.length, read: async (offset, length) => bytes.slice(offset, offset + length) }),
      open(bytes.buffer),
    ]);
    return { wanted: index.info.identity, found: opened.map((index) => index.info.identity), intact: bytes.length > 0 };
  });
  assert.deepEqual(found.found, Array(5).fill(found.wanted));
  assert.equal(found.intact, true);
});

/** Tries one policy: what was built, or how it failed. */
async function underPolicy(policy) {
  const at = await serve(root, { "content-security-policy": policy });
  try {
    return await inPage(async ({ build }) => build(50).then((index) => index.info.worker, (error) => `${error.code}: ${error.message}`), null, { at });
  } finally {
    at.close();
  }
}

test("where a policy forbids workers the search runs inline; where it forbids WebAssembly the error says so", async () => {
  assert.equal(await underPolicy("script-src 'self' 'unsafe-eval'; worker-src 'none'"), false);
  assert.match(await underPolicy("script-src 'self' 'unsafe-inline'; worker-src 'self'").catch(String), /unsafe-eval|wasm-unsafe-eval/);
});

test("where the worker's script is not found the search runs inline", async () => {
  let first = true;
  const worker = await inPage(async ({ build }) => (await build(50)).info.worker, null, {
    prepare: (page) => page.route("**/engine.js", (route) => {
      const missing = first;
      first = false;
      return missing ? route.fulfill({ status: 404 }) : route.continue();
    }),
  });
  assert.equal(worker, false);
});

test("a script that is not there is an error that says so, and is asked for again", async () => {
  let missing = false;
  const asked = [];
  const found = await inPage(async ({ open, build, Index, NearshoreError }) => {
    const index = await open(new Blob([await (await build(50)).save()]));
    const told = (work) => work().then(() => "fine", (error) => (error instanceof NearshoreError ? `${error.code}: ${error.message}` : `raw ${error}`));
    const filtered = () => index.search(new Float32Array(16), { filter: { column: "a", eq: 1 } });
    const over = () => Index.create({ base: index });
    const list = () => open("/nothing.json");
    const engine = () => open(new Blob([new Uint8Array(9)]), { worker: false });
    const works = [filtered, over, list, engine];
    const all = [];
    await fetch("/away");
    for (const work of works) all.push(await told(work), await told(work));
    await fetch("/there");
    for (const work of works) all.push(await told(work));
    all.push(await told(over));
    return all;
  }, null, {
    prepare: async (page) => {
      await page.route(/\/dist\/(filter|overlay|parts|engine)\.js/, (route) => {
        if (!missing) asked.push(route.request().url());
        return missing ? route.fulfill({ status: 404 }) : route.continue();
      });
      await page.route(/\/(there|away)$/, (route) => {
        missing = route.request().url().endsWith("away");
        return route.fulfill({ status: 204 });
      });
    },
  });
  for (const text of found.slice(0, 8)) assert.match(text, /^network: .*\.js.*lie beside each other/);
  assert.match(found[8], /^invalid-argument: .*column/, "the filter was read");
  assert.equal(found[9], "fine");
  assert.match(found[10], /^network: GET .*nothing.json/);
  assert.match(found[11], /^(truncated|corrupt)/);
  assert.equal(found[12], "fine");
  // What came is not asked for again. (Some browsers remember an import that failed, and are asked by another address.)
  assert.equal(asked.filter((address) => address.includes("overlay.js")).length, 1, asked.join());
});

test("inside a worker of one's own the search runs inline", async () => {
  const report = await inPage(() => new Promise((resolve, reject) => {
    const script = `import { Index } from "${location.origin}/dist/index.js";
      const index = await Index.build(null, Float32Array.from({ length: 400 }, (_, i) => i % 7), { dimensions: 4 });
      postMessage([index.info.worker, (await index.search([0, 1, 2, 3], { k: 1 })).length]);`;
    const worker = new Worker(URL.createObjectURL(new Blob([script], { type: "text/javascript" })), { type: "module" });
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => reject(new Error(event.message));
  }));
  assert.deepEqual(report, [false, 1]);
});
