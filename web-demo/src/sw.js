// Stores every file of the page when it is installed and answers from that store ever after. The build
// fills in the list and a hash over all files; another hash is another store, and the old one goes.

const VERSION = "{{version}}";
const FILES = ["{{files}}"];
const STORE = `nearshore-demo-${VERSION}`;

self.addEventListener("install", (event) => {
  event.waitUntil(store().then(() => self.skipWaiting()));
});

async function store() {
  const cache = await caches.open(STORE);
  await cache.addAll(["./", ...FILES]);
}

self.addEventListener("activate", (event) => {
  event.waitUntil(dropOldStores().then(() => self.clients.claim()));
});

async function dropOldStores() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith("nearshore-demo-") && name !== STORE);
  await Promise.all(old.map((name) => caches.delete(name)));
}

self.addEventListener("fetch", (event) => {
  // Parts of a file are not stored: whoever asks for them keeps them.
  const { method, headers } = event.request;
  if (method === "GET" && !headers.has("range")) event.respondWith(answer(event.request));
});

async function answer(request) {
  const cache = await caches.open(STORE);
  return (await cache.match(request, { ignoreSearch: true })) ?? fetch(request);
}
