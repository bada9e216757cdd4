// Searches an index through the installed npm package and compares with what the native binary said.
//
//   node measure.mjs INDEX QUERIES NATIVE...     NATIVE: outputs of `nearshore search --json`, named EF.json
//
// Prints one JSON object: for every effort the rate and whether hits, distances and counters agree with the native answers; each
// difference (ten at most) is told in words. Rates are of one thread, one search after another, best of three rounds.

import { readFile } from "node:fs/promises";
import path from "node:path";
import { open } from "nearshore";

const ROUNDS = 3;
const DIFFERENCES_MAX = 10;
const [indexFile, queriesFile, ...nativeFiles] = process.argv.slice(2);

const index = await open(new Uint8Array(await readFile(indexFile)));
const queries = await readRows(queriesFile);
const differences = [];
const runs = [];
for (const file of nativeFiles) {
  runs.push(await measure(Number(path.basename(file, ".json")), JSON.parse(await readFile(file, "utf8"))));
}
await index.close();
console.log(JSON.stringify({ runs, differences, queries: queries.length }));

async function measure(ef, native) {
  const { k } = native;
  let equal = native.results.length === queries.length;
  for (const [row, query] of queries.entries()) {
    const hits = await index.search(query, { k, ef });
    equal = agree(`ef ${ef}, query ${row}`, hits, native.results[row]) && equal;
  }
  let best = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    for (const query of queries) await index.search(query, { k, ef });
    best = Math.max(best, (1000 * queries.length) / (performance.now() - start));
  }
  return { ef, equal, qps: best };
}

/** Distances are f32 on both sides; JSON may have printed them with more or fewer digits. */
function agree(where, hits, native) {
  const ours = describe(hits, hits.stats);
  const theirs = native ? describe(native.hits, native) : "no answer";
  if (ours === theirs) return true;
  if (differences.length < DIFFERENCES_MAX) differences.push(`${where}: Node found ${ours}, the native binary ${theirs}`);
  return false;
}

function describe(hits, { distances, hops }) {
  const list = Array.from(hits, ({ id, distance }) => `${id}@${Math.fround(distance)}`).join(" ");
  return `${list}; ${distances} distances, ${hops} hops`;
}

/** Rows of a .u8bin file. */
async function readRows(file) {
  const bytes = await readFile(file);
  const [rows, dimensions] = [bytes.readUInt32LE(0), bytes.readUInt32LE(4)];
  return Array.from({ length: rows }, (_, row) => new Uint8Array(bytes.subarray(8 + row * dimensions, 8 + (row + 1) * dimensions)));
}
