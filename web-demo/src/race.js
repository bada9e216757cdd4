// The experiment at the foot of the page: every held-out garment, by exact scan and at every effort,
// measured in the visitor's own browser. A table says it all; the chart beside it shows the trade.

import { K, recallOf } from "./wardrobe.js";
import { milliseconds, steadyMean } from "./readout.js";

const FRAME_MS = 12;
const whole = new Intl.NumberFormat("en");
const SVG = "http://www.w3.org/2000/svg";
const element = (id) => document.getElementById(id);

/** Arms the button. */
export function createRace({ index, garments }, efforts, fail) {
  const button = element("measure");
  element("held-out").textContent = whole.format(garments.length);
  button.addEventListener("click", async () => {
    button.setAttribute("aria-disabled", "true");
    if (button.dataset.running) return;
    button.dataset.running = "true";
    try {
      await run(index, garments, efforts);
    } catch (error) {
      fail(error);
    }
    delete button.dataset.running;
    button.removeAttribute("aria-disabled");
    button.textContent = "Measure again";
  });
}

async function run(index, garments, efforts) {
  const results = [];
  const exact = await measure(index, garments, { plan: "scan" }, "Exact scan");
  results.push({ ...exact, recall: 1 });
  render(results, efforts.length + 1);
  for (const ef of efforts) {
    const walk = await measure(index, garments, { plan: "walk", ef }, `ef ${ef}`);
    const recall = mean(walk.answers.map((hits, i) => recallOf(hits, exact.answers[i])));
    results.push({ ...walk, recall });
    render(results, efforts.length + 1);
  }
  const best = results.find((result) => result.plan === "walk" && result.recall >= 0.99);
  element("race-status").textContent = best
    ? `Measured. HNSW reaches recall ${best.recall.toFixed(3)} with ${whole.format(Math.round(best.distances))} distances a search, ${(exact.ms / best.ms).toFixed(1)} times as fast as the exact scan.`
    : "Measured.";
}

async function measure(index, garments, options, name) {
  element("race-status").textContent = `Measuring: ${name}`;
  const answers = [];
  let paused = performance.now();
  for (const { pixels } of garments) {
    answers.push(await index.search(pixels, { k: K, ...options }));
    if (performance.now() - paused < FRAME_MS) continue;
    await new Promise((resume) => setTimeout(resume)); // searches run in this thread: let the page breathe
    paused = performance.now();
  }
  const stats = answers.map((hits) => hits.stats);
  return {
    name, answers, plan: options.plan,
    ms: steadyMean(stats.map((one) => one.ms)),
    distances: mean(stats.map((one) => one.distances)),
    hops: mean(stats.map((one) => one.hops)),
  };
}

function mean(numbers) {
  return numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
}

function render(results, expected) {
  element("race-result").replaceChildren(chart(results), table(results, expected));
}

function table(results, expected) {
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const name of ["", `Recall@${K}`, "Time a search", "Distances", "Hops"]) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name;
    head.append(cell);
  }
  const body = table.createTBody();
  for (let i = 0; i < expected; i++) {
    const result = results[i];
    const row = body.insertRow();
    const name = document.createElement("th");
    name.scope = "row";
    name.textContent = result?.name ?? "\u00a0";
    row.append(name);
    const figures = result && [
      result.recall.toFixed(3), milliseconds(result.ms), whole.format(Math.round(result.distances)),
      whole.format(Math.round(result.hops)),
    ];
    for (let column = 0; column < 4; column++) row.insertCell().textContent = figures?.[column] ?? "";
  }
  return table;
}

/** Recall to the right, searches a second upwards: the better, the nearer to the upper right corner. */
function chart(results) {
  const [width, height, left, right, top, bottom] = [460, 300, 52, 18, 16, 42];
  const rates = results.map((result) => 1000 / result.ms);
  const lowest = Math.min(...results.map((result) => result.recall), 0.98);
  const from = Math.floor(lowest * 50) / 50;
  const most = Math.max(...rates) * 1.12;
  const x = (recall) => left + ((recall - from) / (1 - from)) * (width - left - right);
  const y = (rate) => height - bottom - (rate / most) * (height - top - bottom);

  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Recall against searches a second; the table has the same figures" });
  for (const tick of ticks(from, 1)) svg.append(shape("path", { d: `M${x(tick)} ${top}V${height - bottom}`, class: "grid" }), text(x(tick), height - bottom + 16, tick.toFixed(2), "middle"));
  for (const tick of ticks(0, most)) svg.append(shape("path", { d: `M${left} ${y(tick)}H${width - right}`, class: "grid" }), text(left - 8, y(tick) + 4, compact(tick), "end"));
  svg.append(text(width - right, height - 8, `recall@${K}`, "end"), text(left, top - 5, "searches a second", "start"));

  const walks = results.map((result, i) => ({ ...result, rate: rates[i] })).filter((result) => result.plan === "walk");
  svg.append(shape("polyline", { points: walks.map((result) => `${x(result.recall)},${y(result.rate)}`).join(" "), class: "line" }));
  results.forEach((result, i) => {
    const dot = shape("circle", { cx: x(result.recall), cy: y(rates[i]), r: 5, class: result.plan });
    const title = shape("title", {});
    title.textContent = `${result.name}: recall ${result.recall.toFixed(3)}, ${whole.format(Math.round(rates[i]))} searches a second`;
    dot.append(title);
    svg.append(dot);
  });
  return svg;
}

function ticks(from, to) {
  const rough = (to - from) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const marks = [];
  for (let i = Math.ceil(from / step - 1e-9); i * step <= to + 1e-9; i++) marks.push(i * step + 0); // + 0 turns -0 into 0
  return marks;
}

function compact(number) {
  return new Intl.NumberFormat("en", { notation: "compact" }).format(number);
}

function shape(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

function text(x, y, words, anchor) {
  const node = shape("text", { x, y, "text-anchor": anchor });
  node.textContent = words;
  return node;
}
