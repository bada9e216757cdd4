// Wires the page of words together: what is typed becomes a vector, the vector a search of a file of which only parts are here, and every
// request a light in the picture of that file. A new letter stops the search before.

import { createFileMap } from "./filemap.js";
import { GROUP_TEXTS, groupAt, layoutOf } from "./layout.js";
import { K, nearest, openMeanings } from "./meanings.js";
import { createLedger, share, size, time } from "./ledger.js";
import { createWire } from "./wire.js";
import { openLexicon } from "./lexicon.js";
import { showEntries, walkWithArrows } from "./entries.js";
import { words } from "./embed.js";

const FILE = "words.shore";
const EXAMPLE = "someone who fixes shoes";
const PAUSE_MS = 110; // after the last letter
const SPEAK_AFTER_MS = 700;

const element = (id) => document.getElementById(id);
const box = element("query");
const root = document.documentElement;
const ledger = createLedger(FILE);
const map = createFileMap(element("map"), (text) => (element("map-scale").textContent = text));
const wire = createWire(watch);
let layout;
let askNow = () => {}; // until both files are open

function watch(request) {
  if (request.file === FILE) {
    if (!layout && request.body) lay(layoutOf(request.body));
    map.touch(request);
  }
  ledger.note(request);
}

function lay(found) {
  layout = found;
  if (!layout) return;
  map.lay(layout, groupAt);
  ledger.lay(layout);
}

async function start() {
  root.dataset.busy = "true";
  control();
  const begun = performance.now();
  const [meanings, lexicon] = await Promise.all([openMeanings(wire.fetch), openLexicon(wire.fetch)]);
  const openMs = performance.now() - begun;
  sayFacts(meanings.index.info, lexicon, openMs);

  let running = new AbortController();
  let waiting;
  const ask = async () => {
    running.abort();
    running = new AbortController();
    await search(meanings, lexicon, running.signal).catch((error) => {
      if (error.code !== "aborted" && error.name !== "AbortError") fail(error);
    });
  };
  askNow = () => {
    clearTimeout(waiting);
    root.dataset.busy = "true";
    return ask();
  };
  box.addEventListener("input", () => {
    root.dataset.busy = "true";
    clearTimeout(waiting);
    waiting = setTimeout(ask, PAUSE_MS);
  });
  addEventListener("hashchange", () => {
    box.value = typedBefore();
    askNow();
  });
  for (const choice of document.querySelectorAll('input[name="pos"]')) choice.addEventListener("input", askNow);
  element("cut").addEventListener("input", askNow);
  for (const example of document.querySelectorAll("#examples button")) {
    example.addEventListener("click", () => {
      box.value = example.textContent;
      askNow();
    });
  }
  if (!box.value) box.value = typedBefore();
  root.dataset.ready = "true";
  await askNow();
}

