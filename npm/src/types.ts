import type { Index } from "./shore.js";

// Names of the platform, for projects whose settings know of no platform: where `lib` or other types declare them, these add nothing.
declare global {
  interface AbortSignal {}
  interface Blob {}
  interface Cache {}
  interface Headers {}
  interface Response {}
  interface URL {}
  namespace WebAssembly {
    interface Module {}
  }
}

/** A row's id: a `number` up to 2^53 - 1, a `bigint` above (up to 2^64 - 1). Both are accepted everywhere. */
export type Id = number | bigint;

/** `l2` is the squared Euclidean distance, `cosine` is 1 - cos, `ip` is 1 - dot. Smaller is nearer, always. */
export type Metric = "l2" | "ip" | "cosine";

/** What the numbers of a vector are. */
export type Element = "f32" | "f16" | "u8" | "i8";

/** One vector: 32-bit floats, plain numbers, or the index's own element type. */
export type Vector = Float32Array | Uint8Array | Int8Array | readonly number[];

/** Many vectors: one after the other in one array (`n * dimensions` numbers), or a list of vectors. */
export type Vectors = Float32Array | Uint8Array | Int8Array | readonly Vector[];

/** Ids of many rows. */
export type Ids = readonly Id[] | Uint32Array | BigUint64Array;

/** Bytes to keep with a row; text is stored as UTF-8, anything else as JSON. (An `interface` is no such type, a type alias or `{ ...value }` is.) */
export type Payload = Uint8Array | string | { readonly [key: string]: unknown } | readonly unknown[] | null;

/** Anything that can give bytes of a file. Bring your own: S3, IndexedDB, a test double. */
export interface Source {
  /** Exactly `length` bytes from `offset`. */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array>;
  /** The file's length in bytes. */
  size(): Promise<number>;
  /** Called once, when the source is no longer needed. */
  close?(): Promise<void> | void;
}

/** What is needed of a Node `FileHandle`; it stays yours to close. */
export interface FileHandleLike {
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
  stat(): Promise<{ size: number | bigint }>;
}

/** As much of `fetch` as is used. */
export type Fetch = (address: string | URL, init?: { headers?: HeadersLike; signal?: AbortSignal; cache?: "default" | "no-cache" | "no-store" }) => Promise<Response>;

/** What `new Headers` takes. */
export type HeadersLike = Headers | Record<string, string> | [string, string][];

/** How `open` reads. */
export interface OpenOptions {
  /**
   * - `whole`: the file is read once, into memory.
   * - `lazy`: its first bytes are read, and each search fetches the blocks that it wants. The file must have tiles: `nearshore export FILE -o
   *   OUT --for web` makes one. `search`, `searchBatch`, `has`, `get` and `prefetch` work; what goes over all rows (`save`, `verify`, other
   *   plans than `tiles`) is `unsupported`.
   * - `codes`: as `lazy`, and the codes of all tiles are fetched in the background and stay, after which a search fetches records alone.
   * - `auto`: a file with tiles and more than 4 MiB (or than `maxBytes`) is read in parts where its host serves parts, any other one whole. In
   *   parts it is `codes` where the codes of all tiles take at most 4 MiB (of a list, whole parts), the origin has room for twice as many if they are to be kept
   *   (`navigator.storage.estimate()`), and the visitor has not asked to save data; else `lazy`.
   *
   * The address of a list of parts (`nearshore export --split`, a name that ends in `.json`) is opened as the file that the parts make, by any
   * mode; parts come whole, as they are wanted.
   */
  mode?: "auto" | "lazy" | "codes" | "whole";
  /**
   * Where blocks that were fetched are kept: `memory` (up to 64 MiB), `none`, or `auto`: in memory, and for files that have an address in the
   * origin's private file system (up to 256 MiB a file) where the index runs in a worker of a page; in its own thread in IndexedDB (up to 64
   * MiB a file); those used longest ago go first. What is kept there serves later visits, where the host does not answer (or with 5xx) as
   * well; a host that says 404 or 403 is believed. Of two tabs with one file the first writes there, the other reads what was there when it
   * opened, and keeps more in memory. Where there is no more room nothing is written, and what is there is read. Codes that were brought ahead stay in memory,
   * beside 4 MiB of other blocks where they are larger than 60. A whole file is in memory anyway.
   *
   * What opening took is kept of up to 64 addresses. What signs an address (S3, Google Cloud Storage, Azure, CloudFront) is no part of it; any other query is.
   *
   * An own `Cache` (`await caches.open("index")`) keeps the blocks of any source there, up to 64 MiB a file, under addresses that begin with
   * `https://nearshore.invalid/`; how many files it holds, and when it goes, is for you to say. Such an index runs where it is called, as a `Cache` cannot
   * be sent to a worker. One that fails, or is full, keeps nothing, and no search fails for it.
   */
  cache?: "auto" | "memory" | "none" | Cache;
  /** Search in a worker? By default in pages, not inside workers. Where there are no web workers, as in Node, all runs inline. */
  worker?: boolean;
  /** Used instead of the global `fetch`. A file that is read in parts is then searched inline, as with a {@link Source} of your own: neither can be sent to a worker. */
  fetch?: Fetch;
  /** Sent with every request. */
  headers?: HeadersLike;
  /** Requests at a time (32; of a list of parts as many as make 64 MiB, at least one); a whole file is one request. */
  concurrency?: number;
  /** Refuses with `quota` to read more bytes when opening: of the file, or of its header and hot region where it is read in parts; by a list, of the parts in which those lie. */
  maxBytes?: number;
  /** What the file must be: `sha256-` and the digest in base64, as in HTML. Anything else is `corrupt`. Only a file that is read whole can be told by it. */
  integrity?: string;
  /** Stops the opening. */
  signal?: AbortSignal;
}

