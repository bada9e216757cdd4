// Which bytes to ask a host for: wanted ranges that lie close together travel in one request.

/** Bytes of a file. */
export interface Range {
  readonly offset: number;
  readonly bytes: number;
}

/** One request: the wanted ranges number `first` up to `first + count` lie in it. */
export interface Merged extends Range {
  readonly first: number;
  readonly count: number;
}

/** Bytes that may be fetched in vain to save a request: what a request costs in headers and framing, and in the host's price list. */
export const GAP = 4096;

/**
 * Merges ranges that ascend by offset wherever the next begins at most `gap` bytes behind the one before; `wasted` counts the bytes between
 * them. Every wanted byte lies in exactly one request, no request holds another's bytes. O(ranges).
 */
export function merge(wanted: readonly Range[], gap = GAP): { ranges: Merged[]; wasted: number } {
  const ranges: { offset: number; bytes: number; first: number; count: number }[] = [];
  let wasted = 0;
  wanted.forEach(({ offset, bytes }, at) => {
    const last = ranges.at(-1);
    const between = last ? offset - last.offset - last.bytes : Infinity;
    if (last && between <= gap) {
      wasted += Math.max(between, 0);
      last.bytes = Math.max(last.bytes, offset + bytes - last.offset);
      last.count++;
    } else ranges.push({ offset, bytes, first: at, count: 1 });
  });
  return { ranges, wasted };
}
