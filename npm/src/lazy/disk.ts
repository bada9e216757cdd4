// What outlives the page, in the origin's private file system: a file of blocks for each index, to which they are appended; and for each
// address what opening took, so that it opens again without a network.
import type { Disk, Shelves } from "./store.js";

/** Bytes kept of one file at most; when they are full, what was used longest ago makes room. */
const QUOTA = 256 * 1024 * 1024;
/** Bytes kept of all files; older ones go first. */
const QUOTA_ALL = 1024 * 1024 * 1024;
/** Addresses whose heads are kept; those opened longest ago go first. */
const HEADS = 64;
/** Before each block: its offset in the index as f64, its length as f64. */
const HEAD = 16;
/** Bytes of a file that are read at a time, when it is looked for blocks. */
const PIECE = 1024 * 1024;
const FOLDER = "nearshore";

/** What is used of a synchronous handle, which only workers have, and only one at a time. */
interface Handle {
  read(into: Uint8Array, options: { at: number }): number;
  write(from: Uint8Array, options: { at: number }): number;
  truncate(bytes: number): void;
  getSize(): number;
  close(): void;
}

/** Reads blobs, in workers. */
declare const FileReaderSync: new () => { readAsArrayBuffer(blob: Blob): ArrayBuffer };

/** Where a block lies in the file. */
interface Place {
  at: number;
  bytes: number;
}

/** The kept blocks of the file of this identity: where another tab writes them, those that are there now. Undefined where there is no such place. */
async function diskOf(identity: string): Promise<BlockFile | undefined> {
  try {
    const folder = await folderOf();
    await makeRoom(folder, identity).catch(() => {});
    const file = await folder.getFileHandle(identity, { create: true });
    return new BlockFile(await handleOf(file).catch(() => readerOf(file)), QUOTA);
  } catch {
    return undefined;
  }
}

/** The first bytes of the file at an address, as they were when it was opened last. Undefined when there are none, or they are damaged. */
async function load(url: string): Promise<Uint8Array | undefined> {
  try {
    const file = await (await folderOf()).getFileHandle(await nameOf(url));
    const bytes = new Uint8Array(await (await copyOf(file)).arrayBuffer());
    const body = bytes.subarray(DIGEST);
    return bytes.length > DIGEST && String(await digestOf(body)) === String(bytes.subarray(0, DIGEST)) ? body : undefined;
  } catch {
    return undefined;
  }
}

/** Keeps these; none to forget them. */
async function save(url: string, pieces: readonly Uint8Array<ArrayBuffer>[]): Promise<void> {
  try {
    const [folder, name] = await Promise.all([folderOf(), nameOf(url)]);
    if (pieces.length === 0) return await folder.removeEntry(name);
    const body = new Uint8Array(await new Blob([...pieces]).arrayBuffer());
    const record = new Uint8Array(await new Blob([await digestOf(body), body]).arrayBuffer());
    const handle = await handleOf(await folder.getFileHandle(name, { create: true }));
    try {
      // Without room this throws, and what was there stays. The same bytes again change nothing that another tab may be reading.
      handle.truncate(record.length);
      handle.write(record, { at: 0 });
    } finally {
      handle.close();
    }
    await makeRoom(folder, name);
  } catch {
    // Nothing is lost but time.
  }
}

/** Both, as an engine uses them. */
export const FILES: Shelves = { load, save, diskOf };

/** Whether there are synchronous handles here: in workers of pages, but not in pages themselves. */
export const handles = (): boolean => "createSyncAccessHandle" in (globalThis.FileSystemFileHandle?.prototype ?? {});

const DIGEST = 32;
const digestOf = async (bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

const folderOf = async (): Promise<FileSystemDirectoryHandle> => (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true });

/** The file in which a head is kept; those of blocks have no dash. */
const nameOf = async (url: string): Promise<string> => (await digestOf(new TextEncoder().encode(url))).join("-");

const handleOf = (file: FileSystemFileHandle): Promise<Handle> => (file as unknown as { createSyncAccessHandle(): Promise<Handle> }).createSyncAccessHandle();

/** A file's bytes, for which nobody has to let go of it; read again where it is written meanwhile. */
const copyOf = async (file: FileSystemFileHandle, tries = 3): Promise<Blob> =>
  new Response((await file.getFile()).stream()).blob().catch((thrown: unknown) => (tries > 1 ? copyOf(file, tries - 1) : Promise.reject(thrown)));

/** What another tab holds, to read alone: a copy, which browsers keep out of memory where it is large. */
async function readerOf(file: FileSystemFileHandle): Promise<Handle> {
  const copy = await copyOf(file);
  const reader = new FileReaderSync();
  const read: Handle["read"] = (into, { at }) => {
    const bytes = new Uint8Array(reader.readAsArrayBuffer(copy.slice(at, at + into.length)));
    into.set(bytes);
    return bytes.length;
  };
  return { read, write: () => 0, truncate() {}, getSize: () => copy.size, close() {} };
}

/** Removes files of the kind of this one, those written longest ago first, until there are few enough, or small enough. One in use stays. */
async function makeRoom(folder: FileSystemDirectoryHandle, mine: string): Promise<void> {
  const heads = mine.includes("-");
  const names: string[] = [];
  for await (const name of (folder as unknown as { keys(): AsyncIterable<string> }).keys()) if (name.includes("-") === heads) names.push(name);
  // No need to look into them.
  if (names.length <= (heads ? HEADS : QUOTA_ALL / QUOTA)) return;
  const files = await Promise.all(names.map(async (name) => {
    const { size, lastModified } = await (await folder.getFileHandle(name)).getFile();
    return { name, size, lastModified };
  }));
  let all = heads ? files.length : files.reduce((sum, { size }) => sum + size, 0);
  for (const { name, size } of files.sort((a, b) => a.lastModified - b.lastModified)) {
    if (all <= (heads ? HEADS : QUOTA_ALL)) return;
    if (name !== mine && (await folder.removeEntry(name).then(() => true, () => false))) all -= heads ? 1 : size;
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
    this.use(offset);
    return this.#try((handle) => {
      const block = new Uint8Array(bytes);
      return handle.read(block, { at: place.at + HEAD }) === bytes ? block : undefined;
    });
  }

  use(offset: number): void {
    const place = this.#places.get(offset);
    if (place && this.#places.delete(offset)) this.#places.set(offset, place);
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
    // In pieces: a call for each block takes seconds where there are many.
    const piece = new Uint8Array(Math.min(PIECE, size));
    const view = new DataView(piece.buffer);
    let [from, till] = [0, 0];
    while (this.#end + HEAD <= size) {
      if (this.#end + HEAD > till) {
        from = this.#end;
        till = from + handle.read(piece, { at: from });
        if (this.#end + HEAD > till) break;
      }
      const [offset, bytes] = [view.getFloat64(this.#end - from, true), view.getFloat64(this.#end - from + 8, true)];
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
