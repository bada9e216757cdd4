// A file of blocks that check themselves, and an engine that wants given ones: what the loop needs to know of the real ones.
import { random } from "../rows.mjs";

/** Sums bytes, so that a shifted, cut or foreign block shows. */
const check = (bytes, seed) => bytes.subarray(0, -4).reduce((hash, byte) => Math.imul(hash ^ byte, 16_777_619) >>> 0, seed);

/** A file of `count` blocks of `size` bytes behind a head of 65,536 bytes. */
export function fakeFile(count = 100, size = 100, seed = 1) {
  const next = random(seed);
  const file = Uint8Array.from({ length: 65_536 + count * size }, () => next() * 256);
  for (let i = 0; i < count; i++) {
    const block = file.subarray(65_536 + i * size, 65_536 + (i + 1) * size);
    new DataView(block.buffer, block.byteOffset).setUint32(size - 4, check(block, seed), true);
  }
  return Object.assign(file, { seed, block: (number) => ({ offset: 65_536 + number * size, bytes: size }) });
}

/** An engine whose searches want `query[0]`, then `query[1]` ...: lists of block numbers. Its answer is what it was fed, in order. */
export class FakeEngine {
  slots = new Map();
  fed = [];
  #numbers = 0;

  constructor(file) {
    this.file = file;
  }
  start(query) {
    this.slots.set(++this.#numbers, { query, round: 0, fed: new Map(), all: [] });
    return this.#numbers;
  }
  wanted(slot) {
    const { query, round } = this.slots.get(slot);
    return (query[round] ?? []).map((number) => this.file.block(number));
  }
  feed(slot, at, bytes) {
    const search = this.slots.get(slot);
    if (!search) throw new Error("fed after its end");
    if (search.fed.has(at)) throw new Error("fed twice");
    const { offset, bytes: length } = this.wanted(slot)[at];
    const sound = bytes.length === length && new DataView(bytes.buffer, bytes.byteOffset).getUint32(length - 4, true) === check(bytes, this.file.seed);
    if (!sound) throw Object.assign(new Error(`block at ${offset}`), { name: "NearshoreError", code: "corrupt" });
    search.fed.set(at, bytes.slice());
    this.fed.push(offset);
  }
  advance(slot) {
    const search = this.slots.get(slot);
    const wanted = this.wanted(slot);
    if (search.fed.size !== wanted.length) throw new Error("not all blocks were fed");
    wanted.forEach((_, at) => search.all.push(...search.fed.get(at)));
    search.fed = new Map();
    return ++search.round >= search.query.length;
  }
  end(slot) {
    return Uint8Array.from(this.slots.get(slot).all).buffer;
  }
  drop(slot) {
    this.slots.delete(slot);
  }
}

/** What a search for this query answers. */
export const answerTo = (file, query) => Buffer.concat(query.flat().map((number) => {
  const { offset, bytes } = file.block(number);
  return file.subarray(offset, offset + bytes);
}));
