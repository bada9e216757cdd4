// A file in parts, as `nearshore export --split` makes it: a list, and parts that are named by their content. For hosts that send whole files
// only, or none above some size. Each part is fetched when something in it is wanted, whole, and believed only if its digest is the list's.
import { NearshoreError, aborted, sentence, throwIfAborted } from "./errors.js";
import { fileSystemOf, openFile, readAt } from "./platform.js";
import { COST, type Range } from "./lazy/ranges.js";
import type { Meter, Whole } from "./lazy/reader.js";
import type { OpenOptions } from "./types.js";

interface Part {
  name: string;
  bytes: number;
  sha256: string;
}

interface Parts {
  file_bytes: number;
  part_bytes: number;
  parts: Part[];
}

/** Bytes of parts that are kept; the ones used last. */
const KEPT = 64 * 1024 * 1024;
/** The largest list. */
const LIST_MAX = 64 * 1024 * 1024;
/** How often a part is asked for, when the network fails or the host is busy, and when what comes is not that part. */
const ATTEMPTS = 4;
const ATTEMPTS_WRONG = 2;
const PAUSE = 250;
/** Milliseconds for one part. */
const PATIENCE = 60_000;

/** A failure that another attempt may mend. */
class Again {
  constructor(readonly error: NearshoreError, readonly attempts: number) {}
}

/**
 * The file that the list at `address` makes.
 *
 * @param Failure the class of errors that users know: this script has one of its own
 */
export async function partsSource(address: string, options: OpenOptions, Failure: typeof NearshoreError): Promise<Whole> {
  const known = (thrown: unknown): never => {
    const { name, code, message, cause } = thrown as NearshoreError;
    throw name === "NearshoreError" ? new Failure(code, message, { cause }) : thrown;
  };
  const { read, ...rest } = await source(address, options).catch(known);
  return { ...rest, read: (...args) => read(...args).catch(known) };
}

async function source(address: string, options: OpenOptions): Promise<Whole> {
  const fs = fileSystemOf(address);
  const base = fs ? address : new URL(address, globalThis.document?.baseURI ?? globalThis.location?.href).href;
  const read = async (where: string, most: number, signal: AbortSignal | undefined, reload: boolean): Promise<Uint8Array<ArrayBuffer>> => {
    if (!fs) return fetched(where, most, options, signal, reload);
    const handle = await openFile(fs, where);
    try {
      return (await readAt(handle, 0, Math.min(most + 1, Number((await handle.stat()).size)))) as Uint8Array<ArrayBuffer>;
    } finally {
      await handle.close();
    }
  };
  const text = await patiently(options.signal, () => read(base, LIST_MAX, options.signal, true));
  const list = listOf(base, text);
  const beside = (name: string): string => (fs ? base.replace(/[^/\\]*$/, name) : new URL(name, base).href);
  const kept = new Map<number, Promise<Uint8Array>>();

  /** Looks whether the list is another by now, once a part was not to be had: hosts drop old parts. */
  const demandSame = async (): Promise<void> => {
    const now = await read(base, LIST_MAX, undefined, true).then((now) => listOf(base, now)).catch(() => list);
    if (JSON.stringify(now) !== JSON.stringify(list)) {
      throw new NearshoreError("changed", `${base} lists other parts than when it was opened: the file was replaced; open it again`);
    }
  };
  const bring = async (number: number, meter: Meter | undefined): Promise<Uint8Array> => {
    const { name, bytes, sha256 } = list.parts[number]!;
    const where = beside(name);
    let reload = false; // a part's name is its content's, so any cache may have it
    return patiently(undefined, async () => {
      if (meter) {
        meter.requests++;
        meter.bytes += bytes;
      }
      const part = await read(where, bytes, undefined, reload);
      reload = true;
      const wrong = (what: string): Again => new Again(new NearshoreError("corrupt", `${where}, part ${number + 1} of ${list.parts.length}, ${what}`), ATTEMPTS_WRONG);
      if (part.length !== bytes) throw wrong(`has ${part.length === bytes + 1 ? "more than " : ""}${Math.min(part.length, bytes)} bytes, expected ${bytes}`);
      if ((await digestOf(part)) !== sha256) throw wrong("is damaged: its SHA-256 is another than the list says");
      return part;
    }).catch(async (thrown: unknown) => {
      await demandSame();
      throw thrown;
    });
  };
  const part = (number: number, meter: Meter | undefined): Promise<Uint8Array> => {
    let found = kept.get(number);
    kept.delete(number);
    if (!found) {
      found = bring(number, meter);
      found.catch(() => kept.delete(number));
    }
    kept.set(number, found);
    const most = Math.max(2, Math.floor(KEPT / list.part_bytes));
    for (const oldest of kept.keys()) {
      if (kept.size <= most) break;
      kept.delete(oldest);
    }
    return found;
  };

  /** Whether the list itself was counted. */
  let told = false;
  const numbers = ({ offset, bytes }: Range): number[] => {
    const first = Math.floor(offset / list.part_bytes);
    return Array.from({ length: Math.floor((offset + bytes - 1) / list.part_bytes) - first + 1 }, (_, i) => first + i);
  };

  return {
    size: async () => list.file_bytes,
    [COST]: (ranges) => [...new Set(ranges.flatMap(numbers))].reduce((sum, number) => sum + (kept.has(number) ? 0 : (list.parts[number]?.bytes ?? 0)), 0),
    async read(offset, length, signal, meter) {
      throwIfAborted(signal);
      if (meter && !told) {
        told = true;
        meter.requests++;
        meter.bytes += text.length;
      }
      if (length <= 0) return new Uint8Array(0);
      const wanted = numbers({ offset, bytes: length });
      const first = wanted[0] ?? 0;
      const all = await Promise.all(wanted.map((number) => part(number, meter)));
      if (signal?.aborted) throw aborted(signal);
      const bytes = new Uint8Array(length);
      let at = 0;
      for (const [i, each] of all.entries()) {
        const from = Math.max(offset - (first + i) * list.part_bytes, 0);
        const piece = each.subarray(from, from + length - at);
        bytes.set(piece, at);
        at += piece.length;
      }
      return bytes.subarray(0, at);
    },
  };
}

