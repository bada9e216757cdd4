// Opens what is read by calls: in parts, or whole in order.
import type { NearshoreError } from "../errors.js";
import type { Meter, Reader } from "../lazy/reader.js";
import { fileSystemOf, openFile } from "../platform.js";
import type { Stream } from "../sources.js";
import type { FileHandleLike, Source } from "../types.js";
import { Listed, type ListOptions } from "./list.js";
import { Filed, Sourced, type Parted } from "./own.js";

/** The path of a file, an address of a list of parts, or what a caller reads from. */
export type CallSource = string | FileHandleLike | Source;

/** Bytes that are read first, of a file that may then be wanted in parts: as many as are wanted then; and at a time. */
const [FIRST, CHUNK] = [65_536, 4 * 1024 * 1024];

/** Makes errors of the class that users know: this script has one of its own. */
export type Failure = typeof NearshoreError;

/** Throws the same as an error that users know. */
export function known(thrown: unknown, Failure: Failure): never {
  const { name, code, message, cause } = (thrown ?? {}) as NearshoreError;
  throw name === "NearshoreError" ? new Failure(code, message, { cause }) : thrown;
}

/** What reads from it. It is closed where it cannot even say how long it is. */
async function parted(source: CallSource, list: boolean, options: ListOptions, signal: AbortSignal | undefined): Promise<Parted> {
  if (typeof source === "string") {
    if (list) return new Listed(source, options);
    const handle = await openFile(fileSystemOf(source)!, source);
    return new Filed(handle, () => handle.close());
  }
  if ("stat" in source) return new Filed(source);
  const reader = new Sourced(source);
  await reader.bytes(signal).catch((thrown: unknown) => {
    reader.close();
    throw thrown;
  });
  return reader;
}

/** Reads in parts. */
export async function readerOf(source: CallSource, list: boolean, options: ListOptions, signal: AbortSignal | undefined, Failure: Failure): Promise<Reader> {
  const again = (thrown: unknown): never => known(thrown, Failure);
  const reader = await parted(source, list, options, signal).catch(again);
  return {
    url: reader.url,
    get size() {
      return reader.size;
    },
    ready: reader.ready && ((...asked) => reader.ready!(...asked).catch(again)),
    read: (...asked) => reader.read(...asked).catch(again),
    cost: reader.cost && ((ranges) => reader.cost!(ranges)),
    close: () => reader.close(),
  };
}

type StreamOptions = ListOptions & { signal?: AbortSignal | undefined };

/** Reads all, in order. */
export async function streamOf(source: CallSource, list: boolean, options: StreamOptions, Failure: Failure): Promise<Stream> {
  const { signal } = options;
  try {
    const reader = await parted(source, list, options, signal);
    const meter: Meter = { requests: 0, bytes: 0 };
    const close = (): unknown => reader.close();
    try {
      const bytes = reader.size ?? (await reader.bytes(signal));
      return { bytes, own: reader.own, chunks: chunksOf(reader, bytes, meter, options, Failure), close, get requests() { return meter.requests; } };
    } catch (thrown) {
      await close();
      throw thrown;
    }
  } catch (thrown) {
    return known(thrown, Failure);
  }
}

async function* chunksOf(reader: Parted, bytes: number, meter: Meter, { signal, maxBytes = CHUNK }: StreamOptions, Failure: Failure): AsyncGenerator<Uint8Array> {
  try {
    for (let at = 0, wanted = bytes > Math.min(CHUNK, maxBytes) ? FIRST : CHUNK; at < bytes; at += wanted, wanted = CHUNK) {
      wanted = Math.min(wanted, bytes - at);
      yield await reader.read(at, wanted, { signal, meter });
    }
  } catch (thrown) {
    known(thrown, Failure);
  }
}
