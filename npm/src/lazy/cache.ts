// What outlives a page in a Cache of the caller's. Its entries can only be written as a whole, and are slow to find: blocks lie many in one, under
// addresses that nobody answers, and a head is an entry of its own.
//
// Blocks of a file are the records of its entries, in the order of their names: f64 offset, f64 bytes, the block; none for one that is no more.
//
// Nothing here ever rejects: a cache that fails is one that has nothing.
import { QUOTA, Shelved, type Changes, type Place } from "./shelved.js";
import type { Disk, Shelves } from "./store.js";

/** Never found: the name is reserved. */
const ADDRESS = "https://nearshore.invalid/";
const HEAD = 16;
/** Bytes of an entry, at most; what came a little at a time lies together in the end. */
const PIECE = 1024 * 1024;
/** Bytes of all entries of a file, those of blocks that are no more among them, for each byte that may be kept. */
const SLACK = 1.25;

/** The kept of all files, in one cache. */
export const shelvesOf = (cache: Cache): Shelves => ({
  async load(url) {
    try {
      const found = await cache.match(headOf(url));
      return found && new Uint8Array(await found.arrayBuffer());
    } catch {
      return undefined;
    }
  },
  async save(url, pieces) {
    try {
      if (pieces.length === 0) await cache.delete(headOf(url));
      else await cache.put(headOf(url), new Response(new Blob([...pieces])));
    } catch {
      // Nothing is lost but time.
    }
  },
  diskOf: (identity) => diskOf(cache, identity),
});

const headOf = (url: string): string => `${ADDRESS}heads/${encodeURIComponent(url)}`;

/** The kept blocks of the file of this identity; undefined where the cache fails. */
export async function diskOf(cache: Cache, identity: string, quota = QUOTA): Promise<Disk | undefined> {
  try {
    const place = new Entries(cache, `${ADDRESS}blocks/${identity}/`, quota);
    return new Shelved(place, quota, await place.read(), await place.order());
  } catch {
    return undefined;
  }
}

/** Blocks as records. */
function recordsOf(offsets: Iterable<number>, blocks: ReadonlyMap<number, Uint8Array>): Uint8Array<ArrayBuffer> {
  const all = Array.from(offsets, (offset) => [offset, blocks.get(offset) ?? new Uint8Array(0)] as const);
  const bytes = new Uint8Array(all.reduce((sum, [, { length }]) => sum + HEAD + length, 0));
  let at = 0;
  for (const [offset, block] of all) {
    bytes.set(new Uint8Array(Float64Array.of(offset, block.length).buffer), at);
    bytes.set(block, (at += HEAD));
    at += block.length;
  }
  return bytes;
}

/** The records of an entry, as far as they are such: another's, or cut short. Blocks are checked when they are used. */
function* blocksOf(bytes: Uint8Array): Iterable<[number, Uint8Array]> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + HEAD <= bytes.length; ) {
    const [offset, length] = [view.getFloat64(at, true), view.getFloat64(at + 8, true)];
    at += HEAD;
    if (!(Number.isSafeInteger(offset) && Number.isSafeInteger(length) && length >= 0 && at + length <= bytes.length)) return;
    yield [offset, bytes.subarray(at, (at += length))];
  }
}

/** The entries of one file. None is large, so that no step takes long, and what is no more is left behind from the oldest on. */
class Entries implements Place {
  /** In the order of their names, and their bytes. */
  #entries: { name: string; bytes: number }[] = [];
  /** Names begin with the time, of which one millisecond may have many. */
  #written = 0;
  /** The name of the entry of the order of use. */
  readonly #order: string;

  constructor(readonly cache: Cache, readonly prefix: string, readonly quota: number) {
    this.#order = `${prefix}order`;
  }

  async #listed(): Promise<string[]> {
    return (await this.cache.keys()).map(({ url }) => url).filter((url) => url.startsWith(this.prefix) && url !== this.#order).sort();
  }

  async #bytesOf(name: string): Promise<Uint8Array> {
    return new Uint8Array((await (await this.cache.match(name))?.arrayBuffer()) ?? []);
  }

  async read(): Promise<Map<number, Uint8Array>> {
    const names = await this.#listed();
    const all = await Promise.all(names.map((name) => this.#bytesOf(name)));
    this.#entries = names.map((name, i) => ({ name, bytes: all[i]!.length }));
    const found = new Map<number, Uint8Array>();
    for (const [offset, block] of all.flatMap((bytes) => [...blocksOf(bytes)])) {
      found.delete(offset);
      if (block.length > 0) found.set(offset, block.slice());
    }
    return found;
  }

  async order(): Promise<Float64Array> {
    const bytes = await this.#bytesOf(this.#order);
    return new Float64Array(bytes.slice(0, bytes.length & ~7).buffer);
  }

  async write({ cleared, offsets, blocks, order }: Changes): Promise<void> {
    // Taken now: they change meanwhile.
    const records = recordsOf(offsets, blocks);
    if (cleared) {
      this.#entries = [];
      await this.#forget([this.#order, ...(await this.#listed())]);
    }
    await this.#append(records, []);
    // What of the oldest entry is still kept becomes the newest.
    for (let left = this.#entries.length; left > 0 && this.#entries.reduce((sum, { bytes }) => sum + bytes, 0) > this.quota * SLACK; left--) {
      const { name } = this.#entries.shift()!;
      const there = [...blocksOf(await this.#bytesOf(name))].map(([offset]) => offset).filter((offset) => blocks.has(offset));
      await this.#append(recordsOf(there, blocks), [name]);
    }
    if (order?.length) await this.cache.put(this.#order, new Response(order));
  }

  close(): void {}

  /** Writes an entry, in which the last ones are now as well if they are small: as they are, unread. Then those of these names go. */
  async #append(records: Uint8Array<ArrayBuffer>, gone: string[]): Promise<void> {
    const tail: string[] = [];
    let size = records.length;
    for (let last; (last = this.#entries.at(-1)) && last.bytes < 2 * size && last.bytes + size <= PIECE; size += last.bytes) {
      tail.unshift(last.name);
      this.#entries.pop();
    }
    if (size > 0) {
      const before = await Promise.all(tail.map(async (name) => (await this.cache.match(name))?.blob() ?? ""));
      const body = new Blob([...before, records]);
      const name = `${this.prefix}${Date.now()}-${String(this.#written++).padStart(6, "0")}-${Math.random()}`;
      await this.cache.put(name, new Response(body));
      this.#entries.push({ name, bytes: body.size });
    }
    await this.#forget([...tail, ...gone]);
  }

  async #forget(names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => this.cache.delete(name)));
  }
}
