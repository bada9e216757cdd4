// Compiled, never run: what must type-check, and (under @ts-expect-error) what must not.
import { Index, LiveIndex, NearshoreError, init, open, type ColumnTypes, type ErrorCode, type Hit, type Hits, type Id, type Source } from "nearshore";

export async function searches(): Promise<void> {
  await using index: Index = await open("https://example.com/x.shore", { mode: "whole", worker: false, headers: { accept: "*/*" } });
  const hits: Hits = await index.search(new Float32Array(4), { k: 10, recall: 0.95, signal: AbortSignal.timeout(5), budget: { bytes: 1, rounds: 2, ms: 3 }, payload: true });
  const first: Hit | undefined = hits[0];
  const id: Id | undefined = first?.id;
  const bytes: Uint8Array | undefined = first?.payload;
  const distances: number = hits.stats.distances;
  const batch: Hits[] = await index.searchBatch([[1, 2], new Float32Array(2)], { ef: 20, plan: "walk" });
  void [id, bytes, distances, batch, first?.text(), first?.json()];

  // @ts-expect-error hits are read-only
  hits[0] = first;
  // @ts-expect-error text is no vector
  await index.search("text");
  // @ts-expect-error there is no such plan
  await index.search([1], { plan: "fly" });
  // @ts-expect-error k is a number
  await index.search([1], { k: "10" });
  // @ts-expect-error an open index takes no rows
  await index.add(1, [1]);
  // @ts-expect-error indexes come from `open`, `build`, `create`, `load`
  void new Index();
  // @ts-expect-error an absent option is absent, not undefined
  await index.search([1], { k: undefined });
}

export async function builds(): Promise<void> {
  const built: Index = await Index.build([1, 2n], new Float32Array(8), { dimensions: 4, metric: "cosine", payloads: ["one", { two: 2 }], onProgress: ({ done, total }) => done < total });
  const live: LiveIndex = await Index.create({ dimensions: 4 });
  await live.add(1n, [1, 2, 3, 4], { payload: "text" });
  await live.addMany(Uint32Array.of(1), new Float32Array(4), { payloads: [null] });
  const shop: LiveIndex = await Index.create({ dimensions: 4, columns: { price: "f64", brand: "string" } });
  await shop.add(1, [1, 2, 3, 4], { columns: { price: 9.5, brand: null } });
  await shop.addMany([2], new Float32Array(4), { columns: [{ price: 3 }] });
  await shop.addMany([3], new Float32Array(4), { columns: { price: Float64Array.of(3), n: BigInt64Array.of(3n), brand: ["a"] } });
  await Index.build(null, new Float32Array(4), { dimensions: 4, columns: { price: [3, null] }, columnTypes: { price: "f64" } });
  const types: ColumnTypes | undefined = shop.info.columns;
  void types;
  // @ts-expect-error no such type
  await Index.create({ dimensions: 4, columns: { price: "float" } });
  interface Product { price: number; brand?: string | null }
  class Sale { constructor(readonly price: number) {} }
  const products: Product[] = [{ price: 3 }];
  await shop.add(4, [1, 2, 3, 4], { columns: products[0]! });
  await shop.addMany([5], new Float32Array(4), { columns: products });
  await shop.update(4, [1, 2, 3, 4], { columns: new Sale(3) });
  await Index.build(null, new Float32Array(4), { dimensions: 4, columns: [new Sale(3)] });
  // @ts-expect-error values are an object
  await shop.add(1, [1, 2, 3, 4], { columns: 3 });
  const kept: LiveIndex = await Index.create({ dimensions: 4, persist: "notes", wait: true, signal: AbortSignal.timeout(5) });
  const bytes: number | undefined = (await kept.persisted())?.bytes;
  await kept.clear();
  await Index.remove("notes");
  void bytes;
  const over: LiveIndex = await Index.create({ base: built, persist: "over" });
  await over.close();
  // @ts-expect-error a base is an index
  await Index.create({ base: "articles.shore" });
  // @ts-expect-error dimensions must be said, or a base
  await Index.create({ metric: "l2" });
  const gone: boolean = await live.delete(1);
  const compacted: void = await live.compact();
  await live.update(1, new Float32Array(4));
  const again: LiveIndex = await Index.load(await live.save());
  void [built, gone, compacted, again];
  // @ts-expect-error dimensions must be said
  await Index.build(null, new Float32Array(8), { metric: "l2" });
  // @ts-expect-error no such metric
  await Index.create({ dimensions: 4, metric: "manhattan" });
}

export const store: Source = {
  read: async (offset, length, signal) => {
    signal?.throwIfAborted();
    return new Uint8Array(length - offset);
  },
  size: async () => 7,
};

export async function errors(): Promise<ErrorCode | undefined> {
  try {
    await init({ wasm: new URL("https://example.com/nearshore.wasm") });
    await open(store);
    return undefined;
  } catch (error) {
    // @ts-expect-error no such code
    if (error instanceof NearshoreError && error.code === "no-such-code") return undefined;
    return error instanceof NearshoreError ? error.code : undefined;
  }
}
