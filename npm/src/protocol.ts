// What the page's side and the engine's side say to each other: the same calls, whether a worker lies between or not.
import type { LazySource, PartsScript } from "./lazy/reader.js";
import type { Shelves } from "./lazy/store.js";
import type { Element, Fetch, HeadersLike, IndexInfo, Metric, OpenOptions, SearchOptions } from "./types.js";

export type Form = Float32Array | Uint8Array | Int8Array;

/** A search, ready for the engine. Absent numbers are 0 (never a value of the option itself) or NaN. */
export interface SearchCall {
  data: Form;
  count: number;
  k: number;
  ef: number;
  recall: number;
  plan: number;
  refine: number;
  rerank: number;
  radius: number;
  payload: boolean;
  /** The text of a condition on columns. */
  filter: string | undefined;
  /** Only looked at where blocks are fetched. */
  budget: SearchOptions["budget"];
}

/** An opening of a file that is read in parts, where the engine is. */
export interface LazyCall {
  source: LazySource;
  /** Whether the source is the address of a list of parts. */
  list: boolean;
  /** What reads where neither an address nor memory does. */
  script: PartsScript;
  /** Fetch the codes of all tiles at once? With `codes`; where it is not `lazy` if they are few, and there is room. */
  mode: OpenOptions["mode"];
  /** Keep blocks for the next search? And in files of this origin? */
  keep: boolean;
  persist: boolean;
  /** Where else they may be kept, for an engine in the page's own thread: in a place of the caller's, or where there are no files. */
  shelves: (() => Promise<Shelves>) | undefined;
  own: boolean;
  fetch: Fetch | undefined;
  headers: HeadersLike | undefined;
  concurrency: number | undefined;
  maxBytes: number | undefined;
  /** A file of no more bytes is brought as a whole. */
  whole: number | undefined;
  /** First bytes of the file that came before. */
  start: DataView | undefined;
}

/** What is kept of a file: its bytes, once it is cleared if that was asked for. */
export type KeptCall = "size" | "clear";

export interface PayloadsCall {
  bytes: Uint8Array;
  /** Where each row's payload ends. */
  ends: BigUint64Array;
}

export interface BuildCall {
  vectors: Form;
  dimensions: number;
  metric: Metric;
  m: number;
  efConstruction: number;
  seed: bigint;
  originals: boolean;
  ids: BigUint64Array | null;
  payloads: PayloadsCall | null;
  columns: { schema: string; values: Uint8Array } | undefined;
}

export interface CreateCall {
  dimensions: number;
  metric: Metric;
  element: Element;
  m: number;
  efConstruction: number;
  seed: bigint;
  /** The schema, where there is one. */
  columns?: string;
}

export interface AddCall {
  ids: BigUint64Array;
  vectors: Form;
  payloads: PayloadsCall | null;
  /** Values in the columns of the index. */
  columns: Uint8Array | undefined;
  /** Replace the row that has the id, instead of refusing it. */
  replace: boolean;
  /** Over a base: those of the ids that it has. */
  taken?: BigUint64Array;
}

/** An index that outlives its page, or goes over a base, or both. */
export interface KeepCall {
  create: CreateCall;
  /** Whether the caller said the columns; otherwise those of what is kept hold. */
  said: boolean;
  /** The name under which it is kept; undefined for memory alone. */
  persist: string | undefined;
  /** Wait for another holder to let go? */
  wait: boolean;
  over: boolean;
}

/** What an index is, as the engine knows it. */
export type Described = Omit<IndexInfo, "worker" | "meta" | "columns"> & {
  meta: string;
  /** The schema; empty without columns, and where the engine knows nothing of them. */
  columns: string;
  /** Over a base: how many ids hide rows of the base, and of how many of these it is known, or taken for granted, that it has them. */
  over?: { hidden: number; covered: number };
};

/** Every call: what is given, what comes back. */
export interface Calls {
  begin: [bytes: number, void];
  write: [chunk: Uint8Array, void];
  finish: [null, Described];
  /** SHA-256 of the file that was written. */
  digest: [null, Uint8Array];
  build: [BuildCall, Described];
  create: [CreateCall, Described];
  search: [SearchCall, ArrayBuffer];
  has: [bigint, boolean];
  get: [bigint, ArrayBuffer | null];
  add: [AddCall, void];
  delete: [bigint, boolean];
  compact: [null, void];
  clear: [null, void];
  save: [null, Uint8Array];
  verify: [null, void];
  describe: [null, Described];
  /** Memory of the instance, and what it has fetched by itself. */
  memory: [null, { memoryBytes: number; requests: number; bytes: number; cached: number }];
  lazy: [LazyCall, Described];
  /** The engine that filters, before the first call that needs it. */
  filter: [WebAssembly.Module, void];
  prefetch: [null, void];
  kept: [KeptCall, number];
  /** Answers with the schema of what is kept where that has columns, and this engine none. */
  keep: [KeepCall, Described | string];
  /** Bytes on disk; undefined for an index in memory. */
  persisted: [null, number | undefined];
  /** Lets go of files, ahead of the engine's end. */
  release: [null, void];
  /** Removes what is kept under a name. */
  discard: [string, void];
  /** Deletes a row, and hides the base's; whether there was one, `inBase` being what the base knows. */
  mask: [{ id: bigint; inBase: boolean }, boolean];
  /** For each id 1 where a row of the base is hidden. */
  hides: [BigUint64Array, Uint8Array];
  /** All ids that hide rows of the base. */
  hidden: [null, BigUint64Array];
  /** Says which of them the base has. */
  cover: [BigUint64Array, void];
}

export type CallName = keyof Calls;
export type Given<K extends CallName> = Calls[K][0];
export type Returned<K extends CallName> = Calls[K][1];
/** A call's method, which has its name. */
export type Method<K extends CallName> = (given: Given<K>, signal?: AbortSignal) => Returned<K> | Promise<Returned<K>>;

/**
 * What an engine is for: the reader opens and searches, the lazy one does so with files in tiles, the full one builds and changes indexes, and so
 * does the one of columns where rows have some, by which it filters. The one that filters files takes over from the first two when it is first
 * asked for; it also finds rows of files in tiles by their ids.
 */
export type EngineKind = "reader" | "lazy" | "full" | "columns" | "filter";

/** An engine and its script: what the full one does, that of columns does in the same; both keep indexes in another. */
export type Kind = Exclude<EngineKind, "columns"> | "kept" | "full-columns" | "kept-columns";

/** Reports of a long call; `false` asks it to stop. */
export type Report = (stage: number, done: number, total: number) => boolean;

/** A request to the worker: its number, the call (or that the call of this number be stopped), what is given, whether reports are wanted. */
export type Request = [number, CallName | "stop", unknown, boolean];

/** A reply of the worker. */
export type Reply =
  | [number, "done", unknown]
  | [number, "failed", { code: string; message: string }]
  | [number, "report", [number, number, number]];

/** The name by which a worker knows that it is ours. */
export const WORKER_NAME = "nearshore-engine";
