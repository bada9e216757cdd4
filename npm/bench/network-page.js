// The page of `network.mjs`: measures what its address asks for, and tells the server that it came from.
import { init, open } from "/dist/index.js";

const ask = Object.fromEntries(new URLSearchParams(location.search));
const { rows, dimensions } = ask;
const queries = new Float32Array(await (await fetch("/queries")).arrayBuffer());
const query = (number) => queries.subarray(number * dimensions, (number + 1) * dimensions);
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
const OPTIONS = { k: 10, payload: false };

/** Searches one after the other; means, and milliseconds from call to answer. */
async function searches(index, from, to) {
  const all = [];
  for (let number = from; number < to; number++) all.push((await index.search(query(number), OPTIONS)).stats);
  const mean = (name) => all.reduce((sum, stats) => sum + stats[name], 0) / all.length;
  const ms = all.map((stats) => stats.ms).sort((a, b) => a - b);
  return { searches: all.length, rounds: mean("rounds"), requests: mean("requests"), bytes: mean("bytes"), p50_ms: ms[ms.length >> 1], p95_ms: ms[Math.floor(ms.length * 0.95)] };
}

const MEASURES = {
  /** From the call of `open` to the first hits, the package's scripts being there; its engine is loaded meanwhile, from nearby. */
  async opening({ url }) {
    const start = performance.now();
    const index = await open(url, { mode: "lazy" });
    const opened = performance.now() - start;
    const { requests, bytes } = await index.stats();
    const { stats } = await index.search(query(0), OPTIONS);
    return { ms: performance.now() - start, opened_ms: opened, search_ms: stats.ms, requests_opening: requests, bytes_opening: bytes, rounds: stats.rounds, requests: requests + stats.requests, bytes: bytes + stats.bytes };
  },
  /** Nothing is kept; the engine is warm. */
  async cold({ url }) {
    const index = await open(url, { mode: "lazy", cache: "none" });
    await searches(index, rows - 5, rows);
    return searches(index, 0, rows);
  },
  /** The same searches once more. */
  async kept({ url }) {
    const index = await open(url, { mode: "lazy", cache: "memory" });
    await searches(index, 0, rows);
    return searches(index, 0, rows);
  },
  /** A visit, and another: what was fetched lies in the origin's private file system. */
  async again({ url }) {
    const first = await open(url, { mode: "lazy" });
    await searches(first, 0, rows);
    await first.close();
    const start = performance.now();
    const index = await open(url, { mode: "lazy" });
    const opened_ms = performance.now() - start;
    const { requests, bytes } = await index.stats();
    const one = await index.search(query(0), OPTIONS);
    return { opened_ms, requests_opening: requests, bytes_opening: bytes, first_search_ms: one.stats.ms, ...(await searches(index, 1, rows)) };
  },
  /** The codes of all tiles ahead. */
  async codes({ url }) {
    const index = await open(url, { mode: "lazy", cache: "memory" });
    const before = await index.stats();
    const start = performance.now();
    await index.prefetch();
    const prefetch_ms = performance.now() - start;
    const after = await index.stats();
    return { prefetch_ms, prefetch_requests: after.requests - before.requests, prefetch_bytes: after.bytes - before.bytes, ...(await searches(index, 0, rows)) };
  },
  /** 32 parts of 4 KiB at a time, by the package's reader or as a browser fetches unless told otherwise. */
  async ranges({ url, own }) {
    const { Http } = await import("/reader.js");
    const http = new Http(url);
    const read = own ? (at) => http.read(at, 4096) : (at) => fetch(url, { headers: { range: `bytes=${at}-${at + 4095}` } }).then((response) => response.arrayBuffer());
    await read(0); // connected
    const times = [];
    for (let turn = 1; turn <= 9; turn++) {
      const start = performance.now();
      await Promise.all(Array.from({ length: 32 }, (_, i) => read((turn * 32 + i) * 65_536)));
      times.push(performance.now() - start);
    }
    return { ms: median(times), first_ms: times[0], least_ms: Math.min(...times) };
  },
};

const report = await MEASURES[ask.measure](ask).catch((error) => ({ failed: `${error.name}: ${error.message}` }));
await fetch("/report", { method: "POST", body: JSON.stringify(report) });
