// A file in parts, as `nearshore export --split` makes it: a list, and parts that are named by their content. For hosts that send whole files
// only, or none above some size. Each part is fetched when something in it is wanted, whole, and believed only if its digest is the list's.
import { NearshoreError, sentence, throwIfAborted } from "../errors.js";
import { foreign } from "../lazy/header.js";
import type { HttpOptions } from "../lazy/http.js";
import type { Range } from "../lazy/ranges.js";
import type { Meter, ReadOptions } from "../lazy/reader.js";
import { Gate, pause, until } from "../lazy/wait.js";
import { fileSystemOf, openFile, readAt } from "../platform.js";
import { digestOf } from "./digest.js";
import type { Parted } from "./own.js";

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
/** Requests at a time, unless said otherwise. */
const CONCURRENCY = 32;
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

/** A file that is read by the list of its parts, which is brought when it is first needed: what is kept of the file serves without it. */
export class Listed implements Parted {
  readonly own = true;
  readonly url: string | undefined;
  readonly #fs: ReturnType<typeof fileSystemOf>;
  /** The list, once it is here. */
  #list: Parts | undefined;
  #listing: Promise<Parts> | undefined;
  /** Bytes of the list that no search was told of yet. */
  #untold = 0;
  /** Parts that came, or are on their way, by their numbers, the one used last behind. */
  readonly #kept = new Map<number, Promise<Uint8Array>>();
  readonly #gate: Gate;
  readonly #closing = new AbortController();

  constructor(readonly address: string, readonly options: HttpOptions) {
    this.#fs = fileSystemOf(address);
    this.url = this.#fs ? undefined : address;
    this.#gate = new Gate(options.concurrency ?? CONCURRENCY);
  }

  get size(): number | undefined {
    return this.#list?.file_bytes;
  }

