// What one browser downloads: both scripts and one of the two engines, as a server sends them (gzip). Fails above the limit.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

/** Where this is to get to. */
export const TARGET = 90 * 1024;
/** What it may weigh until it is there: it does not grow. */
export const LIMIT = 130 * 1024;

const gzipped = (name) => gzipSync(readFileSync(new URL(`dist/${name}`, import.meta.url)), { level: 9 }).length;

/** Gzipped bytes of each file, and of the two downloads that there are. */
export function sizes() {
  const files = Object.fromEntries(["index.js", "engine.js", "nearshore.wasm", "nearshore-simd.wasm"].map((name) => [name, gzipped(name)]));
  const scripts = files["index.js"] + files["engine.js"];
  return { files, simd: scripts + files["nearshore-simd.wasm"], scalar: scripts + files["nearshore.wasm"] };
}

if (process.argv[1] && import.meta.filename === process.argv[1]) {
  const { files, simd, scalar } = sizes();
  const line = (name, bytes, note = "") => console.log(`${name.padEnd(22)} ${String(bytes).padStart(7)} bytes gzip${note}`);
  for (const [name, bytes] of Object.entries(files)) line(name, bytes);
  line("one browser, simd", simd);
  line("one browser, no simd", scalar, `; target ${TARGET}, limit ${LIMIT}`);
  if (Math.max(simd, scalar) > LIMIT) {
    console.error(`error: the download is above its limit of ${LIMIT} bytes`);
    process.exit(1);
  }
}
