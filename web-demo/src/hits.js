// The nearest garments. A tile is kept while its row stays among the hits, so it can be seen to travel
// when the order changes; pressing a tile makes it the garment to search from.

import { picture } from "./picture.js";

const TRAVEL_MS = 180;
const MISSED_SHOWN = 12;
const short = new Intl.NumberFormat("en", { notation: "compact", minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
const still = matchMedia("(prefers-reduced-motion: reduce)");

const list = document.getElementById("hits");
const missedLine = document.getElementById("missed");
const tiles = new Map(); // id -> tile

/** Shows hits, each `{ id, label, distance, pixels }`, nearest first. */
export function showHits(hits, pressed) {
  const before = still.matches ? new Map() : new Map([...tiles].map(([id, tile]) => [id, placeOf(tile)]));
  const shown = hits.map((hit) => {
    const tile = tiles.get(hit.id) ?? createTile(hit, pressed);
    describe(tile, hit);
    return tile;
  });
  const ids = new Set(hits.map((hit) => hit.id));
  for (const id of tiles.keys()) if (!ids.has(id)) tiles.delete(id);
  arrange(shown);
  if (!still.matches) for (const hit of hits) travel(tiles.get(hit.id), before.get(hit.id));
}

/** Puts tiles in order and touches only those out of place, so that the focus stays where it is. */
function arrange(shown) {
  for (const child of [...list.children]) if (!shown.includes(child)) child.remove();
  shown.forEach((tile, i) => {
    if (list.children[i] !== tile) list.insertBefore(tile, list.children[i] ?? null);
  });
}

function createTile(hit, pressed) {
  const tile = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  const label = document.createElement("span");
  const distance = document.createElement("small");
  button.append(picture(hit.pixels), label, distance);
  button.addEventListener("click", () => pressed(hit));
  tile.append(button);
  tiles.set(hit.id, tile);
  return tile;
}

function describe(tile, { id, label, distance }) {
  const [, name, small] = tile.firstElementChild.children;
  name.textContent = label;
  small.textContent = short.format(distance);
  tile.firstElementChild.title = `row ${id}, squared distance ${distance.toLocaleString("en")}`;
}

function placeOf(tile) {
  return { left: tile.offsetLeft, top: tile.offsetTop };
}

function travel(tile, from) {
  if (!from) {
    tile.animate([{ opacity: 0, transform: "scale(.92)" }, { opacity: 1, transform: "none" }], TRAVEL_MS);
    return;
  }
  const to = placeOf(tile);
  const [x, y] = [from.left - to.left, from.top - to.top];
  if (x === 0 && y === 0) return;
  tile.animate([{ transform: `translate(${x}px, ${y}px)` }, { transform: "none" }], { duration: TRAVEL_MS, easing: "ease-out" });
}

/** Says which garments of the exact answer are not among the walk's. */
export function showMissed(missed, of) {
  const words = missed.length === 0 ? `HNSW found all ${of} of the exact answer.` : `HNSW missed ${missed.length} of ${of}:`;
  missedLine.replaceChildren(words, ...missed.slice(0, MISSED_SHOWN).map((hit) => {
    const canvas = picture(hit.pixels);
    canvas.title = `${hit.label}, squared distance ${hit.distance.toLocaleString("en")}`;
    return canvas;
  }));
}

/** Takes everything away: there is nothing to search for. */
export function clearHits() {
  showHits([]);
  missedLine.replaceChildren();
}
