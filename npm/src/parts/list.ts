// A file in parts, as `nearshore export --split` makes it: a list, and parts that are named by their content. For hosts that send whole files
// only, or none above some size. Each part is fetched when something in it is wanted, whole, and believed only if its digest is the list's.
import { NearshoreError, aborted } from "../errors.js";
import { foreign } from "../lazy/header.js";
import { ATTEMPTS_WRONG, Again, exchange, patiently, type HttpOptions } from "../lazy/http.js";
import type { Range } from "../lazy/ranges.js";
import type { Meter, ReadOptions } from "../lazy/reader.js";
import { Gate, until } from "../lazy/wait.js";
import { fileSystemOf, openFile, readAt } from "../platform.js";
import { digestOf } from "./digest.js";
import { Flight } from "./flight.js";
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

/** Bytes of parts that are kept, the ones used last; and, beside them, of parts on their way. */
const KEPT = 64 * 1024 * 1024;
/** The largest list. */
const LIST_MAX = 64 * 1024 * 1024;
/** Requests at a time, unless said otherwise. */
const CONCURRENCY = 32;

/** How to ask, and how many bytes opening may take. */
export type ListOptions = HttpOptions & { maxBytes?: number | undefined };

/** A file that is read by the list of its parts, which is brought when it is first needed: what is kept of the file serves without it. */
export class Listed implements Parted {
  readonly own = true;
  readonly url: string | undefined;
  readonly #fs: ReturnType<typeof fileSystemOf>;
  /** The list, once it is here. */
  #list: Parts | undefined;
  #listing: Flight<Parts> | undefined;
  /** What the list took that no search was told of yet. */
  #untold: Meter = { requests: 0, bytes: 0 };
  /** Parts that came, by their numbers, the one used last behind. */
  readonly #kept = new Map<number, Uint8Array>();
  #keptBytes = 0;
  /** Parts that are on their way. */
  readonly #flights = new Map<number, Flight<Uint8Array>>();
  #gate: Gate | undefined;
  /** What opening took, or is about to. */
  #opening = 0;

  constructor(readonly address: string, readonly options: ListOptions) {
    this.#fs = fileSystemOf(address);
    this.url = this.#fs ? undefined : address;
  }

  get size(): number | undefined {
    return this.#list?.file_bytes;
  }

