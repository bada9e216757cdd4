// Makes filters.shore, filters-tiles.shore and filters.json, the answers of the command line: node tests/conformance/make-filters.mjs target/debug/nearshore
// Files with columns, whole and in tiles; conditions of every selectivity; the same answers are asked of the native library, Node and Chromium.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rows } from "./rows.mjs";

const [command] = process.argv.slice(2);
const [ROWS, DIMENSIONS, QUERIES] = [900, 16, 4];
const folder = mkdtempSync(join(tmpdir(), "filters-"));
const here = (name) => join(import.meta.dirname, name);
const run = (...args) => execFileSync(command, args, { maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "inherit"] });

/** Numbers in clusters, so that a condition on `group` keeps rows that lie together. */
const values = rows("f32", DIMENSIONS, ROWS + QUERIES, 77n);
const vector = (row) => Array.from({ length: DIMENSIONS }, (_, i) => Math.fround(values[row * DIMENSIONS + i] / 4 + (((row % 9) * (i + 3)) % 7) - 3));
const BRANDS = ["acme", "b\"q", "caf\u00e9", "zeta"];
const line = (row) => JSON.stringify({
  id: row * 5 + 2, vector: vector(row), text: `row ${row}`, group: row % 9, price: (row * 37) % 100,
  ...(row % 4 !== 1 && { brand: BRANDS[(row * 7) % 4] }), ...(row % 5 !== 2 && { score: (row % 41) / 8 }), sold: row % 3 === 0,
});

/** What is asked, and how. */
const FILTERS = [
  "price < 20 and brand in (\"acme\", \"zeta\")", "price >= 1", "group = 3", "group = 3 or group = 4", "not sold", "brand is null", "score between 0.5 and 1.5 and not sold",
  "brand = 'b\"q'", "price = 36", "price > 1000", "brand >= 'caf\u00e9'", "price < 50 and (sold or score > 4)",
];
const OPTIONS = [{ k: 10 }, { k: 25, recall: 0.99 }, { k: 3, ef: 40 }, { k: 5, plan: "tiles" }];

try {
  writeFileSync(join(folder, "rows.jsonl"), Array.from({ length: ROWS }, (_, row) => `${line(row)}\n`).join(""));
  const queries = Array.from({ length: QUERIES }, (_, query) => vector(ROWS + query));
  const flat = Float32Array.from(queries.flat());
  writeFileSync(join(folder, "queries.fbin"), Buffer.concat([Buffer.from(Uint32Array.of(QUERIES, DIMENSIONS).buffer), Buffer.from(flat.buffer)]));
  const columns = "group,price,brand,score,sold";
  run("build", join(folder, "rows.jsonl"), "-o", here("filters.shore"), "--metric", "l2", "--m", "8", "--ef-construction", "60", "--columns", columns, "--payload", "text", "--originals", "drop", "--force", "--quiet");
  run("export", here("filters.shore"), "-o", here("filters-tiles.shore"), "--for", "web", "--tile-rows", "16", "--force", "--quiet");
  const searches = [];
  for (const file of ["filters", "filters-tiles"]) {
    for (const filter of FILTERS) {
      for (const options of OPTIONS) {
        if (options.plan === "tiles" && file === "filters") continue;
        const asked = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
        const answer = JSON.parse(run("search", here(`${file}.shore`), "--queries", join(folder, "queries.fbin"), "--filter", filter, ...asked, "--json"));
        answer.results.forEach(({ hits, distances, hops }, query) => searches.push({ file, filter, options, query, matching: answer.matching, hits: hits.map(({ id, distance, payload }) => [id, distance, payload]), distances, hops }));
      }
    }
  }
  const text = searches.map((search) => JSON.stringify(search)).join(",\n");
  writeFileSync(here("filters.json"), `{"queries":${JSON.stringify(queries)},\n"searches":[\n${text}\n]}\n`);
} finally {
  rmSync(folder, { recursive: true });
}