/** How a search searches. Without `ef` and `recall` the index aims at recall 0.95. */
export interface SearchOptions {
  /** Hits wanted (10). Fewer come back only when the index holds fewer. */
  k?: number;
  /** The recall to aim at, above 0 to 1; the index knows what that takes. */
  recall?: number;
  /** Candidates kept while walking the graph, at least `k`: more is slower and finds more. */
  ef?: number;
  /**
   * `scan` compares every row and is exact up to the refine level; `walk` follows the graph; `tiles` looks into the clusters near the query,
   * where the file has some. By default the index chooses.
   */
  plan?: "scan" | "walk" | "tiles";
  /** What the final order is computed from; by default the index chooses. */
  refine?: "records" | "originals";
  /** Candidates computed again from the originals; by default those that their codes leave in doubt. */
  rerank?: number;
  /** Only hits at most this far away. */
  radius?: number;
  /** Bring the payloads of the hits back (true). */
  payload?: boolean;
  /** Rejects with `aborted` when it fires before the answer is there, and stops requests that no other search waits for. Inline, in a whole file, the answer is there at once. */
  signal?: AbortSignal;
  /**
   * Bounds on what may be fetched: bytes, rounds of requests, milliseconds. A search that would go beyond gives the hits that it has by then,
   * perhaps none, and says `complete: false`. An index in memory fetches nothing, so no search of it is ever cut.
   */
  budget?: { bytes?: number; rounds?: number; ms?: number };
  /**
   * Only rows that meet a condition on the index's columns: `price < 20 and brand in ("a", "b")`, or the same as objects. As many hits as are
   * wanted, or all that meet it. Of files that `open` opened the first filter of a page loads a further engine, and one that is read in parts
   * brings the columns that the filter names, whole, which are then kept. A condition that does not fit the columns is `invalid-argument`.
   */
  filter?: Condition;
}

/** What a column can be compared with. */
export type ColumnValue = string | number | bigint | boolean;

/** What the values of a column are: `i64` whole numbers from -2^63 to 2^63 - 1 (as `bigint`s beyond 2^53), `f64` finite numbers. */
export type ColumnType = "i64" | "f64" | "bool" | "string";

/** Columns by their names, of 1 to 96 bytes; 40 at most. */
export type ColumnTypes = { readonly [name: string]: ColumnType };

/**
 * The values of one row by the names of their columns: each a {@link ColumnValue}, or `null` or nothing, where the row has none. Any object of such
 * values, one of an `interface` or a class as well, so that it is the call that refuses others.
 */
export type ColumnValues = { readonly [name: string]: any };

/** The values of many rows: an object a row, or for each column a list or a typed array with a value a row. */
export type ManyColumnValues = readonly (ColumnValues | null)[] | { readonly [name: string]: ArrayLike<ColumnValue | null | undefined> };

