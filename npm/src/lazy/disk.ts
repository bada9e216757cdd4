// What outlives the page, in the origin's private file system: a file of blocks for each index, to which they are appended; and for each
// address what opening took, so that it opens again without a network.
import type { Disk, Shelves } from "./store.js";

/** Bytes kept of one file at most; when they are full, what was used longest ago makes room. */
const QUOTA = 256 * 1024 * 1024;
/** Bytes kept of all files; older ones go first. */
const QUOTA_ALL = 1024 * 1024 * 1024;
/** Before each block: its offset in the index as f64, its length as f64. */
const HEAD = 16;
const FOLDER = "nearshore";

/** What is used of a synchronous handle, which only workers have, and only one at a time. */
interface Handle {
  read(into: Uint8Array, options: { at: number }): number;
  write(from: Uint8Array, options: { at: number }): number;
  truncate(bytes: number): void;
  getSize(): number;
  close(): void;
}

/** Where a block lies in the file. */
interface Place {
  at: number;
  bytes: number;
}

/** The kept blocks of the file of this identity; undefined where there is no such place, or another tab has it. */
export async function diskOf(identity: string): Promise<BlockFile | undefined> {
  try {
    const folder = await folderOf();
    await makeRoom(folder, identity);
    return new BlockFile(await handleOf(folder, identity), QUOTA);
  } catch {
    return undefined;
  }
}

/** The first bytes of the file at an address, as they were when it was opened last. */
export class Shelf {
  /** Undefined when there are none, or they are damaged. */
  static async load(url: string): Promise<Uint8Array | undefined> {
    return Shelf.#with(url, async (handle) => {
      const bytes = new Uint8Array(handle.getSize());
      handle.read(bytes, { at: 0 });
      const body = bytes.subarray(DIGEST);
      return bytes.length > DIGEST && String(await digestOf(body)) === String(bytes.subarray(0, DIGEST)) ? body : undefined;
    });
  }

  /** Keeps these; none to forget them. */
  static async save(url: string, pieces: readonly Uint8Array<ArrayBuffer>[]): Promise<void> {
    await Shelf.#with(url, async (handle) => {
      handle.truncate(0);
      const body = new Uint8Array(await new Blob([...pieces]).arrayBuffer());
      if (body.length > 0) handle.write(new Uint8Array(await new Blob([await digestOf(body), body]).arrayBuffer()), { at: 0 });
    });
  }

  static async #with<T>(url: string, work: (handle: Handle) => Promise<T>): Promise<T | undefined> {
    try {
      const name = (await digestOf(new TextEncoder().encode(url))).join("-");
      const handle = await handleOf(await folderOf(), name);
      return await work(handle).finally(() => handle.close());
    } catch {
      return undefined; // nothing is lost but time
    }
  }
}

/** Both, as an engine uses them. */
export const FILES: Shelves = { load: Shelf.load, save: Shelf.save, diskOf };

/** Whether there are synchronous handles here: in workers of pages, but not in pages themselves. */
export const handles = (): boolean => "createSyncAccessHandle" in (globalThis.FileSystemFileHandle?.prototype ?? {});

const DIGEST = 32;
const digestOf = async (bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

const folderOf = async (): Promise<FileSystemDirectoryHandle> => (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true });

async function handleOf(folder: FileSystemDirectoryHandle, name: string): Promise<Handle> {
  const file = (await folder.getFileHandle(name, { create: true })) as unknown as { createSyncAccessHandle(): Promise<Handle> };
  return file.createSyncAccessHandle();
}

/** Removes files of other indexes, those written longest ago first, until all together are small enough. One in use stays. */
async function makeRoom(folder: FileSystemDirectoryHandle, identity: string): Promise<void> {
  const files: { name: string; size: number; lastModified: number }[] = [];
  for await (const [name, handle] of (folder as unknown as { entries(): AsyncIterable<[string, FileSystemFileHandle]> }).entries()) {
    const { size, lastModified } = await handle.getFile();
    files.push({ name, size, lastModified });
  }
  files.sort((a, b) => a.lastModified - b.lastModified);
  let all = files.reduce((sum, { size }) => sum + size, 0);
  for (const { name, size } of files) {
    if (all <= QUOTA_ALL) return;
    if (name !== identity && (await folder.removeEntry(name).then(() => true, () => false))) all -= size;
  }
}

