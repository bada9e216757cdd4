// Wires the page together: the shelf puts a garment on the pad, the pad's pixels go to the index, the
// answer goes to the tiles and the figures. At most one search runs at a time and the newest wins, so
// the page follows the brush on any machine, with as many searches as it can do and no queue.

import { createPad } from "./pad.js";
import { createRace } from "./race.js";
import { createShelf } from "./shelf.js";
import { keepForOffline } from "./offline.js";
import { forgetWalks, milliseconds, noteTime, showCosts, showNothing, showVerdict, speakAnswer } from "./readout.js";
import { newestOnly, openWardrobe, pixelsOf, searchBoth } from "./wardrobe.js";
import { clearHits, showHits, showMissed } from "./hits.js";

const EFFORTS = [20, 30, 40, 60, 80, 120, 160, 240, 320];
const FIRST = 12; // a pullover: the garment on the pad when the page opens

const element = (id) => document.getElementById(id);
const plan = () => document.querySelector('input[name="plan"]:checked').value;
const ef = () => EFFORTS[Number(element("ef").value)];

async function start() {
  element("ef-value").textContent = `ef ${ef()}`; // a reload may have kept the slider where it was
  const wardrobe = await openWardrobe(ef(), noteTime);
  const rows = wardrobe.index.size;
  sayFacts(wardrobe.index.info, wardrobe.openMs);

  const searchNewest = newestOnly(async (pixels) => {
    if (!pixels.some((value) => value > 0)) return clear();
    const answer = await searchBoth(wardrobe, pixels, ef());
    const chosen = plan();
    const hits = await Promise.all(answer[chosen].map((hit) => dress(wardrobe, hit)));
    const missed = await Promise.all(answer.missed.map((hit) => dress(wardrobe, hit)));
    showCosts(answer, rows);
    showVerdict(hits);
    showHits(hits, (hit) => pad.show(hit.pixels));
    showMissed(missed, answer.scan.length);
    speakAnswer(hits, chosen, answer, rows);
  }, (busy) => (document.documentElement.dataset.busy = busy));
  const search = (pixels) => searchNewest(pixels.slice()).catch(fail);
  const shelf = createShelf(wardrobe.garments, (garment) => pad.show(garment.pixels));
  const pad = createPad((pixels) => {
    shelf.mark(undefined);
    search(pixels);
  });
  pad.show(wardrobe.garments[FIRST].pixels);
  shelf.mark(FIRST);
  for (const choice of document.querySelectorAll('input[name="plan"]')) {
    choice.addEventListener("input", () => search(pad.pixels));
  }
  element("ef").addEventListener("input", () => {
    element("ef-value").textContent = `ef ${ef()}`;
    forgetWalks();
    search(pad.pixels);
  });
  createRace(wardrobe, EFFORTS, fail);
  document.documentElement.dataset.ready = "true";
  await keepForOffline();
}

async function dress(wardrobe, hit) {
  return { id: hit.id, distance: hit.distance, label: hit.text(), pixels: await pixelsOf(wardrobe, hit.id) };
}

function clear() {
  showNothing();
  clearHits();
}

function sayFacts({ rows, fileBytes, backend }, openMs) {
  const count = rows.toLocaleString("en");
  element("rows").textContent = count;
  element("facts").textContent = `fashion.shore: ${count} rows, ${(fileBytes / 1e6).toFixed(1)} MB, built by the native binary, opened here in ${milliseconds(openMs)} (${backend}).`;
}

function fail(error) {
  console.error(error);
  const words = document.createElement("p");
  words.className = "failed";
  words.setAttribute("role", "alert");
  words.textContent = `Something went wrong: ${error.message}`;
  document.querySelector("main").prepend(words);
}

start().catch(fail);
