// Blocks that were read, kept for the next search.
import type { Kept } from "./blocks.js";

/** Memory for blocks unless said otherwise. */
export const QUOTA = 64 * 1024 * 1024;

/** Something that blocks outlive this page in. It may fail at any time, and then simply has nothing. */
export interface Disk extends Kept {
  /** Memory had this block, if it is kept here. */
  use(offset: number): void;
  clear(): void;
  close(): void;
  readonly size: number;
  /** Whether its blocks lie in memory anyway. */
  readonly memory?: boolean;
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

/** Room for records beside codes that were brought ahead. */
const QUOTA_RECORDS = 4 * 1024 * 1024;

/** Blocks of one file by offset: those used last stay. */
export class Store implements Kept {
  /** A map remembers the order of insertion: the first is the one used longest ago. */
  readonly #blocks = new Map<number, Uint8Array>();
  /** Those that stay, whatever else comes. */
  readonly #pinned = new Map<number, Uint8Array>();
  #from = 0;
  #to = 0;
  /** Of both. */
  #bytes = 0;
  disk: Disk | undefined;

  constructor(public quota: number) {}

  /** Goes on with this disk, which opened later than searches could wait for: it gets what came meanwhile. */
  attach(disk: Disk): void {
    this.disk = disk;
    for (const blocks of [this.#pinned, this.#blocks]) for (const [offset, block] of blocks) disk.put(offset, block);
    if (disk.memory) for (const offset of this.#blocks.keys()) this.#forget(offset);
  }

  /** Blocks of this part of the file stay, with room for others beside them. */
  pin(offset: number, bytes: number): void {
    this.quota = Math.max(this.quota, QUOTA_RECORDS + bytes);
    [this.#from, this.#to] = [offset, offset + bytes];
    for (const [offset, block] of this.#blocks) {
      if (this.#of(offset) === this.#blocks) continue;
      this.#blocks.delete(offset);
      this.#pinned.set(offset, block);
    }
  }

  get(offset: number, bytes: number): Uint8Array | undefined {
    const blocks = this.#of(offset);
    const block = blocks.get(offset);
    if (block?.length === bytes) {
      blocks.delete(offset);
      blocks.set(offset, block);
      this.disk?.use(offset);
      return block;
    }
    const found = this.disk?.get(offset, bytes);
    if (found) this.#keep(offset, found);
    return found;
  }

  put(offset: number, block: Uint8Array): void {
    if (this.#of(offset).has(offset)) return;
    // A view would keep all that came with it.
    if (block.byteLength < block.buffer.byteLength) block = block.slice();
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
    this.#pinned.clear();
    this.#bytes = 0;
    this.disk?.clear();
  }

  /** Bytes kept: on disk, where there is one, else in memory. */
  get size(): number {
    return this.disk ? this.disk.size : this.#bytes;
  }

  #of(offset: number): Map<number, Uint8Array> {
    return offset >= this.#from && offset < this.#to ? this.#pinned : this.#blocks;
  }

  #keep(offset: number, block: Uint8Array): void {
    this.#forget(offset);
    const blocks = this.#of(offset);
    if (block.length > this.quota || (this.disk?.memory && blocks === this.#blocks)) return;
    blocks.set(offset, block);
    this.#bytes += block.length;
    for (const oldest of this.#blocks.keys()) {
      if (this.#bytes <= this.quota) break;
      this.#forget(oldest);
    }
  }

  #forget(offset: number): void {
    const blocks = this.#of(offset);
    this.#bytes -= blocks.get(offset)?.length ?? 0;
    blocks.delete(offset);
  }
}
