/**
 * What went wrong, as a word that a program can act on.
 *
 * - `corrupt`: bytes contradict their checksum or each other
 * - `truncated`: fewer bytes than the file says it has
 * - `unsupported`: a file, option or platform that this version cannot serve
 * - `network`: a request failed or was refused, or a file of the file system cannot be read; of a file in parts `cause.status` is what the host refused with
 * - `range`: a server does not serve parts of a file as asked
 * - `changed`: the file changed while it was being read
 * - `quota`: not enough memory, or more bytes than `maxBytes` allows
 * - `aborted`: the caller's signal, or an `onProgress` that returned `false`
 * - `invalid-argument`: an argument that cannot be right; the message says which and what was expected
 * - `busy`: another tab, or another process, has the kept index open
 * - `closed`: the index was closed
 * - `trapped`: a bug stopped the engine of this one index; open it again (and please report it)
 */
export type ErrorCode =
  | "corrupt" | "truncated" | "unsupported" | "network" | "range" | "changed"
  | "quota" | "aborted" | "invalid-argument" | "busy" | "closed" | "trapped";

/** Every error of this package. `message` says what, where, and what would be right. */
export class NearshoreError extends Error {
  override readonly name = "NearshoreError";

  constructor(
    /** What went wrong, as a word. */
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** @internal The classes that the engine returns as numbers, in the order of `Code` in the engine. */
export const CODES: readonly ErrorCode[] = ["trapped", "corrupt", "truncated", "unsupported", "aborted", "invalid-argument"];

/** @internal */
export const invalid = (message: string): NearshoreError => new NearshoreError("invalid-argument", message);

/** @internal */
export const unsupported = (message: string): NearshoreError => new NearshoreError("unsupported", message);

/** @internal The error for a signal that fired. */
export const aborted = (signal?: AbortSignal): NearshoreError =>
  new NearshoreError("aborted", "the signal was aborted", { cause: signal?.reason });

/** @internal Throws when the signal has fired, or is none. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal && !signal.addEventListener) throw invalid(`signal is ${shown(signal)}, expected an AbortSignal`);
  if (signal?.aborted) throw aborted(signal);
}

/** @internal Any value in a message: text in quotes, an object by its type. */
export const shown = (value: unknown): string =>
  typeof value === "string" ? JSON.stringify(value) : value && (typeof value === "object" || typeof value === "function") ? `of type ${value.constructor?.name ?? "object"}` : String(value);

/** @internal Any thrown thing as one sentence. */
export const sentence = (thrown: unknown): string =>
  thrown instanceof Error ? thrown.message + (thrown.cause instanceof Error ? `: ${thrown.cause.message}` : "") : String(thrown);