/** Searches from an entry. */
function choose({ definition }) {
  box.value = definition;
  box.focus();
  scrollTo({ top: 0, behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  askNow();
}

/** One search: words to a vector, vector to entries, entries to the page. */
async function search(meanings, lexicon, signal) {
  const phrase = box.value.trim();
  const pos = document.querySelector('input[name="pos"]:checked').value;
  const mayFetch = !wire.cut;
  const begun = performance.now();
  ledger.begin();
  map.begin();
  history.replaceState(null, "", phrase === EXAMPLE ? location.pathname : `#q=${encodeURIComponent(phrase)}`);
  sayWords(phrase, lexicon);
  const asked = await lexicon.vectorOf(phrase, mayFetch);
  signal.throwIfAborted();
  if (asked && !asked.vector) return settle([], { requests: 0, rounds: 0, bytes: 0, ms: 0 }, phrase ? "None of these words is known here." : "Type what you are looking for.");
  const answer = asked ? await nearest(meanings, asked.vector, { pos, signal, mayFetch }) : { hits: [], took: { requests: 0, rounds: 0, bytes: 0 }, complete: false };
  signal.throwIfAborted();
  const cost = {
    requests: answer.took.requests + (asked?.requests ?? 0),
    rounds: answer.took.rounds + (asked?.requests ? 1 : 0),
    bytes: answer.took.bytes + (asked?.bytes ?? 0),
    ms: performance.now() - begun,
  };
  settle(answer.hits, cost, noteOf(answer, asked, pos, meanings.index.size));
}

/** What the reader should know about this answer. */
function noteOf({ hits, complete }, asked, pos, rows) {
  if (!asked) return "Offline: some of these words have not been fetched before.";
  if (!complete) return hits.length > 0 ? "Offline: of the nearest, these are here." : "Offline: this search needs parts of the file that have not been fetched before.";
  const all = rows.toLocaleString("en");
  return `The ${hits.length} nearest ${pos ? `${pos}s of ${all} definitions` : `of ${all}`}, by cosine distance.`;
}

function settle(hits, cost, note) {
  element("failed").hidden = true;
  showEntries(hits, choose);
  ledger.settle(cost);
  element("note").textContent = note;
  root.dataset.busy = "false";
  speak(hits, cost, note);
}

/** Every word typed, and whether it is known: an unknown one does not count. */
function sayWords(phrase, lexicon) {
  const parts = words(phrase).map((word) => {
    const form = lexicon.formOf(word);
    const part = document.createElement(form ? "span" : "s");
    part.textContent = word;
    if (form !== word) part.title = form ? `read as “${form}”` : "not among the words known here: it does not count";
    return part;
  });
  element("understood").replaceChildren(...parts.flatMap((part) => [part, " "]));
}

let speaking;
function speak(hits, cost, note) {
  clearTimeout(speaking);
  const found = hits.length > 0 ? `Nearest: ${hits[0].lemma}, ${hits[0].pos}. ${cost.requests} requests, ${size(cost.bytes)}.` : "";
  speaking = setTimeout(() => (element("spoken").textContent = `${note} ${found}`.trim()), SPEAK_AFTER_MS);
}

/** The slider and the switch. */
function control() {
  const latency = element("latency");
  const follow = () => {
    wire.latency = Number(latency.value);
    element("latency-value").textContent = `${latency.value} ms`;
    latency.setAttribute("aria-valuetext", `${latency.value} milliseconds`);
  };
  latency.addEventListener("input", follow);
  follow();
  const cut = element("cut");
  cut.addEventListener("input", () => {
    wire.cut = cut.checked;
    root.dataset.cut = cut.checked;
  });
  cut.checked = false; // a reload may have kept it
  element("search").addEventListener("submit", (event) => {
    event.preventDefault();
    askNow();
  });
  walkWithArrows(box);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) {
      event.preventDefault();
      box.select();
    }
    if (event.key === "Escape" && element("entries").contains(document.activeElement)) box.focus();
  });
}

/** The phrase that the address names, else the example. */
function typedBefore() {
  const asked = new URLSearchParams(location.hash.slice(1)).get("q");
  return asked ?? EXAMPLE;
}

function sayFacts({ rows, fileBytes, backend }, lexicon, openMs) {
  const { bytes, beside } = ledger.totals();
  element("rows").textContent = rows.toLocaleString("en");
  element("facts").textContent = `words.shore: ${rows.toLocaleString("en")} definitions, ${size(fileBytes)}; opened in ${time(openMs)} by reading ${size(bytes)} of it (${share(bytes, fileBytes)}) and a list of words, ${size(beside)} (${backend}).`;
  element("known").textContent = lexicon.size.toLocaleString("en");
}

function fail(error) {
  console.error(error);
  showEntries([], choose);
  element("note").textContent = "";
  root.dataset.busy = "false";
  const place = element("failed");
  place.textContent = `Something went wrong: ${error.message}`;
  place.hidden = false;
}

for (const [group, [name, what]] of Object.entries(GROUP_TEXTS)) {
  const line = document.querySelector(`[data-group="${group}"]`);
  line.querySelector("b").textContent = name;
  line.querySelector("small").textContent = what;
}
start().catch(fail);
