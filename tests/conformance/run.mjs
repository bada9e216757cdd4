// The same answers and the same bytes in Node and in Chromium, with every engine of the npm package: `node tests/conformance/run.mjs`.
// Needs the built package in `npm/`, a Chromium, and the command line's binary (`NEARSHORE`); says what is missing.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { buildDigest, checkFilters, checkGolden, isAsked, isTiled } from "./check.mjs";
import { columns, largeIds, payload, rows } from "./rows.mjs";

const root = join(import.meta.dirname, "../..");
const dist = join(root, "npm/dist");
if (!existsSync(join(dist, "index.js"))) throw new Error("npm/dist is missing: `cargo xtask pack` makes it");
const nearshore = await import(pathToFileURL(join(dist, "index.js")).href);
const { launch, pageAt, serve } = await import(pathToFileURL(join(root, "npm/test/browser.mjs")).href);

/**
 * Readers answer; full engines answer and build; lazy ones answer from files in tiles. Those that filter take over from readers and lazy ones, those of
 * columns stand beside full ones.
 */
const ENGINES = [
  { backend: "wasm128", file: "nearshore-simd.wasm", full: true },
  { backend: "scalar", file: "nearshore.wasm", full: true },
  { backend: "wasm128", file: "nearshore-reader-simd.wasm", full: false },
  { backend: "scalar", file: "nearshore-reader.wasm", full: false },
  { backend: "wasm128", file: "nearshore-lazy-simd.wasm", full: false, lazy: true },
  { backend: "scalar", file: "nearshore-lazy.wasm", full: false, lazy: true },
];
const FOLDER = "tests/golden/v1.0";
const all = (await readdir(join(root, FOLDER))).filter((name) => name.endsWith(".shore")).map((name) => name.slice(0, -".shore".length));
/** The features that a file requires: codes of few bits, which no engine of the package reads. */
const required = async (name) => (await readFile(join(root, FOLDER, `${name}.shore`))).readBigUInt64LE(16);
const needs = new Map(await Promise.all(all.map(async (name) => [name, await required(name)])));
const names = all.filter((name) => needs.get(name) === 0n);
/** The golden files that an engine answers from. */
const filesOf = ({ lazy = false }) => names.filter((name) => isTiled(name) === lazy);
const refused = all.filter((name) => needs.get(name) !== 0n);
const recipes = JSON.parse(await readFile(join(root, "tests/conformance/builds.json"), "utf8"));
const expected = async (name) => JSON.parse(await readFile(join(root, FOLDER, `${name}.json`), "utf8"));

const filters = JSON.parse(await readFile(join(root, "tests/conformance/filters.json"), "utf8"));
/** What takes the place of an engine where there is a filter, or rows have columns. */
const filterEngine = ({ backend, full }) => `nearshore-${full ? "columns" : "filter"}${backend === "scalar" ? "" : "-simd"}.wasm`;
/** The file with columns that an engine searches, and how it is opened. */
const filtersFor = ({ full, lazy = false }) => {
  const name = lazy ? "filters-tiles" : "filters";
  const searches = filters.searches.filter((search) => search.file === name);
  return (full ? ["load"] : lazy ? ["lazy", "whole"] : ["whole"]).map((mode) => ({ name, mode, searches }));
};

test("there are golden files, with searches in each", async () => {
  assert.ok(names.length > 20, `${names.length} files in ${FOLDER}`);
  for (const name of names) assert.ok((await expected(name)).searches.length > 10, name);
});

