// The page of words, used as a person would. Its index is a file on a server that counts what it is asked for; the truth is brute force
// over the same vectors. Needs data/ and dist/ (`npm run build`); SCREENSHOT_WORDS=path also keeps a picture of it.

import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, test } from "node:test";
import { readDictionary } from "../dictionary.mjs";
import { ROW_BYTES, embed, knownForm, numbersOf, words } from "../src/embed.js";
import { launch, serveDist } from "./browser.mjs";

const K = 10;
const SHOES = "someone who fixes shoes";
/** What one search may fetch: codes, records and payloads, not the file. */
const SEARCH_MAX = 400_000;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const fileBytes = statSync(new URL("../dist/words.shore", import.meta.url)).size;
let browser, site;

before(async () => {
  [browser, site] = await Promise.all([launch(), serveDist()]);
});
after(async () => {
  await browser?.close();
  await site?.close();
});

/** Opens the page, by default with nothing in the box; requests for parts of the index and of the words land in `page.parts`. */
async function openWords(options = {}, hash = "#q=") {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  Object.assign(page, { complaints: [], parts: [] });
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.complaints.push(message.text());
  });
  page.on("pageerror", (error) => page.complaints.push(error.message));
  page.on("response", async (response) => {
    const range = response.request().headers().range;
    if (/words\.(shore|i8)$/.test(response.url())) page.parts.push({ file: response.url().split("/").pop(), range, status: response.status() });
  });
  await page.goto(`${site.url}words.html${hash}`);
  await page.waitForSelector("html[data-ready]", { timeout: 60_000 });
  await settled(page);
  return page;
}

function onWords(name, options, body) {
  test(name, async () => {
    const page = await openWords(options);
    await body(page);
    assert.deepEqual(page.complaints, []);
    await page.context().close();
  });
}

const settled = (page) => page.waitForFunction(() => document.documentElement.dataset.busy === "false");

async function type(page, phrase) {
  await page.fill("#query", phrase);
  await settled(page);
}

/** The entries on show. */
const entries = (page) => page.$$eval("#entries button", (buttons) => buttons.map((button) => {
  const part = (name) => button.querySelector(`.${name}`).textContent;
  return { lemma: part("lemma"), pos: part("pos"), definition: part("definition"), distance: Number(part("distance")) };
}));

/** "85.9 kB" as a number, and "1.05 s" as milliseconds. */
async function figure(page, name) {
  const [number, unit] = (await page.textContent(`#figure-${name}`)).replaceAll(",", "").split(" ");
  return Number(number) * ({ kB: 1e3, MB: 1e6, s: 1e3 }[unit] ?? 1);
}

/** Bytes of the index fetched so far, as the page says. */
async function total(page) {
  const [, number, unit] = /^([\d.]+) (k?M?B) of /.exec(await page.textContent("#total"));
  return Number(number) * { B: 1, kB: 1e3, MB: 1e6 }[unit];
}

/** The nearest definitions by comparing all, `kind` of them only; shares no code with the library. */
let dictionary;
async function truth(phrase, kind) {
  dictionary ??= await readRows();
  const { rows, vectorOf } = dictionary;
  const query = vectorOf(phrase);
  const all = rows.filter(({ pos }) => !kind || pos === kind).map((row) => ({ ...row, distance: 1 - row.vector.reduce((sum, number, i) => sum + number * query[i], 0) }));
  return all.sort((a, b) => a.distance - b.distance).slice(0, K);
}

async function readRows() {
  const data = (name) => readFileSync(new URL(`../data/${name}`, import.meta.url));
  const { gunzipSync } = await import("node:zlib");
  const names = gunzipSync(data("words.txt.gz")).toString().slice(0, -1).split("\n");
  const table = data("words.i8");
  const vectors = new Map(names.map((word, at) => [word, numbersOf(table.subarray(at * ROW_BYTES, (at + 1) * ROW_BYTES))]));
  const vectorOf = (text) => embed(vectors.get(""), words(text).flatMap((word) => vectors.get(knownForm(word, (form) => vectors.has(form))) ?? []));
  const rows = await readDictionary(rowsOf());
  return { vectorOf, rows: rows.map((row) => ({ ...row, vector: vectorOf(`${row.lemma}: ${row.definition}`) })) };
}

/** Rows of the index, from its superblock. */
const rowsOf = () => Number(readFileSync(new URL("../dist/words.shore", import.meta.url)).readBigUInt64LE(40));

