// An engine that fetches the blocks its searches want.
import { make } from "../../wasm/glue-lazy.js";
import { PLANS } from "../describe.js";
import { unsupported } from "../errors.js";
import { Engine, FILTERS, SLOT, elementOf } from "../instance.js";
import type { CallName, Calls, Described, Form, KeptCall, LazyCall, Method, SearchCall } from "../protocol.js";
import { Blocks, type Traffic } from "./blocks.js";
import { FILES, handles } from "./disk.js";
import { blocksOf, bringCodes, mayBringCodes, openParts } from "./file.js";
import { headOf, type Head } from "./header.js";
import { drive, none, type Driven, type Searches } from "./loop.js";
import type { Range } from "./ranges.js";
import { readerOf } from "./reader.js";
import { QUOTA, Store, unsigned, type Shelves } from "./store.js";
import { onAbort, soon, until } from "./wait.js";

/** Milliseconds that opening waits for what is kept. What comes later serves from then on. */
const LATE_MS = 500;
/** The same where the host does not answer: then nothing else serves. */
const OFFLINE_MS = 10_000;

/** One query, and how to search for it. */
interface Query {
  call: SearchCall;
  data: Form;
  /** What is asked, where it is no search. */
  form?: number;
  /** Told what it wants, at each step. */
  told?: (wanted: readonly Range[]) => unknown;
}

/** What is open. */
interface File {
  blocks: Blocks;
  /** Where the file, or what is here of it, lies in the engine's memory, and its length. */
  at: number;
  fileBytes: number;
  /** Undefined for a file that lies in the engine's memory as a whole. */
  parts?: { head: Head; store: Store; url: string | undefined };
}

/** One index of tiles in one instance, whose file is read in parts; or lies here as a whole, which makes no difference to a search. */
export class LazyEngine extends Engine implements Searches<Query>, Calling {
  #file: File | undefined;
  /** Does what this one cannot. */
  #other: LazyEngine | undefined;
  /** Conditions of which a search is about to know the rows, or knows them: false where it failed. */
  readonly #asking = new Map<string, Promise<boolean>>();
  #release: (() => unknown) | undefined;
  /** Where blocks outlive this page; undefined where they do not. */
  #shelves: Promise<Shelves> | undefined;
  /** The opening of that place, which nobody waits for long. */
  #shelving: Promise<void> | undefined;
  readonly #traffic: Traffic = { rounds: 0, requests: 0, bytes: 0, cached: 0 };
  /** What each slot's search wants; undefined where the slot is free. */
  readonly #wanted: (Range[] | undefined)[] = [];
  readonly #queries: Query[] = [];
  /** Ends what is under way. */
  readonly #closing = new AbortController();

  constructor(module: WebAssembly.Module) {
    super(module, make);
  }

