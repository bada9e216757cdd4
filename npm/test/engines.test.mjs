// Which engine is loaded when: the reader to open, the full engine to build and to change, that of columns where there are some, and no more than that.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { Index, init, open } from "nearshore";
import { rows } from "./rows.mjs";

const dist = new URL("../dist/", import.meta.url);
const engine = (name) => readFileSync(new URL(name, dist));
const golden = new URL("../../tests/golden/v1.0/", import.meta.url);
const file = readFileSync(new URL(readdirSync(golden).find((name) => name.endsWith(".shore")), golden));
const names = new Map(["nearshore.wasm", "nearshore-simd.wasm", "nearshore-reader.wasm", "nearshore-reader-simd.wasm", "nearshore-columns.wasm", "nearshore-columns-simd.wasm"].map((name) => [engine(name).length, name]));
assert.equal(names.size, 6, "told apart by their lengths");

/** Names of the engines compiled while `work` runs. */
async function compiled(work) {
  const { compile } = WebAssembly;
  const found = [];
  WebAssembly.compile = (bytes) => {
    found.push(names.get(bytes.byteLength));
    return compile(bytes);
  };
  try {
    await work();
  } finally {
    WebAssembly.compile = compile;
  }
  return found;
}
const opens = async () => (await open(file)).close();
const builds = async () => (await Index.build(null, rows(20, 4), { dimensions: 4 })).close();
const loads = async () => (await Index.load(file)).close();
const withColumns = readFileSync(new URL("../../tests/conformance/filters.shore", import.meta.url));
const columns = { price: "f64" };

test("an opening loads the reader, a build the full engine, each once", async () => {
  assert.deepEqual(await compiled(opens), ["nearshore-reader-simd.wasm"]);
  assert.deepEqual(await compiled(builds), ["nearshore-simd.wasm"]);
  assert.deepEqual(await compiled(() => Promise.all([opens(), builds(), loads()])), []);
});

test("columns load the engine that has them, and a file with columns that one alone", async () => {
  const filtered = async (index) => {
    const query = new Float32Array((await index).info.dimensions);
    await (await index).search(query, { filter: "price < 3" });
    await (await index).close();
  };
  assert.deepEqual(await compiled(() => filtered(Index.load(withColumns))), ["nearshore-columns-simd.wasm"]);
  assert.deepEqual(await compiled(() => filtered(Index.create({ dimensions: 4, columns }))), []);
  assert.deepEqual(await compiled(() => filtered(Index.build(null, rows(20, 4), { dimensions: 4, columns: { price: rows(20, 1).map(Math.fround) } }))), []);
});

test("what init is given serves for what it can do, the last one first", async () => {
  const backend = async (index) => (await index).info.backend;
  await init({ wasm: engine("nearshore.wasm") });
  assert.equal(await backend(open(file)), "scalar");
  assert.equal(await backend(Index.load(file)), "scalar");
  await init({ wasm: engine("nearshore-reader-simd.wasm") });
  assert.equal(await backend(open(file)), "wasm128");
  assert.equal(await backend(Index.load(file)), "scalar");
  await init({ wasm: engine("nearshore-columns.wasm") });
  assert.equal(await backend(Index.create({ dimensions: 4, columns })), "scalar");
  assert.equal(await backend(Index.load(withColumns)), "scalar");
  await init({ wasm: engine("nearshore-simd.wasm") });
  assert.equal(await backend(Index.create({ dimensions: 4, columns })), "scalar");
  await init({ wasm: engine("nearshore.wasm") });
  await init({ wasm: engine("nearshore-reader-simd.wasm") });
  // An opening that does not wait for init gets what init was given all the same.
  const given = init({ wasm: engine("nearshore-reader.wasm") });
  assert.equal(await backend(open(file)), "scalar");
  await given;
});

test("an init that fails leaves everything as it was", async () => {
  await assert.rejects(init({ wasm: new Uint8Array(8) }), { code: "unsupported" });
  await Promise.all([opens(), builds(), loads()]);
});