/** How many of the entries are among the nearest, or as near. */
function found(shown, exact) {
  return shown.filter(({ distance }) => distance <= exact.at(-1).distance + 0.002).length;
}

onWords("what is typed finds what it means", {}, async (page) => {
  assert.deepEqual(await entries(page), []);
  await type(page, SHOES);
  const shown = await entries(page);
  assert.equal(shown.length, K);
  const exact = await truth(SHOES);
  assert.ok(found(shown, exact) >= K - 2, JSON.stringify({ shown, exact: exact.map(({ lemma, distance }) => [lemma, distance]) }));
  assert.ok(shown.slice(0, 4).some(({ lemma, definition }) => /shoe|cobbler|boot/.test(`${lemma} ${definition}`)), JSON.stringify(shown));
  for (const [i, { distance }] of shown.entries()) assert.ok(i === 0 || distance >= shown[i - 1].distance);
  await page.waitForFunction(() => /The 10 nearest of .* Nearest: /.test(document.getElementById("spoken").textContent));
});

onWords("a search reads parts of the file by ranges, few bytes of it, and counts them right", {}, async (page) => {
  const opening = await total(page);
  assert.ok(opening > 0 && opening < fileBytes / 20, `${opening} of ${fileBytes}`);
  page.parts.length = 0;
  await type(page, SHOES);
  assert.ok(page.parts.length > 8);
  for (const { range, status } of page.parts) {
    assert.match(range, /^bytes=\d+-\d+$/);
    assert.equal(status, 206);
  }
  const bytes = page.parts.reduce((sum, { range }) => sum + rangeBytes(range), 0);
  const ofWords = page.parts.filter(({ file }) => file === "words.i8");
  assert.equal(ofWords.length, 4, "one for each word");
  assert.equal(await figure(page, "requests"), page.parts.length);
  assert.ok(Math.abs(await figure(page, "bytes") - bytes) <= 500, `${await page.textContent("#figure-bytes")} of ${bytes}`);
  assert.ok(bytes < SEARCH_MAX, String(bytes));
  assert.equal(await figure(page, "rounds"), 4, "words, codes, records, payload");
  assert.ok(Math.abs(await total(page) - opening - bytes) < 8_000);

  page.parts.length = 0;
  await type(page, `${SHOES} `);
  assert.deepEqual(page.parts, [], "all of it is here");
  assert.deepEqual([await figure(page, "bytes"), await figure(page, "rounds")], [0, 0]);
  assert.equal((await entries(page)).length, K);
});

const rangeBytes = (range) => {
  const [, first, last] = /(\d+)-(\d+)/.exec(range);
  return Number(last) - Number(first) + 1;
};

onWords("the picture shows what was read, and the table says it", {}, async (page) => {
  const picture = () => page.evaluate(() => {
    const canvas = document.getElementById("map");
    const pen = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
    pen.drawImage(canvas, 0, 0);
    const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
    let lit = 0;
    for (let i = 3; i < data.length; i += 4) if (data[i] > 200) lit++;
    return lit;
  });
  const quiet = () => page.waitForTimeout(900);
  await quiet();
  const before = await picture();
  await type(page, SHOES);
  await quiet();
  assert.ok(await picture() > before + 100, "squares were lit");
  const row = (group) => page.$$eval(`tr[data-group="${group}"] [data-figure]`, (cells) => cells.map((cell) => cell.textContent));
  for (const group of ["codes", "records", "payload"]) assert.match((await row(group))[2], /^\+[\d.]+ kB$/, group);
  assert.equal((await row("rest"))[1], "–");
  assert.equal(await page.locator("#requests tr").count(), await figure(page, "requests"));
});

onWords("a part of speech is kept to, by the column of the file, which is brought once", {}, async (page) => {
  const WALK = "to walk in a slow and heavy way";
  const row = () => page.$$eval('tr[data-group="columns"] [data-figure]', (cells) => cells.map((cell) => cell.textContent));
  await type(page, WALK);
  assert.equal((await row())[1], "–");
  for (const kind of ["verb", "adverb"]) {
    await page.click(`.kinds label:has([value="${kind}"])`);
    await settled(page);
    const shown = await entries(page);
    assert.equal(shown.length, K);
    assert.ok(shown.every(({ pos }) => pos === kind), JSON.stringify(shown));
    assert.ok(found(shown, await truth(WALK, kind)) >= K - 2, kind);
    assert.match(await page.textContent("#note"), new RegExp(`^The 10 nearest ${kind}s of [\\d,]+ definitions, by cosine distance\\.$`));
    await page.waitForFunction(() => /^[\d.]+ k?B$/.test(document.querySelector('tr[data-group="columns"] [data-figure="all"]').textContent));
    assert.equal((await row())[2] === "", kind === "adverb", "fetched with the first");
  }
});

