// Everything that touches the index: open it in parts, ask it, keep to a part of speech.

import { open } from "nearshore";

const FILE = "words.shore";
export const K = 10;

/** Opens the dictionary through `fetchPart`. */
export async function openMeanings(fetchPart) {
  const begun = performance.now();
  const index = await open(FILE, { mode: "lazy", fetch: fetchPart });
  return { index, openMs: performance.now() - begun };
}

/**
 * The nearest meanings to a vector, with `pos` only those of one part of speech: `{ hits, took, complete }`, where `took` is what it cost
 * and `complete` is false when more would have had to be fetched than was allowed.
 */
export async function nearest({ index }, vector, { pos, signal, mayFetch }) {
  const filter = pos ? { column: "pos", eq: pos } : undefined;
  const hits = await index.search(vector, { k: K, payload: true, filter, signal, budget: mayFetch ? undefined : { rounds: 0 } });
  const here = hits.filter((hit) => hit.payload);
  return { hits: here.map((hit) => ({ id: hit.id, distance: hit.distance, ...hit.json() })), took: hits.stats, complete: hits.stats.complete };
}
