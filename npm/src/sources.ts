// Where a file comes from, and how its bytes reach an engine: each is read once, front to back, and copied into the engine as it comes.
import { NearshoreError, aborted, invalid, sentence, throwIfAborted } from "./errors.js";
import { foreign } from "./lazy/header.js";
import type { LazySource } from "./lazy/reader.js";
import { until } from "./lazy/wait.js";
import type { Link } from "./link.js";
import { loaded } from "./scripts.js";
import { fileSystemOf } from "./platform.js";
import type { Fetch, FileHandleLike, OpenOptions, Source } from "./types.js";

/** Everything that `open` takes. */
export type OpenSource = string | URL | Blob | ArrayBuffer | Uint8Array | FileHandleLike | Source;

/** A file on its way: how many bytes are announced (0: unknown), and the bytes in order. */
export interface Stream {
  bytes: number;
  requests: number;
  /** Whether the chunks are nobody else's, so that their memory may move to a worker. */
  own: boolean;
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  close?(): unknown;
}

/** Bytes that are looked at first, and that an engine which reads in parts wants first; see `openParts`. */
const FIRST = 65_536;

/** Bytes asked of a source at a time. */
const CHUNK = 4 * 1024 * 1024;

/** Bytes above which a file that can be read in parts is not read whole unasked. */
const WHOLE = 4 * 1024 * 1024;

/** Places in the superblock and the directory, and what is looked for there; see core/FORMAT.md. */
const enum At { tables = 12, fileBytes = 32, plan = 54, directory = 4096, entry = 64, end = 16384 }
const enum Is { tiles = 2, columns = 22 }

/** The first bytes, 64 KiB or more, or all there are. The stream is as before. */
export async function startOf(stream: Stream): Promise<DataView | undefined> {
  const chunks = joined([], stream.chunks);
  // A chunk may be as short as it likes.
  let start = new Uint8Array();
  while (start.length < FIRST) {
    const { value, done } = await chunks.next();
    if (done) break;
    start = start.length > 0 ? new Uint8Array(await new Blob([start, value as Uint8Array<ArrayBuffer>]).arrayBuffer()) : (value as Uint8Array<ArrayBuffer>);
  }
  const other = foreign(start);
  if (other) throw new NearshoreError("corrupt", `what came does not begin as a .shore file${other}`);
  const { close } = stream;
  stream.chunks = joined(start.length > 0 ? [start] : [], chunks);
  stream.close = async () => {
    delete stream.close;
    await chunks.return();
    await close?.();
  };
  return start.length < At.end || start[0] !== 0x89 || start[1] !== 0x53 ? undefined : new DataView(start.buffer, start.byteOffset, start.length);
}

/** Whether this is the beginning of a file in tiles. */
export const inTiles = (start: DataView | undefined): start is DataView => start?.getUint8(At.plan) === Is.tiles;

/** The bytes of the file that begins so. */
export const bytesOf = (start: DataView): bigint => start.getBigUint64(At.fileBytes, true);

/** Bytes of a file in tiles that is read whole unasked. */
export const few = ({ maxBytes = WHOLE }: OpenOptions): number => Math.min(WHOLE, maxBytes);

/** Whether there is a table of columns. */
export function hasColumns(start: DataView | undefined): boolean {
  let left = start ? start.getUint32(At.tables, true) : 0;
  for (let at: number = At.directory; left-- > 0 && at < At.end; at += At.entry) if (start!.getUint16(at, true) === Is.columns) return true;
  return false;
}

/** Some chunks, and those behind them. */
async function* joined(first: Uint8Array[], rest: Stream["chunks"]): AsyncGenerator<Uint8Array, void, undefined> {
  yield* first;
  yield* rest;
}

/** Reads all of a stream into the engine; returns what that took. */
export async function pour(stream: Stream, options: OpenOptions, link: Link): Promise<{ requests: number; bytes: number }> {
  const { signal, maxBytes = Infinity } = options;
  const refuse = (bytes: number): void => {
    if (bytes > maxBytes) throw new NearshoreError("quota", `the file has ${bytes} bytes, maxBytes allows ${maxBytes}`);
  };
  refuse(stream.bytes);
  await link.call("begin", stream.bytes, { signal });
  let bytes = 0;
  let last: Promise<void> | undefined;
  for await (const chunk of stream.chunks) {
    throwIfAborted(signal);
    bytes += chunk.length;
    refuse(bytes);
    // One chunk is under way while the next is read: the source sets the pace, nothing piles up.
    await last;
    const sent = link.worker && !stream.own ? chunk.slice() : chunk;
    last = link.call("write", sent, { signal, ...(link.worker && { transfer: [sent.buffer as ArrayBuffer] }) });
    last.catch(() => {});
  }
  await last;
  return { requests: stream.requests, bytes };
}

/** A source as the engine's realm reads it in parts. */
export interface Parts {
  source: LazySource;
  /** Whether that realm may be a worker. */
  worker: boolean;
  /** Whether it is the caller's, to be closed once. */
  theirs: boolean;
}