onWords("offline, a part of speech whose column was not fetched is said to be missing", {}, async (page) => {
  await type(page, SHOES);
  await page.check("#cut");
  await page.click('.kinds label:has([value="verb"])');
  await settled(page);
  assert.deepEqual(await entries(page), []);
  assert.match(await page.textContent("#note"), /^Offline: this search needs parts/);
});

onWords("offline, answers that were fetched are there, and others are said to be missing", {}, async (page) => {
  await type(page, SHOES);
  const shown = await entries(page);
  await page.check("#cut");
  await settled(page);
  page.parts.length = 0;
  await type(page, `${SHOES}.`);
  assert.deepEqual(await entries(page), shown);
  await type(page, "zebra crossing");
  assert.match(await page.textContent("#note"), /Offline: some of these words/);
  assert.deepEqual(await entries(page), []);
  await type(page, "shoes");
  assert.match(await page.textContent("#note"), /^Offline: /);
  assert.deepEqual(page.parts, [], "nothing was asked for");
  await page.uncheck("#cut");
  await settled(page);
  assert.equal((await entries(page)).length, K);
  assert.match(await page.textContent("#note"), /^The 10 nearest of [\d,]+, by cosine distance\.$/);
});

onWords("latency is paid once a round", {}, async (page) => {
  await page.locator("#latency").fill("200");
  await type(page, "a cloud that brings rain");
  const [rounds, ms] = [await figure(page, "rounds"), await figure(page, "time")];
  assert.ok(ms >= rounds * 200, `${ms} ms, ${rounds} rounds`);
  assert.ok(ms < await figure(page, "requests") * 200, "requests of a round run together");
});

onWords("words that it does not know are struck out, and without any it says so", {}, async (page) => {
  await type(page, "xqzzy boats");
  assert.equal(await page.textContent("#understood s"), "xqzzy");
  assert.equal((await entries(page)).length, K);
  await type(page, "xqzzy");
  assert.match(await page.textContent("#note"), /None of these words/);
  assert.deepEqual(await entries(page), []);
});

onWords("the keyboard goes from the box to the definitions and back, and searches from one", {}, async (page) => {
  await page.keyboard.press("/");
  await page.keyboard.type(SHOES, { delay: 10 });
  await settled(page);
  const [, second] = await entries(page);
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  assert.equal(await page.evaluate(() => document.activeElement.querySelector(".lemma").textContent), second.lemma);
  await page.keyboard.press("Enter");
  await settled(page);
  assert.equal(await page.inputValue("#query"), second.definition);
  assert.equal(await page.evaluate(() => document.activeElement.id), "query");
  assert.ok((await entries(page)).slice(0, 2).some(({ lemma }) => lemma === second.lemma));
});

