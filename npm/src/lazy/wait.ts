// Waiting that a signal can end.
import { aborted } from "../errors.js";

/** What waits for a signal. Many searches may: Node warns of more than ten listeners, so a signal has one for all. */
const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls `stop` when the signal fires, unless what is returned was called before. */
export function onAbort(signal: AbortSignal | undefined, stop: () => void): () => void {
  if (!signal) return () => {};
  let all = waiting.get(signal);
  if (!all) {
    const stops = (all = new Set());
    waiting.set(signal, stops);
    signal.addEventListener("abort", () => stops.forEach((each) => each()), { once: true });
  }
  all.add(stop);
  return () => all.delete(stop);
}

/** The promise's outcome, or `aborted` as soon as the signal fires. */
export function until<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(aborted(signal));
    if (signal.aborted) stop();
    promise.then(resolve, reject).finally(onAbort(signal, stop));
  });
}

/** So many milliseconds. */
export const pause = (ms: number, signal?: AbortSignal): Promise<void> => until(new Promise((resolve) => setTimeout(resolve, ms)), signal);

/** What comes of it, if that comes soon; undefined while it goes on. It never rejects. */
export const soon = <T>(promise: Promise<T>, ms: number): Promise<T | undefined> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    promise.then((value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });

/** Lets at most `limit` pieces of work run at a time, first come, first served. */
export class Gate {
  #free: number;
  readonly #queue: (() => void)[] = [];

  constructor(limit: number) {
    this.#free = limit;
  }

  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#free > 0) this.#free--;
    else {
      await new Promise<void>((resolve, reject) => {
        const enter = (): void => {
          off();
          resolve();
        };
        const leave = (): void => {
          this.#queue.splice(this.#queue.indexOf(enter), 1);
          reject(aborted(signal));
        };
        if (signal?.aborted) return reject(aborted(signal));
        const off = onAbort(signal, leave);
        this.#queue.push(enter);
      });
    }
    try {
      return await work();
    } finally {
      const next = this.#queue.shift();
      if (next) next();
      else this.#free++;
    }
  }
}
