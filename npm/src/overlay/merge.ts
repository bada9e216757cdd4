// Hits of two indexes, merged into one answer; and answers as the bytes that an engine gives, for `decodeHits`.
import type { Hit, SearchStats } from "../types.js";

/** One query's hits, and what they took. */
export interface Answer {
  hits: readonly Hit[];
  stats: SearchStats;
}

/** Bytes of a query's head, of a hit, and of what a query fetched. */
const HEAD = 24;
const HIT = 16;
const TOOK = 40;
const NONE = 0xffff_ffff;

/** The nearest `k` of both, ties by the smaller id. Efforts of an earlier try count as well. */
export function merged(k: number, there: readonly Hit[], here: readonly Hit[] & { stats: SearchStats }, took: SearchStats, before?: Answer): Answer {
  const hits = [...there, ...here].sort((a, b) => a.distance - b.distance || (a.id < b.id ? -1 : 1)).slice(0, k);
  const sum = (name: "distances" | "hops" | "rounds" | "requests" | "bytes" | "cached"): number => took[name] + here.stats[name] + (before?.stats[name] ?? 0);
  return {
    hits,
    stats: {
      distances: sum("distances"), hops: sum("hops"), ef: Math.max(took.ef, here.stats.ef), rounds: sum("rounds"), requests: sum("requests"),
      bytes: sum("bytes"), cached: sum("cached"), ms: 0, complete: took.complete,
    },
  };
}

/** The layout that `decodeHits` reads. */
export function encodeAnswers(answers: readonly Answer[]): ArrayBuffer {
  const bytesOf = ({ hits }: Answer): number => Math.ceil((HEAD + hits.reduce((sum, { payload }) => sum + HIT + (payload?.length ?? 0), 0)) / 8) * 8;
  const out = new Uint8Array(answers.reduce((sum, answer) => sum + bytesOf(answer) + TOOK, 0));
  const view = new DataView(out.buffer);
  let at = 0;
  for (const answer of answers) {
    const { hits, stats } = answer;
    view.setUint32(at, hits.length, true);
    view.setUint32(at + 4, stats.ef, true);
    view.setBigUint64(at + 8, BigInt(stats.distances), true);
    view.setBigUint64(at + 16, BigInt(stats.hops), true);
    let payloads = at + HEAD + hits.length * HIT;
    hits.forEach(({ id, distance, payload }, i) => {
      const hit = at + HEAD + i * HIT;
      view.setBigUint64(hit, BigInt(id), true);
      view.setFloat32(hit + 8, distance, true);
      view.setUint32(hit + 12, payload?.length ?? NONE, true);
      if (payload) out.set(payload, payloads);
      payloads += payload?.length ?? 0;
    });
    at += bytesOf(answer);
  }
  for (const { stats } of answers) {
    for (const value of [stats.rounds, stats.requests, stats.bytes, stats.cached, Number(stats.complete)]) {
      view.setFloat64(at, value, true);
      at += 8;
    }
  }
  return out.buffer;
}
