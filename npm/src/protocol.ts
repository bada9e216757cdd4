// What the page's side and the engine's side say to each other: the same calls, whether a worker lies between or not.
import type { LazySource } from "./lazy/reader.js";
import type { Element, IndexInfo, Metric, SearchOptions } from "./types.js";

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
  /** Fetch the codes of all tiles at once? */
  codes: boolean;
  /** Keep blocks for the next search? And in files of this origin? */
  keep: boolean;
  persist: boolean;
  fetch: typeof fetch | undefined;
  headers: [string, string][] | undefined;
  concurrency: number | undefined;
  maxBytes: number | undefined;
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
}

export interface CreateCall {
  dimensions: number;
  metric: Metric;
  element: Element;
  m: number;
  efConstruction: number;
  seed: bigint;
}

export interface AddCall {
  ids: BigUint64Array;
  vectors: Form;
  payloads: PayloadsCall | null;
  /** Replace the row that has the id, instead of refusing it. */
  replace: boolean;
}

/** What an index is, as the engine knows it. */
export type Described = Omit<IndexInfo, "worker" | "meta"> & { meta: string };

/** Every call: what is given, what comes back. */
export interface Calls {
  begin: [bytes: number, void];
  write: [chunk: Uint8Array, void];
  finish: [{ integrity: string | undefined }, Described];
  build: [BuildCall, Described];
  create: [CreateCall, Described];
  search: [SearchCall, ArrayBuffer];
  has: [bigint, boolean];
  get: [bigint, ArrayBuffer | null];
  add: [AddCall, void];
  delete: [bigint, boolean];
  compact: [null, void];
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
}

export type CallName = keyof Calls;
export type Given<K extends CallName> = Calls[K][0];
export type Returned<K extends CallName> = Calls[K][1];
/** A call's method, which has its name. */
export type Method<K extends CallName> = (given: Given<K>, signal?: AbortSignal) => Returned<K> | Promise<Returned<K>>;

/**
 * What an engine is for: the reader opens and searches, the lazy one does so with files in tiles, the full one builds and changes indexes. The one
 * that filters takes over from the first two when it is first asked for; it also finds rows of files in tiles by their ids.
 */
export type Kind = "reader" | "lazy" | "full" | "filter";

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
