// The packed package as strangers use it: one project each, installed from the tarball, built with its own tool, run where it runs.
//
//   cargo xtask pack && node --test tests/packaging/          the quick ones
//   NEARSHORE_FULL=1 node --test tests/packaging/             all of them
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFileSync, existsSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { launch, reportOf, serve } from "../../npm/test/browser.mjs";
import { serveFile } from "../../npm/test/lazy/server.mjs";
import { rows, vector } from "../../npm/test/rows.mjs";
import { start as startWorkerd } from "./workerd/start.mjs";

const run = promisify(execFile);
const here = import.meta.dirname;
const npm = join(here, "../../npm");
const full = process.env.NEARSHORE_FULL === "1";
const quick = { skip: !full && "left out without NEARSHORE_FULL=1" };

/** What `shared/check.js` reports where WebAssembly has SIMD; the bytes are compared with Node's. */
let expected;
let browser;
/** A file in tiles, and a host of it at an origin of its own. */
const tiles = join(npm, "test/lazy/tiles.shore");
let host;

before(async () => {
  const tarballs = readdirSync(npm).filter((name) => name.endsWith(".tgz"));
  assert.equal(tarballs.length, 1, "run `cargo xtask pack` first: npm/ must hold exactly one tarball");
  copyFileSync(join(npm, tarballs[0]), join(here, "nearshore.tgz"));
  if (!existsSync(join(here, "node_modules"))) await run("npm", ["ci", "--ignore-scripts"], { cwd: here });
  [browser, host] = await Promise.all([launch(), serveFile(readFileSync(tiles))]);
  await install("node");
  expected = await terminal(process.execPath, ["main.js"], "node");
});

after(async () => {
  await browser?.close();
  host?.close();
});

test("Node", () => {
  assert.equal(expected.worker, false);
  assert.equal(expected.backend, "wasm128");
  assert.deepEqual(expected.hits[0][0], String(2n ** 60n));
  assert.deepEqual(expected.payload, { row: String(2n ** 60n) });
  assert.equal(expected.themselves, 20);
  assert.deepEqual(expected.rows, [300, true]);
  assert.deepEqual(expected.cheap, [1]);
  assert.equal(expected.error, "invalid-argument");
  assert.deepEqual([expected.parts.length, ...expected.parts.slice(0, 3)], [6, "lazy", true, 3]);
});

test("a plain <script type=module>", async () => {
  await install("plain");
  same(await page(here, "plain/"), true);
});

test("esbuild", async () => same(await bundled("esbuild"), true));
test("Vite", quick, async () => same(await bundled("vite"), true));
test("webpack", quick, async () => same(await bundled("webpack"), true));

test("Deno", quick, async (context) => {
  const deno = binary("@deno", "deno");
  if (!deno) return context.skip("npm has no Deno for this machine");
  await install("deno");
  same(await terminal(deno, ["run", "--allow-read", "--allow-write=.", "--no-lock", "--node-modules-dir=manual", "main.js"], "deno"), false);
});

test("Bun", quick, async (context) => {
  const bun = binary("@oven", "bin/bun");
  if (!bun) return context.skip("npm has no Bun for this machine");
  await install("bun");
  same(await terminal(bun, ["run", "main.js"], "bun"), false);
});

/** What one isolate of a host may have. */
const ISOLATE_BYTES = 128 * 1024 * 1024;

test("workerd: no compiling at run time; one index serves many requests at a time, reading parts of a file elsewhere", async (context) => {
  const program = binary("@cloudflare", "bin/workerd");
  if (!program) return context.skip("npm has no workerd for this machine");
  await install("workerd");
  await run(process.execPath, ["build.mjs"], { cwd: join(here, "workerd") });
  const workerd = await startWorkerd(program);
  const url = `${host.url}/plain/tiles`;
  try {
    const report = await workerd.ask(`/check?${new URLSearchParams({ url })}`);
    assert.equal(report.rows, "unsupported"); // there is nowhere to keep an index
    same({ ...report, rows: expected.rows }, false);
    // As in Node, from a file in memory.
    const { open } = await import("./node/node_modules/nearshore/dist/index.js");
    const whole = await open(tiles, { mode: "whole" });
    host.delay = 20;
    const queries = rows(4, 24, 9);
    await Promise.all(Array.from({ length: 12 }, async (_, i) => {
      const query = vector(queries, 24, i % 4);
      const found = await workerd.ask(`/search?${new URLSearchParams({ url, vector: JSON.stringify([...query]) })}`);
      const hits = await whole.search(query);
      assert.deepEqual([found.hits, found.distances], [hits.map((hit) => [hit.id, hit.distance, hit.text()]), hits.stats.distances]);
      assert.ok(found.memoryBytes < ISOLATE_BYTES / 16, `${found.memoryBytes}`);
    }));
    // With the run-time around it, and after a build: well inside.
    const peak = workerd.peak();
    context.diagnostic(`the process had ${peak && Math.round(peak / 2 ** 20)} MiB at most`);
    assert.ok(peak === undefined || peak < ISOLATE_BYTES, `${peak}`);
  } finally {
    workerd.close();
    host.delay = 0;
  }
});

/** The same report as Node's, but for where the search runs. */
function same(report, worker) {
  assert.deepEqual(report, { ...expected, worker });
}

/** Installs the tarball, and nothing else, into one consumer. */
async function install(consumer) {
  const cwd = join(here, consumer);
  rmSync(join(cwd, "node_modules"), { recursive: true, force: true });
  await run("npm", ["install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"], { cwd });
}

async function bundled(consumer) {
  await install(consumer);
  rmSync(join(here, consumer, "dist"), { recursive: true, force: true });
  await run(process.execPath, ["build.mjs"], { cwd: join(here, consumer) });
  return page(join(here, consumer, "dist"), "");
}

async function page(folder, path) {
  const server = await serve(folder);
  try {
    const { report, complaints } = await reportOf(browser, `${server.url}${path}?${new URLSearchParams({ tiles: `${host.url}/plain/tiles` })}`);
    assert.deepEqual(complaints.filter((text) => !text.includes("favicon") && !text.includes("404")), []);
    return report;
  } finally {
    server.close();
  }
}

async function terminal(program, args, consumer) {
  const { stdout } = await run(program, [...args, tiles], { cwd: join(here, consumer), timeout: 60_000 });
  return JSON.parse(stdout.trim().split("\n").at(-1));
}

/** A program that an npm package carries for this platform. */
function binary(scope, path) {
  const folder = join(here, "node_modules", scope);
  const packages = existsSync(folder) ? readdirSync(folder) : [];
  return packages.map((name) => join(folder, name, path)).find((file) => existsSync(file));
}
