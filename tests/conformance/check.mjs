// What must hold of the npm package, wherever it runs: golden files answer as their JSON says, to the bit, and builds have the digests
// that the native library gave. Nothing here knows Node or a browser.
import { columns, largeIds, payload, rows } from "./rows.mjs";

const word = new DataView(new ArrayBuffer(4));

/** The bits of a 32-bit float. */
function bitsOf(float) {
  word.setFloat32(0, float);
  return word.getUint32(0);
}

/** The 32-bit float with these bits. */
function floatOf(bits) {
  word.setUint32(0, bits);
  return word.getFloat32(0);
}

const VECTORS = {
  f32: (query) => Float32Array.from(query.bits, floatOf),
  u8: (query) => Uint8Array.from(query.values),
  i8: (query) => Int8Array.from(query.values),
};

/** The options of a search, as the package takes them. */
function optionsOf(search) {
  const { k, ef, recall_bits, plan, refine, rerank, radius_bits } = search;
  const given = { k, ef, plan, refine, rerank };
  if (recall_bits !== undefined) given.recall = floatOf(recall_bits);
  if (radius_bits !== undefined) given.radius = floatOf(radius_bits);
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** Whether a golden file is in tiles, which an engine of their own searches. */
export const isTiled = (name) => name.endsWith("-tiles");

/**
 * Whether the package is asked a search of a golden file: the fast layout is walked by the native library alone; a file in tiles is searched
 * by them alone, and the package has no option for their number.
 */
export const isAsked = (name, { layout, plan = "tiles", probes }) => (isTiled(name) ? plan === "tiles" && probes === undefined : !layout);

/** Runs every search of `expected` over the file at `source`; says how many there were and which differ. */
export async function checkGolden(nearshore, name, source, expected, backend) {
  const index = await nearshore.open(source);
  const differences = [];
  let searches = [];
  const differ = (what, found, wanted) => {
    if (JSON.stringify(found) !== JSON.stringify(wanted)) differences.push(`${name}: ${what}: found ${JSON.stringify(found)}, wanted ${JSON.stringify(wanted)}`);
  };
  try {
    const { rows, dimensions, metric, element } = expected;
    const info = index.info;
    differ("info", { rows: info.rows, dimensions: info.dimensions, metric: info.metric, element: info.element, backend: info.backend }, { rows, dimensions, metric, element, backend });
    const queries = expected.queries.map((query) => VECTORS[query.form](query));
    searches = expected.searches.filter((search) => isAsked(name, search));
    for (const search of searches) {
      const hits = await index.search(queries[search.query], optionsOf(search));
      const { query, ids, bits, distances, hops, ...asked } = search;
      const found = { ids: hits.map((hit) => String(hit.id)), bits: hits.map((hit) => bitsOf(hit.distance)), distances: hits.stats.distances, hops: hits.stats.hops };
      differ(`query ${query}, ${JSON.stringify(asked)}`, found, { ids, bits, distances, hops });
      const texts = ids.map((id) => (expected.payload ? payload(BigInt(id)) : ""));
      differ(`payloads of query ${query}`, hits.map((hit) => hit.text()), texts);
    }
  } finally {
    await index.close();
  }
  return { checked: searches.length, differences };
}

/**
 * Asks the file at `source`, opened by `mode` or loaded, what `searches`, those of `filters.json` for it, ask: in one pass with the condition as text, and where it can be put
 * so as objects; says how many there were and which differ.
 */
export async function checkFilters(nearshore, source, mode, queries, searches) {
  const index = await (mode === "load" ? nearshore.Index.load(source) : nearshore.open(source, { mode }));
  const differences = [];
  try {
    for (const { filter, options, query, hits, distances, hops } of searches) {
      for (const condition of [filter, { and: [filter, { not: { column: "price", lt: -1 } }] }]) {
        const found = await index.search(queries[query], { ...options, filter: condition });
        const seen = JSON.stringify([found.map((hit) => [hit.id, hit.distance, hit.text()]), found.stats.distances, found.stats.hops]);
        const wanted = JSON.stringify([hits.map(([id, distance, text]) => [id, Math.fround(distance), text]), distances, hops]);
        if (seen !== wanted) differences.push(`${JSON.stringify(condition)} ${JSON.stringify(options)} query ${query}: found ${seen}, wanted ${wanted}`);
      }
    }
  } finally {
    await index.close();
  }
  return { checked: searches.length, differences };
}

async function sha256(bytes) {
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Builds the rows of `recipe` and gives the SHA-256 of the file. */
export async function buildDigest(nearshore, recipe, backend) {
  const vectors = rows(recipe.element, recipe.dimensions, recipe.rows, BigInt(recipe.seed));
  if ((await sha256(vectors)) !== recipe.rows_sha256) throw new Error(`${recipe.name}: the rows are not those of the recipe`);
  const ids = recipe.dressed ? largeIds(recipe.rows) : null;
  const index = await nearshore.Index.build(ids, vectors, {
    dimensions: recipe.dimensions,
    metric: recipe.metric,
    m: recipe.m,
    efConstruction: recipe.ef_construction,
    seed: BigInt(recipe.seed),
    originals: recipe.originals ? "keep" : "drop",
    ...(ids && { payloads: Array.from(ids, payload) }),
    ...(recipe.columns && { columns: columns(recipe.rows) }),
  });
  try {
    if (index.info.backend !== backend) throw new Error(`the engine is ${index.info.backend}, expected ${backend}`);
    return await sha256(await index.save());
  } finally {
    await index.close();
  }
}