/** Makes attempts until one succeeds, or fails for good. */
async function patiently<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    throwIfAborted(signal);
    try {
      return await work();
    } catch (thrown) {
      if (!(thrown instanceof Again)) throw thrown;
      if (attempt >= thrown.attempts) throw thrown.error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE * 2 ** (attempt - 1)));
    }
  }
}

async function fetched(where: string, most: number, { fetch: send = fetch, headers }: OpenOptions, signal: AbortSignal | undefined, reload: boolean): Promise<Uint8Array<ArrayBuffer>> {
  const fail = (what: string, cause?: unknown): NearshoreError => new NearshoreError("network", `GET ${where} ${what}`, { cause });
  try {
    // A host that never answers must not keep all who want the part.
    const response = await send(where, { ...(headers && { headers }), signal: signal ?? AbortSignal.timeout(PATIENCE), cache: reload ? "no-cache" : "default" });
    const { status } = response;
    if ([408, 425, 429, 500, 502, 503, 504].includes(status)) throw new Again(fail(`was answered with status ${status} ${ATTEMPTS} times`), ATTEMPTS);
    if (status !== 200) throw fail(`was answered with status ${status}, expected 200`);
    return await upTo(most + 1, response);
  } catch (thrown) {
    if (thrown instanceof NearshoreError || thrown instanceof Again) throw thrown;
    if (signal?.aborted) throw aborted(signal);
    throw new Again(fail(`failed (${sentence(thrown)}); does the host allow this page (CORS)?`, thrown), ATTEMPTS);
  }
}

/** The body, of which no more than so many bytes are taken. */
async function upTo(most: number, { body }: Response): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array[] = [];
  let total = 0;
  const reader = body?.getReader();
  for (let next; total < most && (next = await reader?.read()) && !next.done; total += next.value.length) pieces.push(next.value);
  reader?.cancel().catch(() => {});
  const bytes = new Uint8Array(Math.min(total, most));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece.subarray(0, bytes.length - at), at);
    at += piece.length;
  }
  return bytes;
}

/** Compares what came, of which `digest` tells, with what the caller says it is. */
export async function demand(integrity: string, digest: () => Promise<Uint8Array>, Failure: typeof NearshoreError): Promise<void> {
  const wanted = /^sha256-([A-Za-z0-9+/]{43}=)$/.exec(integrity)?.[1];
  if (!wanted) throw new Failure("invalid-argument", `integrity is ${JSON.stringify(integrity)}, expected "sha256-" and 44 characters of base64`);
  if (!globalThis.crypto?.subtle) throw new Failure("unsupported", "integrity needs a secure context (https, or localhost)");
  const found = btoa(String.fromCharCode(...(await digest())));
  if (found !== wanted) throw new Failure("corrupt", `the file's digest is sha256-${found}, expected ${integrity}`);
}

async function digestOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  if (!globalThis.crypto?.subtle) throw new NearshoreError("unsupported", "a file in parts needs a secure context (https, or localhost)");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Reads the list; see core/FORMAT.md, "A file in parts". */
function listOf(where: string, text: Uint8Array): Parts {
  const wrong = (what: string, code: "corrupt" | "unsupported" = "corrupt"): NearshoreError => new NearshoreError(code, `${where} is no list of parts: ${what}`);
  let list: Partial<Parts> & { format?: unknown; version?: unknown };
  try {
    list = JSON.parse(new TextDecoder().decode(text)) as typeof list;
  } catch {
    throw wrong("it is not JSON");
  }
  if (list?.format !== "nearshore parts") throw wrong('`format` is not "nearshore parts"');
  if (list.version !== 1) throw wrong(`\`version\` is ${String(list.version)}, expected 1`, "unsupported");
  const { file_bytes: fileBytes = 0, part_bytes: partBytes = 0, parts } = list;
  const sound = Number.isSafeInteger(fileBytes) && Number.isSafeInteger(partBytes) && partBytes >= 65_536 && Array.isArray(parts) && parts.length === Math.ceil(fileBytes / partBytes);
  if (!sound) throw wrong("another number of parts than its sizes make");
  for (const [at, part] of parts.entries()) {
    // A name is that of a file beside the list, and no address.
    if (typeof part?.name !== "string" || !/^[A-Za-z0-9_-][A-Za-z0-9_.-]*$/.test(part.name)) throw wrong(`part ${at + 1} has no name that stands for a file beside it`);
    if (part.bytes !== Math.min(partBytes, fileBytes - at * partBytes) || !/^[0-9a-f]{64}$/.test(part.sha256)) throw wrong(`part ${at + 1} has another length, or no digest`);
  }
  return { file_bytes: fileBytes, part_bytes: partBytes, parts };
}
