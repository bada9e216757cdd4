// Requests over HTTP, made again where that may help; and parts of a file by them: what hosts answer, and what to make of it.
import { NearshoreError, aborted, sentence, type ErrorCode } from "../errors.js";
import type { Fetch, HeadersLike } from "../types.js";
import type { Meter, ReadOptions, Reader } from "./reader.js";
import { Gate, pause, until } from "./wait.js";

/** How to ask. */
export interface HttpOptions {
  fetch?: Fetch | undefined;
  headers?: HeadersLike | undefined;
  /** Requests at a time. */
  concurrency?: number | undefined;
  /** A host that sends all when asked for a part: how much is kept, at most. */
  keep?: number | undefined;
  /** Milliseconds without a byte after which a request is given up, and made again. */
  patience?: number | undefined;
  /** Milliseconds before the first repetition; each further one waits twice as long. */
  pause?: number | undefined;
}

/** More is of use only where a host speaks HTTP/2 or 3; a browser queues what goes beyond six connections otherwise. */
const CONCURRENCY = 32;
const KEEP = 64 * 1024 * 1024;
const PATIENCE = 15_000;
const PAUSE = 250;
/** No `Retry-After` is waited for longer. */
const PAUSE_MAX = 30_000;
/** How often one thing is asked for, when the network fails or the host is busy. */
const ATTEMPTS = 4;
/** How often, when what comes is not what was asked for. */
export const ATTEMPTS_WRONG = 2;
/** Answers of hosts that may do better in a moment. */
const BUSY = [408, 425, 429, 500, 502, 503, 504];

/** What a host must do, for messages. */
const NEED = 'it must answer "Range: bytes=a-b" with status 206 and those bytes of the file, uncompressed';

/** A failure that another attempt may mend. */
export class Again {
  constructor(readonly error: NearshoreError, readonly attempts: number, readonly after?: number) {}
}

/** Makes attempts until one succeeds, or fails for good. */
export async function patiently<T>(work: () => Promise<T>, { pause: first = PAUSE }: HttpOptions, signal: AbortSignal | undefined): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (thrown) {
      if (!(thrown instanceof Again)) throw thrown;
      // A platform that knows of no network will not have one in a moment.
      if (attempt >= thrown.attempts || globalThis.navigator?.onLine === false) throw thrown.error;
      // Not all at once: many requests fail together when a host is busy.
      await pause(thrown.after ?? first * 2 ** (attempt - 1) * (0.5 + Math.random()), signal);
    }
  }
}

/** Reads the body of an answer, of at most `most` bytes. */
export type Body = (most: number, tooLong: NearshoreError | Again, meter?: Meter) => Promise<Uint8Array>;

/**
 * One request, of which `take` makes what is wanted. A busy host, a connection that breaks, and one on which nothing comes for a while are
 * {@link Again}. What `take` leaves of the answer is not wanted, unless it is to `stay`.
 *
 * @param what the request, for messages
 */
export async function exchange<T>(what: string, url: string | URL, init: Parameters<Fetch>[1], options: HttpOptions, signal: AbortSignal | undefined, take: (response: Response, body: Body) => Promise<T>, stay = false): Promise<T> {
  const fail = (why: string, cause?: unknown): Again => new Again(new NearshoreError("network", `${what} ${why}`, { cause }), ATTEMPTS);
  if (signal?.aborted) throw aborted(signal);
  const control = new AbortController();
  const stop = (): void => control.abort();
  signal?.addEventListener("abort", stop);
  let stalled = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const alive = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      stalled = true;
      stop();
    }, options.patience ?? PATIENCE);
  };
  let taken = false;
  try {
    alive();
    const response = await until((options.fetch ?? fetch)(url, { ...init, signal: control.signal }), control.signal);
    const { status, headers } = response;
    if (BUSY.includes(status)) throw new Again(fail(`was answered with status ${status} ${ATTEMPTS} times`).error, ATTEMPTS, retryAfter(headers.get("retry-after") ?? ""));
    const found = await take(response, (most, tooLong, meter) => bodyOf(response, most, tooLong, alive, meter, control.signal));
    taken = stay;
    return found;
  } catch (thrown) {
    if (signal?.aborted) throw aborted(signal);
    if (stalled) throw fail("stood still", thrown);
    if (thrown instanceof NearshoreError || thrown instanceof Again) throw thrown;
    const offline = globalThis.navigator?.onLine === false;
    throw fail(`failed (${sentence(thrown)}); ${offline ? "there is no network, and what is wanted is not kept" : "does the host allow this page (CORS), and does it send the file uncompressed?"}`, thrown);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
    if (!taken) stop();
  }
}