/** A condition as objects, for programs that would otherwise have to quote. All comparisons of one object must hold. */
export type Condition =
  | string
  | { readonly and: readonly Condition[] }
  | { readonly or: readonly Condition[] }
  | { readonly not: Condition }
  | {
      readonly column: string;
      readonly eq?: ColumnValue;
      readonly ne?: ColumnValue;
      readonly lt?: ColumnValue;
      readonly lte?: ColumnValue;
      readonly gt?: ColumnValue;
      readonly gte?: ColumnValue;
      readonly in?: readonly ColumnValue[];
      readonly not_in?: readonly ColumnValue[];
      readonly is_null?: boolean;
    };

/** One row that was found. */
export interface Hit {
  /** The row's id. */
  readonly id: Id;
  /** Smaller is nearer; see {@link Metric}. */
  readonly distance: number;
  /** The bytes stored with the row, if there are any and they were asked for. */
  readonly payload?: Uint8Array;
  /** The payload as text; empty without one. */
  text(): string;
  /** The payload parsed as JSON; undefined without one, `invalid-argument` for one that is not JSON. */
  json(): unknown;
}

/** What one search did. */
export interface SearchStats {
  /** Distances computed. */
  readonly distances: number;
  /** Nodes of the graph that were expanded. */
  readonly hops: number;
  /** The effort of the walk that gave the answer: candidates it kept, at least `k`, more where the index found that it takes more. 0 for a scan. */
  readonly ef: number;
  /** Times that it waited for the network, one after the other. */
  readonly rounds: number;
  /** Requests sent. */
  readonly requests: number;
  /** Bytes fetched. */
  readonly bytes: number;
  /** Blocks that were there from earlier searches. */
  readonly cached: number;
  /** From the call to the answer. */
  readonly ms: number;
  /** False when a budget cut the search short. */
  readonly complete: boolean;
}

/** Hits, nearest first, and what finding them took. */
export interface Hits extends ReadonlyArray<Hit> {
  readonly stats: SearchStats;
}

/** One stored row. Its values in columns are not among what can be read back: keep what you have to give again. */
export interface Row {
  readonly id: Id;
  /** The vector as it was given, where originals are kept; else as the index remembers it. */
  readonly vector: Float32Array;
  readonly payload?: Uint8Array;
  /** The payload as text; empty without one. */
  text(): string;
  /** The payload parsed as JSON; undefined without one, `invalid-argument` for one that is not JSON. */
  json(): unknown;
}

/** A measured setting of the file: what it takes, and what it brings. */
export interface QualityRow {
  readonly plan: "scan" | "walk" | "tiles";
  readonly ef: number;
  readonly gamma: number;
  readonly refine: "records" | "originals";
  readonly k: number;
  readonly rerank: number;
  readonly queries: number;
  readonly recall: number;
  readonly distances: number;
  readonly hops: number;
}

/**
 * What an index is. One that was created, or changed after it was loaded, is no file: `fileBytes` and `buildId` are 0, `identity` is zeros,
 * `quality` and `meta` are empty, and `originals` are not kept. (Searches go by the table that the file brought while it still holds.)
 */
export interface IndexInfo {
  readonly rows: number;
  readonly dimensions: number;
  readonly metric: Metric;
  readonly element: Element;
  /** How it searches when not told. */
  readonly plan: "scan" | "walk" | "tiles";
  readonly refine: "records" | "originals";
  readonly fileBytes: number;
  /** Whether the file is read in parts as searches want them (`lazy`), or lies in memory. */
  readonly mode: "lazy" | "whole";
  readonly payload: boolean;
  readonly originals: boolean;
  readonly seed: bigint;
  readonly buildId: bigint;
  /** 32 hexadecimal digits that name this file's content. */
  readonly identity: string;
  /** The instructions in use: `scalar`, `wasm128`, ... */
  readonly backend: string;
  /** Whether changes are kept on disk: see `persist` of `Index.create`. */
  readonly kept: boolean;
  /** The columns of an index that was built, made or loaded with some. Of one that `open` opened they are not known here. */
  readonly columns?: ColumnTypes | undefined;
  /** Whether searches run in a worker. */
  readonly worker: boolean;
  readonly quality: readonly QualityRow[];
  /** What the builder noted. */
  readonly meta: { readonly [key: string]: unknown };
}

/** Sums over an index's life. */
export interface IndexStats {
  readonly searches: number;
  readonly distances: number;
  readonly hops: number;
  readonly requests: number;
  /** Bytes read so far. */
  readonly bytes: number;
  /** Blocks that were there when a search wanted them. */
  readonly cached: number;
  /** WebAssembly memory of this index. */
  readonly memoryBytes: number;
}

