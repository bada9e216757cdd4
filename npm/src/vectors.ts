// Arguments, checked once at the door: vectors, ids, payloads, options of a search.
import { invalid, shown } from "./errors.js";
import type { Form, PayloadsCall, SearchCall } from "./protocol.js";
import type { Element, Id, Ids, Payload, SearchOptions, Vector, Vectors } from "./types.js";

/** What vectors must be like. */
export interface Shape {
  readonly dimensions: number;
  readonly element: Element;
}

const IDS = 2n ** 64n;

/** One vector, as an array of its own that may be sent away. */
export function oneVector(vector: Vector, shape: Shape, name = "vector"): Form {
  const form = toForm(vector, name);
  if (form.length !== shape.dimensions) throw invalid(`${name} has ${form.length} numbers, expected ${shape.dimensions}, the dimensions of the index`);
  demandElement(form, shape, name);
  demandFinite(form, name, shape.dimensions);
  return form === vector ? form.slice() : form;
}

/** Many vectors in one array; `own` makes a copy of an array that is the caller's. */
export function manyVectors(vectors: Vectors, shape: Shape, own: boolean, name = "vectors"): { data: Form; count: number } {
  const { dimensions } = shape;
  if (isForm(vectors)) {
    if (vectors.length % dimensions !== 0) throw invalid(`${name} has ${vectors.length} numbers, expected a multiple of ${dimensions}, the dimensions`);
    demandElement(vectors, shape, name);
    demandFinite(vectors, name, dimensions);
    return { data: own ? vectors.slice() : vectors, count: vectors.length / dimensions };
  }
  if (!Array.isArray(vectors)) throw invalid(`${name} is ${kind(vectors)}, expected a Float32Array, an Int8Array, a Uint8Array or a list of vectors`);
  const list = vectors as readonly Vector[];
  const first = list[0];
  const data: Form = first instanceof Uint8Array || first instanceof Int8Array ? new (first.constructor as Uint8ArrayConstructor)(list.length * dimensions) : new Float32Array(list.length * dimensions);
  for (let i = 0; i < list.length; i++) {
    const vector = list[i]!;
    if (isForm(vector) && vector.constructor !== data.constructor) throw invalid(`${name}[${i}] is ${kind(vector)}, expected ${kind(data)} as the first one`);
    const form = toForm(vector, `${name}[${i}]`);
    if (form.length !== dimensions) throw invalid(`${name}[${i}] has ${form.length} numbers, expected ${dimensions}, the dimensions`);
    data.set(form, i * dimensions);
  }
  demandElement(data, shape, name);
  demandFinite(data, name, dimensions);
  return { data, count: list.length };
}

/** The element type of an array of numbers, or of a list of them. */
export const elementOf = (data: unknown): "f32" | "u8" | "i8" => (data instanceof Uint8Array ? "u8" : data instanceof Int8Array ? "i8" : "f32");

const isForm = (value: unknown): value is Form => value instanceof Float32Array || value instanceof Uint8Array || value instanceof Int8Array;

function toForm(vector: Vector, name: string): Form {
  if (isForm(vector)) return vector;
  if (!Array.isArray(vector)) throw invalid(`${name} is ${kind(vector)}, expected a Float32Array, an Int8Array, a Uint8Array or a list of numbers`);
  // Anything else would become a number, or be an error of its own.
  const at = vector.findIndex((value) => typeof value !== "number");
  if (at >= 0) throw invalid(`${name}[${at}] is ${shown(vector[at])}, expected finite numbers`);
  return Float32Array.from(vector as readonly number[]);
}

/** Bytes are only taken for numbers where the index holds such numbers: a byte view of floats is a common slip. */
function demandElement(data: Form, { element }: Shape, name: string): void {
  const given = elementOf(data);
  if (given !== "f32" && given !== element) throw invalid(`${name} is ${kind(data)}, expected a Float32Array (the elements of the index are ${element})`);
}

function demandFinite(data: Form, name: string, dimensions: number): void {
  if (!(data instanceof Float32Array)) return;
  // A sum is finite only when all are, or nearly always: look closer only when it is not.
  let sum = 0;
  for (let i = 0; i < data.length; i++) sum += data[i]! * 0;
  if (sum === 0) return;
  const at = data.findIndex((value) => !Number.isFinite(value));
  const place = data.length === dimensions ? `${name}[${at}]` : `${name}: number ${at % dimensions} of vector ${Math.floor(at / dimensions)}`;
  throw invalid(`${place} is ${data[at]}, expected finite numbers`);
}

/** One id. */
export function oneId(id: Id, name = "id"): bigint {
  if (typeof id === "number" ? Number.isSafeInteger(id) && id >= 0 : typeof id === "bigint" && id >= 0n && id < IDS) return BigInt(id);
  throw invalid(`${name} is ${shown(id)}, expected an integer from 0 to 2^53 - 1, or a bigint below 2^64`);
}

