// Answers of a search, decoded into what users hold.
import { invalid, sentence } from "./errors.js";
import type { Hit, Hits, Id, Row, SearchStats } from "./types.js";

/** Bytes of a query's head, and of a hit. */
const HEAD = 24;
const HIT = 16;
/** Payload length of a hit that brings none. */
const NONE = 0xffff_ffff;

class WithId {
  declare readonly payload?: Uint8Array;
  constructor(readonly id: Id) {}
  text(): string {
    return this.payload ? new TextDecoder().decode(this.payload) : "";
  }
  json(): unknown {
    try {
      return this.payload && JSON.parse(this.text());
    } catch (thrown) {
      throw invalid(`the payload of row ${this.id} is not JSON: ${sentence(thrown)}`);
    }
  }
}

class FoundRow extends WithId implements Hit {
  constructor(id: Id, readonly distance: number) {
    super(id);
  }
}

/** `low + high * 2^32` as a number while that is exact. */
const idOf = (low: number, high: number): Id => (high < 0x20_0000 ? high * 0x1_0000_0000 + low : (BigInt(high) << 32n) | BigInt(low));

/**
 * Reads the hits of `count` queries; the layout is documented in the engine's `answer`. Where blocks were fetched, five f64 a query follow:
 * rounds, requests, bytes, blocks that were there already, and 1 for a search that was not cut.
 */
export function decodeHits(answer: ArrayBuffer, count: number, ms: number): Hits[] {
  const words = new Uint32Array(answer);
  const floats = new Float32Array(answer);
  const all: Hits[] = [];
  let at = 0;
  for (let query = 0; query < count; query++) {
    const w = at >> 2;
    const found = words[w]!;
    const stats: SearchStats = {
      distances: words[w + 2]! + words[w + 3]! * 0x1_0000_0000,
      hops: words[w + 4]! + words[w + 5]! * 0x1_0000_0000,
      ef: words[w + 1]!,
      rounds: 0,
      requests: 0,
      bytes: 0,
      cached: 0,
      ms,
      complete: true,
    };
    let payload = at + HEAD + found * HIT;
    const hits: FoundRow[] = [];
    for (let i = 0, h = w + HEAD / 4; i < found; i++, h += HIT / 4) {
      const hit = new FoundRow(idOf(words[h]!, words[h + 1]!), floats[h + 2]!);
      const length = words[h + 3]!;
      if (length !== NONE) {
        (hit as { payload?: Uint8Array }).payload = new Uint8Array(answer, payload, length);
        payload += length;
      }
      hits.push(hit);
    }
    all.push(Object.assign(hits, { stats }));
    at = (payload + 7) & ~7;
  }
  if (at < answer.byteLength) {
    const took = new Float64Array(answer, at);
    all.forEach(({ stats }, i) => {
      const [rounds, requests, bytes, cached, complete] = took.subarray(i * 5);
      Object.assign(stats, { rounds, requests, bytes, cached, complete: complete === 1 });
    });
  }
  return all;
}

/** Reads one row. */
export function decodeRow(answer: ArrayBuffer, id: bigint, dimensions: number): Row {
  const length = new Uint32Array(answer, 4, 1)[0]!;
  const row = Object.assign(new WithId(idOf(Number(id & 0xffff_ffffn), Number(id >> 32n))), { vector: new Float32Array(answer.slice(8, 8 + dimensions * 4)) });
  if (length !== NONE) (row as { payload?: Uint8Array }).payload = new Uint8Array(answer, 8 + dimensions * 4, length);
  return row;
}
