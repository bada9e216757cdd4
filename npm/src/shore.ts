/// <reference lib="esnext.disposable" preserve="true" />
// The index as users hold it.
import type { Columns } from "./columns.js";
import { invalid, unsupported } from "./errors.js";
import { decodeHits, decodeRow } from "./hits.js";
import type { CallOptions, Link } from "./link.js";
import { engineModule } from "./module.js";
import { closed, made, opened, type Read } from "./opening.js";
import type { CallName, CreateCall, Described, Form, Given, Kind, Returned, SearchCall } from "./protocol.js";
import { loaded } from "./scripts.js";
import type { OpenSource } from "./sources.js";
import type { AddManyOptions, AddOptions, BuildOptions, CreateOptions, Hits, Id, Ids, IndexCache, IndexInfo, IndexStats, OpenOptions, OverOptions, Persisted, Row, SearchOptions, Vector, Vectors } from "./types.js";
import { count, demandKnown, demandUnique, elementOf, manyIds, manyPayloads, manyVectors, oneId, oneVector, searchOptions, word } from "./vectors.js";
import { METRICS } from "./describe.js";

/** Queries of a batch that the engine answers in one go; other calls and signals get their turn in between. */
const enum Batch { queries = 64 }

/** The stages of a build, as `onProgress` names them, in the engine's order. */
const STAGES = ["encode", "link", "measure", "write"] as const;

/** An open index. All calls may be made concurrently. */
export class Index {
  readonly #link: Link;
  #info: IndexInfo;
  #closed = false;
  #given: Promise<void> | undefined;
  #sums = { searches: 0, distances: 0, hops: 0, requests: 0, bytes: 0 };

  /** @internal Undefined where an index has none, or nothing is known of them here. */
  protected readonly columns: Columns | undefined;

  /** Only this package makes indexes: see `open`, `Index.build`, `Index.create`, `Index.load`. */
  protected constructor(link: Link, described: Described, read: Read = { requests: 0, bytes: 0 }, columns?: Columns) {
    this.columns = columns;
    this.#link = link;
    this.#info = infoOf(link, described, columns);
    this.#sums.requests = read.requests;
    this.#sums.bytes = read.bytes;
  }

  /**
   * Builds an index in memory: the same bytes as `nearshore build` with the same options, to 131,071 different rows (of more, a native build has edges that this one leaves out).
   *
   * @param ids one id a vector, or `null` for row numbers
   * @param vectors all vectors; their type is the index's element type
   */
  static async build(ids: Ids | null, vectors: Vectors, options: BuildOptions): Promise<Index> {
    demandKnown(options, "dimensions metric m efConstruction seed originals payloads columns columnTypes onProgress signal worker");
    const dimensions = count(options?.dimensions, 0, "dimensions");
    if (dimensions === 0) throw invalid("dimensions is missing, expected the numbers in a vector");
    const { signal, onProgress } = options;
    const rows = manyVectors(vectors, { dimensions, element: elementOf(Array.isArray(vectors) ? vectors[0] : vectors) }, false);
    if (rows.count === 0) throw invalid("vectors is empty, expected at least one vector");
    const columns = (options.columns || options.columnTypes) && (await script()).columnsOfRows(options, rows.count, invalid);
    const call = {
      vectors: rows.data,
      dimensions,
      metric: METRICS[word(options.metric, METRICS, 0, "metric")]!,
      m: count(options.m, 16, "m"),
      efConstruction: count(options.efConstruction, 200, "efConstruction"),
      seed: oneId(options.seed ?? 0, "seed"),
      originals: word(options.originals, ["keep", "drop"], 0, "originals") === 0,
      ids: ids === null || ids === undefined ? null : manyIds(ids, rows.count),
      payloads: manyPayloads(options.payloads, rows.count),
      columns: columns?.built,
    };
    const report = onProgress && ((stage: number, done: number, total: number): boolean => {
      const said: unknown = onProgress({ stage: STAGES[stage] ?? "build", done, total });
      if (!(said instanceof Promise)) return said !== false;
      said.catch(() => {}); // told below
      throw invalid("onProgress gave a promise, expected what it says at once");
    });
    return made(having("full", columns), options.worker, signal, async (link) => {
      // A worker gets a copy of what it needs, not of the buffer that the caller's array may be a small view of.
      const whole = rows.data.buffer.byteLength === rows.data.byteLength;
      const vectors = link.worker && !whole ? rows.data.slice() : rows.data;
      return new Index(link, await link.call("build", { ...call, vectors }, { signal, report }), undefined, columns);
    });
  }

