// What outlives a page whose index runs in the page's own thread, or in a service worker: there are no synchronous handles there, so blocks and
// what opening took lie in a database. All that is kept of one file is read when it is opened; what comes is written a little later, together.
//
// Nothing here ever rejects: a database that fails is one that has nothing.
import { QUOTA, Shelved, type Changes, type Place } from "./shelved.js";
import type { Disk } from "./store.js";

/** Bytes kept of all files; those used longest ago go first. */
const QUOTA_ALL = 256 * 1024 * 1024;
/** Addresses whose openings are kept; when they become more, all begin anew. */
const HEADS = 64;
/** A database that does not open for so long is taken for none: some browsers have left such a request without an answer. No search waits for it. */
const PATIENCE_MS = 2000;
const NAME = "nearshore";

/** What is noted of a file whose blocks are kept. */
interface Note {
  /** Offsets, the one used longest ago first. */
  order: Float64Array;
  bytes: number;
  used: number;
}

/** A request, or a transaction, as a promise. */
const done = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
const ended = (transaction: IDBTransaction): Promise<void> =>
  new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });

async function open(): Promise<IDBDatabase> {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => {
    for (const store of ["heads", "notes", "blocks"]) request.result.createObjectStore(store);
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(undefined);
      request.onsuccess = () => request.result.close();
    }, PATIENCE_MS);
  });
  const database = await Promise.race([done(request), late]).finally(() => clearTimeout(timer));
  database.onversionchange = () => database.close(); // a newer version of this package waits
  return database;
}

/** All keys of one file's blocks. */
const ofFile = (identity: string): IDBKeyRange => IDBKeyRange.bound([identity], [identity, []]);

/** The first bytes of the file at an address, as they were when it was opened last. */
export async function load(url: string): Promise<Uint8Array | undefined> {
  try {
    const database = await open();
    const found: unknown = await done(database.transaction("heads").objectStore("heads").get(url)).finally(() => database.close());
    return found instanceof Uint8Array ? found : undefined;
  } catch {
    return undefined;
  }
}

/** Keeps these; none to forget them. */
export async function save(url: string, pieces: readonly Uint8Array<ArrayBuffer>[]): Promise<void> {
  try {
    const bytes = new Uint8Array(await new Blob([...pieces]).arrayBuffer());
    const database = await open();
    const transaction = database.transaction("heads", "readwrite");
    const heads = transaction.objectStore("heads");
    if (bytes.length === 0) heads.delete(url);
    else {
      if ((await done(heads.count())) >= HEADS) heads.clear();
      heads.put(bytes, url);
    }
    await ended(transaction).finally(() => database.close());
  } catch {
    // Nothing is lost but time.
  }
}

/** The kept blocks of the file of this identity; undefined where there is no database. */
export async function diskOf(identity: string, quota = QUOTA, all = QUOTA_ALL): Promise<Disk | undefined> {
  try {
    const database = await open();
    await makeRoom(database, identity, all);
    const transaction = database.transaction(["notes", "blocks"]);
    const blocks = transaction.objectStore("blocks");
    const [note, keys, values] = await Promise.all([
      done(transaction.objectStore("notes").get(identity) as IDBRequest<Note | undefined>),
      done(blocks.getAllKeys(ofFile(identity)) as unknown as IDBRequest<[string, number][]>),
      done(blocks.getAll(ofFile(identity)) as IDBRequest<Uint8Array[]>),
    ]);
    const found = new Map(keys.map(([, offset], at) => [offset, values[at]!]));
    const order = new Set(note?.order);
    // Another tab may have written blocks that this note does not know: they come first, to go first.
    return new Shelved(new Rows(database, identity), quota, [...keys.map(([, offset]) => offset).filter((offset) => !order.has(offset)), ...order].flatMap((offset) => {
      const block = found.get(offset);
      return block ? [[offset, block] as const] : [];
    }));
  } catch {
    return undefined;
  }
}

/** Removes other files, those used longest ago first, until all together are small enough. */
async function makeRoom(database: IDBDatabase, identity: string, quota: number): Promise<void> {
  const transaction = database.transaction(["notes", "blocks"], "readwrite");
  const [notes, blocks] = [transaction.objectStore("notes"), transaction.objectStore("blocks")];
  const [keys, values] = await Promise.all([done(notes.getAllKeys() as unknown as IDBRequest<string[]>), done(notes.getAll() as IDBRequest<Note[]>)]);
  const files = keys.map((key, at) => ({ key, ...values[at]! })).sort((a, b) => a.used - b.used);
  let bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  for (const file of files) {
    if (bytes <= quota) break;
    if (file.key === identity) continue;
    notes.delete(file.key);
    blocks.delete(ofFile(file.key));
    bytes -= file.bytes;
  }
  await ended(transaction);
}

/** Where the blocks of one file lie in the database. */
class Rows implements Place {
  constructor(readonly database: IDBDatabase, readonly identity: string) {}

  async write({ cleared, offsets, blocks: all, bytes }: Changes): Promise<void> {
    const transaction = this.database.transaction(["notes", "blocks"], "readwrite", { durability: "relaxed" });
    const blocks = transaction.objectStore("blocks");
    if (cleared) blocks.delete(ofFile(this.identity));
    for (const offset of offsets) {
      const block = all.get(offset);
      if (block) blocks.put(block, [this.identity, offset]);
      else blocks.delete([this.identity, offset]);
    }
    const note: Note = { order: Float64Array.from(all.keys()), bytes, used: Date.now() };
    transaction.objectStore("notes").put(note, this.identity);
    await ended(transaction);
  }

  close(): void {
    this.database.close();
  }
}
