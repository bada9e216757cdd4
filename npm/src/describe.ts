// What an index is, decoded from the engine's answer.
import type { Described } from "./protocol.js";
import type { Element, Metric, QualityRow } from "./types.js";

export const METRICS: readonly Metric[] = ["l2", "ip", "cosine"];
export const ELEMENTS: readonly Element[] = ["f32", "f16", "u8", "i8"];
export const PLANS = ["scan", "walk", "tiles"] as const;
export const REFINES = ["records", "originals"] as const;

/** Bytes before the quality rows, and of one of them. */
const HEAD = 80;
const QUALITY = 48;

/** Flags of the answer. */
const HAS_PAYLOAD = 1;
const HAS_ORIGINALS = 2;
const HAS_SIMD = 4;

/** Reads the layout that `Engine::describe` documents. */
export function describe(answer: ArrayBuffer): Described {
  const view = new DataView(answer);
  const u32 = (at: number): number => view.getUint32(at, true);
  const u64 = (at: number): bigint => view.getBigUint64(at, true);
  const flags = u32(68);
  const quality = Array.from({ length: u32(72) }, (_, i) => qualityRow(view, HEAD + i * QUALITY));
  const meta = HEAD + quality.length * QUALITY;
  const text = (at: number, length?: number): string => new TextDecoder().decode(new Uint8Array(answer, at, length));
  return {
    rows: Number(u64(0)),
    dimensions: u32(48),
    metric: METRICS[u32(52)]!,
    element: ELEMENTS[u32(56)]!,
    plan: PLANS[u32(60)]!,
    refine: REFINES[u32(64)]!,
    fileBytes: Number(u64(8)),
    mode: "whole",
    kept: false,
    payload: (flags & HAS_PAYLOAD) !== 0,
    originals: (flags & HAS_ORIGINALS) !== 0,
    seed: u64(16),
    buildId: u64(24),
    identity: Array.from(new Uint8Array(answer, 32, 16), (byte) => byte.toString(16).padStart(2, "0")).join(""),
    backend: (flags & HAS_SIMD) !== 0 ? "wasm128" : "scalar",
    quality,
    meta: text(meta, u32(76)),
    columns: text(meta + u32(76)),
  };
}

/** One row as the file has it. */
function qualityRow(view: DataView, at: number): QualityRow {
  const u32 = (field: number): number => view.getUint32(at + field * 4, true);
  const f32 = (field: number): number => view.getFloat32(at + field * 4, true);
  return {
    plan: PLANS[u32(0)]!,
    ef: u32(1),
    gamma: f32(2),
    refine: REFINES[u32(3)]!,
    k: u32(4),
    rerank: u32(5),
    queries: u32(6),
    recall: f32(8),
    distances: f32(9),
    hops: f32(10),
  };
}