for (const engine of ENGINES) {
  const { backend, file, full, lazy } = engine;
  test(`Node, ${file}: golden files answer as expected`, async () => {
    await nearshore.init({ wasm: await readFile(join(dist, file)) });
    let count = 0;
    for (const name of filesOf(engine)) {
      const bytes = await readFile(join(root, FOLDER, `${name}.shore`));
      const { checked, differences } = await checkGolden(nearshore, name, bytes, await expected(name), backend);
      assert.deepEqual(differences, []);
      count += checked;
    }
    assert.ok(count > 30, `${count} searches`);
  });

  test(`Node, ${file}: filters answer as the native library`, async () => {
    await nearshore.init({ wasm: await readFile(join(dist, file)) });
    await nearshore.init({ wasm: await readFile(join(dist, filterEngine(engine))) });
    for (const { name, mode, searches } of filtersFor(engine)) {
      const path = join(root, "tests/conformance", `${name}.shore`);
      const found = await checkFilters(nearshore, mode === "lazy" ? path : await readFile(path), mode, filters.queries, searches);
      assert.deepEqual(found.differences, []);
      assert.ok(found.checked > 100, `${found.checked} searches`);
    }
  });
  if (lazy) continue;

  test(`Node, ${file}: files that need a feature it lacks are refused by its number`, async () => {
    await nearshore.init({ wasm: await readFile(join(dist, file)) });
    assert.ok(refused.length > 2, `${refused.length} such files in ${FOLDER}`);
    for (const name of refused) {
      const bytes = await readFile(join(root, FOLDER, `${name}.shore`));
      await assert.rejects(nearshore.open(bytes), (error) => error.code === "unsupported" && /needs feature 0/.test(error.message), name);
    }
  });

  if (!full) continue;
  test(`Node, ${file}: builds have the native library's digests`, async () => {
    for (const name of [file, filterEngine(engine)]) await nearshore.init({ wasm: await readFile(join(dist, name)) });
    for (const recipe of recipes) assert.equal(await buildDigest(nearshore, recipe, backend), recipe.sha256, recipe.name);
  });
}