/** A file at an address. */
export class Http implements Reader {
  whole: Uint8Array | undefined;
  size: number | undefined;
  readonly #gate: Gate;

  constructor(readonly url: string, readonly options: HttpOptions = {}) {
    this.#gate = new Gate(options.concurrency ?? CONCURRENCY);
  }

  read(offset: number, bytes: number, options: ReadOptions = {}): Promise<Uint8Array> {
    const { signal } = options;
    return patiently(() => this.#gate.run(() => this.#once(offset, bytes, options), signal), this.options, signal);
  }

  /** One request. */
  async #once(offset: number, bytes: number, { signal, meter, upTo }: ReadOptions): Promise<Uint8Array> {
    const what = `GET ${this.url}, bytes ${offset} to ${offset + bytes - 1},`;
    const fail = (code: ErrorCode, message: string, cause?: unknown): NearshoreError => new NearshoreError(code, `${what} ${message}`, { cause });
    const wrong = (message: string): Again => new Again(fail("range", `${message}; ${NEED}`), ATTEMPTS_WRONG);
    if (signal?.aborted) throw aborted(signal);
    if (this.whole) return this.#part(offset, bytes, upTo, wrong);
    const headers = new Headers(this.options.headers);
    headers.set("range", `bytes=${offset}-${offset + bytes - 1}`);
    if (meter) meter.requests++;
    // Browsers' caches let requests for parts of one file wait for each other, and have confused parts with the whole.
    return exchange(what, this.url, { headers, cache: "no-store" }, this.options, signal, async (response, body) => {
      const { status } = response;
      const header = (name: string): string => response.headers.get(name) ?? "";
      if (status === 200) {
        // The host knows no parts. A small file is welcome whole.
        const keep = this.options.keep ?? KEEP;
        const refusal = fail("range", `was answered with status 200 and the whole file, of more than the ${keep} bytes that may be kept; ${NEED}`);
        if (Number(header("content-length")) > keep) throw refusal;
        this.whole = await body(keep, refusal, meter);
        return this.#part(offset, bytes, upTo, wrong);
      }
      // Hidden across origins, unless the host exposes it; what it says is checked where it can be read.
      const place = header("content-range");
      this.size = Number(/\/(\d+)$/.exec(place)?.[1] ?? NaN) || this.size;
      if (status === 416) throw fail("range", "is not in the file (status 416)");
      if (status !== 206) throw fail("network", `was answered with status ${status}, expected 206`, { status });
      const encoding = header("content-encoding");
      if (encoding && encoding !== "identity") throw fail("range", `was answered with parts of the file compressed as ${encoding}; ${NEED} (a name that ends in .gz keeps some hosts from compressing)`);
      const from = /^bytes (\d+)-/.exec(place)?.[1];
      if ((place && Number(from) !== offset) || header("content-type").startsWith("multipart/")) throw wrong(`was answered with other bytes (${place || "in several parts"})`);
      const part = await body(bytes, wrong("was answered with more bytes"), meter);
      if (part.length < bytes && !upTo) throw wrong(`was answered with ${part.length} bytes`);
      return part;
    });
  }

  #part(offset: number, bytes: number, upTo: boolean | undefined, wrong: (message: string) => Again): Uint8Array {
    const part = this.whole!.subarray(offset, offset + bytes);
    if (part.length < bytes && !upTo) throw wrong(`is not in the file of ${this.whole!.length} bytes that came`).error;
    return part;
  }
}

async function bodyOf(response: Response, most: number, tooLong: NearshoreError | Again, alive: () => void, meter: Meter | undefined, signal: AbortSignal): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const chunk = reader ? (await until(reader.read(), signal)).value : chunks.length === 0 ? new Uint8Array(await response.arrayBuffer()) : undefined;
    if (!chunk) break;
    alive();
    chunks.push(chunk);
    bytes += chunk.length;
    if (meter) meter.bytes += chunk.length;
    if (bytes > most) throw tooLong;
  }
  if (chunks.length === 1) return chunks[0]!;
  const body = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
  }
  return body;
}

/** Milliseconds that a host asks to wait: seconds, or a date. */
function retryAfter(value: string): number | undefined {
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), PAUSE_MAX);
}
