// A file that is read in parts: opened by its first bytes, watched for being replaced.
import { NearshoreError, unsupported } from "../errors.js";
import { Blocks, type Traffic } from "./blocks.js";
import { HEADER, foreign, headOf, type Head } from "./header.js";
import type { Range } from "./ranges.js";
import type { Reader } from "./reader.js";
import type { Store } from "./store.js";

/** The first request: header, and all or much of the hot region. As much is read of a file that turns out to be one for parts; see `startOf`. */
const FIRST = 65_536;

/** Codes that are fetched ahead of searches come in pieces of about this size. */
const PIECE = 1024 * 1024;

/** What was brought when a file was opened. */
export interface Opened {
  head: Head;
  /** The first bytes of the file, in pieces: header and hot region; or all of it. */
  pieces: Uint8Array[];
  /** Whether the pieces are the whole file. */
  whole: boolean;
  /** Whether they are all that there is, as the host does not answer. */
  offline: boolean;
}

/** What opening may take, and what is here already. */
export interface Opening {
  maxBytes: number;
  /** A file of no more bytes is brought as a whole. */
  whole?: number | undefined;
  /** First bytes of the file that came before. */
  start?: Uint8Array | undefined;
}

/**
 * Brings what opening needs: one request, and a second one where the hot region is large. `kept` is what an earlier opening brought: if it is
 * of the same file the second is spared, and where the host does not answer (with 5xx at most) it has to do. It is waited for only then.
 */
export async function openParts(reader: Reader, { maxBytes, whole: few = 0, start }: Opening, traffic: Traffic, signal?: AbortSignal, kept: () => Promise<Uint8Array | undefined> = async () => undefined): Promise<Opened> {
  const meter = traffic;
  const bring = async (offset: number, bytes: number, upTo: boolean): Promise<Uint8Array> => {
    await reader.ready?.({ signal, meter }, { offset, bytes });
    return reader.read(offset, bytes, { signal, meter, upTo });
  };
  const read = (): Promise<Uint8Array> => bring(0, FIRST, true);
  // Of a host that has yet to show that it serves parts something has to be asked.
  if (start && (start.length < FIRST || (reader.url !== undefined && (headOf(start)?.hotEnd ?? 0) <= start.length))) start = undefined;
  let offline = false;
  let first = start ?? await read().catch(async (thrown: NearshoreError) => {
    // A host that says that the file is gone, or not for this caller, is no host without an answer.
    const there = thrown.code === "network" && !((thrown.cause as { status?: number } | undefined)?.status! < 500) && (await kept());
    if (!there) throw thrown;
    offline = true;
    return there;
  });
  let head = headOf(first);
  // Only the file knows its length, and an answer may have been cut on its way.
  const short = (): boolean => !offline && !reader.whole && first.length < Math.min(FIRST, head?.fileBytes ?? FIRST);
  if (short()) {
    first = await read();
    head = headOf(first);
  }
  if (!head) {
    throw new NearshoreError(reader.whole ? "corrupt" : "range", `what came does not begin as a .shore file${foreign(first)}; over HTTP the host must send parts of the file itself, uncompressed (a name that ends in .gz keeps some hosts from compressing)`);
  }
  if (!head.tiles) throw unsupported('the file has no tiles, so it can only be searched whole: make one that has some with `nearshore export FILE -o OUT --for web`, or open this one with mode "whole"');
  if (reader.whole) first = reader.whole;
  else if (short()) throw new NearshoreError("truncated", `the first ${first.length} bytes came of a file of ${head.fileBytes}`);
  const there = reader.whole?.length ?? reader.size ?? Infinity;
  if (there < head.fileBytes) throw cut(head, there);
  if (!(head.hotEnd <= head.fileBytes)) throw new NearshoreError("corrupt", `the file says that it has ${head.fileBytes} bytes, and that what opening needs ends at ${head.hotEnd}`);
  const whole = first.length >= head.fileBytes || (!offline && head.fileBytes <= few);
  const end = whole ? Math.max(first.length, head.fileBytes) : head.hotEnd;
  if (end > maxBytes) throw new NearshoreError("quota", `opening takes ${end} bytes of the file, maxBytes allows ${maxBytes}`);
  const pieces = [first.subarray(0, end)];
  const rest = end - first.length;
  if (rest > 0) {
    const there = await kept();
    const same = there?.length === end && headOf(there)?.identity === head.identity;
    pieces.push(same ? there.subarray(first.length) : await bring(first.length, rest, false));
    if (reader.whole) return { head, pieces: [reader.whole], whole: true, offline };
  }
  return { head, pieces, whole, offline };
}

/** For a file of which the beginning alone is there. */
const cut = ({ fileBytes }: Head, found: number | string): NearshoreError => new NearshoreError("truncated", `the file was cut short: ${found} bytes are there, expected ${fileBytes}`);

/** The blocks of an open file; what is wrong with one is looked into. */
export function blocksOf(reader: Reader, store: Store, head: Head, traffic: Traffic): Blocks {
  let looking: Promise<void> | undefined;
  const look = async (): Promise<void> => {
    const now = headOf(await reader.read(0, HEADER, { meter: traffic, upTo: true }));
    if (now?.identity !== head.identity) throw new NearshoreError("changed", "the file was replaced while it was read; open it again");
    // Is its end there?
    await reader.read(head.fileBytes - 1, 1, { meter: traffic }).catch((thrown: NearshoreError) => {
      throw thrown.code === "range" ? cut(head, reader.size ?? "fewer") : thrown;
    });
  };
  // Many blocks fail at once; one look serves them all.
  return new Blocks(reader, store, () => (looking ??= look().finally(() => (looking = undefined))));
}

/** Bytes of codes that come unasked: as many as of a file that is read whole unasked. */
const UNASKED = 4 * 1024 * 1024;

/** Whether the codes of all tiles may come unasked: by few bytes, wanted by no one who saves data, and with room for twice as many where they are to stay. */
export async function mayBringCodes({ codes }: Head, { cost }: Reader, persist: boolean): Promise<boolean> {
  const bytes = codes ? codes.blocks * codes.blockBytes : 0;
  const taken = codes ? (cost?.([{ offset: codes.offset, bytes }]) ?? bytes) : 0;
  const { connection, storage } = (globalThis.navigator ?? {}) as Partial<Navigator & { connection: { saveData?: boolean } }>;
  const { quota = Infinity, usage = 0 } = (persist && (await storage?.estimate?.().catch(() => {}))) || {};
  return taken <= UNASKED && !connection?.saveData && quota - usage > 2 * bytes;
}

/** Brings the codes of all tiles, so that a search fetches records alone. */
export async function bringCodes({ codes }: Head, blocks: Blocks, store: Store, traffic: Traffic, signal: AbortSignal): Promise<void> {
  if (!codes) return;
  const { offset, blocks: count, blockBytes } = codes;
  store.pin(offset, count * blockBytes);
  const together = Math.max(Math.floor(PIECE / blockBytes), 1);
  for (let at = 0; at < count; at += together) {
    const piece: Range[] = Array.from({ length: Math.min(together, count - at) }, (_, i) => ({ offset: offset + (at + i) * blockBytes, bytes: blockBytes }));
    // Nobody checks them yet: the search that uses one does.
    await blocks.bring(piece, () => {}, traffic, signal);
  }
}