  async lazy(call: LazyCall, signal?: AbortSignal): Promise<Described> {
    const { maxBytes = Infinity, whole: few, start } = call;
    const reader = await readerOf(call.source, call.list, call.script, { ...call, keep: Math.min(maxBytes, QUOTA) }, signal);
    const store = new Store(call.keep ? QUOTA : 0);
    this.#release = () => {
      store.disk?.close();
      return reader.close?.();
    };
    // What has an address can be found again by it; blocks in a place of the caller's by what they are of.
    const url = call.persist && reader.url ? unsigned(reader.url) : undefined;
    if (call.own || url !== undefined) this.#shelves = call.shelves && (call.own || (globalThis.indexedDB && !handles())) ? call.shelves().catch(() => FILES) : Promise.resolve(FILES);
    const shelves = this.#shelves;
    // Begins at once, and is waited for when it is needed.
    const kept = shelves?.then(({ load }) => (url === undefined ? undefined : load(url)));
    try {
      const { head, pieces, whole, offline } = await openParts(reader, { maxBytes, whole: few, start: start && new Uint8Array(start.buffer as ArrayBuffer, start.byteOffset, start.byteLength) }, this.#traffic, signal, kept && (() => soon(kept, LATE_MS)));
      this.begin(pieces.reduce((sum, piece) => sum + piece.length, 0));
      pieces.forEach((piece) => this.write(piece));
      if (whole) return this.finish();
      const at = this.core.reserve(SLOT.file, head.hotEnd);
      this.check(this.core.open_prefix(head.fileBytes));
      this.#file = { blocks: blocksOf(reader, store, head, this.#traffic), at, fileBytes: head.fileBytes, parts: { head, store, url } };
      const described = this.describe();
      this.#shelving = shelves?.then(async ({ diskOf, save }) => {
        const disk = await diskOf(head.identity);
        if (!disk) return;
        if (this.#closing.signal.aborted) return disk.close();
        store.attach(disk);
        await kept; // one at a time has that file
        if (url !== undefined) await save(url, pieces as Uint8Array<ArrayBuffer>[]);
      });
      if (this.#shelving) await soon(this.#shelving, offline ? OFFLINE_MS : LATE_MS);
      // In the background; a search that misses some fetches its own.
      Promise.resolve(call.mode === "codes" || (call.mode !== "lazy" && call.keep && mayBringCodes(head, reader, call.persist))).then((yes) => yes && !this.#closing.signal.aborted ? this.prefetch() : undefined).catch(() => {});
      return described;
    } catch (thrown) {
      await this.#unshelve(thrown, url);
      this.close();
      throw thrown;
    }
  }

  /** A file that is here as a whole: its blocks are copied from where it lies. */
  protected override openFile(file: Uint8Array): void {
    const at = file.byteOffset;
    this.check(this.core.open_prefix(file.length));
    // Every block is kept, so none is read; one that is damaged is read to no avail.
    const get = (offset: number, bytes: number): Uint8Array => this.copy(at + offset, bytes);
    const kept = { get, put() {}, drop() {} };
    this.#file = { blocks: new Blocks({ read: async (offset, bytes) => get(offset, bytes) }, kept, async () => {}), at, fileBytes: file.length };
  }

  override describe(): Described {
    return { ...super.describe(), mode: this.#file?.parts ? "lazy" : "whole" };
  }

  async prefetch(): Promise<void> {
    const { blocks, parts } = this.#file!;
    if (parts) await bringCodes(parts.head, blocks, parts.store, this.#traffic, this.#closing.signal);
  }

  async kept(what: KeptCall): Promise<number> {
    const { parts } = this.#file!;
    await this.#shelving;
    if (what === "clear") {
      parts?.store.clear();
      if (parts?.url) await (await this.#shelves)?.save(parts.url, []);
    }
    return parts?.store.size ?? 0;
  }

  override memory(): Calls["memory"][1] {
    const { requests, bytes, cached } = this.#traffic;
    return { memoryBytes: super.memory().memoryBytes + (this.#other?.memory().memoryBytes ?? 0), requests, bytes, cached };
  }

  async has(id: bigint, signal?: AbortSignal): Promise<boolean> {
    return new Uint32Array(await this.#row(HAS, id, signal), 0, 1)[0] === 1;
  }

  async get(id: bigint, signal?: AbortSignal): Promise<ArrayBuffer | null> {
    const answer = await this.#row(GET, id, signal);
    return new Uint32Array(answer, 0, 1)[0] === 1 ? answer : null;
  }

  async #row(form: number, id: bigint, signal: AbortSignal | undefined): Promise<ArrayBuffer> {
    const data = new Uint8Array(BigUint64Array.of(id).buffer);
    return (await this.#driven(this.#further(), { call: NO_CALL, data, form }, signal ?? this.#closing.signal, this.#traffic)).answer;
  }

  /** The engine that filters, with what is here of the file. */
  #further(): LazyEngine {
    if (!this.#other) {
      const { at, fileBytes, parts } = this.#file!;
      const other = new LazyEngine(this.further!);
      other.begin(0);
      other.write(this.view(at, parts?.head.hotEnd ?? headOf(this.view(at, fileBytes))!.hotEnd));
      other.told.role = FILTERS;
      other.check(other.core.open_prefix(fileBytes));
      this.#other = other;
    }
    return this.#other;
  }

  /** Drives a search of this engine, or of the other one, of which a trap is then known as well. */
  async #driven(engine: LazyEngine, query: Query, signal: AbortSignal, took?: Traffic): Promise<Driven> {
    try {
      return await drive(engine, this.#file!.blocks, query, query.call.budget, signal, took);
    } catch (thrown) {
      throw engine.failure(thrown);
    }
  }

  /** Of searches with one condition the first brings its columns; the others wait for that, unless they have a budget to keep. */
  async #filtered(query: Query, signal: AbortSignal, took: Traffic): Promise<Driven> {
    const search = (): Promise<Driven> => this.#driven(this.#further(), query, signal, took);
    const { filter = "", budget } = query.call;
    for (let asking; !budget && (asking = this.#asking.get(filter)); ) if (await until(asking, signal)) return search();
    if (budget) return search();
    let known!: (rows: boolean) => void;
    if (this.#asking.size >= CONDITIONS) this.#asking.clear();
    this.#asking.set(filter, new Promise((resolve) => (known = resolve)));
    const codes = this.#file!.parts?.head.codes;
    // Columns come first: with the codes of tiles the search itself begins.
    query.told = ([first]) => first && codes && first.offset >= codes.offset && first.offset < codes.offset + codes.blocks * codes.blockBytes && known(true);
    try {
      const driven = await search();
      known(true);
      return driven;
    } catch (thrown) {
      this.#asking.delete(filter);
      known(false);
      throw thrown;
    }
  }

  save(): never {
    throw unsupported(ELSEWHERE);
  }

  verify(): never {
    throw unsupported(ELSEWHERE);
  }

  override close(): void {
    this.#closing.abort();
    this.#release?.();
    this.#release = undefined;
  }

  // The engine's searches, each in a slot of its own.

  start(query: Query): number {
    const { call, data, form = elementOf(data) } = query;
    this.demandSound();
    this.ask(call, data);
    if (call.filter !== undefined) this.only(call.filter);
    let slot = this.#wanted.indexOf(undefined);
    if (slot < 0) slot = this.#wanted.length;
    this.check(this.core.start(slot, form, call.payload));
    this.#queries[slot] = query;
    this.#step(slot);
    return slot;
  }

  wanted(slot: number): Range[] {
    return this.#wanted[slot] ?? [];
  }

  feed(slot: number, at: number, bytes: Uint8Array): void {
    this.demandSound();
    this.fill(SLOT.block, bytes);
    this.check(this.core.feed(slot, at));
  }

  advance(slot: number): boolean {
    this.demandSound();
    this.check(this.core.advance(slot));
    return this.#step(slot);
  }

  end(slot: number): ArrayBuffer {
    this.demandSound();
    this.check(this.core.finish(slot));
    return this.answer();
  }

  drop(slot: number): void {
    this.#wanted[slot] = undefined;
  }

  /** Reads the answer to a step; true when the search is done. */
  #step(slot: number): boolean {
    const answer = this.answer();
    const [done, count] = new Uint32Array(answer, 0, 2);
    const pairs = new Float64Array(answer, 8);
    const wanted = (this.#wanted[slot] = Array.from({ length: count! }, (_, i) => ({ offset: pairs[i * 2]!, bytes: pairs[i * 2 + 1]! })));
    this.#queries[slot]!.told?.(wanted);
    return done === 1;
  }

  /** Searches for every query of the call at once; they share what they read. */
  async search(call: SearchCall, signal?: AbortSignal): Promise<ArrayBuffer> {
    const { parts } = this.#file!;
    if (call.plan < PLAN_TILES) throw unsupported(`plan "${PLANS[call.plan]}": ${ELSEWHERE}`);
    const took = Array.from({ length: call.count }, none);
    const control = new AbortController();
    const stop = (): void => control.abort();
    const off = [signal, this.#closing.signal].map((each) => {
      if (each?.aborted) stop();
      return onAbort(each, stop);
    });
    try {
      const each = call.data.length / call.count;
      const queries = Array.from({ length: call.count }, (_, i): Query => ({ call, data: call.data.subarray(i * each, (i + 1) * each) }));
      const all = await Promise.all(queries.map((query, i) => (call.filter === undefined ? this.#driven(this, query, control.signal, took[i]) : this.#filtered(query, control.signal, took[i]!))));
      if (!parts) for (const each of all) each.cached = 0; // nothing was ever fetched
      return joined(all);
    } catch (thrown) {
      await this.#unshelve(thrown, parts?.url);
      throw thrown;
    } finally {
      stop(); // what the others of a failed call still wait for
      // Searches that were stopped or failed took theirs as well.
      if (parts) for (const each of took) for (const name of ["rounds", "requests", "bytes", "cached"] as const) this.#traffic[name] += each[name];
      for (const each of off) each();
    }
  }

  /** Forgets what opening brought, if it may be that which is damaged: the next opening fetches it. */
  async #unshelve(thrown: unknown, url: string | undefined): Promise<void> {
    if (url !== undefined && (thrown as { code?: unknown }).code === "corrupt") await soon(this.#shelves!.then(({ save }) => save(url, [])), LATE_MS);
  }
}

/** Conditions that are remembered; the engine has the rows of some of them. */
const CONDITIONS = 64;

/** What is asked in the place of a vector's form; see the engine's `filter`. */
const [HAS, GET] = [250, 251];

/** The parameters of what is no search. */
const NO_CALL = {} as SearchCall;

/** Every call has a method of its name. */
type Calling = { [K in Exclude<CallName, Elsewhere>]: K extends "save" | "verify" ? () => never : Method<K> };

type Elsewhere = "build" | "create" | "add" | "delete" | "compact" | "clear" | "keep" | "persisted" | "release" | "discard" | "mask" | "hides" | "hidden" | "cover";

const ELSEWHERE = "a file in tiles is searched by its tiles, and looked into row by row; for the rest use the file that it was exported from, or load it whole with Index.load";

/** Number of the plan by tiles, behind those that need the whole file. */
const PLAN_TILES = PLANS.indexOf("tiles");

/** Answers one after the other, then what each took; see `decodeHits`. */
function joined(all: Driven[]): ArrayBuffer {
  const out = new Uint8Array(all.reduce((sum, { answer }) => sum + answer.byteLength + 40, 0));
  let at = 0;
  for (const { answer } of all) {
    out.set(new Uint8Array(answer), at);
    at += answer.byteLength;
  }
  new Float64Array(out.buffer, at).set(all.flatMap(({ rounds, requests, bytes, cached, complete }) => [rounds, requests, bytes, cached, Number(complete)]));
  return out.buffer;
}
