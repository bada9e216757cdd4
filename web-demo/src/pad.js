// The drawing pad: 28 x 28 bytes under a brush that a mouse, a finger, a pen or the keyboard moves.
// It knows nothing of searching: it calls `changed(pixels)` and leaves the rest to others.

import { PIXELS, SIDE, paint } from "./picture.js";

const UNDO_MAX = 60;
const SAME_TONE = 24; // how far from the first pixel's value a fill still spreads

const element = (id) => document.getElementById(id);

/** Brings the pad to life; `show` puts a picture on it, `pixels` is what is on it. */
export function createPad(changed) {
  const pad = element("pad");
  const canvas = element("pad-picture");
  const cursor = { x: 13, y: 13, painting: false };
  const past = [];
  let pixels = new Uint8Array(PIXELS);
  let stroke = null; // the last place of the pointer that draws

  const brush = () => ({
    tool: document.querySelector('input[name="tool"]:checked').value,
    radius: Number(element("size").value),
    tone: Number(element("tone").value),
    mirror: element("mirror").checked,
  });

  function refresh() {
    paint(canvas, pixels);
    element("pad-hint").hidden = pixels.some((value) => value > 0);
    element("undo").disabled = past.length === 0;
    changed(pixels);
  }

  function remember() {
    past.push(pixels.slice());
    if (past.length > UNDO_MAX) past.shift();
  }

  function show(next) {
    remember();
    pixels = Uint8Array.from(next);
    refresh();
  }

  function undo() {
    const last = past.pop();
    if (!last) return;
    pixels = last;
    refresh();
  }

  function placeOf(event) {
    const box = canvas.getBoundingClientRect();
    return { x: ((event.clientX - box.left) / box.width) * SIDE, y: ((event.clientY - box.top) / box.height) * SIDE };
  }

  pad.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    pad.setPointerCapture(event.pointerId);
    pad.dataset.by = "pointer";
    remember();
    stroke = placeOf(event);
    apply(pixels, stroke, stroke, brush());
    refresh();
  });
  pad.addEventListener("pointermove", (event) => {
    if (!stroke || brush().tool === "fill") return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const step of events.length > 0 ? events : [event]) {
      const next = placeOf(step);
      apply(pixels, stroke, next, brush());
      stroke = next;
    }
    refresh();
  });
  for (const name of ["pointerup", "pointercancel"]) pad.addEventListener(name, () => (stroke = null));

  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  pad.addEventListener("keydown", (event) => {
    if (event.key === "z" && (event.ctrlKey || event.metaKey)) undo();
    else if (event.key === " ") press(event.repeat);
    else if (moves[event.key]) move(moves[event.key]);
    else return;
    event.preventDefault();
  });
  pad.addEventListener("keyup", (event) => {
    if (event.key === " ") cursor.painting = false;
  });
  pad.addEventListener("blur", () => (cursor.painting = false));

  function press(repeated) {
    pad.dataset.by = "keys";
    if (repeated) return;
    cursor.painting = true;
    remember();
    applyAtCursor();
  }

  function move([dx, dy]) {
    pad.dataset.by = "keys";
    cursor.x = Math.min(SIDE - 1, Math.max(0, cursor.x + dx));
    cursor.y = Math.min(SIDE - 1, Math.max(0, cursor.y + dy));
    placeCursor();
    if (cursor.painting && brush().tool !== "fill") applyAtCursor();
    element("pad-place").textContent = `column ${cursor.x + 1}, row ${cursor.y + 1}`;
  }

  function applyAtCursor() {
    const place = { x: cursor.x + 0.5, y: cursor.y + 0.5 };
    apply(pixels, place, place, brush());
    refresh();
  }

  function placeCursor() {
    element("pad-cursor").style.setProperty("--x", cursor.x);
    element("pad-cursor").style.setProperty("--y", cursor.y);
  }

  element("undo").addEventListener("click", undo);
  element("clear").addEventListener("click", () => show(new Uint8Array(PIXELS)));
  placeCursor();
  return { show, get pixels() { return pixels; } };
}

/** Applies a tool along a line, and along its mirror image when asked. */
function apply(pixels, from, to, { tool, radius, tone, mirror }) {
  const flip = ({ x, y }) => ({ x: SIDE - x, y });
  const lines = mirror ? [[from, to], [flip(from), flip(to)]] : [[from, to]];
  for (const [a, b] of lines) {
    if (tool === "fill") fill(pixels, a, tone);
    else line(pixels, a, b, radius, tool === "erase" ? null : tone);
  }
}

function line(pixels, from, to, radius, tone) {
  const steps = Math.max(1, Math.ceil(Math.hypot(to.x - from.x, to.y - from.y) * 2));
  for (let i = 1; i <= steps; i++) {
    const t = i / steps;
    stamp(pixels, from.x + (to.x - from.x) * t, from.y + (to.y - from.y) * t, radius, tone);
  }
}

/** One round dab with a soft edge one pixel wide; a tone of null erases. */
function stamp(pixels, x, y, radius, tone) {
  for (let row = Math.max(0, Math.floor(y - radius - 1)); row <= Math.min(SIDE - 1, y + radius + 1); row++) {
    for (let column = Math.max(0, Math.floor(x - radius - 1)); column <= Math.min(SIDE - 1, x + radius + 1); column++) {
      const cover = Math.min(1, Math.max(0, radius + 0.5 - Math.hypot(column + 0.5 - x, row + 0.5 - y)));
      if (cover === 0) continue;
      const at = row * SIDE + column;
      const ink = tone === null ? 0 : tone;
      const mixed = Math.round(pixels[at] + (ink - pixels[at]) * cover);
      pixels[at] = tone === null || cover === 1 ? mixed : Math.max(pixels[at], mixed);
    }
  }
}

/** Floods the pixels around a place that look like the one there. */
function fill(pixels, place, tone) {
  const x = Math.floor(place.x);
  const y = Math.floor(place.y);
  if (x < 0 || y < 0 || x >= SIDE || y >= SIDE) return;
  const old = pixels[y * SIDE + x];
  const seen = new Uint8Array(PIXELS);
  const todo = [[x, y]];
  while (todo.length > 0) {
    const [column, row] = todo.pop();
    if (column < 0 || row < 0 || column >= SIDE || row >= SIDE) continue;
    const at = row * SIDE + column;
    if (seen[at] || Math.abs(pixels[at] - old) > SAME_TONE) continue;
    seen[at] = 1;
    pixels[at] = tone;
    todo.push([column - 1, row], [column + 1, row], [column, row - 1], [column, row + 1]);
  }
}
