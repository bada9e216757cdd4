// A static server and a headless Chromium: enough to open a page and read what it left.
import { spawn } from "node:child_process";
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { chromium } from "playwright-core";

export const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };
export const PLACES = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
export const FLAGS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

/** Serves a folder on localhost. */
export async function serve(folder, headers = {}) {
  const server = createServer((request, response) => {
    const path = join(folder, normalize(decodeURIComponent(new URL(request.url, "http://localhost").pathname)));
    const file = existsSync(path) && statSync(path).isDirectory() ? join(path, "index.html") : path;
    if (!existsSync(file)) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream", "content-length": statSync(file).size, ...headers });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

/** A browser, or a sentence that says how to get one. */
export async function launch() {
  return chromium.launch({ executablePath: program(), args: FLAGS });
}

/** A browser with a profile of its own, which outlives it: `kill` ends it at once, as a crash does. */
export async function launchKillable(profile) {
  const child = spawn(program(), [...FLAGS, "--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank"], { stdio: ["ignore", "ignore", "pipe"] });
  const gone = new Promise((resolve) => child.on("close", resolve));
  const address = await new Promise((resolve, reject) => {
    let said = "";
    child.stderr.on("data", (data) => {
      said += data;
      const found = /DevTools listening on (ws:\S+)/.exec(said);
      if (found) resolve(found[1]);
    });
    gone.then(() => reject(new Error(`Chromium ended: ${said}`)));
  });
  const browser = await chromium.connectOverCDP(address);
  const kill = async () => {
    child.kill("SIGKILL");
    await gone;
  };
  return { context: browser.contexts()[0], kill };
}

function program() {
  const path = PLACES.find((place) => place && existsSync(place));
  if (!path) throw new Error("no Chromium was found: install the package `chromium`, or set CHROMIUM to its path");
  return path;
}

/** Waits until the database of `page` holds as many bytes of blocks: what a page's own thread keeps is written a little later, a piece at a time. */
export const noted = (page, bytes) => page.evaluate(async (bytes) => {
  const of = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const database = await of(indexedDB.open("nearshore"));
  const until = Date.now() + 30_000;
  for (let there = 0; there < bytes; ) {
    if (Date.now() > until) throw new Error(`${there} bytes of ${bytes} are kept after half a minute`);
    const all = await of(database.transaction("blocks").objectStore("blocks").getAll());
    there = all.reduce((sum, block) => sum + (block instanceof Uint8Array ? block.length : 0), 0);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  database.close();
}, bytes);

/** A page that runs modules of `origin`, after `prepare` had its way with it. */
export async function pageAt(browser, url, prepare = async () => {}) {
  const page = await browser.newPage();
  await prepare(page);
  await page.goto(url);
  return page;
}

/** Opens a page, waits for the promise that it leaves in `report`, and says what it complained about. */
export async function reportOf(browser, url) {
  const page = await browser.newPage();
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  try {
    await page.goto(url);
    await page.waitForFunction(() => "report" in globalThis, undefined, { timeout: 20_000 });
    return { report: await page.evaluate(() => globalThis.report), complaints };
  } catch (error) {
    throw new Error(`${error.message.split("\n")[0]}; the page said: ${complaints.join("; ") || "nothing"}`);
  } finally {
    await page.close();
  }
}
