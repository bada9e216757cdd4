// Serves dist/ on localhost: node serve.mjs [--port N]. Any static host does as well; this one also
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
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Embedder-Policy": "require-corp",
      ETag: tag,
    };
    if (request.headers["if-none-match"] === tag) return response.writeHead(304, headers).end();
    const bytes = await file.readFile();
    response.writeHead(200, { ...headers, "Content-Length": bytes.length });
    response.end(request.method === "HEAD" ? undefined : bytes);
  } finally {
    await file.close();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { values } = parseArgs({ options: { port: { type: "string", default: "8000" } } });
  const server = await serve(path.join(import.meta.dirname, "dist"), Number(values.port));
  console.log(`http://localhost:${server.address().port}/`);
}