/** Ids of `count` rows. */
export function manyIds(ids: Ids, count: number): BigUint64Array {
  if (typeof ids?.length !== "number") throw invalid(`ids is ${kind(ids)}, expected a list of numbers or bigints`);
  if (ids.length !== count) throw invalid(`ids has ${ids.length} entries, expected ${count}, one a vector`);
  if (ids instanceof BigUint64Array) return ids.slice();
  const out = new BigUint64Array(count);
  for (let i = 0; i < count; i++) out[i] = oneId((ids as readonly Id[])[i]!, `ids[${i}]`);
  return out;
}

/** Refuses ids of which one is there twice. */
export function demandUnique(ids: BigUint64Array): void {
  const seen = new Map<bigint, number>();
  for (const [at, id] of ids.entries()) {
    if (seen.has(id)) throw invalid(`id ${id} is given twice, as ids[${seen.get(id)}] and ids[${at}]`);
    seen.set(id, at);
  }
}

/** Payloads of `count` rows, one after the other. */
export function manyPayloads(payloads: readonly Payload[] | undefined, count: number): PayloadsCall | null {
  if (payloads === undefined) return null;
  if (!Array.isArray(payloads)) throw invalid(`payloads is ${kind(payloads)}, expected a list of them`);
  if (payloads.length !== count) throw invalid(`payloads has ${payloads.length} entries, expected ${count}, one a vector`);
  const parts = Array.from(payloads, payloadBytes);
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  const ends = new BigUint64Array(count);
  let at = 0;
  parts.forEach((part, i) => {
    bytes.set(part, at);
    at += part.length;
    ends[i] = BigInt(at);
  });
  return { bytes, ends };
}

const EMPTY = new Uint8Array(0);

function payloadBytes(payload: Payload, row: number): Uint8Array {
  if (payload === null || payload === undefined) return EMPTY;
  if (payload instanceof ArrayBuffer) return new Uint8Array(payload);
  if (ArrayBuffer.isView(payload)) return new Uint8Array(payload.buffer, payload.byteOffset, payload.byteLength);
  const text = typeof payload === "string" ? payload : jsonOf(payload);
  // Of a Map or a node of a page nothing would be left.
  if (text === undefined || (text === "{}" && Object.getPrototypeOf(payload) !== Object.prototype)) throw invalid(`payload ${row} is ${kind(payload)}, expected a string, bytes or what JSON holds`);
  return new TextEncoder().encode(text);
}

function jsonOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined; // a bigint, or an object within itself
  }
}

/** A positive whole number. */
export function count(value: number | undefined, otherwise: number, name: string): number {
  if (value === undefined) return otherwise;
  if (Number.isInteger(value) && value >= 1 && value < 2 ** 31) return value;
  throw invalid(`${name} is ${shown(value)}, expected a whole number of at least 1`);
}

/** One of these words. */
export function word<T extends string>(value: T | undefined, words: readonly T[], otherwise: number, name: string): number {
  if (value === undefined) return otherwise;
  const at = words.indexOf(value);
  if (at >= 0) return at;
  throw invalid(`${name} is ${shown(value)}, expected one of ${words.map((word) => JSON.stringify(word)).join(", ")}`);
}

/** Refuses options that there are not: a slip would go unseen. */
export function demandKnown(options: object | undefined, names: string): void {
  if (options && typeof options !== "object") throw invalid(`options are ${shown(options)}, expected an object of: ${names}`);
  for (const name in options) if (!names.split(" ").includes(name)) throw invalid(`there is no option ${name}, there are: ${names}`);
}

/** Options of a search as the engine takes them. 255, 0 and NaN mean: as the index says. */
export function searchOptions(options: SearchOptions | undefined): Omit<SearchCall, "data" | "count" | "filter"> {
  demandKnown(options, "k ef recall plan refine rerank radius payload budget filter signal");
  const { k, ef, recall, plan, refine, rerank, radius, payload = true, budget } = options ?? {};
  demandKnown(budget, "bytes rounds ms");
  if (recall !== undefined && !(typeof recall === "number" && recall > 0 && recall <= 1)) throw invalid(`recall is ${shown(recall)}, expected a number above 0, at most 1`);
  if (recall !== undefined && ef !== undefined) throw invalid("both ef and recall are given, expected one of them");
  if (radius !== undefined && !(typeof radius === "number" && !Number.isNaN(radius))) throw invalid(`radius is ${shown(radius)}, expected a number`);
  return {
    k: count(k, 10, "k"),
    ef: count(ef, 0, "ef"),
    recall: recall ?? NaN,
    plan: word(plan, ["scan", "walk", "tiles"], Word.absent, "plan"),
    refine: word(refine, ["records", "originals"], Word.absent, "refine"),
    rerank: count(rerank, 0, "rerank"),
    radius: radius ?? NaN,
    payload,
    budget: budget ? { ...budget } : undefined,
  };
}

/** In place of a word that was not said. */
const enum Word { absent = 255 }

/** What a value is, for an error message. */
const kind = (value: unknown): string => (value === null ? "null" : typeof value === "object" ? `a ${value.constructor?.name ?? "object"}` : `of type ${typeof value}`);