test("the address keeps the phrase, and the pages know each other", async () => {
  const page = await openWords({}, "#q=fear%20of%20spiders");
  assert.equal(await page.inputValue("#query"), "fear of spiders");
  assert.ok((await entries(page)).some(({ lemma, definition }) => /fear|afraid|fright/.test(`${lemma} ${definition}`)));
  await type(page, "a boat");
  assert.match(page.url(), /#q=a%20boat$/);
  await page.click('nav a:has-text("Garments")');
  await page.waitForSelector("html[data-ready] #hits li");
  await page.click('nav a:has-text("Words")');
  await page.waitForSelector("html[data-ready] #entries li");
  assert.equal(await page.inputValue("#query"), SHOES);
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test("a network that fails is said to, and the next search is well", async () => {
  const page = await openWords();
  await page.route("**/words.shore", (route) => route.abort());
  await type(page, SHOES);
  assert.match(await page.textContent('[role="alert"]'), /Something went wrong: .+/);
  await page.unroute("**/words.shore");
  await type(page, "fear of spiders");
  assert.equal((await entries(page)).length, K);
  assert.ok(await page.isHidden('[role="alert"]'));
  await page.context().close();
});

onWords("nothing on the page moves while results come, and nothing is wider than a phone", { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }, async (page) => {
  await page.evaluate(() => {
    window.shifts = 0;
    new PerformanceObserver((list) => list.getEntries().forEach(({ value }) => (window.shifts += value))).observe({ type: "layout-shift", buffered: false });
  });
  for (const phrase of [SHOES, "fear of spiders", "a boat"]) await type(page, phrase);
  await page.waitForTimeout(300);
  assert.ok(await page.evaluate(() => window.shifts) < 0.05, String(await page.evaluate(() => window.shifts)));
  for (const width of [390, 320]) {
    await page.setViewportSize({ width, height: 844 });
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
  }
});

for (const [name, options] of [
  ["in the light", {}],
  ["in the dark", { colorScheme: "dark" }],
  ["on a phone", { viewport: { width: 390, height: 844 } }],
]) {
  onWords(`axe finds nothing wrong with the words ${name}`, { ...options, bypassCSP: true, reducedMotion: "reduce" }, async (page) => {
    await type(page, SHOES);
    await page.addScriptTag({ content: axe });
    const found = await page.evaluate(() => window.axe.run());
    assert.ok(found.passes.length > 20);
    assert.deepEqual(found.violations.map(({ id, nodes }) => `${id}: ${nodes[0].html}`), []);
  });
}

onWords("nothing moves on the page of words for those who asked for stillness", { reducedMotion: "reduce" }, async (page) => {
  await page.evaluate(() => {
    window.frames = 0;
    const ask = window.requestAnimationFrame.bind(window);
    window.requestAnimationFrame = (draw) => ask((now) => (window.frames++, draw(now)));
  });
  await type(page, SHOES);
  await page.waitForTimeout(200);
  const drawn = await page.evaluate(() => window.frames);
  await page.waitForTimeout(300);
  assert.deepEqual(await page.evaluate(() => [window.frames, document.getAnimations().length]), [drawn, 0]);
});

test("reloaded with the server gone, the stored page says that it cannot open the index", async () => {
  const own = await serveDist();
  const page = await browser.newPage();
  await page.goto(own.url);
  await page.waitForSelector('#offline[data-state="ready"]', { timeout: 60_000 });
  await page.goto(`${own.url}words.html`);
  await page.waitForSelector("#entries li");
  await own.close();
  await page.reload();
  await page.waitForSelector('[role="alert"]:not([hidden])', { timeout: 60_000 });
  assert.match(await page.textContent('[role="alert"]'), /words\.(shore|i8).*failed/);
  await page.close();
});

test("the server answers ranges as a static host does", async () => {
  const whole = readFileSync(new URL("../dist/words.shore", import.meta.url));
  const ask = (range, method = "GET") => fetch(`${site.url}words.shore`, { method, headers: range ? { range } : {} });
  for (const [range, from, to] of [["bytes=0-99", 0, 100], ["bytes=100-100", 100, 101], [`bytes=${fileBytes - 5}-`, fileBytes - 5, fileBytes], ["bytes=-7", fileBytes - 7, fileBytes], [`bytes=${fileBytes - 2}-${fileBytes + 50}`, fileBytes - 2, fileBytes]]) {
    const response = await ask(range);
    assert.equal(response.status, 206, range);
    assert.equal(response.headers.get("content-range"), `bytes ${from}-${to - 1}/${fileBytes}`);
    assert.deepEqual(Buffer.from(await response.arrayBuffer()), whole.subarray(from, to));
  }
  const behind = await ask(`bytes=${fileBytes}-`);
  assert.deepEqual([behind.status, behind.headers.get("content-range")], [416, `bytes */${fileBytes}`]);
  const head = await ask(undefined, "HEAD");
  assert.deepEqual([head.status, head.headers.get("content-length"), head.headers.get("accept-ranges"), (await head.arrayBuffer()).byteLength], [200, String(fileBytes), "bytes", 0]);
});

test("a picture of the words is kept on request", { skip: !process.env.SCREENSHOT_WORDS }, async () => {
  const page = await openWords({ deviceScaleFactor: 1, viewport: { width: 1280, height: 960 } }, "#q=fear%20of%20spiders");
  await type(page, "a small wooden boat");
  await type(page, SHOES);
  await page.waitForTimeout(900);
  await page.screenshot({ path: process.env.SCREENSHOT_WORDS });
  await page.context().close();
});
