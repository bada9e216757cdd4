// Parts of a file, wherever it lies.
import { NearshoreError, aborted, invalid, sentence } from "../errors.js";
import { fileSystemOf, openFile, readAt } from "../platform.js";
import type { FileHandleLike, Source } from "../types.js";
import { Http, type HttpOptions } from "./http.js";
import { COST, type Range } from "./ranges.js";

/** What reading took. */
export interface Meter {
  requests: number;
  bytes: number;
}

/** What can be said along with a read. */
export interface ReadOptions {
  signal?: AbortSignal | undefined;
  /** Counts what this read takes. */
  meter?: Meter | undefined;
  /** Fewer bytes are fine where the file ends. */
  upTo?: boolean;
}

/** A file that is read in parts. */
export interface Reader {
  /** Exactly these bytes. */
  read(offset: number, bytes: number, options?: ReadOptions): Promise<Uint8Array>;
  /** Bytes that reading these would take, where that is not their own. */
  cost?(ranges: readonly Range[]): number;
  /** The file's bytes, where that is known. */
  readonly size?: number | undefined;
  /** The whole file, once a host has sent it unasked. */
  readonly whole?: Uint8Array | undefined;
  /** Lets go of what this reader itself has opened, and of an own source. */
  close?(): unknown;
}

/** A source that takes more than it is asked for, and counts that itself. */
export interface Whole extends Source {
  read(offset: number, length: number, signal?: AbortSignal, meter?: Meter): Promise<Uint8Array>;
  /** Bytes that reading these would take. */
  [COST](ranges: readonly Range[]): number;
}

/** A source in the engine's realm: an address, bytes that the platform holds, or an object of the caller's. */
export type LazySource = string | Blob | FileHandleLike | Source;

/** How to read `source` in parts. */
export async function readerOf(source: LazySource, options: HttpOptions): Promise<Reader> {
  if (typeof source === "string") {
    const fs = fileSystemOf(source);
    if (!fs) return new Http(source, options);
    const handle = await openFile(fs, source);
    return { ...readerOfFile(handle), close: () => handle.close() };
  }
  if (source instanceof Blob) {
    return { ...parts(async (offset, bytes) => new Uint8Array(await source.slice(offset, offset + bytes).arrayBuffer())), size: source.size };
  }
  if (isHandle(source)) return readerOfFile(source);
  const size = await Promise.resolve()
    .then(() => source.size())
    .catch((thrown: unknown) => {
      throw failed(thrown);
    });
  if (!Number.isSafeInteger(size) || size < 0) throw invalid(`the source's size() is ${String(size)}, expected a whole number of bytes`);
  // Beyond its end a source need not answer.
  const least = (offset: number, bytes: number): number => Math.min(bytes, Math.max(size - offset, 0));
  const close = (): unknown => source.close?.();
  if (COST in source) {
    const { [COST]: cost } = source as Whole;
    return { ...parts((offset, bytes, signal, meter) => (source as Whole).read(offset, least(offset, bytes), signal, meter), false), size, cost, close };
  }
  return { ...parts((offset, bytes, signal) => source.read(offset, least(offset, bytes), signal)), size, close };
}

const isHandle = (source: FileHandleLike | Source): source is FileHandleLike => "stat" in source;

const readerOfFile = (handle: FileHandleLike): Reader =>
  parts(async (offset, bytes) => {
    // How much is wanted is what the file says of itself.
    const there = Math.min(bytes, Number((await handle.stat()).size) - offset);
    return readAt(handle, offset, Math.max(there, 0));
  });

/** What a source threw, as an error of ours: told by its name, for each script has a class of its own. */
function failed(thrown: unknown): NearshoreError {
  const { name, code, message, cause } = (thrown ?? {}) as NearshoreError;
  return name === "NearshoreError" ? new NearshoreError(code, message, { cause }) : new NearshoreError("network", `the source failed: ${sentence(thrown)}`, { cause: thrown });
}

/** A reader that counts, unless `get` does, and checks what `get` gives. */
function parts(get: (offset: number, bytes: number, signal?: AbortSignal, meter?: Meter) => Promise<Uint8Array>, counts = true): Reader {
  return {
    async read(offset, bytes, { signal, meter, upTo } = {}) {
      const found = await get(offset, bytes, signal, meter).catch((thrown: unknown) => {
        if (signal?.aborted) throw aborted(signal);
        throw failed(thrown);
      });
      if (meter && counts) {
        meter.requests++;
        meter.bytes += found.length;
      }
      if (found.length === bytes || (upTo && found.length < bytes)) return found;
      throw new NearshoreError("truncated", `the source gave ${found.length} bytes at offset ${offset}, expected ${bytes}`);
    },
  };
}
