// Blocks of one file in memory, for places that are too slow to be asked block by block: all that is kept there is read when the file is opened;
// what comes is written a little later, together.
import type { Disk } from "./store.js";

/** Bytes kept of one file at most, all of which lie in memory while it is open; when they are more, what was used longest ago goes. */
export const QUOTA = 64 * 1024 * 1024;
/** Blocks are written once none came for so long. */
const PAUSE_MS = 200;

/** What is to be written. */
export interface Changes {
  /** Whether all that was there before is to go. */
  cleared: boolean;
  /** Offsets whose blocks are new, or gone. */
  offsets: ReadonlySet<number>;
  /** All blocks by offset, the one used longest ago first, and their bytes. */
  blocks: ReadonlyMap<number, Uint8Array>;
  bytes: number;
}

/** Where they lie. What fails, for want of room most likely, ends it: this visit then keeps nothing more there. */
export interface Place {
  write(changes: Changes): Promise<void>;
  close(): void;
}

/** Blocks of one file. */
export class Shelved implements Disk {
  /** By offset, the one used longest ago first. */
  readonly #blocks: Map<number, Uint8Array>;
  #bytes = 0;
  /** Offsets whose blocks are to be written, or removed. */
  #changed = new Set<number>();
  #cleared = false;
  #place: Place | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(place: Place, readonly quota: number, found: Iterable<readonly [number, Uint8Array]>) {
    this.#place = place;
    this.#blocks = new Map(found);
    for (const { length } of this.#blocks.values()) this.#bytes += length;
    this.#fit();
  }

  get size(): number {
    return this.#bytes;
  }

  get(offset: number, bytes: number): Uint8Array | undefined {
    const block = this.#blocks.get(offset);
    if (block?.length !== bytes) return undefined;
    this.#blocks.delete(offset);
    this.#blocks.set(offset, block);
    this.#later();
    return block;
  }

  put(offset: number, block: Uint8Array): void {
    if (!this.#place || this.#blocks.has(offset) || block.length > this.quota / 2) return;
    // A view would be written, and stay, with all that came with it.
    this.#blocks.set(offset, block.slice());
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
    this.#write();
    const place = this.#place;
    this.#place = undefined;
    this.#writing.then(() => place?.close());
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

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const place = this.#place;
    if (!place) return;
    const changes = { cleared: this.#cleared, offsets: this.#changed, blocks: this.#blocks, bytes: this.#bytes };
    this.#cleared = false;
    this.#changed = new Set();
    this.#writing = place.write(changes).catch(() => {
      this.#place = undefined;
      place.close();
    });
  }
}
