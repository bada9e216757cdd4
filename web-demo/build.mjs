// Makes dist/, a folder that any static host can serve: node build.mjs
//
// There is no bundler. The page's own modules are copied as they are, and so are the files of the
// installed npm package `nearshore`; an import map in each page says where its entry point lies. The
// index files, the held-out garments and the words come from data/. Last comes the service worker, which
// is told the name of every file but those that are read in parts, and one hash over them, so that a
// changed file means a new cache.

import { createHash } from "node:crypto";
import { constants, cp, mkdir, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import path from "node:path";

const here = fileURLToPath(new URL(".", import.meta.url));
const dist = path.join(here, "dist");
const library = path.join(here, "node_modules", "nearshore");
const PAGES = ["index.html", "words.html"];
const READ_IN_PARTS = ["words.shore", "words.i8"];

await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });
await copyPage();
await copyLibrary();
await copyData();
await writeServiceWorker();

async function copyPage() {
  await cp(path.join(here, "src"), dist, { recursive: true });
  const manifest = JSON.parse(await readFile(path.join(library, "package.json"), "utf8"));
  const entry = path.posix.join("nearshore", browserEntry(manifest.exports["."]));
  const map = JSON.stringify({ imports: { nearshore: `./${entry}` } });
  const hash = createHash("sha256").update(map).digest("base64");
  for (const name of PAGES) {
    const page = path.join(dist, name);
    const html = await readFile(page, "utf8");
    await writeFile(page, html.replace("{{import-map}}", map).replace("{{import-map-hash}}", `sha256-${hash}`));
  }
}

/** What a bundler that targets browsers would pick from `exports`. */
function browserEntry(target) {
  if (typeof target === "string") return target;
  for (const condition of Object.keys(target)) {
    if (["browser", "import", "default"].includes(condition)) return browserEntry(target[condition]);
  }
  throw new Error("the package nearshore has no entry point for browsers");
}

/** Copies what `npm pack` would ship, without types and maps and the scripts of other places, which no page loads. */
async function copyLibrary() {
  const { files } = JSON.parse(await readFile(path.join(library, "package.json"), "utf8"));
  for (const name of files) {
    await cp(path.join(library, name), path.join(dist, "nearshore", name), {
      recursive: true,
      dereference: true,
      filter: (file) => !/\.(d\.ts|map|md)$|\/(workerd|service-worker)\.js$/.test(file),
    });
  }
}

async function copyData() {
  const copies = {
    "fashion.shore": "fashion.shore", "fashion.query.u8bin": "garments.u8bin", "fashion.query.labels.txt": "garments.txt",
    "words.shore": "words.shore", "words.i8": "words.i8", "words.txt.gz": "words.txt.gz",
  };
  await cp(path.join(here, "fixtures", "WORDNET-LICENSE.txt"), path.join(dist, "WORDNET-LICENSE.txt"));
  for (const [from, to] of Object.entries(copies)) {
    await cp(path.join(here, "data", from), path.join(dist, to), { mode: constants.COPYFILE_FICLONE }).catch((error) => {
      if (error.code !== "ENOENT") throw error;
      console.error(`build.mjs: data/${from} is missing; README.md says how to make it`);
      process.exit(3);
    });
  }
}

async function writeServiceWorker() {
  const names = (await readdir(dist, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && entry.name !== "sw.js")
    .map((entry) => path.relative(dist, path.join(entry.parentPath, entry.name)).split(path.sep).join("/"))
    .sort();
  const stored = names.filter((name) => !READ_IN_PARTS.includes(name));
  const version = createHash("sha256");
  for (const name of stored) version.update(name).update(await readFile(path.join(dist, name)));
  let bytes = 0;
  for (const name of names) bytes += (await stat(path.join(dist, name))).size;
  const worker = await readFile(path.join(dist, "sw.js"), "utf8");
  const filled = worker
    .replace('"{{version}}"', JSON.stringify(version.digest("hex").slice(0, 16)))
    .replace('["{{files}}"]', JSON.stringify(stored));
  await writeFile(path.join(dist, "sw.js"), filled);
  console.log(`dist/: ${names.length + 1} files, ${(bytes / 1e6).toFixed(1)} MB`);
}