test("the command line writes the bytes of Index.build", async () => {
  const folder = await mkdtemp(join(tmpdir(), "conformance-"));
  try {
    for (const recipe of recipes) assert.equal(await commandDigest(folder, recipe), recipe.sha256, recipe.name);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("what was changed with columns, and saved, the command line filters alike", async () => {
  assert.ok(process.env.NEARSHORE, "NEARSHORE must name the binary that `cargo build --package nearshore` makes");
  const folder = await mkdtemp(join(tmpdir(), "conformance-"));
  try {
    const [count, dimensions] = [2400, 12];
    const data = rows("f32", dimensions, count, 5n);
    const values = columns(count);
    const types = { n: "i64", x: "f64", flag: "bool", word: "string", full: "i64" };
    const live = await nearshore.Index.create({ dimensions, m: 8, efConstruction: 60, columns: types });
    const some = (first, last) => Object.fromEntries(Object.entries(values).map(([name, list]) => [name, list.slice(first, last)]));
    await live.addMany(Array.from({ length: count }, (_, row) => row), data, { columns: some(0, count) });
    for (let row = 0; row < 300; row++) await live.delete(row * 3);
    for (let row = 1000; row < 1100; row++) await live.update(row, data.subarray((row - 900) * dimensions, (row - 899) * dimensions), { columns: { x: row, word: "caf\u00e9" } });
    const bytes = await live.save();
    await writeFile(join(folder, "live.shore"), bytes);
    const queries = rows("f32", dimensions, 5, 6n);
    await writeFile(join(folder, "queries.fbin"), Buffer.concat([Buffer.from(Uint32Array.of(5, dimensions).buffer), Buffer.from(queries.buffer)]));
    const opened = await nearshore.open(bytes.slice());
    for (const filter of ["n < 0", "x >= 1000 and word = 'caf\u00e9'", "flag", "word > \"a\" and word <= \"b\"", "full < 4", "n is null or x is null"]) {
      const command = ["search", "live.shore", "--queries", "queries.fbin", "--filter", filter, "--k", "10", "--json"];
      const { results } = JSON.parse((await promisify(execFile)(process.env.NEARSHORE, command, { cwd: folder })).stdout);
      const wanted = results.map(({ hits }) => hits.map(({ id, distance }) => [id, Math.fround(distance)]));
      assert.ok(wanted[0].length > 0, filter);
      for (const index of [live, opened]) {
        const found = await index.searchBatch(queries, { k: 10, filter });
        assert.deepEqual(found.map((hits) => hits.map(({ id, distance }) => [id, distance])), wanted, filter);
        assert.deepEqual(found.map(({ stats }) => [stats.distances, stats.hops]), results.map(({ distances, hops }) => [distances, hops]), filter);
      }
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a file that the command line splits answers as the file does", async () => {
  assert.ok(process.env.NEARSHORE, "NEARSHORE must name the binary that `cargo build --package nearshore` makes");
  const folder = await mkdtemp(join(tmpdir(), "conformance-"));
  try {
    const list = join(folder, "x.shore.json");
    const command = ["export", join(root, "tests/conformance/filters.shore"), "-o", list, "--for", "web", "--tile-rows", "16", "--split", "64KiB", "--quiet"];
    await promisify(execFile)(process.env.NEARSHORE, command);
    assert.equal((await readdir(folder)).length, 5, "a list and four parts");
    const searches = filters.searches.filter((search) => search.file === "filters-tiles");
    for (const mode of ["lazy", "whole"]) {
      const { differences } = await checkFilters(nearshore, list, mode, filters.queries, searches);
      assert.deepEqual(differences, []);
    }
    const { stdout } = await promisify(execFile)(process.env.NEARSHORE, ["verify", list]);
    assert.match(stdout, /: whole \(4 parts, /);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("searches fetch what `nearshore export` says", async () => {
  const folder = await mkdtemp(join(tmpdir(), "conformance-"));
  try {
    // As many rows as the command searches for, so that it is all of them, and records that do not fit into the first request.
    const count = 100;
    const payloads = Array.from({ length: count }, (_, row) => "x".repeat(row * 7));
    // The centroids of the last do not fit into it either.
    for (const [name, dimensions, split] of [["x.shore", 1400, []], ["x.shore.json", 1400, ["--split", "64KiB"]], ["y.shore", 14_000, []]]) {
      const built = await nearshore.Index.build(null, rows("f32", dimensions, count, 8n), { dimensions, payloads });
      await writeFile(join(folder, "built.shore"), await built.save());
      const command = ["export", join(folder, "built.shore"), "-o", join(folder, name), "--tile-rows", "8", "--json", "--quiet", ...split];
      const { expected } = JSON.parse((await promisify(execFile)(process.env.NEARSHORE, command)).stdout);
      const sum = { rounds: 0, requests: 0, bytes: 0 };
      const whole = await nearshore.open(join(folder, name), { mode: "whole" });
      for (let id = 0; id < count; id++) {
        // Opened anew: parts stay.
        const index = await nearshore.open(join(folder, name), { mode: "lazy", cache: "none" });
        const { requests, bytes } = await index.stats();
        const list = split.length > 0 ? (await readFile(join(folder, name))).length : 0;
        assert.deepEqual([requests - Math.sign(list), bytes - list], [expected.open_requests, expected.open_bytes], name);
        const { stats } = await index.search((await whole.get(id)).vector, { recall: expected.recall });
        for (const each of Object.keys(sum)) sum[each] += stats[each];
        await index.close();
      }
      if (name === "y.shore") assert.equal(expected.open_requests, 2);
      for (const each of Object.keys(sum)) assert.ok(Math.abs(sum[each] / count - expected[each]) < 1e-4 * expected[each], `${name}: ${each} ${sum[each] / count}, ${expected[each]}`);
      assert.ok(expected.requests > 2 && expected.rounds > 1.5 && expected.queries === count, JSON.stringify(expected));
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

/** Builds the rows of `recipe` with the command that `NEARSHORE` names, ids and payloads from files; gives the SHA-256 of the file. */
async function commandDigest(folder, recipe) {
  assert.ok(process.env.NEARSHORE, "NEARSHORE must name the binary that `cargo build --package nearshore` makes");
  const base = `${recipe.name}.${recipe.columns ? "jsonl" : recipe.element === "f32" ? "fbin" : `${recipe.element}bin`}`;
  const header = Buffer.from(Uint32Array.of(recipe.rows, recipe.dimensions).buffer);
  const values = rows(recipe.element, recipe.dimensions, recipe.rows, BigInt(recipe.seed));
  await writeFile(join(folder, base), recipe.columns ? lines(recipe, values, columns(recipe.rows)) : Buffer.concat([header, Buffer.from(values.buffer)]));
  const options = ["--metric", recipe.metric, "--m", recipe.m, "--ef-construction", recipe.ef_construction, "--seed", recipe.seed];
  options.push("--originals", recipe.originals ? "keep" : "drop");
  if (recipe.dressed) {
    const ids = largeIds(recipe.rows);
    await writeFile(join(folder, "ids.u64"), Buffer.from(ids.buffer));
    await writeFile(join(folder, "payloads.txt"), Array.from(ids, (id) => `${payload(id)}\n`).join(""));
    options.push("--ids", "ids.u64", "--payload", "payloads.txt");
  }
  if (recipe.columns) options.push("--columns", Object.keys(columns(1)).join());
  const command = ["build", base, "--output", "out.shore", "--force", "--quiet", ...options.map(String)];
  await promisify(execFile)(process.env.NEARSHORE, command, { cwd: folder });
  return createHash("sha256").update(await readFile(join(folder, "out.shore"))).digest("hex");
}

/** Rows as JSONL: vectors, and values by the names of their columns. */
function lines({ rows, dimensions }, values, columns) {
  const text = (value) => (typeof value === "bigint" ? String(value) : JSON.stringify(value));
  const line = (row) => [`"vector":${JSON.stringify([...values.subarray(row * dimensions, (row + 1) * dimensions)])}`, ...Object.entries(columns).map(([name, list]) => `"${name}":${text(list[row])}`)];
  return Array.from({ length: rows }, (_, row) => `{${line(row).join()}}\n`).join("");
}

let browser;
let server;
before(async () => {
  [browser, server] = await Promise.all([launch(), serve(root)]);
});
after(async () => {
  await browser?.close();
  server?.close();
});

for (const engine of ENGINES) {
  const { backend, file, full } = engine;
  test(`Chromium, ${file}: golden files answer as expected${full ? ", builds have the native library's digests" : ""}`, async () => {
    const page = await pageAt(browser, `${server.url}npm/test/page.html`);
    try {
      const [built, names] = [full ? recipes : [], filesOf(engine)];
      const filtered = { queries: filters.queries, files: filtersFor(engine), engine: filterEngine(engine) };
      const found = await page.evaluate(runInPage, { backend, file, folder: `/${FOLDER}`, names, recipes: built, filtered });
      assert.deepEqual(found.differences, []);
      assert.equal(found.filtered, filtered.files.reduce((sum, { searches }) => sum + searches.length, 0));
      assert.deepEqual(found.digests, built.map((recipe) => recipe.sha256));
      const asked = async (name) => (await expected(name)).searches.filter((search) => isAsked(name, search)).length;
      const searches = await Promise.all(names.map(asked));
      assert.equal(found.checked, searches.reduce((sum, count) => sum + count, 0));
    } finally {
      await page.close();
    }
  });
}

/** Runs in the page: every golden file by its address, then every build. */
async function runInPage({ backend, file, folder, names, recipes, filtered }) {
  const [nearshore, { buildDigest, checkFilters, checkGolden }] = await Promise.all([import("/npm/dist/index.js"), import("/tests/conformance/check.mjs")]);
  await nearshore.init({ wasm: new URL(`/npm/dist/${file}`, location.href) });
  const found = { checked: 0, filtered: 0, differences: [], digests: [] };
  for (const name of names) {
    const expected = await (await fetch(`${folder}/${name}.json`)).json();
    const { checked, differences } = await checkGolden(nearshore, name, `${folder}/${name}.shore`, expected, backend);
    found.checked += checked;
    found.differences.push(...differences);
  }
  await nearshore.init({ wasm: new URL(`/npm/dist/${filtered.engine}`, location.href) });
  for (const { name, mode, searches } of filtered.files) {
    const { checked, differences } = await checkFilters(nearshore, `/tests/conformance/${name}.shore`, mode, filtered.queries, searches);
    found.filtered += checked;
    found.differences.push(...differences);
  }
  for (const recipe of recipes) found.digests.push(await buildDigest(nearshore, recipe, backend));
  return found;
}
