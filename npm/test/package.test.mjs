// The package itself: what is in it, what it weighs, what its engines are made of, and that importing it does nothing.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import binaryen from "binaryen";
import { sizes } from "../size.mjs";

const root = join(import.meta.dirname, "..");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

test("package.json: ES modules, types first, no side effects, no dependencies", () => {
  assert.equal(manifest.type, "module");
  assert.equal(manifest.sideEffects, false);
  assert.equal(manifest.dependencies, undefined);
  assert.equal(Object.keys(manifest.exports["."])[0], "types");
  assert.ok(Object.values(manifest.devDependencies).every((version) => /^\d+\.\d+\.\d+$/.test(version)), "pinned");
});

test("the tarball holds the scripts, the types, the engines and the licences, and nothing else", () => {
  const [{ files }] = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: root, encoding: "utf8" }));
  const found = files.map((file) => file.path).sort();
  const types = found.filter((path) => /^dist\/(?:(?:lazy|kept|overlay|parts)\/)?[a-z]+\.d\.ts$/.test(path));
  assert.ok(types.includes("dist/index.d.ts"));
  const others = found.filter((path) => !types.includes(path));
  assert.deepEqual(others, [
    "LICENSE-APACHE", "LICENSE-MIT", "README.md",
    "dist/cache.js", "dist/columns.js", "dist/engine.js", "dist/filter.js", "dist/folder.js", "dist/index.js", "dist/kept.js", "dist/lazy.js",
    "dist/nearshore-columns-simd.wasm", "dist/nearshore-columns.wasm",
    "dist/nearshore-filter-simd.wasm", "dist/nearshore-filter.wasm", "dist/nearshore-lazy-simd.wasm", "dist/nearshore-lazy.wasm",
    "dist/nearshore-reader-simd.wasm", "dist/nearshore-reader.wasm", "dist/nearshore-simd.wasm", "dist/nearshore.wasm", "dist/overlay.js", "dist/parts.js",
    "dist/service-worker.js", "dist/shelf.js", "dist/workerd.js", "package.json",
  ]);
});

test("no link of the README leads out of the package", () => {
  const text = readFileSync(join(root, "README.md"), "utf8").replaceAll(/^```[^]*?^```/gm, "");
  const links = [...text.matchAll(/\]\(\s*<?([^)\s>]+)|^\s*\[[^\]]+\]:\s*<?([^\s>]+)|(?:href|src)="([^"]+)"/gm)].map((found) => found[1] ?? found[2] ?? found[3]);
  const [{ files }] = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: root, encoding: "utf8" }));
  const inside = new Set(files.map(({ path }) => path));
  for (const link of links) assert.ok(/^(https?:|#)/.test(link) || inside.has(link.replace(/^\.\//, "").replace(/#.*/, "")), link);
});

test("no download is above its limit", () => {
  const { downloads } = sizes();
  assert.equal(downloads.length, 14);
  for (const { name, bytes, limit } of downloads) assert.ok(bytes <= limit, `${name}: ${bytes} bytes, limit ${limit}`);
});

/** Instructions in an engine whose text starts so. */
function count(file, pattern) {
  const module = binaryen.readBinary(readFileSync(join(root, "dist", file)));
  const text = module.emitText();
  module.dispose();
  return (text.match(pattern) ?? []).length;
}
const SIMD = /\((?:v128|i8x16|i16x8|i32x4|i64x2|f32x4|f64x2)\./g;

for (const engine of ["nearshore", "nearshore-reader", "nearshore-lazy", "nearshore-filter", "nearshore-columns"]) {
  test(`${engine}: one variant is made of SIMD instructions, the other has none`, () => {
    assert.ok(count(`${engine}-simd.wasm`, SIMD) > 200, `${count(`${engine}-simd.wasm`, SIMD)} SIMD instructions`);
    assert.ok(count(`${engine}-simd.wasm`, /\(i32x4\.dot_i16x8_s/g) > 0, "integer dots");
    assert.ok(count(`${engine}-simd.wasm`, /\(f32x4\.mul/g) > 0, "float products");
    assert.equal(count(`${engine}-simd.wasm`, /relaxed/g), 0);
    assert.equal(count(`${engine}.wasm`, SIMD), 0);
  });
}

test("importing does nothing: no fetch, no worker, no compiling, no listener", () => {
  const script = `
    const touched = [];
    for (const name of ["fetch", "Worker"]) globalThis[name] = new Proxy(function () {}, { apply: () => touched.push(name), construct: () => (touched.push(name), {}) });
    for (const name of ["compile", "instantiate", "validate", "Module", "Instance", "Memory"]) {
      WebAssembly[name] = new Proxy(WebAssembly[name], { apply: () => touched.push(name), construct: () => (touched.push(name), {}) });
    }
    const before = Object.keys(globalThis).length;
    await import("nearshore");
    await import("nearshore/engine.js");
    await import("nearshore/lazy.js");
    await import("nearshore/service-worker");
    await import("nearshore/kept.js");
    await import("nearshore/overlay.js");
    await import("nearshore/shelf.js");
    await import("nearshore/cache.js");
    await import("nearshore/parts.js");
    await import("nearshore/columns.js");
    if (Object.keys(globalThis).length !== before) touched.push("globals");
    if (touched.length > 0) throw new Error(touched.join());`;
  execFileSync(process.execPath, ["--input-type=module", "--eval", script], { cwd: root, stdio: "pipe" });
});
