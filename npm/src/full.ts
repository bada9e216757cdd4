// The engine of files that are here as a whole, and of what is built.
import { make } from "../wasm/glue.js";
import { ELEMENTS, METRICS } from "./describe.js";
import { NearshoreError, sentence, unsupported } from "./errors.js";
import { Engine as Instance, SLOT, elementOf } from "./instance.js";
import type { AddCall, BuildCall, CreateCall, Described, PayloadsCall, SearchCall } from "./protocol.js";

/** The calls to a reader, and to a full engine, which can make all. */
export class Engine extends Instance {
  /** What the index was made with, if it was made empty. */
  protected made: CreateCall | undefined;

  constructor(module: WebAssembly.Module) {
    super(module, make);
  }

  search(call: SearchCall, _signal?: AbortSignal): ArrayBuffer | Promise<ArrayBuffer> {
    this.ask(call, call.data);
    if (call.filter !== undefined) this.#only(call);
    this.check(this.core.search(elementOf(call.data), call.count, call.payload));
    return this.answer();
  }

  /**
   * Says which rows the search is among. Where this engine cannot tell, another was given, which takes over from this one for good, so that the file
   * is here twice but for a moment.
   */
  #only(call: SearchCall): void {
    if (this.further) {
      this.check(this.core.save());
      const [at = 0, bytes = 0] = this.#numbers();
      const other = new Engine(this.further);
      other.begin(bytes);
      other.write(this.view(at, bytes));
      other.check(other.core.open());
      this.become(other);
      this.ask(call, call.data);
      this.further = undefined;
    }
    this.only(call.filter!);
  }

  build(call: BuildCall): Described {
    this.fill(SLOT.vectors, call.vectors);
    if (call.ids) this.fill(SLOT.ids, call.ids);
    this.#payloads(call.payloads);
    if (call.columns) {
      this.#schema(call.columns.schema);
      this.fill(SLOT.columns, call.columns.values);
    }
    const element = elementOf(call.vectors);
    this.check(this.core.build(call.dimensions, element, METRICS.indexOf(call.metric), call.m, call.efConstruction, call.seed, call.originals));
    return this.describe();
  }

  create(call: CreateCall): Described {
    this.made = call;
    if (call.columns) this.#schema(call.columns);
    this.check(this.core.create(call.dimensions, ELEMENTS.indexOf(call.element), METRICS.indexOf(call.metric), call.m, call.efConstruction, call.seed));
    return this.describe();
  }

  has(id: bigint): boolean {
    this.check(this.core.has(id));
    return this.#numbers()[0] === 1;
  }

  get(id: bigint): ArrayBuffer | null {
    this.check(this.core.get(id));
    const answer = this.answer();
    return new Uint32Array(answer, 0, 1)[0] === 1 ? answer : null;
  }

  add(call: AddCall): void | Promise<void> {
    this.fill(SLOT.ids, call.ids);
    this.fill(SLOT.query, call.vectors);
    this.#payloads(call.payloads);
    // Last: what does not fit leaves none behind, and everything else is filled each time.
    if (call.columns) this.fill(SLOT.columns, call.columns);
    this.#changed(this.core.add(elementOf(call.vectors), call.replace));
  }

  delete(id: bigint): boolean | Promise<boolean> {
    this.#changed(this.core.delete(id));
    return this.#numbers()[0] === 1;
  }

  compact(): void {
    this.#changed(this.core.compact());
  }

  clear(): void | Promise<void> {
    if (!this.made) throw unsupported("a file cannot be cleared: use Index.create");
    this.create(this.made);
  }

  /** A file in tiles lacks what changes go by: that is no damage. */
  #changed(code: number): void {
    try {
      this.check(code);
    } catch (thrown) {
      throw /^section edges/.test(sentence(thrown)) ? unsupported("a file in tiles cannot be changed: use the one that it was exported from, or Index.create({ base })") : thrown;
    }
  }

  save(): Uint8Array {
    this.check(this.core.save());
    const [at = 0, bytes = 0] = this.#numbers();
    try {
      return this.copy(at, bytes);
    } catch (cause) {
      // The index is whole; it is this realm that has no room for its file.
      throw new NearshoreError("quota", `there is no room for ${bytes} bytes beside the engine's memory`, { cause });
    } finally {
      this.core.saved();
    }
  }

  verify(): void {
    this.check(this.core.verify());
  }

  /** Says the columns of the index that is made next. */
  #schema(schema: string): void {
    const bytes = new TextEncoder().encode(schema);
    this.fill(SLOT.columns, bytes);
    this.check(this.core.schema(bytes.length));
  }

  #payloads(payloads: PayloadsCall | null): void {
    if (payloads) this.fill(SLOT.payloads, payloads.bytes);
    // Without ends there are none, whatever a call that failed has left.
    this.fill(SLOT.ends, payloads ? payloads.ends : new BigUint64Array(0));
  }

  /** An answer of whole numbers. */
  #numbers(): Uint32Array {
    return new Uint32Array(this.answer());
  }
}