/** Whether this is the address of a list of parts. */
export const isList = (source: OpenSource): boolean => (typeof source === "string" || source instanceof URL) && /^[^?#]*\.json([?#]|$)/.test(String(source));

/** How to read a source in parts; undefined for bytes, which are here already. */
export function partsOf(source: OpenSource, options: OpenOptions): Parts | undefined {
  if (source instanceof ArrayBuffer || source instanceof Uint8Array) return undefined;
  if (typeof Blob !== "undefined" && source instanceof Blob) return { source, worker: true, theirs: false };
  if (typeof source === "string" || source instanceof URL) return { source: absolute(String(source)), worker: !options.fetch, theirs: false };
  if (isFileHandle(source) || isSource(source)) return { source, worker: false, theirs: true };
  throw unknownSource();
}

/** Begins to read a source. */
export async function streamOf(source: OpenSource, options: OpenOptions): Promise<Stream> {
  if (source instanceof ArrayBuffer) return streamOfBytes(new Uint8Array(source));
  if (source instanceof Uint8Array) return streamOfBytes(source);
  if (typeof Blob !== "undefined" && source instanceof Blob) return { bytes: source.size, requests: 0, own: true, chunks: chunksOf(source.stream(), "the blob") };
  if (typeof source === "string" || source instanceof URL) {
    const text = String(source);
    if (!isList(source) && !fileSystemOf(text)) return streamOfResponse(addressOf(text), options);
    source = absolute(text);
  } else if (!isFileHandle(source) && !isSource(source)) throw unknownSource();
  return (await loaded(import("./parts.js"))).streamOf(source, isList(source), options, NearshoreError);
}

const unknownSource = (): Error => invalid("source is none of: string, URL, Blob, ArrayBuffer, Uint8Array, FileHandle, { read, size }");

const method = (value: unknown, name: string): boolean => typeof (value as Record<string, unknown> | null)?.[name] === "function";
const isFileHandle = (value: unknown): value is FileHandleLike => method(value, "read") && method(value, "stat");
const isSource = (value: unknown): value is Source => method(value, "read") && method(value, "size");

function* chunksOfBytes(bytes: Uint8Array): Iterable<Uint8Array> {
  for (let at = 0; at < bytes.length; at += CHUNK) yield bytes.subarray(at, at + CHUNK);
}

const streamOfBytes = (bytes: Uint8Array): Stream => ({ bytes: bytes.length, requests: 0, own: false, chunks: chunksOfBytes(bytes) });

/** A path in Node, else an address, in a page relative to it. */
const absolute = (text: string): string => (fileSystemOf(text) ? text : addressOf(text).href);

/** The address that a text is, in a page relative to it. */
function addressOf(text: string): URL {
  try {
    return new URL(text, globalThis.document?.baseURI ?? globalThis.location?.href);
  } catch {
    throw invalid(`source is ${JSON.stringify(text)}, expected an address`);
  }
}

async function streamOfResponse(url: URL, options: OpenOptions): Promise<Stream> {
  const { headers, signal } = options;
  let requests = 0;
  const send: Fetch = (...asked) => (requests++, (options.fetch ?? fetch)(...asked));
  const what = `GET ${url.href}`;
  const fail = (why: string, cause?: unknown): NearshoreError => new NearshoreError("network", `${what} failed: ${why}`, { cause });
  const request = { ...(headers && { headers }), ...(signal && { signal }) };
  try {
    const asked = (async () => send(url, request))();
    let response = await until(asked, signal).catch(() => throwIfAborted(signal) as undefined);
    // Few need what asks again, where that may help. Where even that cannot be had, the first answer stands.
    if (!response?.ok) response = await import("./parts.js").then(({ insist }) => insist(asked, url, { ...options, fetch: send }, NearshoreError), () => asked);
    const { ok, body, status, headers } = response;
    if (!ok || !body) throw fail(`status ${status}`);
    // Only a hint: a compressed answer announces its compressed length.
    const bytes = Number(headers.get("content-length") ?? 0) || 0;
    // A file that is refused before its first chunk is read has no reader yet to cancel.
    const close = (): unknown => body.locked || body.cancel().catch(() => {});
    return { bytes, requests, own: !options.fetch, chunks: chunksOf(body, what, signal), close };
  } catch (thrown) {
    throwIfAborted(signal);
    throw thrown instanceof NearshoreError ? thrown : fail(sentence(thrown), thrown);
  }
}

/** Chunks of a stream. By a reader: not every browser can iterate over streams. */
async function* chunksOf(stream: ReadableStream<Uint8Array>, what: string, signal?: AbortSignal): AsyncIterable<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await until(reader.read(), signal);
      if (done) return;
      yield value;
    }
  } catch (thrown) {
    if (thrown instanceof NearshoreError) throw thrown;
    if (signal?.aborted) throw aborted(signal);
    throw new NearshoreError("network", `${what} broke off: ${sentence(thrown)}`, { cause: thrown });
  } finally {
    reader.cancel().catch(() => {});
  }
}
