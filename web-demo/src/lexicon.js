// The words that the page knows, and their vectors: the list is fetched once, compressed; of the vectors only those of typed words, each by
// a range of 388 bytes, and kept.

import { ROW_BYTES, embed, knownForm, numbersOf, words } from "./embed.js";

const LIST = "words.txt.gz";
const TABLE = "words.i8";
/** The empty word: its row is the mean of all definitions. */
const MEAN = "";

/** Fetches the list, and the mean. `fetchPart` is asked for everything. */
export async function openLexicon(fetchPart) {
  const ask = (name, init) => demand(fetchPart, name, init);
  const places = await fetchList(ask);
  const rows = new Map();
  let whole;
  const formOf = (word) => knownForm(word, (form) => places.has(form));
  await bring(MEAN);
  return { size: places.size - 1, formOf, vectorOf };

  /**
   * The vector of a phrase, and what it took: `{ vector, requests, bytes }`. Words that are not in the list are left out; without any known
   * word there is no vector. With `mayFetch` false only what is here already is used; undefined where that is not enough.
   */
  async function vectorOf(text, mayFetch = true) {
    const known = words(text).flatMap((word) => formOf(word) ?? []);
    const wanted = [...new Set(known)].filter((word) => !rows.has(word));
    if (known.length === 0) return { vector: undefined, requests: 0, bytes: 0 };
    if (wanted.length > 0 && !mayFetch) return undefined;
    const sizes = await Promise.all(wanted.map(bring));
    const vector = embed(rows.get(MEAN), known.map((word) => rows.get(word)));
    return { vector, requests: wanted.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
  }

  /** Fetches the row of a word; resolves with the bytes that it took. */
  async function bring(word) {
    const from = places.get(word) * ROW_BYTES;
    let took = 0;
    if (!whole) {
      const response = await ask(TABLE, { headers: { range: `bytes=${from}-${from + ROW_BYTES - 1}` }, cache: "no-store" });
      if (response.status === 206) {
        const row = new Uint8Array(await response.arrayBuffer());
        rows.set(word, numbersOf(row));
        return row.length;
      }
      // A host that knows no ranges sends all: once will do.
      if (whole) response.body.cancel();
      else {
        whole = response.arrayBuffer();
        took = (await whole).byteLength;
      }
    }
    rows.set(word, numbersOf(new Uint8Array(await whole, from, ROW_BYTES)));
    return took;
  }
}

/** A good response, or an error that names the file. */
async function demand(fetchPart, name, init) {
  const response = await fetchPart(name, init).catch((error) => {
    throw new Error(`${name} failed (${error.message})`, { cause: error });
  });
  if (!response.ok) throw new Error(`${name} failed (${response.status} ${response.statusText})`);
  return response;
}

async function fetchList(ask) {
  const body = await (await ask(LIST)).arrayBuffer();
  // Some hosts say that a name in .gz is an encoding, and then it has been undone already.
  const packed = new Uint8Array(body, 0, 2).join() === "31,139";
  const text = packed ? await new Response(new Blob([body]).stream().pipeThrough(new DecompressionStream("gzip"))).text() : new TextDecoder().decode(body);
  return new Map(text.slice(0, -1).split("\n").map((word, at) => [word, at]));
}