  /**
   * Makes an empty index that rows can be added to; with `persist`, or opens the one that is kept under that name. With `base` it begins with
   * the rows of that index.
   */
  static async create(options: CreateOptions | OverOptions): Promise<LiveIndex> {
    demandKnown(options, "dimensions metric element m efConstruction seed columns worker persist wait signal base");
    const base = options?.base;
    if (base && !(base instanceof Index)) throw invalid("base is no index: is it a promise of one?");
    const like = base?.info;
    const dimensions = count(options?.dimensions ?? like?.dimensions, 0, "dimensions");
    if (dimensions === 0) throw invalid("dimensions is missing, expected the numbers in a vector");
    const call: CreateCall = {
      dimensions,
      metric: METRICS[word(options.metric ?? like?.metric, METRICS, 0, "metric")]!,
      element: LIVE_ELEMENTS[word(options.element ?? (like?.element === "f16" ? "f32" : like?.element), LIVE_ELEMENTS, 0, "element")]!,
      m: count(options.m, 16, "m"),
      efConstruction: count(options.efConstruction, 200, "efConstruction"),
      seed: oneId(options.seed ?? 0, "seed"),
    };
    const columns = options.columns ?? like?.columns;
    if (columns) call.columns = (await script()).schemaOfTypes(columns, invalid);
    const { persist, wait = false, signal, worker } = options;
    if (!base && persist === undefined) return made(having("full", call.columns), worker, undefined, async (link) => LiveIndex.of(link, await link.call("create", call)));
    const overlay = base && (await loaded(import("./overlay.js")));
    overlay?.demandLike(call, base!, invalid);
    const keep = (): Promise<LiveIndex> =>
      made(having("kept", call.columns), worker, signal, async (local) => {
        const kept = await local.call("keep", { create: call, said: !!options.columns, persist, wait, over: !!base }, { signal });
        if (typeof kept === "string") {
          // What is kept has columns, of which nobody knew: again, in an engine for them.
          local.end(closed());
          call.columns = kept;
          return keep();
        }
        const { link, described } = overlay ? await overlay.over(base!, local, unsupported) : { link: local, described: kept };
        return LiveIndex.of(link, described);
      });
    return keep();
  }

  /** Removes what `Index.create` with `persist` keeps under this name; `busy` while an index is open there. */
  static async remove(name: string): Promise<void> {
    const link = await made("kept", undefined, undefined, async (link) => (await link.call("discard", name), link));
    link.end(closed());
  }

  /**
   * Opens bytes that `save` gave, or any `.shore` file but one in tiles, so that rows can be added, changed and deleted. The first change leaves originals
   * behind: distances are then those of the 8-bit records.
   */
  static async load(source: OpenSource, options: OpenOptions = {}): Promise<LiveIndex> {
    return opened("full", source, options, LiveIndex.of);
  }

  /** @internal Opens a file for searching; see `open`. */
  static async open(source: OpenSource, options: OpenOptions): Promise<Index> {
    return opened("reader", source, options, (link, described, read) => new Index(link, described, read));
  }

  /** What this index is; after a change, what it has become. */
  get info(): IndexInfo {
    return this.#info;
  }

  /** Rows that can be found. Over a base that is read in parts as far as is known: see {@link LiveIndex.add} and {@link LiveIndex.delete}. */
  get size(): number {
    return this.#info.rows;
  }

