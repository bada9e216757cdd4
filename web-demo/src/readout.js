// The figures: what each way of searching cost, what the neighbours agree on, and the same in words for
// whoever listens instead of looking.

const KEPT = 24; // one search may be shorter than a tick of the browser's clock; a mean of several is not
const SPEAK_AFTER_MS = 700;
const whole = new Intl.NumberFormat("en");

const times = { scan: [], walk: [] };
const verdict = document.getElementById("verdict");
let speaking;

/** Shows what both searches cost. `rows` is what the share of distances is measured in. */
export function showCosts({ scan, walk, recall }, rows) {
  showCost("scan", scan.stats, 1, rows);
  showCost("walk", walk.stats, recall, rows);
}

function showCost(plan, stats, recall, rows) {
  const card = document.querySelector(`.engine[data-plan="${plan}"]`);
  const put = (name, text) => (card.querySelector(`[data-figure="${name}"]`).textContent = text);
  noteTime(plan, stats.ms);
  put("time", milliseconds(steadyMean(times[plan])));
  put("distances", whole.format(stats.distances));
  put("hops", whole.format(stats.hops));
  put("recall", recall.toFixed(2));
  card.querySelector('[data-figure="share"]').style.setProperty("--share", Math.min(1, stats.distances / rows));
}

/** Takes a time into account that is not shown by itself. */
export function noteTime(plan, ms) {
  times[plan].push(ms);
  if (times[plan].length > KEPT) times[plan].shift();
}

/** Forgets the times of the walk: at another effort they say nothing. */
export function forgetWalks() {
  times.walk.length = 0;
}

/** The mean of the middle half: what else the machine does in between falls out. */
export function steadyMean(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const aside = Math.floor(sorted.length / 4);
  const middle = sorted.slice(aside, sorted.length - aside);
  return middle.reduce((sum, number) => sum + number, 0) / middle.length;
}

/** A time in words short enough for a card. */
export function milliseconds(ms) {
  if (ms < 0.0995) return `${Math.max(1, Math.round(ms * 1000))} µs`;
  return `${ms.toFixed(ms < 9.95 ? 2 : 1)} ms`;
}

/** Empties the cards: there is nothing on the pad to search for. */
export function showNothing() {
  for (const figure of document.querySelectorAll(".engine dd, .engine b")) figure.textContent = "–";
  for (const bar of document.querySelectorAll('[data-figure="share"]')) bar.style.setProperty("--share", 0);
  verdict.replaceChildren();
  speak("The pad is empty.");
}

/** Shows how many of the hits carry each label, most first. */
export function showVerdict(hits) {
  const counts = countLabels(hits);
  verdict.replaceChildren(...counts.map(([label, count], i) => {
    const part = document.createElement("span");
    part.style.setProperty("--count", count);
    part.style.setProperty("--rank", i);
    part.textContent = `${label} ${count}`;
    part.title = `${count} of ${hits.length}: ${label}`;
    return part;
  }));
}

/** One sentence about the answer, once the visitor pauses. */
export function speakAnswer(hits, plan, { walk, scan, recall }, rows) {
  const [label, count] = countLabels(hits)[0];
  const stats = plan === "walk" ? walk.stats : scan.stats;
  const name = plan === "walk" ? `HNSW, recall ${recall.toFixed(2)}` : "exact scan";
  speak(`${count} of ${hits.length} nearest are ${label}. ${name}, ${whole.format(stats.distances)} of ${whole.format(rows)} distances.`);
}

function countLabels(hits) {
  const counts = new Map();
  for (const { label } of hits) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

function speak(sentence) {
  clearTimeout(speaking);
  speaking = setTimeout(() => (document.getElementById("spoken").textContent = sentence), SPEAK_AFTER_MS);
}
