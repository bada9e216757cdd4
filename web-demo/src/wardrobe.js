// Everything that touches the index: open it, ask it, read pictures back out of it.
//
// One file serves the whole page. Byte records are stored exactly, so `index.get(id)` returns the very
// pixels that the native build read, and the payload of a row is its label.

import { open } from "nearshore";
import { PIXELS } from "./picture.js";

export const K = 20;

/** Opens the index and the garments that were held out of it, and searches for a few of them with effort `ef`. */
export async function openWardrobe(ef, noteTime) {
  const garments = await fetchGarments();
  const begun = performance.now();
  // In a page the package searches in a worker unless told otherwise. Here a search takes less than a
  // frame, and a message to a worker and back would wait for the tiles to be painted in between.
  const index = await open("fashion.shore", { worker: false });
  const wardrobe = { index, garments, openMs: performance.now() - begun, pictures: new Map() };
  await warmUp(wardrobe, ef, noteTime);
  return wardrobe;
}

async function fetchGarments() {
  const [pixels, labels] = await Promise.all([fetchOk("garments.u8bin"), fetchOk("garments.txt")]);
  const bytes = new Uint8Array(await pixels.arrayBuffer()).subarray(8);
  const names = (await labels.text()).trimEnd().split("\n");
  return names.map((label, i) => ({ label, pixels: bytes.slice(i * PIXELS, (i + 1) * PIXELS) }));
}

async function fetchOk(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
  return response;
}

/**
 * The first touch of a block checks it, and a browser compiles what runs often: neither is what the page
 * times, so the first few searches are not noted.
 */
async function warmUp({ index, garments }, ef, noteTime) {
  for (let i = 0; i < 24; i++) {
    const { pixels } = garments[i];
    const scan = await index.search(pixels, { k: K, plan: "scan" });
    const walk = await index.search(pixels, { k: K, plan: "walk", ef });
    if (i < 8) continue;
    noteTime("scan", scan.stats.ms);
    noteTime("walk", walk.stats.ms);
  }
}

/**
 * Searches both ways. `recall` is the share of the walk's hits that are as near as the exact answer's
 * last, so that a tie for the last place counts for either garment; `missed` are exact hits that the walk lacks.
 */
export async function searchBoth({ index }, pixels, ef) {
  const scan = await index.search(pixels, { k: K, plan: "scan" });
  const walk = await index.search(pixels, { k: K, plan: "walk", ef });
  const found = new Set(walk.map((hit) => hit.id));
  const missed = scan.filter((hit) => !found.has(hit.id));
  return { scan, walk, missed, recall: recallOf(walk, scan) };
}

/** Recall of `hits` measured against the exact answer to the same query. */
export function recallOf(hits, exact) {
  const last = exact[exact.length - 1].distance;
  return hits.filter((hit) => hit.distance <= last).length / exact.length;
}

/** The pixels of a row, read from the index once. */
export async function pixelsOf({ index, pictures }, id) {
  if (!pictures.has(id)) pictures.set(id, Uint8Array.from((await index.get(id)).vector));
  return pictures.get(id);
}

/**
 * Runs `work` for the newest argument only: whatever arrives while it runs replaces what waits.
 * `busy(true)` is called when the first one starts, `busy(false)` when nothing is left.
 */
export function newestOnly(work, busy) {
  let waiting = null;
  let running = false;
  return async (argument) => {
    waiting = { argument };
    if (running) return;
    running = true;
    busy(true);
    try {
      while (waiting) {
        const next = waiting.argument;
        waiting = null;
        await work(next);
      }
    } finally {
      running = false;
      busy(false);
    }
  };
}
