// Parts of a file, wherever it lies.
import { NearshoreError, sentence } from "../errors.js";
import { fileSystemOf } from "../platform.js";
import type { FileHandleLike, Source } from "../types.js";
import { Http, type HttpOptions } from "./http.js";
import type { Range } from "./ranges.js";
import { until } from "./wait.js";

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
  /** Brings what {@link cost} goes by, where that is not here from the start; refuses by it what opening is about to read, where all of that is beyond `maxBytes`. */
  ready?: ((options?: ReadOptions, opening?: Range) => Promise<unknown>) | undefined;
  /** Bytes that reading these would take, where that is not their own; of those that are not in the file none. */
  cost?: ((ranges: readonly Range[]) => number) | undefined;
  /** Under which what was brought can be found again. */
  readonly url?: string | undefined;
  /** The file's bytes, where that is known. */
  readonly size?: number | undefined;
  /** The whole file, once a host has sent it unasked. */
  readonly whole?: Uint8Array | undefined;
  /** Lets go of what this reader itself has opened, and of an own source. */
  close?(): unknown;
}

/** A source in the engine's realm: an address, bytes that the platform holds, or an object of the caller's. */
export type LazySource = string | Blob | FileHandleLike | Source;

/** The script that reads what is neither one address nor memory; in a worker its address. */
export type PartsScript = string | (() => Promise<typeof import("../parts.js")>);

/** How to read `source` in parts; `list` says that it is the address of a list of them. */
export async function readerOf(source: LazySource, list: boolean, script: PartsScript, options: HttpOptions & { maxBytes?: number | undefined }, signal?: AbortSignal): Promise<Reader> {
  if (source instanceof Blob) return ofBlob(source);
  if (!list && typeof source === "string" && !fileSystemOf(source)) return new Http(source, options);
  const { readerOf } = await (typeof script === "string" ? import(new URL(script).href) : script()).catch((thrown: unknown) => {
    throw new NearshoreError("network", `parts.js of the package cannot be imported (${sentence(thrown)}): its scripts lie beside each other`, { cause: thrown });
  });
  return readerOf(source, list, options, signal, NearshoreError);
}

const ofBlob = (blob: Blob): Reader => ({
  size: blob.size,
  async read(offset, bytes, { signal, meter, upTo } = {}) {
    const found = await until(blob.slice(offset, offset + bytes).arrayBuffer(), signal).catch((thrown: unknown) => {
      throw thrown instanceof NearshoreError ? thrown : new NearshoreError("network", `the blob cannot be read: ${sentence(thrown)}`, { cause: thrown });
    });
    if (meter) {
      meter.requests++;
      meter.bytes += found.byteLength;
    }
    if (found.byteLength < bytes && !upTo) throw new NearshoreError("truncated", `the blob gave ${found.byteLength} bytes at offset ${offset}, expected ${bytes}`);
    return new Uint8Array(found);
  },
});
