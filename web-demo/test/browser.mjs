// What the tests need around the page: a server, a browser, and the truth by brute force.

import { existsSync, readFileSync } from "node:fs";
import { chromium } from "playwright-core";
import { serve } from "../serve.mjs";

const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
const NAMES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome", "/usr/bin/google-chrome-stable"];
const folder = (name) => new URL(`../${name}`, import.meta.url);

/** Starts Chromium: the one that CHROMIUM names, else the system's. */
export function launch() {
  const executablePath = process.env.CHROMIUM ?? NAMES.find(existsSync);
  if (!executablePath) throw new Error("no Chromium: install it, or name its binary in CHROMIUM");
  return chromium.launch({ executablePath, args: FLAGS });
}

/** Serves the built page on a free port. */
export async function serveDist() {
  if (!existsSync(folder("dist/index.html"))) throw new Error("dist/ is missing: run `npm run build` first");
  const server = await serve(folder("dist").pathname);
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://localhost:${server.address().port}/`, close };
}

/** Opens the page and waits for its first answer; whatever the console complains of lands in `page.complaints`. */
export async function openPage(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options });
  const page = await context.newPage();
  page.complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.complaints.push(message.text());
  });
  page.on("pageerror", (error) => page.complaints.push(error.message));
  await page.goto(url);
  await ready(page);
  return page;
}

/** Waits until the page shows hits. */
export async function ready(page) {
  await page.waitForSelector("html[data-ready] #hits li", { timeout: 60_000 });
  await settled(page);
}

/** Waits until what is on the pad has been answered: figures and tiles stand still. */
export async function settled(page) {
  await page.waitForFunction(() => document.documentElement.dataset.busy === "false");
}

/** The hits on show: `{ row, distance, label }`, nearest first. */
export function hits(page) {
  return page.$$eval("#hits button", (buttons) => buttons.map((button) => {
    const [, row, distance] = /row (\d+), squared distance ([\d,]+)/.exec(button.title);
    return { row: Number(row), distance: Number(distance.replaceAll(",", "")), label: button.querySelector("span").textContent };
  }));
}

/** A figure of one card as a number. */
export async function figure(page, plan, name) {
  return Number((await page.textContent(`.engine[data-plan="${plan}"] [data-figure="${name}"]`)).replaceAll(",", ""));
}

/** Reads a `.u8bin` and its labels from data/. */
export function readRows(name) {
  const bytes = readFileSync(folder(`data/${name}.u8bin`));
  const dimensions = bytes.readUInt32LE(4);
  const labels = readFileSync(folder(`data/${name}.labels.txt`), "utf8").trimEnd().split("\n");
  return labels.map((label, i) => ({ label, pixels: bytes.subarray(8 + i * dimensions, 8 + (i + 1) * dimensions) }));
}

/** The k nearest rows by squared distance, ties to the smaller row; shares no code with the library. */
export function nearest(rows, query, k) {
  const all = rows.map(({ pixels, label }, row) => {
    let distance = 0;
    for (let i = 0; i < pixels.length; i++) distance += (pixels[i] - query[i]) ** 2;
    return { row, distance, label };
  });
  return all.sort((a, b) => a.distance - b.distance || a.row - b.row).slice(0, k);
}
