// Brings blocks: from what is kept, from reads that are under way for another search, else in as few requests as can be.
import type { NearshoreError } from "../errors.js";
import { merge, type Range } from "./ranges.js";
import type { Meter, Reader } from "./reader.js";
import { until } from "./wait.js";

/** What one search took. */
export interface Traffic extends Meter {
  /** Times that it had to wait. */
  rounds: number;
  /** Blocks that were there already. */
  cached: number;
}

/** Where blocks are kept. */
export interface Kept {
  /** The block there, if it is kept. */
  get(offset: number, bytes: number): Uint8Array | undefined;
  /** Keeps a block that proved sound. */
  put(offset: number, block: Uint8Array): void;
  /** Forgets a block. */
  drop(offset: number): void;
}

/** A read under way, and how many wait for it. */
interface Flight extends Range {
  readonly bytesOf: Promise<Uint8Array>;
  readonly control: AbortController;
  waiters: number;
}

/** Takes block number `at`; throws `corrupt` when it is not what the file should have there. */
export type Take = (at: number, bytes: Uint8Array) => void;

const codeOf = (thrown: unknown): string => (thrown as NearshoreError).code;

/** The blocks of one file. */
export class Blocks {
  readonly #flights = new Map<number, Flight>();

  /**
   * @param changed reads the file's header again, and rejects with `changed` when it has become another file
   */
  constructor(readonly reader: Reader, readonly store: Kept, readonly changed: () => Promise<void>) {}

  /** Bytes that would have to be asked for, were these blocks wanted now. */
  missing(wanted: readonly Range[]): number {
    const missing = wanted.filter(({ offset, bytes }) => !this.store.get(offset, bytes) && !this.#flights.has(offset));
    const { ranges } = merge(missing);
    return this.reader.cost?.(ranges) ?? ranges.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /**
   * Gives every wanted block to `take`, in the order in which they come; `wanted` ascends by offset. When it rejects, nothing is given any
   * more, and reads that nobody else waits for are stopped.
   */
  async bring(wanted: readonly Range[], take: Take, traffic: Traffic, signal?: AbortSignal): Promise<void> {
    const joined = new Map<Flight, number[]>();
    const join = (flight: Flight, at: number): void => {
      const parts = joined.get(flight);
      if (parts) parts.push(at);
      else {
        joined.set(flight, [at]);
        flight.waiters++;
      }
    };
    let live = true;
    const land = async ([flight, parts]: [Flight, number[]]): Promise<void> => {
      const bytes = await flight.bytesOf;
      for (const at of parts) {
        const block = wanted[at]!;
        const from = block.offset - flight.offset;
        if (live) await this.#give(block, bytes.subarray(from, from + block.bytes), (bytes) => live && take(at, bytes), traffic, signal);
      }
    };
    try {
      const missing = wanted.map((_, at) => at).filter((at) => {
        const { offset, bytes } = wanted[at]!;
        if (this.#kept(offset, bytes, (kept) => take(at, kept))) {
          traffic.cached++;
          return false;
        }
        const flight = this.#flights.get(offset);
        if (flight) join(flight, at);
        return !flight;
      });
      const { ranges } = merge(missing.map((at) => wanted[at]!));
      // Parts that are here by now are not waited for.
      const waits = joined.size > 0 || this.reader.cost?.(ranges) !== 0;
      for (const range of ranges) {
        const parts = missing.slice(range.first, range.first + range.count);
        const flight = this.#launch(range, parts.map((at) => wanted[at]!.offset), traffic);
        for (const at of parts) join(flight, at);
      }
      if (joined.size === 0) return;
      if (waits) traffic.rounds++;
      await until(Promise.all([...joined].map(land)), signal);
    } finally {
      live = false;
      for (const flight of joined.keys()) if (--flight.waiters === 0) flight.control.abort();
    }
  }

  /** Hands over a block that is kept. One that is damaged is kept no more: the file may be sound. */
  #kept(offset: number, bytes: number, take: (bytes: Uint8Array) => void): boolean {
    const kept = this.store.get(offset, bytes);
    if (!kept) return false;
    try {
      take(kept);
      return true;
    } catch (thrown) {
      if (codeOf(thrown) !== "corrupt") throw thrown;
      this.store.drop(offset);
      return false;
    }
  }

  /** Sends one request for neighbouring blocks. */
  #launch(range: Range, offsets: number[], traffic: Traffic): Flight {
    const control = new AbortController();
    const bytesOf = this.reader.read(range.offset, range.bytes, { signal: control.signal, meter: traffic }).catch(async (thrown: unknown) => {
      // A part that is not there may be one of a file that was replaced by a shorter one.
      if (codeOf(thrown) === "range") await this.changed();
      throw thrown;
    });
    const flight: Flight = { offset: range.offset, bytes: range.bytes, bytesOf, control, waiters: 0 };
    for (const offset of offsets) this.#flights.set(offset, flight);
    const landed = (): void => {
      for (const offset of offsets) if (this.#flights.get(offset) === flight) this.#flights.delete(offset);
    };
    control.signal.addEventListener("abort", landed);
    bytesOf.then(landed, landed);
    return flight;
  }

  /** Hands a block over. One that is damaged is asked for once more, unless the file is another by now. */
  async #give(block: Range, bytes: Uint8Array, take: (bytes: Uint8Array) => void, traffic: Traffic, signal: AbortSignal | undefined): Promise<void> {
    try {
      take(bytes);
    } catch (thrown) {
      if (codeOf(thrown) !== "corrupt") throw thrown;
      await this.changed();
      bytes = await this.reader.read(block.offset, block.bytes, { signal, meter: traffic });
      take(bytes);
    }
    this.store.put(block.offset, bytes);
  }
}
