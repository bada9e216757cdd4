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
/** Entries of one file after which they become one again. */
const ENTRIES = 16;

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
    return new Shelved(place, quota, await place.read());
  } catch {
    return undefined;
  }
}

/** The entries of one file. */
class Entries implements Place {
  #names: string[] = [];
  /** Bytes in them. */
  #bytes = 0;
  /** Names begin with the time, of which one millisecond may have many. */
  #written = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(readonly cache: Cache, readonly prefix: string, readonly quota: number) {}

  async #listed(): Promise<string[]> {
    return (await this.cache.keys()).map(({ url }) => url).filter((url) => url.startsWith(this.prefix)).sort();
  }

  async read(): Promise<Map<number, Uint8Array>> {
    this.#names = await this.#listed();
    const blocks = new Map<number, Uint8Array>();
    for (const body of await Promise.all(this.#names.map(async (name) => (await this.cache.match(name))?.arrayBuffer()))) {
      const bytes = new Uint8Array(body ?? []);
      this.#bytes += bytes.length;
      for (let at = 0; at + HEAD <= bytes.length; ) {
        const [offset = 0, length = 0] = new Float64Array(bytes.slice(at, at + HEAD).buffer);
        at += HEAD;
        // Another's, or cut short: blocks are checked when they are used.
        if (!(Number.isSafeInteger(offset) && Number.isSafeInteger(length) && length >= 0 && at + length <= bytes.length)) break;
        blocks.delete(offset);
        if (length > 0) blocks.set(offset, bytes.slice(at, at + length));
        at += length;
      }
    }
    return blocks;
  }

  /** One at a time, so that names are in the order of what was said. */
  write(changes: Changes): Promise<void> {
    const { cleared, blocks } = changes;
    if (cleared && blocks.size === 0) return this.#after(async () => this.#forget(await this.#listed()));
    const many = this.#names.length >= ENTRIES || this.#bytes > this.quota;
    const offsets = cleared || many ? blocks.keys() : changes.offsets;
    // Taken now: they change while others are being written.
    const records = Array.from(offsets, (offset) => [Float64Array.of(offset, blocks.get(offset)?.length ?? 0), blocks.get(offset) ?? ""] as const).flat();
    if (records.length === 0) return this.#writing;
    return this.#after(async () => {
      const body = new Blob(records as BlobPart[]);
      const old = cleared || many ? this.#names : [];
      const name = `${this.prefix}${Date.now()}-${String(this.#written++).padStart(6, "0")}-${Math.random()}`;
      await this.cache.put(name, new Response(body));
      this.#names = [...this.#names, name];
      this.#bytes += body.size;
      if (old.length > 0) {
        await this.#forget(old);
        this.#bytes = body.size;
      }
    });
  }

  close(): void {}

  #after(work: () => Promise<void>): Promise<void> {
    return (this.#writing = this.#writing.then(work));
  }

  async #forget(names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => this.cache.delete(name)));
    this.#names = this.#names.filter((name) => !names.includes(name));
    if (this.#names.length === 0) this.#bytes = 0;
  }
}
