// An engine that fetches the blocks its searches want.
import { PLANS } from "../describe.js";
import { unsupported } from "../errors.js";
import { Engine, SLOT, elementOf } from "../instance.js";
import type { Calls, Described, Form, KeptCall, LazyCall, LazyCallName, SearchCall } from "../protocol.js";
import type { Blocks, Traffic } from "./blocks.js";
import { blocksOf, bringCodes, openParts } from "./file.js";
import type { Head } from "./header.js";
import { drive, type Driven, type Searches } from "./loop.js";
import type { Range } from "./ranges.js";
import { readerOf } from "./reader.js";
import { QUOTA, Store } from "./store.js";

/** One query, and how to search for it. */
interface Query {
  call: SearchCall;
  data: Form;
}

/** What is open. */
interface File {
  head: Head;
  blocks: Blocks;
}

/** One index in one instance, whose file is read in parts. */
export class LazyEngine extends Engine implements Searches<Query>, Record<LazyCallName, unknown> {
  #file: File | undefined;
  #release: (() => unknown) | undefined;
  readonly #traffic: Traffic = { rounds: 0, requests: 0, bytes: 0, cached: 0 };
  /** What each slot's search wants; undefined where the slot is free. */
  readonly #wanted: (Range[] | undefined)[] = [];
  /** Ends what is under way. */
  readonly #closing = new AbortController();

  async lazy(call: LazyCall, signal?: AbortSignal): Promise<Described> {
    const maxBytes = call.maxBytes ?? Infinity;
    const reader = await readerOf(call.source, { ...call, keep: Math.min(maxBytes, QUOTA) });
    this.#release = () => reader.close?.();
    try {
      const { head, pieces, whole } = await openParts(reader, maxBytes, this.#traffic, signal);
      this.begin(pieces.reduce((sum, piece) => sum + piece.length, 0));
      pieces.forEach((piece) => this.write(piece));
      if (whole) return await this.finish({ integrity: undefined });
      this.check(this.core.open_prefix(head.fileBytes));
      const store = new Store(call.keep ? QUOTA : 0);
      this.#file = { head, blocks: blocksOf(reader, store, head, this.#traffic) };
      if (call.codes) this.prefetch().catch(() => {}); // a search that misses them fetches its own
      return this.describe();
    } catch (thrown) {
      this.close();
      throw thrown;
    }
  }

  override describe(): Described {
    return { ...super.describe(), mode: this.#file ? "lazy" : "whole" };
  }

  override search(call: SearchCall, signal?: AbortSignal): ArrayBuffer | Promise<ArrayBuffer> {
    return this.#file ? this.#search(this.#file, call, signal) : super.search(call);
  }

  async prefetch(): Promise<void> {
    if (this.#file) await bringCodes(this.#file.head, this.#file.blocks, this.#traffic, this.#closing.signal);
  }

  kept(what: KeptCall): number {
    const store = this.#file?.blocks.store;
    if (what === "clear") store?.clear();
    return store?.size ?? 0;
  }

  override memory(): Calls["memory"][1] {
    const { requests, bytes, cached } = this.#traffic;
    return { ...super.memory(), requests, bytes, cached };
  }

  override has(id: bigint): boolean {
    this.#demandWhole("has");
    return super.has(id);
  }

  override get(id: bigint): ArrayBuffer | null {
    this.#demandWhole("get");
    return super.get(id);
  }

  override save(): Uint8Array {
    this.#demandWhole("save");
    return super.save();
  }

  override verify(): void {
    this.#demandWhole("verify");
    super.verify();
  }

  override close(): void {
    this.#closing.abort();
    this.#release?.();
    this.#release = undefined;
  }

  // The engine's searches, each in a slot of its own.

  start({ call, data }: Query): number {
    this.demandSound();
    this.ask(call, data);
    let slot = this.#wanted.indexOf(undefined);
    if (slot < 0) slot = this.#wanted.length;
    this.check(this.core.start(slot, elementOf(data), call.payload));
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
    this.#wanted[slot] = Array.from({ length: count! }, (_, i) => ({ offset: pairs[i * 2]!, bytes: pairs[i * 2 + 1]! }));
    return done === 1;
  }

  /** Searches for every query of the call at once; they share what they read. */
  async #search({ blocks }: File, call: SearchCall, signal: AbortSignal | undefined): Promise<ArrayBuffer> {
    if (call.plan < PLAN_TILES) throw unsupported(`plan "${PLANS[call.plan]}" needs the whole file, which mode "${this.describe().mode}" does not read; open it with mode "whole"`);
    const control = new AbortController();
    const stop = (): void => control.abort();
    for (const each of [signal, this.#closing.signal]) {
      if (each?.aborted) stop();
      each?.addEventListener("abort", stop);
    }
    try {
      const each = call.data.length / call.count;
      const queries = Array.from({ length: call.count }, (_, i): Query => ({ call, data: call.data.subarray(i * each, (i + 1) * each) }));
      const all = await Promise.all(queries.map((query) => drive(this, blocks, query, call.budget, control.signal)));
      for (const took of all) for (const name of ["rounds", "requests", "bytes", "cached"] as const) this.#traffic[name] += took[name];
      return joined(all);
    } finally {
      stop(); // what the others of a failed call still wait for
      for (const each of [signal, this.#closing.signal]) each?.removeEventListener("abort", stop);
    }
  }

  #demandWhole(what: string): void {
    if (this.#file) throw unsupported(`${what}() needs the whole file, which mode "lazy" does not read; open it with mode "whole"`);
  }
}

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
