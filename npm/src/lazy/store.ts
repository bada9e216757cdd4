// Blocks that were read, kept for the next search.
import type { Kept } from "./blocks.js";

/** Memory for blocks unless said otherwise. */
export const QUOTA = 64 * 1024 * 1024;

/** Something that blocks outlive this page in. It may fail at any time, and then simply has nothing. */
export interface Disk extends Kept {
  clear(): void;
  close(): void;
  readonly size: number;
}

/** Where blocks, and what opening brought, outlive this page. Nothing of it rejects. */
export interface Shelves {
  /** The first bytes of the file at an address, as they were when it was opened last. */
  load(url: string): Promise<Uint8Array | undefined>;
  /** Keeps these; none to forget them. */
  save(url: string, pieces: readonly Uint8Array<ArrayBuffer>[]): Promise<void>;
  /** The kept blocks of the file of this identity. */
  diskOf(identity: string): Promise<Disk | undefined>;
}

/** What signs an address for a while, as S3, Google Cloud Storage, Azure and CloudFront do: another each time, for one file. */
const SIGNED = /^(x-(amz|goog)-)?sig(nature)?$/i;
const SIGNS = /^(x-(amz|goog)-.*|sig(nature)?|expires|policy|(key-pair|awsaccesskey|googleaccess)-?id|s[et]|sk[et])$/i;

/** An address without what signs it: under this what opening took is kept. Whatever else is in it may say which file it is. */
export function unsigned(url: string): string {
  const address = new URL(url);
  const names = [...address.searchParams.keys()];
  if (!names.some((name) => SIGNED.test(name))) return url;
  for (const name of names) if (SIGNS.test(name)) address.searchParams.delete(name);
  return address.href;
}

/** Blocks of one file by offset: those used last stay. */
export class Store implements Kept {
  /** A map remembers the order of insertion: the first is the one used longest ago. */
  readonly #blocks = new Map<number, Uint8Array>();
  #bytes = 0;
  disk: Disk | undefined;

  constructor(public quota: number) {}

  /** Goes on with this disk, which opened later than searches could wait for: it gets what came meanwhile. */
  attach(disk: Disk): void {
    this.disk = disk;
    for (const [offset, block] of this.#blocks) disk.put(offset, block);
  }

  get(offset: number, bytes: number): Uint8Array | undefined {
    const block = this.#blocks.get(offset);
    if (block?.length === bytes) {
      this.#blocks.delete(offset);
      this.#blocks.set(offset, block);
      return block;
    }
    const found = this.disk?.get(offset, bytes);
    if (found) this.#keep(offset, found);
    return found;
  }

  put(offset: number, block: Uint8Array): void {
    if (this.#blocks.has(offset)) return;
    this.#keep(offset, block);
    this.disk?.put(offset, block);
  }

  drop(offset: number): void {
    this.#forget(offset);
    this.disk?.drop(offset);
  }

  /** Forgets all. */
  clear(): void {
    this.#blocks.clear();
    this.#bytes = 0;
    this.disk?.clear();
  }

  /** Bytes kept: on disk, where there is one, else in memory. */
  get size(): number {
    return this.disk ? this.disk.size : this.#bytes;
  }

  #keep(offset: number, block: Uint8Array): void {
    this.#forget(offset);
    if (block.length > this.quota) return;
    // A view would keep all that came with it.
    this.#blocks.set(offset, block.byteLength < block.buffer.byteLength ? block.slice() : block);
    this.#bytes += block.length;
    for (const oldest of this.#blocks.keys()) {
      if (this.#bytes <= this.quota) break;
      this.#forget(oldest);
    }
  }

  #forget(offset: number): void {
    this.#bytes -= this.#blocks.get(offset)?.length ?? 0;
    this.#blocks.delete(offset);
  }
}