  async bytes(signal?: AbortSignal): Promise<number> {
    return (await this.#listed({ signal })).file_bytes;
  }

  async ready(options?: ReadOptions, opening?: Range): Promise<void> {
    await this.#listed(options);
    if (opening) this.#opening += this.cost([opening]);
    const { maxBytes = Infinity } = this.options;
    if (this.#opening > maxBytes) throw new NearshoreError("quota", `opening takes parts of ${this.#opening} bytes, maxBytes allows ${maxBytes}`);
  }

  /** Bytes that reading these would take: parts that are neither here nor on their way. Nothing goes between this and a read in the same turn. */
  cost(ranges: readonly Range[]): number {
    const list = this.#list;
    if (!list) return ranges.reduce((sum, { bytes }) => sum + bytes, 0);
    const numbers = new Set(ranges.flatMap((range) => numbersOf(list, range)));
    return [...numbers].reduce((sum, number) => sum + (this.#kept.has(number) || this.#flights.has(number) ? 0 : list.parts[number]!.bytes), 0);
  }

  async read(offset: number, length: number, { signal, meter, upTo }: ReadOptions = {}): Promise<Uint8Array> {
    const list = this.#list ?? (await this.#listed({ signal }));
    this.#tell(meter);
    const least = Math.min(length, Math.max(list.file_bytes - offset, 0));
    if (least < length && !upTo) throw new NearshoreError("range", `${this.address} lists parts of ${list.file_bytes} bytes, ${length} at offset ${offset} are not among them`);
    if (least === 0) return new Uint8Array(0);
    if (signal?.aborted) throw aborted(signal);
    const bytes = new Uint8Array(least);
    const waiter = { meter };
    const joined: Flight<Uint8Array>[] = [];
    // Each part is let go of once it is copied: many that are wanted together need not be here together.
    const take = (number: number, part: Uint8Array): void => {
      const from = offset - number * list.part_bytes;
      bytes.set(part.subarray(Math.max(from, 0), from + least), Math.max(-from, 0));
    };
    try {
      const landing = numbersOf(list, { offset, bytes: least }).flatMap((number) => {
        const kept = this.#kept.get(number);
        if (kept) {
          this.#keep(number, kept);
          take(number, kept);
          return [];
        }
        const flight = this.#flight(list, number);
        joined.push(flight.join(waiter));
        return flight.outcome.then((part) => take(number, part));
      });
      if (landing.length > 0) await until(Promise.all(landing), signal);
      return bytes;
    } finally {
      for (const flight of joined) flight.leave(waiter);
    }
  }

  /** Stops what is on its way, and forgets what came. */
  close(): void {
    this.#listing?.stop();
    for (const flight of this.#flights.values()) flight.stop();
    this.#kept.clear();
    this.#keptBytes = 0;
  }

  /** The list, which is asked for again when that failed. */
  async #listed({ signal, meter }: ReadOptions = {}): Promise<Parts> {
    if (!this.#list) {
      const flight = (this.#listing ??= this.#asking());
      const waiter = {};
      flight.join(waiter);
      try {
        await until(flight.outcome, signal);
      } finally {
        flight.leave(waiter);
      }
    }
    this.#tell(meter);
    return this.#list!;
  }

  #asking(): Flight<Parts> {
    const flight: Flight<Parts> = new Flight(async (signal) => {
      const text = await patiently(() => this.#bytesOf(this.address, LIST_MAX, tooLong(this.address), true, signal, () => this.#untold.requests++), this.options, signal);
      this.#untold.bytes += text.length;
      const list = listOf(this.address, text);
      this.#gate = new Gate(Math.min(this.options.concurrency ?? CONCURRENCY, Math.max(Math.floor(KEPT / list.part_bytes), 1)));
      return (this.#list = list);
    }, () => this.#listing === flight && (this.#listing = undefined));
    return flight;
  }

  #tell(meter: Meter | undefined): void {
    if (!meter) return;
    meter.requests += this.#untold.requests;
    meter.bytes += this.#untold.bytes;
    this.#untold = { requests: 0, bytes: 0 };
  }

  #keep(number: number, part: Uint8Array): void {
    const kept = this.#kept;
    this.#keptBytes += kept.delete(number) ? 0 : part.length;
    kept.set(number, part);
    for (const [oldest, { length }] of kept) {
      if (this.#keptBytes <= KEPT || kept.size === 1) break;
      kept.delete(oldest);
      this.#keptBytes -= length;
    }
  }

  #flight(list: Parts, number: number): Flight<Uint8Array> {
    let flight = this.#flights.get(number);
    if (!flight) {
      flight = new Flight((signal, meter) => this.#bring(list, number, signal, meter).then((part) => {
        if (!signal.aborted) this.#keep(number, part);
        return part;
      }), () => this.#flights.get(number) === flight && this.#flights.delete(number));
      this.#flights.set(number, flight);
    }
    return flight;
  }

  #bring(list: Parts, number: number, signal: AbortSignal, meter: () => Meter | undefined): Promise<Uint8Array> {
    const { name, bytes, sha256 } = list.parts[number]!;
    const where = this.#fs ? this.address.replace(/[^/\\]*$/, name) : new URL(name, this.address).href;
    const wrong = (what: string): Again => new Again(new NearshoreError("corrupt", `${where}, part ${number + 1} of ${list.parts.length}, ${what}`), ATTEMPTS_WRONG);
    let reload = false; // a part's name is its content's, so any cache may have it
    const once = async (): Promise<Uint8Array> => {
      const part = await this.#bytesOf(where, bytes, wrong(`has more than ${bytes} bytes, expected ${bytes}`), reload, signal, () => {
        reload = true;
        const told = meter();
        if (!told) return;
        told.requests++;
        told.bytes += bytes;
      });
      if (part.length !== bytes) throw wrong(`has ${part.length} bytes, expected ${bytes}`);
      if ((await digestOf(part)) !== sha256) throw wrong("is damaged: its SHA-256 is another than the list says");
      return part;
    };
    return patiently(() => this.#gate!.run(once, signal), this.options, signal).catch(async (thrown: unknown) => {
      if (!signal.aborted) await this.#demandSame(list, signal);
      throw thrown;
    });
  }