/** Blocks that an index has fetched and keeps. */
export interface IndexCache {
  /** Their bytes. */
  size(): Promise<number>;
  /** Forgets them. */
  clear(): Promise<void>;
  /** Asks the browser not to clear what this origin keeps when disk runs short; whether it agreed. */
  persist(): Promise<boolean>;
}

/** How `Index.build` builds. The defaults are those of `nearshore build`, and so are the bytes. */
export interface BuildOptions {
  /** Numbers in a vector. */
  dimensions: number;
  /** `l2` by default. */
  metric?: Metric;
  /** Links of a node (16). */
  m?: number;
  /** Candidates while linking (200). */
  efConstruction?: number;
  /** The same seed gives the same bytes (0). */
  seed?: number | bigint;
  /** Keep the vectors as given, for exact distances (`keep`). */
  originals?: "keep" | "drop";
  /** One payload a row. */
  payloads?: readonly Payload[];
  /**
   * Values to filter by: see `filter` of {@link SearchOptions}. Types that `columnTypes` does not say are those of the first values; of numbers
   * `i64`, and `f64` where one is no whole number, or where they are a `Float32Array` or `Float64Array`.
   */
  columns?: ManyColumnValues;
  /** Types of columns; also of some that no row has a value in. */
  columnTypes?: ColumnTypes;
  /** Told how far the build is; returning `false` stops it, and so does an exception, which the error has as its `cause`. */
  onProgress?: (progress: BuildProgress) => void | boolean;
  /** Stops the build. Inline nothing else runs while it does: there only what `onProgress` does can fire the signal. */
  signal?: AbortSignal;
  /** Build and search in a worker? As in {@link OpenOptions}. */
  worker?: boolean;
}

/** How far a build is. */
export interface BuildProgress {
  readonly stage: string;
  readonly done: number;
  readonly total: number;
}

/** What `Index.create` starts with. */
export interface CreateOptions {
  dimensions: number;
  metric?: Metric;
  /** What the vectors will be: `f32` by default. */
  element?: "f32" | "u8" | "i8";
  m?: number;
  efConstruction?: number;
  seed?: number | bigint;
  /** The columns that rows may have values in, to filter by: `{ price: "f64", brand: "string" }`. Of a kept index those that it has, which need not be said again. */
  columns?: ColumnTypes;
  worker?: boolean;
  /**
   * Keeps the index under this name, or opens what is kept under it: in the origin's private file system, where it needs a worker, or in
   * Node in the folder of this path. A change is on disk before its promise resolves; what was not acknowledged when the page ended is there
   * or not, each call as a whole. One holder at a time: where another tab has it, `busy` after a second.
   */
  persist?: string;
  /** Waits for another holder to close it, instead. */
  wait?: boolean;
  /** Stops the waiting. */
  signal?: AbortSignal;
  /** See {@link OverOptions}. */
  base?: never;
}

/**
 * What `Index.create` starts with over a base: an index of any kind, which stays as it is and is yours to close. Rows that are added, and
 * what is deleted or updated of the base, lie in the new index, which `persist` keeps; a later version of the base may then take the
 * place of this one, as all of that goes by ids.
 */
export interface OverOptions extends Omit<CreateOptions, "base" | "dimensions" | "columns"> {
  base: Index;
  /** Those of the base, as `metric`: others are refused. */
  dimensions?: number;
  /**
   * Columns of rows over the base, with the types that they have there: a filter asks both sides. Those of the base unless said, where its `info`
   * has them; those of an index that `open` opened have to be said. What is kept goes on with the columns that it was made with, whatever the base has by
   * now: others are refused only where they are said.
   */
  columns?: ColumnTypes;
}

/** What is kept of an index. */
export interface Persisted {
  /** Bytes on disk. */
  readonly bytes: number;
  /** Whether the browser has said that it will not clear them when disk runs short; ask for it with `index.cache.persist()`. */
  readonly durable: boolean;
}

/** What is stored with one added row. */
export interface AddOptions {
  payload?: Payload;
  /** Values in columns that the index has; wrong names and types are `invalid-argument`. */
  columns?: ColumnValues;
}

/** What is stored with many added rows. */
export interface AddManyOptions {
  payloads?: readonly Payload[];
  /** Values in columns that the index has; wrong names and types are `invalid-argument`. */
  columns?: ManyColumnValues;
}
