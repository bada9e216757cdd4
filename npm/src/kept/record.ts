// One change as bytes, and back.
//
// A record, little endian, its length a multiple of 8 so that its arrays can be used where they lie:
//
//   0  u32 checksum of all that follows     16  u32 changes that were flushed when this one was written
//   4  u32 kind                             20  u32 zero
//   8  u32 generation of the journal        24  u64 bytes of the body
//  12  u32 number of the change, from 0     32  the body
//
// The body of rows: u32 rows, u32 element, u32 1 with payloads, u32 ids of the base, u32 bytes of the vectors, u32 bytes of the columns; ids; ids
// that the base has; vectors, padded; ends of the payloads; payloads, padded; columns, as the engine takes them. The body of a deletion: its id.
import { crc32c } from "./crc.js";
import { elementOf } from "../instance.js";
import type { AddCall } from "../protocol.js";

/** Bytes before a body. */
export const HEAD = 32;

/** What is done to the index. */
export type Change = { kind: "add"; call: AddCall } | { kind: "delete" | "mask"; id: bigint };

/** Numbers of the kinds; a row that replaces is a kind of its own, and so is one with columns, as a version that does not know them must stop. */
const KIND = { add: 1, replace: 2, delete: 3, mask: 4 } as const;
const WITH_COLUMNS = 4;

/** Where a record stands in its journal. */
export interface Standing {
  generation: number;
  number: number;
  /** Changes before this number were flushed. */
  flushed: number;
}

const padded = (bytes: number): number => Math.ceil(bytes / 8) * 8;
const bytesOf = (array: ArrayBufferView): Uint8Array => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** A change as one record. */
export function encode(change: Change, { generation, number, flushed }: Standing): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  let kind: number;
  if (change.kind === "add") {
    const { ids, vectors, payloads, columns, replace, taken } = change.call;
    kind = (replace ? KIND.replace : KIND.add) + (columns ? WITH_COLUMNS : 0);
    parts.push(bytesOf(Uint32Array.of(ids.length, elementOf(vectors), Number(payloads !== null), taken?.length ?? 0, vectors.byteLength, columns?.length ?? 0)), bytesOf(ids));
    if (taken) parts.push(bytesOf(taken));
    parts.push(bytesOf(vectors));
    if (payloads) parts.push(bytesOf(payloads.ends), payloads.bytes);
    if (columns) parts.push(columns);
  } else {
    kind = KIND[change.kind];
    parts.push(bytesOf(BigUint64Array.of(change.id)));
  }
  const body = parts.reduce((sum, part) => sum + padded(part.length), 0);
  const record = new Uint8Array(HEAD + body);
  new Uint32Array(record.buffer, 4, 4).set([kind, generation, number, flushed]);
  new BigUint64Array(record.buffer, 24, 1)[0] = BigInt(body);
  let at = HEAD;
  for (const part of parts) {
    record.set(part, at);
    at += padded(part.length);
  }
  new Uint32Array(record.buffer, 0, 1)[0] = crc32c(record.subarray(4));
  return record;
}

/** The record at an offset that is a multiple of 8; undefined where there is none of this generation. */
export function recordAt(bytes: Uint8Array, at: number, generation: number): (Standing & { end: number }) | undefined {
  if (at + HEAD > bytes.length) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, HEAD);
  if (view.getUint32(8, true) !== generation) return undefined;
  const body = view.getBigUint64(24, true);
  if (body % 8n !== 0n || body > BigInt(bytes.length - at - HEAD)) return undefined;
  const end = at + HEAD + Number(body);
  if (view.getUint32(0, true) !== crc32c(bytes.subarray(at + 4, end))) return undefined;
  return { generation, number: view.getUint32(12, true), flushed: view.getUint32(16, true), end };
}

/** The change of a record that is sound; undefined for one of a kind that this version does not know. */
export function decode(bytes: Uint8Array, at: number, end: number): Change | undefined {
  const record = bytes.slice(at, end); // aligned, and nobody else's
  const { buffer } = record;
  const kind = new Uint32Array(buffer, 4, 1)[0]!;
  if (kind === KIND.delete || kind === KIND.mask) return { kind: kind === KIND.mask ? "mask" : "delete", id: new BigUint64Array(buffer, HEAD, 1)[0]! };
  const plain = kind > WITH_COLUMNS ? kind - WITH_COLUMNS : kind;
  if (plain !== KIND.add && plain !== KIND.replace) return undefined;
  const [rows = 0, element = 0, hasPayloads = 0, ofBase = 0, vectorBytes = 0, columnBytes = 0] = new Uint32Array(buffer, HEAD, 6);
  let place = HEAD + 24;
  const longs = (count: number): BigUint64Array<ArrayBuffer> => {
    const found = new BigUint64Array(buffer, place, count);
    place += count * 8;
    return found;
  };
  const [ids, taken] = [longs(rows), longs(ofBase)];
  const vectors = new FORMS[element === 0 ? 0 : element === 2 ? 1 : 2]!(buffer, place, element === 0 ? vectorBytes / 4 : vectorBytes);
  place += padded(vectorBytes);
  const ends = hasPayloads ? longs(rows) : undefined;
  const payloads = ends ? { bytes: new Uint8Array(buffer, place, Number(ends[rows - 1] ?? 0n)), ends } : null;
  if (payloads) place += padded(payloads.bytes.length);
  const columns = kind === plain ? undefined : new Uint8Array(buffer, place, columnBytes);
  return { kind: "add", call: { ids, vectors, payloads, columns, replace: plain === KIND.replace, taken } };
}

const FORMS = [Float32Array, Uint8Array, Int8Array] as const;
