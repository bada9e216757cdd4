// How an index comes to be: which engine, where, filled with what.
import { NearshoreError, invalid, sentence, shown, throwIfAborted, unsupported } from "./errors.js";
import { until } from "./lazy/wait.js";
import { connect, type Link } from "./link.js";
import { engineModule } from "./module.js";
import type { Described, Kind } from "./protocol.js";
import { loaded } from "./scripts.js";
import { bytesOf, few, hasColumns, inTiles, isList, partsOf, pour, startOf, streamOf, type OpenSource, type Stream } from "./sources.js";
import type { HeadersLike, OpenOptions } from "./types.js";
import { count, demandKnown, word } from "./vectors.js";

/** What reading took on the page's side. */
export interface Read {
  requests: number;
  bytes: number;
}

/** Makes the index that users hold. */
type Make<T> = (link: Link, described: Described, read?: Read) => T | Promise<T>;

/** Modes, those that read in parts first. */
const MODES = ["lazy", "codes", "auto", "whole"] as const;
const enum Mode { auto = 2 }
const CACHES = ["auto", "memory", "none"] as const;

/** Opens a file, whole or in parts. */
export async function opened<T>(kind: Kind, source: OpenSource, options: OpenOptions, make: Make<T>): Promise<T> {
  options = { ...options };
  demandKnown(options, "mode cache worker fetch headers concurrency maxBytes integrity signal");
  const mode = word(options.mode, MODES, Mode.auto, "mode");
  if (typeof options.cache !== "object" || !options.cache?.match) word(options.cache as "auto" | undefined, CACHES, 0, "cache");
  count(options.concurrency, 1, "concurrency");
  const { fetch, maxBytes = 0 } = options;
  if (fetch !== undefined && typeof fetch !== "function") throw invalid(`fetch is ${shown(fetch)}, expected a function`);
  if (typeof maxBytes !== "number" || !(maxBytes >= 0)) throw invalid(`maxBytes is ${shown(maxBytes)}, expected a number of bytes`);
  if (options.headers) options.headers = pairs(options.headers);
  throwIfAborted(options.signal);
  if (mode < Mode.auto) return inPieces(kind, source, options, make);
  const auto = kind === "reader" && mode === Mode.auto && options.integrity === undefined;
  // A host that does not serve parts serves the whole file; a file without tiles, which no list tells, can be had whole alone.
  const inPiecesOrWhole = (make: Make<T>, few: number, start?: DataView): Promise<T> =>
    inPieces(kind, source, options, make, few, start).catch((thrown: unknown) => {
      if ((thrown as NearshoreError).code === (isList(source) ? "unsupported" : "range")) return opened(kind, source, { ...options, mode: "whole" }, make);
      throw thrown;
    });
  // By the list and its first part the engine sees what is to come.
  if (auto && isList(source)) return inPiecesOrWhole(make, few(options));
  if (kind === "reader") engineModule(kind).catch(() => {}); // most likely the one; compiled while the file is on its way; who needs it hears of a failure
  let stream: Stream;
  try {
    stream = await streamOf(source, options);
  } catch (thrown) {
    if (!auto || (thrown as NearshoreError).code !== "network" || partsOf(source, options)?.theirs) throw thrown;
    // Without a network what was kept of a file in parts may do.
    return inPieces(kind, source, options, make).catch(() => {
      throwIfAborted(options.signal);
      throw thrown;
    });
  }
  try {
    // Once the first bytes are here they say which engine can search the file, and whether the rest is wanted.
    const start = await startOf(stream);
    const tiles = kind === "reader" && inTiles(start);
    if (kind === "full" && hasColumns(start)) kind = "full-columns";
    const parts = tiles && auto && bytesOf(start) > few(options) ? partsOf(source, options) : undefined;
    if (parts) {
      const counting: Make<T> = (link, described, read) => make(link, described, { requests: (read?.requests ?? 0) + stream.requests, bytes: (read?.bytes ?? 0) + start!.byteLength });
      if (parts.theirs) delete stream.close;
      await stream.close?.();
      return await inPiecesOrWhole(counting, 0, start);
    }
    return await made(tiles ? "lazy" : kind, options.worker, options.signal, async (link) => {
      const read = await pour(stream, options, link);
      if (options.integrity !== undefined) await (await loaded(import("./parts.js"))).demand(options.integrity, () => link.call("digest", null), NearshoreError);
      return make(link, await link.call("finish", null, { signal: options.signal }), read);
    });
  } finally {
    await stream.close?.();
  }
}

/** Headers as they can be sent to a worker. */
function pairs(headers: HeadersLike): [string, string][] {
  try {
    return [...new Headers(headers)];
  } catch (thrown) {
    throw invalid(`headers: ${sentence(thrown)}`);
  }
}

/** Opens a file that is read in parts, by the engine itself. */
async function inPieces<T>(kind: Kind, source: OpenSource, options: OpenOptions, make: Make<T>, whole?: number, start?: DataView): Promise<T> {
  const { mode, cache, fetch, headers, concurrency, maxBytes, signal } = options;
  const parts = partsOf(source, options);
  const why = kind === "full" ? "Index.load" : options.integrity !== undefined ? "integrity" : !parts && "a source in memory";
  if (why || !parts) throw unsupported(`${why} goes with mode "whole", not "${mode}"`);
  const own = typeof cache === "object" && cache; // which no message can carry
  return made("lazy", parts.worker && !own ? options.worker : false, signal, async (link) => {
    const script = link.worker ? new URL("./parts.js", import.meta.url).href : () => import("./parts.js");
    const call = { source: parts.source, list: isList(source), script, mode, keep: cache !== "none", persist: cache !== "memory" && cache !== "none", own: !!own, shelves: own ? () => import("./cache.js").then(({ shelvesOf }) => shelvesOf(own)) : link.worker ? undefined : () => import("./shelf.js"), fetch, headers, concurrency, maxBytes, whole, start };
    return make(link, await link.call("lazy", call, { signal }));
  });
}

/** Makes an engine and fills it; an engine that could not be filled is ended. */
export async function made<T>(kind: Kind, worker: boolean | undefined, signal: AbortSignal | undefined, fill: (link: Link) => Promise<T>): Promise<T> {
  throwIfAborted(signal);
  const connecting = connect(kind, worker);
  const link = await until(connecting, signal).catch((thrown: unknown) => {
    connecting.then((late) => late.end(closed()), () => {});
    throw thrown;
  });
  try {
    return await fill(link);
  } catch (thrown) {
    link.end(closed());
    throw thrown;
  }
}

export const closed = (): NearshoreError => new NearshoreError("closed", "the index is closed");
