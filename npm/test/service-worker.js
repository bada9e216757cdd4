// A service worker that answers searches: the page asks for /search?..., it fetches parts of the index and replies.
import * as one from "/dist/service-worker.js";
import * as several from "/dist/index.js";

let index;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const { pathname, searchParams } = new URL(event.request.url);
  if (pathname === "/search") event.respondWith(answer(searchParams));
});

async function answer(parameters) {
  try {
    const mode = parameters.get("mode");
    index ??= mode === "index" ? several.open(parameters.get("file")) : one.open(parameters.get("file"), { mode });
    const hits = await (await index).search(JSON.parse(parameters.get("vector")));
    const { info } = await index;
    return Response.json({ mode: info.mode, worker: info.worker, backend: info.backend, hits: hits.map((hit) => [hit.id, hit.distance, hit.text()]) });
  } catch (error) {
    return Response.json({ failed: `${error.name}: ${error.message}` });
  }
}
