// The guides' pieces of code, run as a reader would run them: against the packed package, in Node or in a page. What they print must be what
// the guide says. A comment on the line before a block changes how it is run, as in the README: `<!-- run: page -->`, `<!-- run: no, REASON -->`.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { TYPES, launch } from "../../npm/test/browser.mjs";

const run = promisify(execFile);
const here = join(import.meta.dirname, "guides");
const npm = join(import.meta.dirname, "../../npm");
const docs = join(import.meta.dirname, "../../docs/guides");
let browser;
let host;

/** The blocks of a guide that are code to run, each with what it is to print. */
function blocks(name) {
  const lines = readFileSync(join(docs, name), "utf8").split("\n");
  const all = [];
  for (let at = 0; at < lines.length; at++) {
    const [, indent, language] = /^( *)```(\w+)$/.exec(lines[at]) ?? [];
    if (language === undefined) continue;
    const end = lines.findIndex((line, i) => i > at && line === `${indent}\`\`\``);
    const text = lines.slice(at + 1, end).map((line) => line.slice(indent.length)).join("\n");
    const how = /<!-- run: (\w+)/.exec(lines[at - 1])?.[1] ?? "node";
    if (language === "js" && how !== "no") all.push({ name: `${name}:${at + 1}`, how, text, prints: undefined });
    else if (language === "text" && /^ *$/.test(lines[at - 1]) && /^ *```$/.test(lines[at - 2]) && all.length > 0) all.at(-1).prints ??= text;
    at = end;
  }
  return all;
}

/** A page that may import the package by name, and runs one block. */
const page = (file) => `<!doctype html><meta charset="utf-8"><title>a guide</title><link rel="icon" href="data:,">
<script type="importmap">{ "imports": { "nearshore": "/node_modules/nearshore/dist/index.js" } }</script>
<script type="module">
  import "/prelude.js";
  import("/dist/${file}").then(() => "", String).then((failed) => (globalThis.ended = { failed }));
</script>`;

/** A host of the folder as a bucket is one: it answers ranges. */
async function bucket() {
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, "http://localhost");
    if (pathname === "/") return response.writeHead(200, { "content-type": "text/html" }).end(page(searchParams.get("run")));
    const path = join(here, pathname);
    if (!existsSync(path)) return response.writeHead(404).end();
    const file = readFileSync(path);
    const type = { "content-type": TYPES[extname(path)] ?? "application/octet-stream" };
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
    if (from === undefined) return response.writeHead(200, type).end(file);
    const part = file.subarray(Number(from), Number(to) + 1);
    response.writeHead(206, { ...type, "content-range": `bytes ${from}-${Number(from) + part.length - 1}/${file.length}` }).end(part);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

before(async () => {
  const [tarball] = readdirSync(npm).filter((name) => name.endsWith(".tgz"));
  assert.ok(tarball, "run `cargo xtask pack` first");
  for (const folder of ["node_modules", "dist"]) rmSync(join(here, folder), { recursive: true, force: true });
  await run("npm", ["install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", join(npm, tarball)], { cwd: here });
  mkdirSync(join(here, "dist"));
  copyFileSync(join(here, "articles.web.shore"), join(here, "dist/articles.web.shore"));
  [browser, host] = await Promise.all([launch(), bucket()]);
});
after(async () => {
  await browser?.close();
  host?.close();
});

/** Runs a block where Node finds the package; what it prints. */
async function inNode(file) {
  const { stdout } = await run(process.execPath, ["--import", "../prelude.js", file], { cwd: join(here, "dist"), env: { ...process.env, HOST: host.url }, timeout: 30_000 });
  return stdout;
}

/** Runs a block in a page of its own; what it prints. */
async function inPage(file) {
  const tab = await (await browser.newContext()).newPage();
  const printed = [];
  tab.on("console", (message) => printed.push(message.text()));
  await tab.goto(`${host.url}/?run=${file}`);
  await tab.waitForFunction(() => globalThis.ended, undefined, { timeout: 30_000 });
  const { failed } = await tab.evaluate(() => globalThis.ended);
  await tab.context().close();
  assert.equal(failed, "");
  return printed.join("\n");
}

for (const guide of readdirSync(docs).filter((name) => name.endsWith(".md"))) {
  for (const { name, how, text, prints } of blocks(guide)) {
    test(`docs/guides/${name}, ${how === "page" ? "in a page" : "in Node"}`, async () => {
      const file = name.replace(/\W/g, "-") + ".mjs";
      writeFileSync(join(here, "dist", file), text + "\n");
      const printed = await (how === "page" ? inPage : inNode)(file);
      assert.ok(prints !== undefined, "the guide does not say what this prints: a block of text below it does");
      assert.equal(printed.trim(), prints.trim());
    });
  }
}
