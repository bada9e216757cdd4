// One WebAssembly instance, one index: the calls that every engine can make.
import type { Host, make as makeLazy } from "../wasm/glue-lazy.js";
import type { make as makeFull } from "../wasm/glue.js";
import { CODES, NearshoreError, sentence } from "./errors.js";
import { describe } from "./describe.js";
import type { CallName, Calls, Described, Form, Given, Method, Report, Returned, SearchCall } from "./protocol.js";

/** The buffers that the engine lets us fill, in the order of `Slot` there. */
export const enum SLOT { file, vectors, ids, payloads, ends, query, block, filter, columns }

/** What messages call the engine that filters. */
export const FILTERS = "engine for filters";

const UNTOLD: Report = () => true;

/** The engine's own calls: each engine has some of them. */
type Core = InstanceType<ReturnType<typeof makeFull>["Engine"]> & InstanceType<ReturnType<typeof makeLazy>["Engine"]>;

/** Makes the glue of an engine. */
type Make = (host: Host) => { Engine: new () => unknown; initSync(module: WebAssembly.Module): { memory: WebAssembly.Memory } };

/** One index in one instance. A trap ends this instance and no other. What every engine can. */
export class Engine implements Methods {
  protected core: Core;
  #memory: WebAssembly.Memory;
  /** The engine that filters, given before it is needed. */
  protected further: WebAssembly.Module | undefined;
  #report: Report = UNTOLD;
  #received = 0;
  #room = 0;
  /** For messages: what it is, and where it panicked. Shared by those who go on with one core, which tells whoever made it. */
  protected told = { role: "engine", panic: "" };
  #trapped: NearshoreError | undefined;

  constructor(module: WebAssembly.Module, make: Make) {
    const glue = make({
      progress: (stage, done, total) => {
        try {
          return this.#report(stage, done, total);
        } catch {
          return false; // an exception must not unwind through the engine
        }
      },
      panicked: (file, line) => {
        this.told.panic = `a panic at ${file}:${line}`;
      },
    });
    this.#memory = glue.initSync(module).memory;
    this.core = new glue.Engine() as Core;
  }

  /** Makes a call by name. After a trap every call fails: the instance may be in any state. */
  call<K extends CallName>(name: K, given: Given<K>, report?: Report, signal?: AbortSignal): Returned<K> | Promise<Returned<K>> {
    this.demandSound();
    this.#report = report ?? UNTOLD;
    try {
      const value = (this as unknown as { [K in CallName]: Method<K> })[name](given, signal);
      return value instanceof Promise ? value.catch((thrown: unknown) => { throw this.failure(thrown); }) : value;
    } catch (thrown) {
      throw this.failure(thrown);
    } finally {
      this.#report = UNTOLD;
    }
  }

  /** Throws what ended this instance, if something has. */
  protected demandSound(): void {
    if (this.#trapped) throw this.#trapped;
  }

  /** Lets go of what lies outside of this instance. */
  close(): void {}

  /**
   * What came out of the instance itself (a trap, a panic, no more stack) leaves it in a state that is not to be trusted; anything else that is no error
   * of ours is what a call, or something of the caller's, was made of.
   */
  protected failure(thrown: unknown): NearshoreError {
    const trap = this.told.panic || thrown instanceof WebAssembly.RuntimeError || thrown instanceof RangeError;
    const cause = { cause: thrown };
    const error = thrown instanceof NearshoreError ? thrown : trap ? new NearshoreError("trapped", `the ${this.told.role} of this index stopped (${this.told.panic || sentence(thrown)}); open the index again`, cause) : new NearshoreError("invalid-argument", sentence(thrown), cause);
    // Also where it was another engine of this index.
    if (error.code === "trapped") this.#trapped ??= error;
    return error;
  }

  begin(bytes: number): void {
    this.#received = 0;
    this.#room = bytes;
    this.#reserve(SLOT.file, bytes);
  }

  write(chunk: Uint8Array): void {
    const end = this.#received + chunk.length;
    if (end > this.#room) this.#room = Math.max(end, Math.ceil(this.#room * 1.5));
    const at = this.#reserve(SLOT.file, this.#room);
    new Uint8Array(this.#memory.buffer, at + this.#received, chunk.length).set(chunk);
    this.#received = end;
  }

  finish(): Described {
    this.openFile(this.#written());
    return this.describe();
  }

  async digest(): Promise<Uint8Array> {
    return new Uint8Array(await crypto.subtle.digest("SHA-256", this.#written()));
  }

  /** The file, where it was written. */
  #written(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#memory.buffer, this.#reserve(SLOT.file, this.#received), this.#received);
  }

  /** Opens the file that lies in the engine's buffer. */
  protected openFile(_file: Uint8Array): void {
    this.check(this.core.open());
  }

  /** Goes on with the core of another engine, which has the same file. */
  protected become(other: Engine): void {
    this.core = other.core;
    this.#memory = other.#memory;
    this.told = other.told;
    this.told.role = FILTERS;
  }

  /** Bytes of the engine's memory where they lie, until it is called again. */
  protected view(at: number, bytes: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, at, bytes);
  }

  /** A copy of bytes of the engine's memory. */
  protected copy(at: number, bytes: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#memory.buffer.slice(at, at + bytes) as ArrayBuffer);
  }

  /** Puts queries, and how to search for them, where the engine looks. */
  protected ask(call: SearchCall, data: Form): void {
    this.fill(SLOT.query, data);
    this.core.ask(call.k, call.ef, call.recall, call.plan, call.refine, call.rerank, call.radius);
  }

  describe(): Described {
    this.check(this.core.describe());
    return describe(this.answer());
  }

  filter(module: WebAssembly.Module): void {
    this.further = module;
  }

  /** Puts a condition where the engine looks, one that filters. */
  protected only(filter: string): void {
    this.fill(SLOT.filter, new TextEncoder().encode(filter));
  }

  memory(): Calls["memory"][1] {
    return { memoryBytes: this.#memory.buffer.byteLength, requests: 0, bytes: 0, cached: 0 };
  }

  protected fill(slot: number, data: Form | BigUint64Array): void {
    const at = this.#reserve(slot, data.byteLength);
    new Uint8Array(this.#memory.buffer, at, data.byteLength).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }

  #reserve(slot: number, bytes: number): number {
    const at = bytes < 2 ** 32 ? this.core.reserve(slot, bytes) : 0;
    if (at === 0) throw new NearshoreError("quota", `there is no room for ${bytes} bytes in the engine's memory`);
    return at;
  }

  /** The answer, copied out before anything else can move or overwrite it. */
  protected answer(): ArrayBuffer {
    return this.copy(this.core.out_ptr(), this.core.out_len()).buffer;
  }

  protected check(code: number): void {
    if (code !== 0) throw new NearshoreError(CODES[code] ?? "trapped", new TextDecoder().decode(this.answer()));
  }
}

type Methods = { [K in "begin" | "write" | "digest" | "finish" | "describe" | "memory" | "filter"]: Method<K> };

export const elementOf = (data: Form): number => (data instanceof Float32Array ? 0 : data instanceof Uint8Array ? 2 : 3);
