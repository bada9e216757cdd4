// Blocks of one file in memory, for places that are too slow to be asked block by block: all that is kept there is read when the file is opened;
// what comes is written a little later, together.
import type { Disk } from "./store.js";

/** Bytes kept of one file at most, all of which lie in memory while it is open; when they are more, what was used longest ago goes. */
export const QUOTA = 64 * 1024 * 1024;
/** Blocks are written so long after the first of them came. */
const PAUSE_MS = 200;
/** Blocks, and bytes, that are written at a time: whoever else wants this thread waits for no more. */
const MANY = 128;
const PIECE = 256 * 1024;
/** Blocks whose order of use outlives the page; all others are taken for used before these. */
const ORDER = 32_768;

/** What is to be written. */
export interface Changes {
  /** Whether all that was there before is to go. */
  cleared: boolean;
  /** Offsets whose blocks are new, or gone. */
  offsets: ReadonlySet<number>;
  /** All blocks by offset, the one used longest ago first, and their bytes. */
  blocks: ReadonlyMap<number, Uint8Array>;
  bytes: number;
  /** Their offsets in that order, the last so many; only where nothing more waits to be written. */
  order: Float64Array<ArrayBuffer> | undefined;
}

/** Where they lie. What fails, for want of room most likely, ends it: this visit then keeps nothing more there. */
export interface Place {
  write(changes: Changes): Promise<void>;
  close(): void;
}

/** Blocks of one file. */
export class Shelved implements Disk {
  readonly memory = true;
  /** By offset, the one used longest ago first. */
  readonly #blocks: Map<number, Uint8Array>;
  #bytes = 0;
  /** Offsets whose blocks are to be written, or removed. */
  readonly #changed = new Set<number>();
  #cleared = false;
  #place: Place | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #writing = false;
  #closed = false;

  /** `found` in any order; `order` as it was written. */
  constructor(place: Place, readonly quota: number, found: Iterable<readonly [number, Uint8Array]>, order: Iterable<number> = []) {
    this.#place = place;
    this.#blocks = new Map(found);
    for (const offset of order) this.use(offset);
    for (const { length } of this.#blocks.values()) this.#bytes += length;
    this.#fit();
  }

  get size(): number {
    return this.#bytes;
  }

  /** The order of use is written with what is new, or at the end. */
  get(offset: number, bytes: number): Uint8Array | undefined {
    const block = this.#blocks.get(offset);
    if (block?.length !== bytes) return undefined;
    this.use(offset);
    return block;
  }

  use(offset: number): void {
    const block = this.#blocks.get(offset);
    if (block && this.#blocks.delete(offset)) this.#blocks.set(offset, block);
  }

  /** The block is kept as it is: no view of more. */
  put(offset: number, block: Uint8Array): void {
    if (this.#blocks.has(offset) || block.length > this.quota / 2) return;
    this.#blocks.set(offset, block);
    this.#bytes += block.length;
    this.#changed.add(offset);
    this.#fit();
    this.#later();
  }

  drop(offset: number): void {
    this.#bytes -= this.#blocks.get(offset)?.length ?? 0;
    this.#blocks.delete(offset);
    this.#changed.add(offset);
    this.#later();
  }

  clear(): void {
    this.#blocks.clear();
    this.#changed.clear();
    this.#bytes = 0;
    this.#cleared = true;
    this.#write();
  }

  close(): void {
    this.#closed = true;
    this.#write();
  }

  /** Forgets what was used longest ago, once there is too much: a quarter at a time. */
  #fit(): void {
    if (this.#bytes <= this.quota) return;
    for (const offset of this.#blocks.keys()) {
      if (this.#bytes <= this.quota * 0.75) break;
      this.drop(offset);
    }
  }

  #later(): void {
    this.#timer ??= setTimeout(() => this.#write(), PAUSE_MS);
  }

  /** Writes a piece, and then the next one if there was more. One at a time. */
  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const place = this.#place;
    if (!place || this.#writing) return;
    const offsets = new Set<number>();
    let bytes = 0;
    for (const offset of this.#changed) {
      if (offsets.size >= MANY || bytes >= PIECE) break;
      bytes += this.#blocks.get(offset)?.length ?? 0;
      offsets.add(offset);
      this.#changed.delete(offset);
    }
    const full = this.#changed.size > 0;
    const order = full ? undefined : Float64Array.from([...this.#blocks.keys()].slice(-ORDER));
    const changes = { cleared: this.#cleared, offsets, blocks: this.#blocks, bytes: this.#bytes, order };
    this.#cleared = false;
    this.#writing = true;
    place.write(changes).then(() => {
      this.#writing = false;
      const more = this.#cleared || this.#changed.size > 0;
      if (more && (this.#closed || this.#cleared || full)) this.#write();
      else if (more) this.#later();
      else if (this.#closed) this.#end(place);
    }).catch(() => this.#end(place));
  }

  #end(place: Place): void {
    this.#place = undefined;
    place.close();
  }
}