  /** Looks whether the list is another by now, once a part was not to be had: hosts drop old parts. */
  async #demandSame(list: Parts, signal: AbortSignal): Promise<void> {
    const now = await this.#bytesOf(this.address, LIST_MAX, tooLong(this.address), true, signal).then((now) => listOf(this.address, now)).catch(() => list);
    if (JSON.stringify(now) !== JSON.stringify(list)) {
      throw new NearshoreError("changed", `${this.address} lists other parts than when it was opened: the file was replaced; open it again`);
    }
  }

  /** All of a file, of no more than `most` bytes. */
  async #bytesOf(where: string, most: number, tooLong: NearshoreError | Again, reload: boolean, signal: AbortSignal, asking?: () => void): Promise<Uint8Array<ArrayBuffer>> {
    const [fs, { options }] = [this.#fs, this];
    if (signal.aborted) throw aborted(signal);
    asking?.();
    if (!fs) {
      const { headers } = options;
      const what = `GET ${where}`;
      return exchange(what, where, { ...(headers && { headers }), cache: reload ? "no-cache" : "default" }, options, signal, async ({ status }, body) => {
        if (status !== 200) throw new NearshoreError("network", `${what} was answered with status ${status}, expected 200`, { cause: { status } });
        return (await body(most, tooLong)) as Uint8Array<ArrayBuffer>;
      });
    }
    const handle = await openFile(fs, where);
    try {
      const bytes = (await readAt(handle, 0, Math.min(most + 1, Number((await handle.stat()).size)))) as Uint8Array<ArrayBuffer>;
      if (bytes.length > most) throw tooLong;
      return bytes;
    } finally {
      await handle.close();
    }
  }
}

/** Numbers of the parts in which these bytes lie. */
function numbersOf({ part_bytes: each, file_bytes: end }: Parts, { offset, bytes }: Range): number[] {
  const first = Math.floor(offset / each);
  return Array.from({ length: Math.max(Math.ceil(Math.min(offset + bytes, end) / each) - first, 0) }, (_, i) => first + i);
}

const noList = (where: string, what: string, code: "corrupt" | "unsupported" = "corrupt"): NearshoreError => new NearshoreError(code, `${where} is no list of parts: ${what}`);

const tooLong = (where: string): NearshoreError => noList(where, `it has more than ${LIST_MAX} bytes`);

/** Reads the list; see core/FORMAT.md, "A file in parts". */
function listOf(where: string, text: Uint8Array): Parts {
  const wrong = (what: string, code?: "unsupported"): NearshoreError => noList(where, what, code);
  let list: Partial<Parts> & { format?: unknown; version?: unknown };
  try {
    list = JSON.parse(new TextDecoder().decode(text)) as typeof list;
  } catch {
    throw wrong(`it is not JSON${foreign(text)}`);
  }
  if (list?.format !== "nearshore parts") throw wrong('`format` is not "nearshore parts"');
  if (list.version !== 1) throw wrong(`\`version\` is ${String(list.version)}, expected 1`, "unsupported");
  const { file_bytes: fileBytes = -1, part_bytes: partBytes = 0, parts } = list;
  const sound = Number.isSafeInteger(fileBytes) && fileBytes >= 0 && Number.isSafeInteger(partBytes) && partBytes >= 65_536 && Array.isArray(parts) && parts.length === Math.ceil(fileBytes / partBytes);
  if (!sound) throw wrong("another number of parts than its sizes make");
  for (const [at, part] of parts.entries()) {
    // A name is that of a file beside the list, and no address.
    if (typeof part?.name !== "string" || !/^[A-Za-z0-9_-][A-Za-z0-9_.-]*$/.test(part.name)) throw wrong(`part ${at + 1} has no name that stands for a file beside it`);
    if (part.bytes !== Math.min(partBytes, fileBytes - at * partBytes) || typeof part.sha256 !== "string" || !/^[0-9a-f]{64}$/.test(part.sha256)) throw wrong(`part ${at + 1} has another length, or no digest`);
  }
  return { file_bytes: fileBytes, part_bytes: partBytes, parts };
}