  async bytes(signal?: AbortSignal): Promise<number> {
    return (await until(this.#listed(), signal)).file_bytes;
  }

  /** Bytes that reading these would take. */
  cost(ranges: readonly Range[]): number {
    const list = this.#list;
    if (!list) return ranges.reduce((sum, { bytes }) => sum + bytes, 0);
    const numbers = new Set(ranges.flatMap((range) => numbersOf(list, range)));
    return [...numbers].reduce((sum, number) => sum + (this.#kept.has(number) ? 0 : list.parts[number]!.bytes), 0);
  }

  async read(offset: number, length: number, { signal, meter, upTo }: ReadOptions = {}): Promise<Uint8Array> {
    const list = await until(this.#listed(), signal);
    if (meter && this.#untold > 0) {
      meter.requests++;
      meter.bytes += this.#untold;
      this.#untold = 0;
    }
    const least = Math.min(length, Math.max(list.file_bytes - offset, 0));
    if (least < length && !upTo) throw new NearshoreError("range", `${this.address} lists parts of ${list.file_bytes} bytes, ${length} at offset ${offset} are not among them`);
    if (least === 0) return new Uint8Array(0);
    const wanted = numbersOf(list, { offset, bytes: least });
    const all = await until(Promise.all(wanted.map((number) => this.#part(list, number, meter))), signal);
    const bytes = new Uint8Array(least);
    let at = 0;
    for (const [i, each] of all.entries()) {
      const from = Math.max(offset - wanted[i]! * list.part_bytes, 0);
      const piece = each.subarray(from, from + least - at);
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  }

  /** Stops what is on its way, and forgets what came. */
  close(): void {
    this.#closing.abort();
    this.#kept.clear();
  }

  #listed(): Promise<Parts> {
    if (this.#listing) return this.#listing;
    const listing = patiently(this.#closing.signal, () => this.#bytesOf(this.address, LIST_MAX, true)).then((text) => {
      this.#untold = text.length;
      return (this.#list = listOf(this.address, text));
    });
    this.#listing = listing;
    listing.catch(() => (this.#listing = undefined)); // the next read asks again
    return listing;
  }

  #part(list: Parts, number: number, meter: Meter | undefined): Promise<Uint8Array> {
    const kept = this.#kept;
    let found = kept.get(number);
    kept.delete(number);
    if (!found) {
      found = this.#bring(list, number, meter);
      found.catch(() => kept.delete(number));
    }
    kept.set(number, found);
    const most = Math.max(2, Math.floor(KEPT / list.part_bytes));
    for (const oldest of kept.keys()) {
      if (kept.size <= most) break;
      kept.delete(oldest);
    }
    return found;
  }

  async #bring(list: Parts, number: number, meter: Meter | undefined): Promise<Uint8Array> {
    const { name, bytes, sha256 } = list.parts[number]!;
    const where = this.#fs ? this.address.replace(/[^/\\]*$/, name) : new URL(name, this.address).href;
    let reload = false; // a part's name is its content's, so any cache may have it
    return patiently(this.#closing.signal, async () => {
      const part = await this.#bytesOf(where, bytes, reload, meter && (() => {
        meter.requests++;
        meter.bytes += bytes;
      }));
      reload = true;
      const wrong = (what: string): Again => new Again(new NearshoreError("corrupt", `${where}, part ${number + 1} of ${list.parts.length}, ${what}`), ATTEMPTS_WRONG);
      if (part.length !== bytes) throw wrong(`has ${part.length === bytes + 1 ? "more than " : ""}${Math.min(part.length, bytes)} bytes, expected ${bytes}`);
      if ((await digestOf(part)) !== sha256) throw wrong("is damaged: its SHA-256 is another than the list says");
      return part;
    }).catch(async (thrown: unknown) => {
      await this.#demandSame(list);
      throw thrown;
    });
  }

  /** Looks whether the list is another by now, once a part was not to be had: hosts drop old parts. */
  async #demandSame(list: Parts): Promise<void> {
    const now = await this.#bytesOf(this.address, LIST_MAX, true).then((now) => listOf(this.address, now)).catch(() => list);
    if (JSON.stringify(now) !== JSON.stringify(list)) {
      throw new NearshoreError("changed", `${this.address} lists other parts than when it was opened: the file was replaced; open it again`);
    }
  }

  /** All of a file, or one byte more than `most`. */
  #bytesOf(where: string, most: number, reload: boolean, asking?: () => void): Promise<Uint8Array<ArrayBuffer>> {
    const [fs, { options }] = [this.#fs, this];
    return this.#gate.run(async () => {
      throwIfAborted(this.#closing.signal);
      asking?.();
      if (!fs) return fetched(where, most, options, this.#closing.signal, reload);
      const handle = await openFile(fs, where);
      try {
        return (await readAt(handle, 0, Math.min(most + 1, Number((await handle.stat()).size)))) as Uint8Array<ArrayBuffer>;
      } finally {
        await handle.close();
      }
    });
  }
}

/** Numbers of the parts in which these bytes lie. */
function numbersOf({ part_bytes: each }: Parts, { offset, bytes }: Range): number[] {
  const first = Math.floor(offset / each);
  return Array.from({ length: Math.floor((offset + bytes - 1) / each) - first + 1 }, (_, i) => first + i);
}

/** Makes attempts until one succeeds, or fails for good. */
async function patiently<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    throwIfAborted(signal);
    try {
      return await work();
    } catch (thrown) {
      if (!(thrown instanceof Again)) throw thrown;
      if (attempt >= thrown.attempts) throw thrown.error;
      await pause(PAUSE * 2 ** (attempt - 1), signal);
    }
  }
}

async function fetched(where: string, most: number, { fetch: send = fetch, headers }: HttpOptions, closing: AbortSignal, reload: boolean): Promise<Uint8Array<ArrayBuffer>> {
  const fail = (what: string, cause?: unknown): NearshoreError => new NearshoreError("network", `GET ${where} ${what}`, { cause });
  // A host that never answers must not keep all who want the part.
  const control = new AbortController();
  const stop = (): void => control.abort();
  const timer = setTimeout(stop, PATIENCE);
  closing.addEventListener("abort", stop);
  try {
    const response = await until(send(where, { ...(headers && { headers }), signal: control.signal, cache: reload ? "no-cache" : "default" }), control.signal);
    const { status } = response;
    if ([408, 425, 429, 500, 502, 503, 504].includes(status)) throw new Again(fail(`was answered with status ${status} ${ATTEMPTS} times`), ATTEMPTS);
    if (status !== 200) throw fail(`was answered with status ${status}, expected 200`, { status });
    return await upTo(most + 1, response, control.signal);
  } catch (thrown) {
    throwIfAborted(closing);
    const stalled = control.signal.aborted;
    if (!stalled && (thrown instanceof NearshoreError || thrown instanceof Again)) throw thrown;
    throw new Again(fail(stalled ? "stood still" : `failed (${sentence(thrown)}); does the host allow this page (CORS)?`, thrown), ATTEMPTS);
  } finally {
    clearTimeout(timer);
    closing.removeEventListener("abort", stop);
    stop(); // what is left of a body is not wanted
  }
}

/** The body, of which no more than so many bytes are taken. */
async function upTo(most: number, { body }: Response, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
  const pieces: Uint8Array[] = [];
  let total = 0;
  const reader = body?.getReader();
  for (let next; total < most && (next = reader && (await until(reader.read(), signal))) && !next.done; total += next.value.length) pieces.push(next.value);
  reader?.cancel().catch(() => {});
  const bytes = new Uint8Array(Math.min(total, most));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece.subarray(0, bytes.length - at), at);
    at += piece.length;
  }
  return bytes;
}

/** Reads the list; see core/FORMAT.md, "A file in parts". */
function listOf(where: string, text: Uint8Array): Parts {
  const wrong = (what: string, code: "corrupt" | "unsupported" = "corrupt"): NearshoreError => new NearshoreError(code, `${where} is no list of parts: ${what}`);
  let list: Partial<Parts> & { format?: unknown; version?: unknown };
  try {
    list = JSON.parse(new TextDecoder().decode(text)) as typeof list;
  } catch {
    throw wrong(`it is not JSON${foreign(text)}`);
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
