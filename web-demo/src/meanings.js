// Everything that touches the index: open it in parts, ask it, keep to a part of speech.

import { open } from "nearshore";

const FILE = "words.shore";
export const K = 10;

/** Ids are WordNet's: a digit for the part of speech, then eight of its offset. */
const DIGITS = { noun: 1, verb: 2, adjective: 3, adverb: 4 };
/** How far down the list of the nearest one part of speech is looked for. */
const DEPTHS = [40, 120];
/** How well: a long list is dear, and most of it is not for show. */
const RECALL = 0.85;

/** Opens the dictionary through `fetchPart`. */
export async function openMeanings(fetchPart) {
  const begun = performance.now();
  const index = await open(FILE, { mode: "lazy", fetch: fetchPart });
  return { index, openMs: performance.now() - begun };
}

/**
 * The nearest meanings to a vector: `{ hits, took, looked }`, where `took` sums up what it cost, and `complete` is false when more
 * would have had to be fetched than was allowed. With `pos` only those of one part of speech, which ids tell, so that no column and no
 * engine for filters is needed: more hits are asked for, without payloads, until ten of them are of that kind; `looked` says how many.
 */
export async function nearest({ index }, vector, { pos, signal, mayFetch }) {
  const digit = DIGITS[pos];
  const budget = mayFetch ? undefined : { rounds: 0 };
  const took = { rounds: 0, requests: 0, bytes: 0, cached: 0, distances: 0 };
  const search = async (k, payload) => {
    const hits = await index.search(vector, { k, payload, signal, ...(budget && { budget }), ...(digit && { recall: RECALL }) });
    for (const name of Object.keys(took)) took[name] += hits.stats[name];
    return hits;
  };
  const fits = (hit) => digit === undefined || Math.floor(hit.id / 1e8) === digit;
  let [wanted, looked] = [K, K];
  if (digit !== undefined) {
    for (const depth of DEPTHS) {
      const hits = await search(depth, false);
      if (!hits.stats.complete) return { hits: [], took, looked: depth, complete: false };
      const places = hits.flatMap((hit, at) => (fits(hit) ? [at + 1] : []));
      [wanted, looked] = [places[K - 1] ?? places.at(-1) ?? 0, places[K - 1] ?? depth];
      if (places.length >= K) break;
    }
    if (wanted === 0) return { hits: [], took, looked, complete: true };
  }
  const hits = await search(wanted, true);
  return { hits: hits.filter((hit) => fits(hit) && hit.payload).slice(0, K).map(entryOf), took, looked, complete: hits.stats.complete };
}

function entryOf(hit) {
  return { id: hit.id, distance: hit.distance, ...hit.json() };
}
