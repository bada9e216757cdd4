// What outlives a page whose index runs in the page's own thread, or in a service worker: there are no synchronous handles there, so blocks and
// what opening took lie in a database. All that is kept of one file is read when it is opened; what comes is written a little later, together.
//
// Nothing here ever rejects: a database that fails is one that has nothing.
import { QUOTA, Shelved, type Changes, type Place } from "./shelved.js";
import type { Disk } from "./store.js";

/** Bytes kept of all files; those used longest ago go first. */
const QUOTA_ALL = 256 * 1024 * 1024;
/** Addresses whose openings are kept; those opened longest ago go first. */
const HEADS = 64;
/** Under this key, which is no address, lies their order. */
const ORDER = 0;
/** A database that does not open for so long is taken for none: some browsers have left such a request without an answer. No search waits for it. */
const PATIENCE_MS = 2000;
const NAME = "nearshore";

/** What is noted of a file whose blocks are kept. */
interface Note {
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

/** All keys of one file's blocks, which are its identity and an offset each. Under the identity alone lies their order. */
const ofFile = (identity: string): IDBKeyRange => IDBKeyRange.bound([identity, -Infinity], [identity, []]);

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
    const [keys, order] = await Promise.all([done(heads.getAllKeys()), done(heads.get(ORDER) as IDBRequest<unknown[] | undefined>)]);
    // Those of which nothing is noted go first, to go first.
    const others = keys.filter((key) => key !== ORDER && key !== url).sort((a, b) => (order?.indexOf(a) ?? 0) - (order?.indexOf(b) ?? 0));
    if (bytes.length === 0) heads.delete(url);
    else {
      for (const oldest of others.splice(0, others.length + 1 - HEADS)) heads.delete(oldest);
      heads.put(bytes, url);
      others.push(url);
    }
    heads.put(others, ORDER);
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
    const transaction = database.transaction("blocks");
    const blocks = transaction.objectStore("blocks");
    const [order, keys, values] = await Promise.all([
      done(blocks.get([identity]) as IDBRequest<Float64Array | undefined>),
      done(blocks.getAllKeys(ofFile(identity)) as unknown as IDBRequest<[string, number][]>),
      done(blocks.getAll(ofFile(identity)) as IDBRequest<Uint8Array[]>),
    ]);
    return new Shelved(new Rows(database, identity), quota, keys.map(([, offset], at) => [offset, values[at]!] as const), order);
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
  for (const { key, ...note } of files) if (key === identity) notes.put({ ...note, used: Date.now() }, key);
  for (const file of files) {
    if (bytes <= quota) break;
    if (file.key === identity) continue;
    notes.delete(file.key);
    blocks.delete(ofFile(file.key));
    blocks.delete([file.key]);
    bytes -= file.bytes;
  }
  await ended(transaction);
}

/** Where the blocks of one file lie in the database. */
class Rows implements Place {
  constructor(readonly database: IDBDatabase, readonly identity: string) {}

  async write({ cleared, offsets, blocks: all, bytes, order }: Changes): Promise<void> {
    const transaction = this.database.transaction(["notes", "blocks"], "readwrite", { durability: "relaxed" });
    const blocks = transaction.objectStore("blocks");
    if (cleared) blocks.delete(ofFile(this.identity));
    for (const offset of offsets) {
      const block = all.get(offset);
      if (block) blocks.put(block, [this.identity, offset]);
      else blocks.delete([this.identity, offset]);
    }
    if (order) blocks.put(order, [this.identity]);
    transaction.objectStore("notes").put({ bytes, used: Date.now() } satisfies Note, this.identity);
    await ended(transaction);
  }

  close(): void {
    this.database.close();
  }
}