  /** The nearest rows, nearest first; equal distances in the order of ids. */
  async search(vector: Vector, options?: SearchOptions): Promise<Hits> {
    const start = performance.now();
    const data = oneVector(vector, this.#info);
    const call = { data, count: 1, ...searchOptions(options), filter: await this.#filter(options) };
    const answer = await this.call("search", call, { signal: options?.signal });
    return this.#decode(answer, 1, start)[0]!;
  }

  /** Many searches: one list of hits a vector, in order. */
  async searchBatch(vectors: Vectors, options?: SearchOptions): Promise<Hits[]> {
    const start = performance.now();
    const rows = manyVectors(vectors, this.#info, true);
    const call = { ...searchOptions(options), filter: await this.#filter(options) };
    const all: Hits[] = [];
    for (let at = 0; at < rows.count; at += Batch.queries) {
      const count = Math.min(Batch.queries, rows.count - at);
      const data = rows.data.slice(at * this.#info.dimensions, (at + count) * this.#info.dimensions);
      const answer = await this.call("search", { data, count, ...call }, { signal: options?.signal });
      all.push(...this.#decode(answer, count, start));
    }
    return all;
  }

  /** Sums over this index's life. */
  async stats(): Promise<IndexStats> {
    const { memoryBytes, requests, bytes, cached } = await this.call("memory", null);
    return { ...this.#sums, requests: this.#sums.requests + requests, bytes: this.#sums.bytes + bytes, cached, memoryBytes };
  }

  /** Is there a row with this id? */
  async has(id: Id): Promise<boolean> {
    return this.call("has", oneId(id));
  }

  /** The row with this id; undefined if there is none. */
  async get(id: Id): Promise<Row | undefined> {
    const key = oneId(id);
    const answer = await this.call("get", key);
    return answer ? decodeRow(answer, key, this.#info.dimensions) : undefined;
  }

  /**
   * Brings here what searches need at first: the codes of all tiles of a file that is read in parts, after which a search fetches records
   * alone. A whole file is here already.
   */
  async prefetch(): Promise<void> {
    if (this.#inParts()) await this.call("prefetch", null);
  }

  /** Blocks that were fetched and are kept. A whole file is the index itself, of which none are. */
  readonly cache: IndexCache = {
    size: async () => (this.#inParts() ? this.call("kept", "size") : 0),
    clear: async () => void (this.#inParts() && (await this.call("kept", "clear"))),
    persist: async () => (this.#inParts() || this.#info.kept) && ((await globalThis.navigator?.storage?.persist?.()) ?? false),
  };

  /** Checks every block and every bound of the file; rejects with `corrupt` and says where the first damage is. */
  async verify(): Promise<void> {
    return this.call("verify", null);
  }

  /** The index as the bytes of a `.shore` file. */
  async save(): Promise<Uint8Array> {
    return this.call("save", null);
  }

  /** Gives back memory and worker. Later calls, and in a worker those under way, reject with `closed`. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // Who opens it again finds it free.
    if (this.#info.kept) await this.#link.call("release", null).catch(() => {});
    this.#link.end(closed());
  }

  /** For `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal Makes a call, after seeing to an engine that can serve it. */
  async call<K extends CallName>(name: K, given: Given<K>, options?: CallOptions): Promise<Returned<K>> {
    if (this.#closed) throw closed();
    const filters = name === "search" && (given as SearchCall).filter !== undefined && !this.columns;
    if (this instanceof LiveIndex) {
      if (filters) (await script()).none(invalid);
      // A file in tiles is looked into by another engine than it is searched by.
    } else if (filters || (this.#info.plan === "tiles" && (name === "has" || name === "get"))) await this.#further();
    return this.#link.call(name, given, options);
  }

  /** @internal Makes a call that changes the index, and looks what has become of it: a call that failed may have made a file live. */
  protected async change<K extends CallName>(name: K, given: Given<K>): Promise<Returned<K>> {
    const done = this.call(name, given);
    const described = this.call("describe", null);
    try {
      return await done;
    } finally {
      this.#info = infoOf(this.#link, await described, this.columns);
    }
  }

  /** The condition of a search as text. */
  async #filter(options: SearchOptions | undefined): Promise<string | undefined> {
    const filter = options?.filter;
    if (filter === undefined) return undefined;
    if (typeof filter === "string" && filter.trim() === "") throw invalid("filter has no condition; leave it out");
    return typeof filter === "string" ? filter : (await loaded(import("./filter.js"))).textOf(filter, invalid);
  }

  /** Gives the engine, once, the module of the one that filters. */
  #further(): Promise<void> {
    return (this.#given ??= engineModule("filter")
      .then((module) => this.call("filter", module))
      .catch((thrown: unknown) => {
        this.#given = undefined;
        throw thrown;
      }));
  }

  #inParts(): boolean {
    if (this.#closed) throw closed();
    return this.#info.mode === "lazy";
  }

  #decode(answer: ArrayBuffer, count: number, start: number): Hits[] {
    const all = decodeHits(answer, count, performance.now() - start);
    this.#sums.searches += count;
    for (const { stats } of all) {
      this.#sums.distances += stats.distances;
      this.#sums.hops += stats.hops;
    }
    return all;
  }
}

/** An index that rows can be added to, changed in, and deleted from. */
export class LiveIndex extends Index {
  /** @internal */
  static async of(link: Link, described: Described, read?: Read): Promise<LiveIndex> {
    return new LiveIndex(link, described, read, described.columns ? (await script()).columnsOf(described.columns, invalid) : undefined);
  }

  /**
   * Adds a row. An id that is there already is `invalid-argument`: see {@link LiveIndex.update}. Over a base that is read in parts no change asks
   * the base: there an id that the base has is taken for a new one, the row takes the place of the base's, and `size` counts both.
   */
  async add(id: Id, vector: Vector, options?: AddOptions): Promise<void> {
    return this.#add([id], oneVector(vector, this.info), ofOne(options), false);
  }

  /** Adds many rows; all of them, or none. */
  async addMany(ids: Ids, vectors: Vectors, options?: AddManyOptions): Promise<void> {
    const { data, count } = manyVectors(vectors, this.info, true);
    if (count > 0) await this.#add(ids, data, options, false);
  }

  /**
   * Deletes a row; whether it was there. Over a base that is read in parts an id that is not found here is taken for one of the base: the answer
   * is `true`, and `size` one less, even if the base has no such row; ask {@link Index.has} before, where that matters.
   */
  async delete(id: Id): Promise<boolean> {
    return this.change("delete", oneId(id));
  }

  /**
   * Drops deleted rows, and what replaced rows left, and repairs the graph around them. Writes do so themselves once a fifth of all
   * rows is gone; before a {@link Index.save} it makes the smallest file. A pass over all rows, and for its time the memory
   * of both states.
   */
  async compact(): Promise<void> {
    return this.change("compact", null);
  }

  /**
   * Drops all rows; over a base, all that was changed. An index that {@link Index.load} gave rejects with `unsupported`.
   */
  async clear(): Promise<void> {
    return this.change("clear", null);
  }

  /** What is kept on disk; undefined for an index without `persist`. */
  async persisted(): Promise<Persisted | undefined> {
    const bytes = this.info.kept ? await this.call("persisted", null) : undefined;
    return bytes === undefined ? undefined : { bytes, durable: (await globalThis.navigator?.storage?.persisted?.()) ?? true };
  }

  /**
   * Puts a row in the place of the one with this id, whole: what is not given again, payload and columns, is gone: `update` without `columns`
   * leaves the row without values, and values cannot be read back. Where there is no such row it is added, and that is no error. (The server of `nearshore serve` has no such call: there an id that is taken is deleted, then inserted.)
   */
  async update(id: Id, vector: Vector, options?: AddOptions): Promise<void> {
    return this.#add([id], oneVector(vector, this.info), ofOne(options), true);
  }

  async #add(ids: Ids, vectors: Form, options: Stored | undefined, replace: boolean): Promise<void> {
    demandKnown(options, "payloads columns");
    const rows = vectors.length / this.info.dimensions;
    const columns = options?.columns && (this.columns ?? (await script()).none(invalid)).values(options.columns, rows);
    const all = manyIds(ids, rows);
    demandUnique(all);
    return this.change("add", { ids: all, vectors, payloads: manyPayloads(options?.payloads, rows), columns, replace });
  }
}

/** What is stored with rows. */
type Stored = Pick<AddManyOptions, "payloads"> & { columns?: AddManyOptions["columns"] | undefined };

/** The script that knows of columns. */
const script = (): Promise<typeof import("./columns.js")> => loaded(import("./columns.js"));

/** The kind of engine for these columns, if there are any. */
const having = (kind: "full" | "kept", columns: unknown): Kind => (columns ? `${kind}-columns` : kind);

/** What is stored with one row, as with many. */
const ofOne = (options: AddOptions | undefined): Stored | undefined => {
  demandKnown(options, "payload columns");
  return options && { payloads: [options.payload ?? null], columns: options.columns && [options.columns] };
};

const LIVE_ELEMENTS = ["f32", "u8", "i8"] as const;

/**
 * Opens a `.shore` file for searching.
 *
 * @param source an address, a `Blob` or `File`, bytes, a Node `FileHandle`, or a {@link Source} of your own; in Node a string that is
 *   not an address is a path
 */
export async function open(source: OpenSource, options: OpenOptions = {}): Promise<Index> {
  return Index.open(source, options);
}

function infoOf(link: Link, described: Described, columns: Columns | undefined): IndexInfo {
  let meta: Record<string, unknown> = {};
  try {
    meta = described.meta ? JSON.parse(described.meta) : {};
  } catch {
    // What a builder noted is for people; a file is no worse without it.
  }
  return { ...described, columns: columns?.types, meta, worker: link.worker };
}
