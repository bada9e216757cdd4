// The figures: what the search on show has fetched, what all have, and each request by itself.

import { GROUP_TEXTS, groupAt } from "./layout.js";

const LISTED = 80;
const whole = new Intl.NumberFormat("en");
const element = (id) => document.getElementById(id);

/** Bytes in words. Units are decimal, as file managers and networks have them. */
export function size(bytes) {
  if (bytes < 1000) return `${Math.round(bytes)} B`;
  if (bytes < 999_500) return `${(bytes / 1e3).toFixed(bytes < 99_950 ? 1 : 0)} kB`;
  return `${(bytes / 1e6).toFixed(bytes < 9.995e6 ? 2 : 1)} MB`;
}

/** Milliseconds in words. */
export function time(ms) {
  return ms < 9.95 ? `${ms.toFixed(1)} ms` : ms < 999.5 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 9995 ? 2 : 1)} s`;
}

/** The share that `part` is of `all`, in words. */
export function share(part, all) {
  const percent = (100 * part) / all;
  return `${percent.toFixed(percent < 10 ? 1 : 0)} %`;
}

/** Keeps the books. `file` is the name of the index. */
export function createLedger(file) {
  let layout;
  let ofSearch = []; // requests since the last `begin`
  const all = { requests: 0, bytes: 0, beside: 0 };
  const sums = {}; // by group: bytes in all, and for the search on show
  let due = 0;
  return { lay, begin, note, settle, totals: () => ({ ...all }), requests: () => [...ofSearch] };

  function lay(found) {
    layout = found;
    for (const group of Object.keys(GROUP_TEXTS)) {
      const bytes = layout.sections.reduce((sum, section, i) => {
        const end = layout.sections[i + 1]?.offset ?? layout.fileBytes;
        return sum + (section.group === group ? end - section.offset : 0);
      }, 0);
      put(`[data-group="${group}"] [data-figure="size"]`, size(bytes));
    }
    show();
  }

  function begin() {
    ofSearch = [];
    for (const sum of Object.values(sums)) sum.now = 0;
    show();
  }

  /** Takes a request into account: when it is sent, and when it has ended. */
  function note(request) {
    if (request.state === "waiting") {
      ofSearch.push(request);
      all.requests++;
    } else if (request.state === "arrived") {
      if (request.file === file) all.bytes += request.received;
      else all.beside += request.received;
      if (layout && request.file === file) addTo(request);
    }
    show();
  }

  function addTo(request) {
    const sum = (sums[groupAt(layout, request.offset)] ??= { now: 0, all: 0 });
    sum.now += request.received;
    sum.all += request.received;
  }

  /** Shows what a search took once it has ended; until then the figures count up. */
  function settle({ requests, rounds, bytes, ms }) {
    put("#figure-requests", whole.format(requests));
    put("#figure-rounds", whole.format(rounds));
    put("#figure-bytes", size(bytes));
    put("#figure-time", time(ms));
    list();
  }

  function show() {
    due ||= requestAnimationFrame(() => {
      due = 0;
      for (const group of Object.keys(GROUP_TEXTS)) {
        const { now = 0, all = 0 } = sums[group] ?? {};
        put(`[data-group="${group}"] [data-figure="now"]`, now ? `+${size(now)}` : "");
        put(`[data-group="${group}"] [data-figure="all"]`, all ? size(all) : "–");
      }
      if (!layout) return;
      put("#total", `${size(all.bytes)} of ${size(layout.fileBytes)} fetched so far, ${share(all.bytes, layout.fileBytes)}`);
      put("#beside", `Beside the file: ${size(all.beside)} of words.`);
      element("total-bar").style.setProperty("--share", Math.min(1, all.bytes / layout.fileBytes));
    });
  }

  /** Every request of the search on show, as a table with a bar for when it was under way. */
  function list() {
    const begun = Math.min(...ofSearch.map(({ sent }) => sent));
    const span = Math.max(1, ...ofSearch.map(({ sent, took }) => sent + took - begun));
    const lines = ofSearch.slice(0, LISTED).map((request) => {
      const group = request.file === file ? layout && groupAt(layout, request.offset) : "words";
      const line = document.createElement("tr");
      line.dataset.group = group;
      const part = Number.isFinite(request.bytes) ? whole.format(request.offset) : "whole file";
      const cells = [group === "words" ? request.file : GROUP_TEXTS[group]?.[0] ?? request.file, part, whole.format(request.received), request.state === "arrived" ? time(request.took) : request.state === "failed" ? "stopped" : "…"];
      cells.forEach((text, i) => {
        const cell = document.createElement(i === 0 ? "th" : "td");
        if (i === 0) cell.scope = "row";
        cell.textContent = text;
        line.append(cell);
      });
      const bar = document.createElement("td");
      bar.append(document.createElement("i"));
      bar.className = "when";
      bar.style.setProperty("--from", (request.sent - begun) / span);
      bar.style.setProperty("--long", request.took / span);
      line.append(bar);
      return line;
    });
    element("requests").replaceChildren(...lines);
    const more = ofSearch.length - lines.length;
    put("#requests-note", ofSearch.length === 0 ? "This search sent none: all that it wanted was here." : more > 0 ? `and ${more} more` : "");
  }
}

function put(selector, text) {
  const place = document.querySelector(selector);
  if (place.textContent !== text) place.textContent = text;
}
