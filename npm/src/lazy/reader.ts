// Parts of a file, wherever it lies.
import { NearshoreError, aborted, invalid, sentence } from "../errors.js";
import { fileSystemOf, openFile, readAt } from "../platform.js";
import type { FileHandleLike, Source } from "../types.js";
import { Http, type HttpOptions } from "./http.js";
import type { Range } from "./ranges.js";

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

/** How to read a file by the list of its parts: a script that is loaded where there is one; in a worker by its address. */
export type PartsScript = string | (() => Promise<typeof import("../parts.js")>);

/** How to read `source` in parts; with `parts` it is the address of a list of them. */
export async function readerOf(source: LazySource, options: HttpOptions, parts?: PartsScript): Promise<Reader> {
  if (typeof source === "string") {
    if (parts) return (await scriptOf(parts)).partsReader(source, options, NearshoreError);
    const fs = fileSystemOf(source);
    if (!fs) return new Http(source, options);
    const handle = await openFile(fs, source);
    return { ...readerOfFile(handle), close: () => handle.close() };
  }
  if (source instanceof Blob) {
    return { ...checked(async (offset, bytes) => new Uint8Array(await source.slice(offset, offset + bytes).arrayBuffer())), size: source.size };
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
  return { ...checked((offset, bytes, signal) => source.read(offset, least(offset, bytes), signal)), size, close };
}

async function scriptOf(parts: PartsScript): Promise<typeof import("../parts.js")> {
  try {
    return await (typeof parts === "string" ? import(new URL(parts).href) : parts());
  } catch (thrown) {
    throw new NearshoreError("network", `the script for lists of parts cannot be imported (${sentence(thrown)}); it is parts.js of the package`, { cause: thrown });
  }
}

const isHandle = (source: FileHandleLike | Source): source is FileHandleLike => "stat" in source;

const readerOfFile = (handle: FileHandleLike): Reader =>
  checked(async (offset, bytes) => {
    // How much is wanted is what the file says of itself.
    const there = Math.min(bytes, Number((await handle.stat()).size) - offset);
    return readAt(handle, offset, Math.max(there, 0));
  });

/** What a source threw, as an error of ours: told by its name, for each script has a class of its own. */
function failed(thrown: unknown): NearshoreError {
  const { name, code, message, cause } = (thrown ?? {}) as NearshoreError;
  return name === "NearshoreError" ? new NearshoreError(code, message, { cause }) : new NearshoreError("network", `the source failed: ${sentence(thrown)}`, { cause: thrown });
}

/** A reader that counts, and checks what `get` gives. */
function checked(get: (offset: number, bytes: number, signal?: AbortSignal) => Promise<Uint8Array>): Reader {
  return {
    async read(offset, bytes, { signal, meter, upTo } = {}) {
      const found = await get(offset, bytes, signal).catch((thrown: unknown) => {
        if (signal?.aborted) throw aborted(signal);
        throw failed(thrown);
      });
      if (meter) {
        meter.requests++;
        meter.bytes += found.length;
      }
      if (found.length === bytes || (upTo && found.length < bytes)) return found;
      throw new NearshoreError("truncated", `the source gave ${found.length} bytes at offset ${offset}, expected ${bytes}`);
    },
  };
}
