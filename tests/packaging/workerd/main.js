import * as nearshore from "nearshore";
import { check } from "../shared/check.js";

/** Opened by the first request that needs it, kept by the isolate for the others. */
let index;

export default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    try {
      return Response.json(await (pathname === "/search" ? search(searchParams) : check(nearshore, searchParams.get("url"))));
    } catch (error) {
      return Response.json({ failed: `${error.name}: ${error.message}` }, { status: 500 });
    }
  },
};

/** Searches a file that lies elsewhere, fetching parts of it. */
async function search(parameters) {
  index ??= nearshore.open(parameters.get("url"), { mode: "lazy" });
  const hits = await (await index).search(JSON.parse(parameters.get("vector")));
  const { memoryBytes } = await (await index).stats();
  return { hits: hits.map((hit) => [hit.id, hit.distance, hit.text()]), distances: hits.stats.distances, requests: hits.stats.requests, memoryBytes };
}
