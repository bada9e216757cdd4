// Work that several wait for.
import type { Meter } from "../lazy/reader.js";

/** Who waits, and what counts for them. */
export interface Waiter {
  meter?: Meter | undefined;
}

/** Begins at once, and goes on while one waits for it: with the last that leaves it is stopped. */
export class Flight<T> {
  readonly outcome: Promise<T>;
  readonly #waiting = new Set<Waiter>();
  readonly #control = new AbortController();
  readonly #over: () => unknown;

  /**
   * @param work given a signal, and by which meter it counts what it takes: the one of whoever has waited longest
   * @param over called when it is over, or stopped; perhaps both
   */
  constructor(work: (signal: AbortSignal, meter: () => Meter | undefined) => Promise<T>, over: () => unknown) {
    this.#over = over;
    // In a turn of its own, by when there is one who waits.
    this.outcome = Promise.resolve().then(() => work(this.#control.signal, () => [...this.#waiting][0]?.meter));
    this.outcome.then(over, over);
  }

  join(waiter: Waiter): this {
    this.#waiting.add(waiter);
    return this;
  }

  leave(waiter: Waiter): void {
    this.#waiting.delete(waiter);
    if (this.#waiting.size === 0) this.stop();
  }

  stop(): void {
    this.#control.abort();
    this.#over();
  }
}
