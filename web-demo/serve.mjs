// Serves dist/ on localhost: node serve.mjs [--port N]. Any static host that answers ranges does as well; this one also
// isolates the page (COOP and COEP), which gives its clock a resolution of 5 us in place of 100 us.

import { createServer } from "node:http";
import { open } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import path from "node:path";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
};

/** Resolves with a listening server; port 0 takes any free one. */
export function serve(folder, port = 0) {
  const server = createServer((request, response) => {
    answer(folder, request, response).catch(() => response.writeHead(404).end("not found\n"));
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject).listen(port, "127.0.0.1", () => resolve(server));
  });
}

async function answer(folder, request, response) {
  const { pathname } = new URL(request.url, "http://localhost");
  const relative = path.normalize(decodeURIComponent(pathname)).replace(/^[/\\]+/, "");
  const name = path.join(folder, relative || "index.html");
  if (!name.startsWith(path.join(folder, path.sep))) throw new Error("outside of the folder");
  const file = await open(name);
  try {
    const facts = await file.stat();
    const tag = `"${facts.size.toString(36)}-${Math.round(facts.mtimeMs).toString(36)}"`;
    const headers = {
      "Content-Type": TYPES[path.extname(name)] ?? "application/octet-stream",
      "Cache-Control": "no-cache",
      "Accept-Ranges": "bytes",
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
      ETag: tag,
    };
    if (request.headers["if-none-match"] === tag) return response.writeHead(304, headers).end();
    const part = partOf(request.headers.range, facts.size);
    if (!part) return response.writeHead(416, { ...headers, "Content-Range": `bytes */${facts.size}` }).end();
    const length = part.end - part.start;
    const place = part.whole ? {} : { "Content-Range": `bytes ${part.start}-${part.end - 1}/${facts.size}` };
    response.writeHead(part.whole ? 200 : 206, { ...headers, ...place, "Content-Length": length });
    if (request.method === "HEAD") return response.end();
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(length), 0, length, part.start);
    response.end(buffer.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}

/** The part that a `Range` header asks for: one span, else the whole file; undefined when it begins behind the end. */
function partOf(range, size) {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(range ?? "") ?? [];
  if (!first && !last) return { whole: true, start: 0, end: size };
  if (!first) return last > 0 && size > 0 ? { start: Math.max(0, size - last), end: size } : undefined;
  const [start, end] = [Number(first), last ? Math.min(Number(last) + 1, size) : size];
  if (last && Number(last) < start) return { whole: true, start: 0, end: size };
  return start < size ? { start, end } : undefined;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({ options: { port: { type: "string", default: "8000" } } });
  const server = await serve(path.join(import.meta.dirname, "dist"), Number(values.port));
  console.log(`http://localhost:${server.address().port}/`);
}
