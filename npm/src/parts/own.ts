// What users hand over to read from, called with care: whatever it does, what comes of it is bytes or an error that says what it did.
import { NearshoreError, invalid, sentence, shown, throwIfAborted } from "../errors.js";
import type { ReadOptions, Reader } from "../lazy/reader.js";
import { until } from "../lazy/wait.js";
import { readAt } from "../platform.js";
import type { FileHandleLike, Source } from "../types.js";

/** A file that can also be read whole, front to back. */
export interface Parted extends Reader {
  /** Whether what is read is nobody else's. */
  readonly own: boolean;
  /** The file's bytes, which may have to be asked for. */
  bytes(signal?: AbortSignal): Promise<number>;
  close(): unknown;
}

/** What a call gives; what it throws as an error of ours, and no wait for one that never answers once the signal fires. */
async function asked<T>(what: string, call: () => T | PromiseLike<T>, signal?: AbortSignal): Promise<T> {
  try {
    return await until((async () => call())(), signal);
  } catch (thrown) {
    throwIfAborted(signal);
    if ((thrown as NearshoreError | undefined)?.name === "NearshoreError") throw thrown;
    throw new NearshoreError("network", `${what} failed: ${sentence(thrown)}`, { cause: thrown });
  }
}

/** A source of the caller's. */
export class Sourced implements Parted {
  readonly own = false;
  size = 0;

  constructor(readonly source: Source) {}

  async bytes(signal?: AbortSignal): Promise<number> {
    const size: unknown = await asked("the source's size()", () => this.source.size(), signal);
    if (!Number.isSafeInteger(size) || (size as number) < 0) throw invalid(`the source's size() is ${shown(size)}, expected a whole number of bytes`);
    return (this.size = size as number);
  }

  async read(offset: number, wanted: number, { signal, meter, upTo }: ReadOptions = {}): Promise<Uint8Array> {
    // Beyond its end a source need not answer.
    const length = Math.min(wanted, Math.max(this.size - offset, 0));
    if (length < wanted && !upTo) throw new NearshoreError("truncated", `the source has ${this.size} bytes, ${wanted} at offset ${offset} are not among them`);
    if (length === 0) return new Uint8Array();
    const what = `the source's read(${offset}, ${length})`;
    const found: unknown = await asked(what, () => this.source.read(offset, length, signal), signal);
    const type = Object.prototype.toString.call(found).slice(8, -1);
    if (type !== "Uint8Array") throw invalid(`${what} gave what is ${type}, expected a Uint8Array of ${length} bytes`);
    const bytes = found as Uint8Array;
    if (meter) {
      meter.requests++;
      meter.bytes += bytes.length;
    }
    if (bytes.length !== length) throw new NearshoreError("truncated", `the source gave ${bytes.length} bytes at offset ${offset}, expected ${length}`);
    return bytes;
  }

  /** Nothing depends on that: nobody waits, and a failure is none of ours. */
  close(): void {
    asked("", () => this.source.close?.()).catch(() => {});
  }
}

/** An open file; it is closed with this only by `closing`. */
export class Filed implements Parted {
  readonly own = true;

  constructor(readonly handle: FileHandleLike, readonly closing?: () => unknown) {}

  async bytes(signal?: AbortSignal): Promise<number> {
    return Number((await asked("the file's stat()", () => this.handle.stat(), signal)).size);
  }

  async read(offset: number, wanted: number, { signal, meter, upTo }: ReadOptions = {}): Promise<Uint8Array> {
    // How much is wanted is what the file says of itself.
    const there = Math.max(Math.min(wanted, (await this.bytes(signal)) - offset), 0);
    const bytes = await asked("reading the file", () => readAt(this.handle, offset, there), signal);
    if (meter) {
      meter.requests++;
      meter.bytes += bytes.length;
    }
    if (bytes.length < wanted && !upTo) throw new NearshoreError("truncated", `the file has no ${wanted} bytes at offset ${offset}, but ${bytes.length}`);
    return bytes;
  }

  close(): unknown {
    return this.closing?.();
  }
}