/** Blocks in a file. No search fails for it: what cannot be written is not, and what cannot be read ends it, so that it has nothing. */
export class BlockFile implements Disk {
  /** By offset, the one used longest ago first. */
  readonly #places = new Map<number, Place>();
  #end = 0;
  /** Whether there was no room: then it is read alone. */
  #full = false;
  #handle: Handle | undefined;

  constructor(handle: Handle, readonly quota: number) {
    this.#handle = handle;
    this.#try(() => this.#scan(handle));
  }

  get size(): number {
    return this.#end;
  }

  get(offset: number, bytes: number): Uint8Array | undefined {
    const place = this.#places.get(offset);
    if (place?.bytes !== bytes) return undefined;
    return this.#try((handle) => {
      this.#places.delete(offset);
      this.#places.set(offset, place);
      const block = new Uint8Array(bytes);
      return handle.read(block, { at: place.at + HEAD }) === bytes ? block : undefined;
    });
  }

  put(offset: number, block: Uint8Array): void {
    if (this.#full || this.#places.has(offset) || block.length + HEAD > this.quota / 2) return;
    this.#try((handle) => {
      if (this.#end + HEAD + block.length > this.quota) this.#compact(handle);
      const record = new Uint8Array(HEAD + block.length);
      new Float64Array(record.buffer, 0, 2).set([offset, block.length]);
      record.set(block, HEAD);
      if (!this.#write(handle, record, this.#end)) return;
      this.#places.set(offset, { at: this.#end, bytes: block.length });
      this.#end += record.length;
    });
  }

  drop(offset: number): void {
    this.#places.delete(offset);
  }

  clear(): void {
    this.#places.clear();
    this.#end = 0;
    this.#try((handle) => handle.truncate(0));
  }

  close(): void {
    this.#handle?.close();
    this.#handle = undefined;
  }

  /** Finds the blocks of earlier visits; where one was cut short, what lies behind it is written over. Blocks are checked when they are used. */
  #scan(handle: Handle): void {
    const size = handle.getSize();
    const head = new Float64Array(2);
    while (handle.read(new Uint8Array(head.buffer), { at: this.#end }) === HEAD) {
      const [offset = 0, bytes = 0] = head;
      if (!(Number.isSafeInteger(offset) && Number.isSafeInteger(bytes) && bytes > 0 && this.#end + HEAD + bytes <= size)) break;
      this.#places.set(offset, { at: this.#end, bytes });
      this.#end += HEAD + bytes;
    }
  }

  /** Keeps the half that was used last, in the order of the file: each block moves towards its beginning. */
  #compact(handle: Handle): void {
    let kept = 0;
    for (const [offset, { bytes }] of [...this.#places].reverse()) if ((kept += HEAD + bytes) > this.quota / 2) this.#places.delete(offset);
    let end = 0;
    for (const [offset, place] of [...this.#places].sort(([, a], [, b]) => a.at - b.at)) {
      const record = new Uint8Array(HEAD + place.bytes);
      handle.read(record, { at: place.at });
      // What it was to lie over is no more; those behind it are where they were.
      if (!this.#write(handle, record, end)) return void this.#places.delete(offset);
      place.at = end;
      end += record.length;
    }
    handle.truncate(end);
    this.#end = end;
  }

  /** False where there is no room: nothing is written from then on, and what was there before stays. */
  #write(handle: Handle, record: Uint8Array, at: number): boolean {
    if (this.#full) return false;
    try {
      // Chromium's private windows say 2^32 - 8 where there is no room.
      if (handle.write(record, { at }) === record.length) return true;
    } catch {
      // The same.
    }
    this.#full = true;
    handle.truncate(this.#end);
    return false;
  }

  #try<T>(work: (handle: Handle) => T): T | undefined {
    if (!this.#handle) return undefined;
    try {
      return work(this.#handle);
    } catch {
      this.#places.clear();
      this.#end = 0;
      try {
        this.close();
      } catch {
        // It is given up either way.
      }
      return undefined;
    }
  }
}
