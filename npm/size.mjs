// What one browser downloads: two scripts and one engine, as a server sends them (gzip). Fails above the limit.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

/** Where every download is to get to. */
export const TARGET = 90 * 1024;

/** The page's side, and the engine's: of whole files, of files that are read in parts, of indexes that are kept; what goes over a base; a cache for pages
 * without a worker; conditions as objects; columns. */
const [PAGE, WHOLE, PARTS, KEPT, OVER, SHELF, CONDITIONS, COLUMNS] = ["index.js", "engine.js", "lazy.js", "kept.js", "overlay.js", "shelf.js", "filter.js", "columns.js"];

/**
 * Each download: its engine and script, and what it may weigh. A page that opens an index needs a reader, one that builds or changes an index
 * a full engine, which is 7.1 to 8.2 KiB above its target; one that keeps its index on disk has another script, which no other page loads.
 */
const DOWNLOADS = {
  "open, simd": { engine: "nearshore-reader-simd.wasm", script: WHOLE, limit: 50 * 1024 },
  "open, no simd": { engine: "nearshore-reader.wasm", script: WHOLE, limit: 50 * 1024 },
  "open in parts, simd": { engine: "nearshore-lazy-simd.wasm", script: PARTS, limit: 53.75 * 1024 },
  "open in parts, no simd": { engine: "nearshore-lazy.wasm", script: PARTS, limit: 54.75 * 1024 },
  "build, simd": { engine: "nearshore-simd.wasm", script: WHOLE, limit: 97.75 * 1024 },
  "build, no simd": { engine: "nearshore.wasm", script: WHOLE, limit: 98.75 * 1024 },
  "keep, simd": { engine: "nearshore-simd.wasm", script: KEPT, limit: 103.25 * 1024 },
  "keep, no simd": { engine: "nearshore.wasm", script: KEPT, limit: 104.25 * 1024 },
  // Of rows with columns, which filter.
  "build with columns, simd": { engine: "nearshore-columns-simd.wasm", script: WHOLE, more: COLUMNS, limit: 172.75 * 1024 },
  "build with columns, no simd": { engine: "nearshore-columns.wasm", script: WHOLE, more: COLUMNS, limit: 173.75 * 1024 },
  "keep with columns, simd": { engine: "nearshore-columns-simd.wasm", script: KEPT, more: COLUMNS, limit: 178.25 * 1024 },
  "keep with columns, no simd": { engine: "nearshore-columns.wasm", script: KEPT, more: COLUMNS, limit: 179.25 * 1024 },
  // What a page loads beside one of these when it first filters, or looks a row up in a file that is read in parts.
  "further, for filters, simd": { engine: "nearshore-filter-simd.wasm", script: CONDITIONS, page: false, limit: 117 * 1024 },
  "further, for filters, no simd": { engine: "nearshore-filter.wasm", script: CONDITIONS, page: false, limit: 117 * 1024 },
};

const gzipped = (name) => gzipSync(readFileSync(new URL(`dist/${name}`, import.meta.url)), { level: 9 }).length;

/** Gzipped bytes of each file, and each download with its limit. */
export function sizes() {
  const engines = new Set(Object.values(DOWNLOADS).map(({ engine }) => engine));
  const files = Object.fromEntries([PAGE, WHOLE, PARTS, KEPT, OVER, SHELF, CONDITIONS, COLUMNS, ...engines].map((name) => [name, gzipped(name)]));
  const downloads = Object.entries(DOWNLOADS).map(([name, { engine, script, more, page = true, limit }]) => ({ name, bytes: (page ? files[PAGE] : 0) + files[script] + (more ? files[more] : 0) + files[engine], limit }));
  return { files, downloads };
}

if (process.argv[1] && import.meta.filename === process.argv[1]) {
  const { files, downloads } = sizes();
  const line = (name, bytes, note = "") => console.log(`${name.padEnd(28)} ${String(bytes).padStart(7)} bytes gzip${note}`);
  for (const [name, bytes] of Object.entries(files)) line(name, bytes);
  console.log(`one browser downloads (the target is ${TARGET} bytes):`);
  for (const { name, bytes, limit } of downloads) line(name, bytes, `, limit ${limit}`);
  const over = downloads.filter(({ bytes, limit }) => bytes > limit);
  for (const { name, bytes, limit } of over) console.error(`error: the download "${name}" is ${bytes - limit} bytes above its limit`);
  if (over.length > 0) process.exit(1);
}
