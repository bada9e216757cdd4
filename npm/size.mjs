// What one browser downloads: both scripts and one of the two engines, as a server sends them (gzip). Fails above the budget.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

/** Bytes; in `size.mjs` and nowhere else. */
export const BUDGET = 90 * 1024;

const gzipped = (name) => gzipSync(readFileSync(new URL(`dist/${name}`, import.meta.url)), { level: 9 }).length;

/** Gzipped bytes of each file, and of the two downloads that there are. */
export function sizes() {
  const files = Object.fromEntries(["index.js", "engine.js", "nearshore.wasm", "nearshore-simd.wasm"].map((name) => [name, gzipped(name)]));
  const scripts = files["index.js"] + files["engine.js"];
  return { files, simd: scripts + files["nearshore-simd.wasm"], scalar: scripts + files["nearshore.wasm"] };
}

if (process.argv[1] && import.meta.filename === process.argv[1]) {
  const { files, simd, scalar } = sizes();
  for (const [name, bytes] of Object.entries(files)) console.log(`${name.padEnd(22)} ${String(bytes).padStart(7)} bytes gzip`);
  console.log(`${"one browser, simd".padEnd(22)} ${String(simd).padStart(7)} bytes gzip`);
  console.log(`${"one browser, no simd".padEnd(22)} ${String(scalar).padStart(7)} bytes gzip, budget ${BUDGET}`);
  if (Math.max(simd, scalar) > BUDGET) {
    console.error(`error: the download is above its budget of ${BUDGET} bytes`);
    process.exit(1);
  }
}
