// What a search costs over a network that is far away: a file in tiles, opened in parts by a page in Chromium, from a server on this machine
// that speaks HTTP/2 over TLS (and HTTP/1.1, for comparison) and lets every response wait.
//
//   node npm/bench/network.mjs FILE QUERIES.fbin [--rtt 50] [--queries 60] [--only WORD] [--json]
//
// FILE is what `nearshore export --for web` made; the package must have been built (`cargo xtask pack`). The wait stands for one round trip.
// Not in it: what it takes to connect (two or three more), and bandwidth; bytes are told, so that anybody's can be reckoned with. The
// browser runs by itself, with nothing that watches its requests, which would cost more than they do. Run it while nothing else runs.
import { spawn } from "node:child_process";
import { X509Certificate, createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { FLAGS, PLACES, TYPES } from "../test/browser.mjs";
import { serveFile } from "../test/lazy/server.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rtt: { type: "string", default: "50" }, queries: { type: "string", default: "60" }, only: { type: "string", default: "" }, json: { type: "boolean", default: false } },
});
if (positionals.length !== 2) throw new Error("expected: FILE QUERIES.fbin");
const rtt = Number(values.rtt);
const root = join(import.meta.dirname, "..");
const file = new Uint8Array(readFileSync(positionals[0]));
const vectors = readFileSync(positionals[1]);
const dimensions = vectors.readUInt32LE(4);
const rows = Math.min(Number(values.queries), vectors.readUInt32LE(0));
const chromium = PLACES.find((place) => place && existsSync(place));
if (!chromium) throw new Error("no Chromium was found: install the package `chromium`, or set CHROMIUM to its path");

/** What the page asks of the server that it comes from. */
const reader = (await build({ entryPoints: [join(root, "src/lazy/http.ts")], bundle: true, write: false, format: "esm", target: "es2022" })).outputFiles[0].text;
const MADE = {
  "/": ["text/html", '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/bench/network-page.js"></script>'],
  "/reader.js": ["text/javascript", reader],
  "/queries": ["application/octet-stream", vectors.subarray(8, 8 + rows * dimensions * 4)],
};
let reported;
const pages = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  if (pathname === "/report") {
    let body = "";
    for await (const chunk of request) body += chunk;
    response.end();
    return reported(JSON.parse(body));
  }
  const [type, body] = MADE[pathname] ?? [TYPES[extname(pathname)], readFileSync(join(root, pathname))];
  response.writeHead(200, { "content-type": type, "content-length": Buffer.byteLength(body) }).end(body);
});
await new Promise((resolve) => pages.listen(0, "127.0.0.1", resolve));

const [h1, h2] = await Promise.all([serveFile(file), serveFile(file, { secure: true })]);
const key = createHash("sha256").update(new X509Certificate(h2.cert).publicKey.export({ type: "spki", format: "der" })).digest("base64");
const profiles = mkdtempSync(join(tmpdir(), "nearshore-network-"));
let visits = 0;

/** One visit of a browser that was never here. */
async function visit(server, delay, measure, more = {}) {
  const profile = mkdtempSync(join(profiles, "profile-"));
  server.reset();
  server.delay = delay;
  const ask = new URLSearchParams({ measure, url: `${server.url}/plain/${visits++}.shore`, rows, dimensions, ...more });
  const report = new Promise((resolve) => (reported = resolve));
  const child = spawn(chromium, [...FLAGS, `--user-data-dir=${profile}`, `--ignore-certificate-errors-spki-list=${key}`, `http://127.0.0.1:${pages.address().port}/?${ask}`], { stdio: "ignore" });
  const ended = new Promise((resolve) => child.once("close", resolve));
  try {
    return await Promise.race([report, ended.then(() => ({ failed: "the browser ended" }))]);
  } finally {
    child.kill();
    await ended;
  }
}

async function opening() {
  const all = [];
  for (let time = 0; time < 5; time++) all.push(await visit(h2, rtt, "opening"));
  return all.sort((a, b) => a.ms - b.ms)[2];
}

const MEASURES = {
  "open and first answer": opening,
  "nothing kept": () => visit(h2, rtt, "cold"),
  "nothing kept, without the wait": () => visit(h2, 0, "cold"),
  "nothing kept, HTTP/1.1": () => visit(h1, rtt, "cold"),
  "codes ahead": () => visit(h2, rtt, "codes"),
  "all kept": () => visit(h2, rtt, "kept"),
  "the next visit": () => visit(h2, rtt, "again"),
  "32 ranges, HTTP/2": () => visit(h2, rtt, "ranges", { own: 1 }),
  "32 ranges, HTTP/1.1": () => visit(h1, rtt, "ranges", { own: 1 }),
  "32 ranges, HTTP/2, through the browser's cache": () => visit(h2, rtt, "ranges"),
};

const short = (value) => (typeof value === "number" ? Number(value.toFixed(value < 100 ? 2 : 0)) : value);
try {
  for (const [name, run] of Object.entries(MEASURES)) {
    if (!name.includes(values.only)) continue;
    const found = Object.fromEntries(Object.entries(await run()).map(([key, value]) => [key, short(value)]));
    console.log(values.json ? JSON.stringify({ name, rtt_ms: rtt, ...found }) : `${name.padEnd(47)} ${Object.entries(found).map(([key, value]) => `${key} ${value}`).join("  ")}`);
  }
} finally {
  for (const server of [pages, h1, h2]) server.close();
  pages.closeAllConnections();
  // What the last browser started may still be ending.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  rmSync(profiles, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
}
