// One search over a file that is read in parts: ask the engine what it wants, bring it, go on.
import { aborted, invalid, shown } from "../errors.js";
import type { Blocks, Traffic } from "./blocks.js";
import type { Range } from "./ranges.js";
import { onAbort } from "./wait.js";

/** Searches of an engine, each in a slot of its own. */
export interface Searches<Query> {
  /** Begins a search. */
  start(query: Query): number;
  /** The blocks that it wants now, ascending by offset. */
  wanted(slot: number): Range[];
  /** Gives it block number `at` of these; throws `corrupt` when it is not that block. */
  feed(slot: number, at: number, bytes: Uint8Array): void;
  /** Goes on; true when the hits are there. */
  advance(slot: number): boolean;
  /** The answer: all hits, or those that could be had by now. */
  end(slot: number): ArrayBuffer;
  /** Ends the search, whatever has become of it. */
  drop(slot: number): void;
}

/** What a search may take. */
export interface Budget {
  bytes?: number | undefined;
  rounds?: number | undefined;
  ms?: number | undefined;
}

/** An answer, and what it took. */
export interface Driven extends Traffic {
  answer: ArrayBuffer;
  /** False when the budget cut the search. */
  complete: boolean;
}

/** What nothing takes. */
export const none = (): Traffic => ({ rounds: 0, requests: 0, bytes: 0, cached: 0 });

/** The longest delay of a timer, in milliseconds. */
const DELAY_MAX = 0x7fff_ffff;

/** Drives one search to its end, or to that of its budget. What it takes is in `traffic` also where it fails. */
export async function drive<Query>(searches: Searches<Query>, blocks: Blocks, query: Query, budget: Budget = {}, signal?: AbortSignal, traffic = none()): Promise<Driven> {
  if (signal?.aborted) throw aborted(signal);
  for (const [name, value] of Object.entries(budget)) {
    if (value !== undefined && !(typeof value === "number" && value >= 0)) throw invalid(`budget.${name} is ${shown(value)}, expected a number of at least 0`);
  }
  const control = new AbortController();
  const stop = (): void => control.abort();
  const slot = searches.start(query);
  const off = onAbort(signal, stop);
  // A longer delay would be taken for none.
  const timer = (budget.ms ?? Infinity) > DELAY_MAX ? undefined : setTimeout(stop, budget.ms);
  let complete = true;
  try {
    do {
      const wanted = searches.wanted(slot);
      const allowed = (): boolean => {
        const missing = blocks.missing(wanted);
        return missing === 0 || (traffic.rounds < (budget.rounds ?? Infinity) && traffic.bytes + missing <= (budget.bytes ?? Infinity));
      };
      try {
        complete = allowed();
        // What bytes cost may have to be asked for first.
        if (complete && budget.bytes !== undefined && blocks.reader.ready && blocks.missing(wanted) > 0) {
          await blocks.reader.ready({ signal: control.signal, meter: traffic });
          complete = allowed();
        }
        if (complete) await blocks.bring(wanted, (at, bytes) => searches.feed(slot, at, bytes), traffic, control.signal);
      } catch (thrown) {
        if (signal?.aborted) throw aborted(signal);
        if (!control.signal.aborted) throw thrown;
        complete = false; // time is up
      }
    } while (complete && !searches.advance(slot));
    return { ...traffic, answer: searches.end(slot), complete };
  } finally {
    clearTimeout(timer);
    off();
    searches.drop(slot);
  }
}
