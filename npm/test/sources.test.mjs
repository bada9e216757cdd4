// Every kind of source gives the same index, and every way in which a source can fail is told.
import assert from "node:assert/strict";
import { mkdtemp, open as openFile, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { Index, NearshoreError, open } from "nearshore";
import { failure, rows, vector } from "./rows.mjs";

const DIMENSIONS = 16;
const vectors = rows(500, DIMENSIONS);
let bytes;
let folder;
let server;
let url;

before(async () => {
  bytes = await (await Index.build(null, vectors, { dimensions: DIMENSIONS })).save();
  folder = await mkdtemp(join(tmpdir(), "nearshore-"));
  await writeFile(join(folder, "index.shore"), bytes);
  server = createServer((request, response) => {
    switch (new URL(request.url, "http://localhost").pathname) {
      case "/index.shore": return response.writeHead(200, { "content-length": bytes.length, "x-seen": request.headers["x-key"] ?? "" }).end(bytes);
      case "/chunked": return response.writeHead(200).write(bytes.subarray(0, 1000)), response.end(bytes.subarray(1000));
      case "/gzip": return response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(bytes));
      case "/secret": return response.writeHead(request.headers["x-key"] === "open" ? 200 : 403).end(bytes);
      case "/broken": return response.writeHead(200, { "content-length": bytes.length }), response.write(bytes.subarray(0, 30_000), () => response.destroy());
      case "/slow": return void response.writeHead(200).write(bytes.subarray(0, 100));
      case "/short": return response.writeHead(200).end(bytes.subarray(0, 20_000));
      default: return response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${server.address().port}`;
});

after(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

async function same(index, label) {
  const [hit] = await index.search(vector(vectors, DIMENSIONS, 42), { k: 1 });
  assert.equal(hit.id, 42, label);
  assert.equal(hit.distance, 0, label);
  assert.deepEqual(await index.save(), bytes, label);
  assert.equal((await index.stats()).bytes, bytes.length, label);
  await index.close();
}

test("bytes: ArrayBuffer, Uint8Array, a view into a larger buffer, Blob, File", async () => {
  const larger = new Uint8Array(bytes.length + 100);
  larger.set(bytes, 50);
  await same(await open(bytes.slice().buffer), "ArrayBuffer");
  await same(await open(bytes), "Uint8Array");
  await same(await open(larger.subarray(50, 50 + bytes.length)), "view");
  await same(await open(new Blob([bytes])), "Blob");
  await same(await open(new (await import("node:buffer")).File([bytes], "index.shore")), "File");
});

test("the file system: a path, a file URL, a FileHandle that stays open", async () => {
  const path = join(folder, "index.shore");
  await same(await open(path), "path");
  await same(await open(pathToFileURL(path)), "URL");
  await same(await open(pathToFileURL(path).href), "URL as text");
  const handle = await openFile(path);
  await same(await open(handle), "FileHandle");
  assert.equal((await handle.stat()).size, bytes.length);
  await handle.close();
  await assert.rejects(open(join(folder, "missing.shore")), failure("network", "ENOENT"));
});

test("the network: with a length, without one, compressed, with headers, with a fetch of one's own", async () => {
  await same(await open(`${url}/index.shore`), "text");
  await same(await open(new URL(`${url}/index.shore`)), "URL");
  await same(await open(`${url}/chunked`), "chunked");
  await same(await open(`${url}/gzip`), "gzip");
  await same(await open(`${url}/secret`, { headers: { "x-key": "open" } }), "headers");
  const asked = [];
  await same(await open("https://index.example/x.shore", { fetch: async (address) => (asked.push(String(address)), new Response(bytes)) }), "fetch");
  assert.deepEqual(asked, ["https://index.example/x.shore"]);
});

test("a page in HTML, which hosts send for files that are not there, and a compressed file are told as such", async () => {
  const page = new TextEncoder().encode(`<!doctype html><title>Not found</title>${" ".repeat(20_000)}`);
  for (const [body, words] of [[page, "a page in HTML"], [page.subarray(0, 50), "a page in HTML"], [gzipSync(bytes), "gzip"]]) {
    const send = async () => new Response(body);
    for (const mode of ["auto", "whole"]) await assert.rejects(open("https://index.example/x.shore", { mode, fetch: send }), failure("corrupt", words), mode);
    await assert.rejects(Index.load("https://index.example/x.shore", { fetch: send }), failure("corrupt", words));
    await assert.rejects(open(body), failure("corrupt", words));
    await assert.rejects(open("https://index.example/x.shore.json", { mode: "lazy", fetch: send }), failure("corrupt", words));
  }
});

test("the network failing: status, refusal, a cut, a short file", async () => {
  await assert.rejects(open(`${url}/none`), failure("network", "404", "/none"));
  await assert.rejects(open(`${url}/secret`), failure("network", "403"));
  await assert.rejects(open("http://127.0.0.1:1/x"), failure("network", "127.0.0.1:1"));
  await assert.rejects(open(`${url}/broken`), failure("network", "broke off"));
  await assert.rejects(open(`${url}/short`), failure("truncated"));
});

test("a whole file is asked for again, as parts are: of a busy host when it says, and where a connection breaks", async () => {
  const answers = { busy: () => new Response("busy", { status: 503, headers: { "retry-after": "0" } }), lost: () => { throw new TypeError("lost"); } };
  for (const mode of ["whole", "auto"]) {
    for (const [name, fails] of [["busy", 3], ["lost", 1]]) {
      const asked = [];
      const send = async (_, { headers }) => {
        asked.push(new Headers(headers).get("range"));
        return asked.length <= fails ? answers[name]() : new Response(bytes);
      };
      const index = await open("https://index.example/x.shore", { mode, fetch: send, headers: { "x-key": "7" } });
      assert.deepEqual([index.info.rows, asked, (await index.stats()).requests], [500, Array(fails + 1).fill(null), fails + 1], `${mode} ${name}`);
      await index.close();
    }
  }
  let asked = 0;
  await assert.rejects(open("https://index.example/x.shore", { mode: "whole", fetch: async () => (asked++, answers.busy()) }), failure("network", "503 4 times"));
  assert.equal(asked, 4);
  await assert.rejects(open("https://index.example/x.shore", { mode: "whole", fetch: async () => (asked++, new Response("", { status: 403 })) }), failure("network", "403"));
  assert.equal(asked, 5, "a refusal is final");
});

test("a request under way is aborted", async () => {
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 30);
  await assert.rejects(open(`${url}/slow`, { signal: controller.signal }), failure("aborted"));
});

test("a Source of one's own: read in pieces, closed once, its mistakes named", async () => {
  let closed = 0;
  const source = (change = {}) => ({
    size: async () => bytes.length,
    read: async (offset, length) => bytes.slice(offset, offset + length),
    close: async () => void closed++,
    ...change,
  });
  await same(await open(source()), "Source");
  assert.equal(closed, 1);
  await assert.rejects(open(source({ read: async (offset, length) => bytes.slice(offset, offset + length - 1) })), failure("truncated", "offset 0"));
  await assert.rejects(open(source({ size: async () => -1 })), failure("invalid-argument", "size()"));
  assert.equal(closed, 3);
  await assert.rejects(open({}), failure("invalid-argument", "source"));
  await assert.rejects(open(undefined), failure("invalid-argument", "source"));
});

test("a Source that misbehaves is told what it did, opened whole or in parts", async () => {
  const file = await readFile(new URL("lazy/tiles.shore", import.meta.url));
  const good = { size: async () => file.length, read: async (offset, length) => new Uint8Array(file.subarray(offset, offset + length)) };
  const never = () => new Promise(() => {});
  const cases = [
    [{ size: () => { throw new RangeError("the store is down"); } }, "network", "size() failed: the store is down"],
    [{ size: async () => { throw undefined; } }, "network", "size() failed: undefined"],
    [{ size: async () => "5" }, "invalid-argument", 'size() is "5"', "whole number"],
    [{ size: async () => 1.5 }, "invalid-argument", "size() is 1.5"],
    [{ size: async () => file.length + 5 }, "truncated", "the source gave", `expected`],
    [{ size: async () => file.length - 5 }, "truncated"],
    [{ read: () => { throw new RangeError("the store is down"); } }, "network", "read(0, ", "the store is down"],
    [{ read: async () => { throw "no"; } }, "network", "read(0, ", "failed: no"],
    [{ read: async () => undefined }, "invalid-argument", "read(0, ", "Undefined", "a Uint8Array of"],
    [{ read: async (offset, length) => file.subarray(offset, offset + length).buffer }, "invalid-argument", "ArrayBuffer", "a Uint8Array of"],
    [{ read: async (offset, length) => [...file.subarray(offset, offset + length)] }, "invalid-argument", "Array"],
    [{ read: async (offset, length) => new Uint8Array(length - 1) }, "truncated", "at offset 0"],
    [{ read: async (offset, length) => new Uint8Array(length + 1) }, "truncated", "at offset 0"],
    [{ read: async () => { throw new NearshoreError("quota", "enough for today"); } }, "quota", "enough for today"],
  ];
  for (const mode of ["lazy", "auto", "whole"]) {
    for (const [change, code, ...words] of cases) {
      let closed = 0;
      const source = { ...good, ...change, close: () => { closed++; throw new Error("cannot be closed"); } };
      // Read in parts, its end is not asked for before a search is.
      if (mode === "lazy" && words[0] === "the source gave") {
        await (await open(source, { mode })).close();
        continue;
      }
      await assert.rejects(open(source, { mode }), failure(code, ...words), `${mode}: ${code} ${words}`);
      assert.equal(closed, 1, `${mode}: ${code} ${words}`);
    }
    // One that never answers is left when the signal fires.
    for (const change of [{ size: never }, { read: never }, { close: never, read: never }]) {
      await assert.rejects(open({ ...good, ...change }, { mode, signal: AbortSignal.timeout(20) }), failure("aborted"), mode);
    }
    // What answers at once, and what closes badly, will do.
    const index = await open({ size: () => file.length, read: (offset, length) => file.subarray(offset, offset + length), close: async () => { throw new Error("cannot be closed"); } }, { mode });
    assert.equal((await index.search(new Float32Array(24).fill(1), { k: 3 })).length, 3);
    await index.close();
  }
});

test("a Source that fails for a while leaves the index usable", async () => {
  const file = await readFile(new URL("lazy/tiles.shore", import.meta.url));
  let bad;
  const index = await open({ size: async () => file.length, read: (offset, length) => (bad ? bad(offset, length) : new Uint8Array(file.subarray(offset, offset + length))) }, { mode: "lazy" });
  const search = (options) => index.search(new Float32Array(24).fill(1), { k: 3, ...options });
  const BAD = [
    [() => { throw new RangeError("the store is down"); }, "network", "the store is down"],
    [() => null, "invalid-argument", "Null"],
    [() => Promise.reject(), "network", "undefined"],
    [() => new Uint8Array(3), "truncated", "3 bytes"],
    [(_, length) => new Uint8Array(length), "changed"], // zeros where the header was
  ];
  for (const [next, code, ...words] of BAD) {
    bad = next;
    await assert.rejects(search(), failure(code, ...words));
  }
  let asked;
  bad = () => new Promise(() => asked?.());
  await assert.rejects(search({ signal: AbortSignal.timeout(20) }), failure("aborted"));
  const sent = new Promise((resolve) => (asked = resolve));
  const waiting = search();
  waiting.catch(() => {});
  await sent;
  bad = undefined;
  assert.equal((await search({ budget: { ms: 1 } })).stats.complete, false, "it waits for what the other asked for");
  await index.close();
  await assert.rejects(waiting, failure("closed"));
});

test("a file that cannot be read is told so: a folder, a handle that is closed, one that gives nothing", async () => {
  for (const mode of ["lazy", "whole"]) {
    await assert.rejects(open(folder, { mode }), failure("network", "EISDIR"));
    const handle = await openFile(join(folder, "index.shore"));
    await handle.close();
    await assert.rejects(open(handle, { mode }), failure("network", "stat()"));
    for (const bytesRead of [0, -1, NaN, undefined]) {
      await assert.rejects(open({ stat: async () => ({ size: bytes.length }), read: async () => ({ bytesRead }) }, { mode }), failure(mode === "lazy" ? "range" : "truncated"));
    }
  }
});

test("a fetch of one's own that neither answers nor heeds the signal is left", async () => {
  const never = () => new Promise(() => {});
  const cases = [never, async (address) => new Response(new ReadableStream({ pull: never }), { status: String(address).endsWith("json") ? 200 : 206 }), async () => new Response(new ReadableStream({ pull: never }))];
  for (const mode of ["lazy", "auto", "whole"]) {
    for (const address of ["https://index.example/x.shore", "https://index.example/x.shore.json"]) {
      for (const send of cases) await assert.rejects(open(address, { mode, fetch: send, signal: AbortSignal.timeout(20) }), failure("aborted"), mode);
    }
  }
});

test("a fetch of one's own that misbehaves is a network that fails", async () => {
  const cases = [() => { throw new TypeError("offline"); }, async () => undefined, () => "text", async () => ({ ok: true, status: 200 })];
  for (const mode of ["lazy", "auto", "whole"]) {
    await Promise.all(cases.map((send) => assert.rejects(open("https://index.example/x.shore", { mode, fetch: send }), failure("network", "GET https://index.example/x.shore"), mode)));
    await assert.rejects(open("https://index.example/x.shore", { mode, headers: { "not a name": "x" } }), failure("invalid-argument", "headers"), mode);
  }
});

test("a file that is refused by its announced size is not downloaded", async () => {
  let cancelled = false;
  const body = () => new ReadableStream({ pull: (stream) => stream.enqueue(new Uint8Array(1024)), cancel: () => { cancelled = true; } });
  const send = async () => new Response(body(), { headers: { "content-length": "1000000" } });
  await assert.rejects(open("https://example.org/large.shore", { fetch: send, maxBytes: 20_000 }), failure("quota"));
  assert.ok(cancelled);
});

test("maxBytes refuses a larger file, before and while reading", async () => {
  await same(await open(bytes, { maxBytes: bytes.length }), "fits");
  await assert.rejects(open(bytes, { maxBytes: bytes.length - 1 }), failure("quota", "maxBytes"));
  await assert.rejects(open(`${url}/chunked`, { maxBytes: 20_000 }), failure("quota"));
});

test("integrity is checked over the whole file", async () => {
  const digest = createHash("sha256").update(bytes).digest("base64");
  await same(await open(bytes, { integrity: `sha256-${digest}` }), "right");
  await assert.rejects(open(bytes, { integrity: `sha256-${"A".repeat(43)}=` }), failure("corrupt", digest));
  await assert.rejects(open(bytes, { integrity: "md5-x" }), failure("invalid-argument", "integrity"));
});

test("a source may have properties of its own", async () => {
  const file = await readFile(new URL("lazy/tiles.shore", import.meta.url));
  const source = { cost: "5 a month", size: async () => file.length, read: async (at, length) => new Uint8Array(file.subarray(at, at + length)) };
  const index = await open(source, { mode: "lazy" });
  assert.equal((await index.search(new Float32Array(24).fill(1), { k: 3 })).length, 3);
  await index.close();
});

test("a script whose import failed is asked for again where it lies beside ours, and nothing else is", async () => {
  const { outputFiles } = await build({
    entryPoints: [new URL("../src/scripts.ts", import.meta.url).pathname], bundle: true, write: false, format: "esm", target: "es2022",
    define: { "import.meta.url": '"https://here.example/dist/index.js"' },
  });
  globalThis.tried = [];
  const text = outputFiles[0].text.replace("await import(", "await (async (where) => (globalThis.tried.push(where), 7))(");
  const { loaded } = await import(`data:text/javascript,${encodeURIComponent(text)}`);
  const fails = (why) => loaded(Promise.reject(new TypeError(why)));
  for (const why of ["Importing a module script failed.", "failed: https://other.example/dist/overlay.js", "failed: https://here.example/dist/overlay.wasm", "blocked, see https://here.example/help"]) {
    await assert.rejects(fails(why), ({ code }) => code === "network");
  }
  assert.deepEqual(globalThis.tried, []);
  assert.equal(await fails("Failed to fetch dynamically imported module: https://here.example/dist/overlay.js"), 7);
  assert.deepEqual(globalThis.tried, ["https://here.example/dist/overlay.js?4"]);
});
