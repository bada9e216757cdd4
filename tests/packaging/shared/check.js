// What every consumer does with the package: build, search, save, open again, keep an index, filter, and open a file in parts. The report must be the same everywhere, the bytes included.

const ROWS = 300;
const DIMENSIONS = 24;

/**
 * @param {typeof import("nearshore")} nearshore
 * @param {string} tiles where a file in tiles lies: an address, or a path
 */
export async function check({ Index, NearshoreError, init, open }, tiles) {
  await init(); // the reader, which then opens; the build loads the full engine
  const vectors = Float32Array.from({ length: ROWS * DIMENSIONS }, (_, i) => ((i * 7919) % 251) / 16 - ((i * 104729) % 127) / 8);
  const ids = Array.from({ length: ROWS }, (_, i) => (i === 7 ? 2n ** 60n : i));
  const payloads = ids.map((id) => ({ row: String(id) }));
  const built = await Index.build(ids, vectors, { dimensions: DIMENSIONS, metric: "cosine", payloads });
  const bytes = await built.save();
  const index = await open(new Blob([bytes]));
  const hits = await index.search(vectors.subarray(7 * DIMENSIONS, 8 * DIMENSIONS), { k: 5 });
  const batch = await index.searchBatch(vectors.subarray(0, 20 * DIMENSIONS), { k: 1 });
  const error = await index.search([1, 2, 3]).catch((error) => error);
  const { backend, worker } = index.info;
  const lazy = await open(tiles, { mode: "lazy" });
  const parts = await lazy.search(new Float32Array(lazy.info.dimensions).fill(0.5), { k: 3 });
  const rows = await keep(Index, ids, vectors).catch((error) => error.code);
  const shop = await Index.create({ dimensions: 2, columns: { price: "f64" } });
  await shop.addMany([1, 2, 3], Float32Array.of(1, 1, 0, 0, 2, 2), { columns: [{ price: 9.5 }, { price: 30 }, {}] });
  const cheap = await shop.search([0, 0], { filter: "price < 20" });
  await shop.close();
  await built.close();
  await index.close();
  return {
    backend,
    worker,
    bytes: bytes.length,
    sum: bytes.reduce((sum, byte) => (Math.imul(sum, 31) + byte) | 0, 0),
    hits: hits.map(({ id, distance }) => [String(id), distance]),
    payload: hits[0].json(),
    themselves: batch.filter(([hit], i) => hit.id === ids[i]).length,
    rows,
    cheap: cheap.map(({ id }) => id),
    error: error instanceof NearshoreError && error.code,
    parts: [lazy.info.mode, lazy.info.worker === worker, parts.stats.rounds, ...parts.map(({ id, distance }) => [id, distance])],
  };
}

/** Kept by the browser, or in a folder here; opened again, and removed. */
async function keep(Index, ids, vectors) {
  const options = { dimensions: DIMENSIONS, persist: "nearshore-check" };
  let kept = await Index.create(options);
  await kept.addMany(ids, vectors);
  await kept.close();
  kept = await Index.create(options);
  const rows = [kept.size, kept.info.kept];
  await kept.close();
  await Index.remove(options.persist);
  return rows;
}
