// Rows, ids, payloads and columns by the formulas of `tests/src/rows.rs` and `columns.rs`: the same numbers, in another language.

const CENTRES = 8;
const u64 = (value) => BigInt.asUintN(64, value);

/** SplitMix64. */
function stream(seed) {
  let state = seed;
  return () => {
    state = u64(state + 0x9e3779b97f4a7c15n);
    let z = u64((state ^ (state >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = u64((z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return z ^ (z >> 31n);
  };
}

const below = (next, bound) => Number(((next() >> 32n) * bound) >> 32n);

const KINDS = {
  f32: { Type: Float32Array, draw: (next) => Number(next() >> 40n) / 8_388_608 - 1, near: (centre, noise) => centre + noise * 0.25 },
  u8: { Type: Uint8Array, draw: (next) => below(next, 256n) - 128, near: (centre, noise) => Math.trunc((centre * 3) / 4) + Math.trunc(noise / 4) + 128 },
  i8: { Type: Int8Array, draw: (next) => below(next, 256n) - 128, near: (centre, noise) => Math.trunc((centre * 3) / 4) + Math.trunc(noise / 4) },
};

/** `count` rows of `dimensions` numbers, one after the other, in the array of their element type. */
export function rows(element, dimensions, count, seed) {
  const { Type, draw, near } = KINDS[element];
  const next = stream(seed);
  const centres = Array.from({ length: CENTRES * dimensions }, () => draw(next));
  const values = new Type(count * dimensions);
  for (let row = 0; row < count; row++) {
    const centre = below(next, BigInt(CENTRES)) * dimensions;
    for (let column = 0; column < dimensions; column++) values[row * dimensions + column] = near(centres[centre + column], draw(next));
  }
  return values;
}

/** Ids that no number holds. */
export const largeIds = (count) => BigUint64Array.from({ length: count }, (_, row) => 0xffff_ffff_ffff_fffen - BigInt(row) * 1_000_003n);

/** What travels with the row of an id. */
export const payload = (id) => `<${id}>`.repeat(Number(id % 4n));

const WORDS = ["", "a", "ab", "b", "caf\u00e9", "z\"'\\z"];

/** Values to filter by, for each column a list of `count`; whole numbers as bigints. */
export function columns(count) {
  const each = (value) => Array.from({ length: count }, (_, row) => value(row));
  return {
    n: each((row) => [null, -(2n ** 63n) + BigInt(row), 2n ** 63n - 1n - BigInt(row)][row % 7] ?? (row % 7 ? BigInt(((row * 37) % 50) - 25) : null)),
    x: each((row) => [null, -0][row % 5] ?? (row % 5 ? (((row * 13) % 40) - 20) / 4 : null)),
    flag: each((row) => (row % 3 ? row % 2 === 0 : null)),
    word: each((row) => (row % 11 !== 4 ? WORDS[(row * 5) % 6] : null)),
    full: each((row) => BigInt(row)),
  };
}
