// Rows to test with: seeded, and exact answers by a plain scan.

/** A small seeded generator: the same numbers everywhere. */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `rows * dimensions` numbers between -1 and 1, in loose clusters. */
export function rows(count, dimensions, seed = 1) {
  const next = random(seed);
  const centres = Array.from({ length: 8 * dimensions }, () => next() * 2 - 1);
  return Float32Array.from({ length: count * dimensions }, (_, i) => {
    const cluster = Math.floor(i / dimensions) % 8;
    return 0.6 * centres[cluster * dimensions + (i % dimensions)] + 0.4 * (next() * 2 - 1);
  });
}

const DISTANCES = {
  l2: (a, b) => a.reduce((sum, x, i) => sum + (x - b[i]) ** 2, 0),
  ip: (a, b) => 1 - a.reduce((sum, x, i) => sum + x * b[i], 0),
  cosine: (a, b) => 1 - a.reduce((sum, x, i) => sum + x * b[i], 0) / Math.sqrt(a.reduce((s, x) => s + x * x, 0) * b.reduce((s, x) => s + x * x, 0)),
};

/** The `k` nearest row numbers and their distances. */
export function exact(vectors, dimensions, query, k, metric) {
  const query64 = Array.from(query);
  return Array.from({ length: vectors.length / dimensions }, (_, row) => ({
    row,
    distance: DISTANCES[metric](Array.from(vectors.subarray(row * dimensions, (row + 1) * dimensions)), query64),
  })).sort((a, b) => a.distance - b.distance || a.row - b.row).slice(0, k);
}

/** The `row`th vector. */
export const vector = (vectors, dimensions, row) => vectors.subarray(row * dimensions, (row + 1) * dimensions);

/** For `assert.rejects`: an error of this package with this code, whose message says these things. */
export const failure = (code, ...words) => (error) => {
  if (error.name !== "NearshoreError" || error.code !== code) throw new Error(`expected ${code}, got ${error.name} ${error.code}: ${error.message}`);
  for (const word of words) if (!error.message.includes(word)) throw new Error(`expected ${JSON.stringify(word)} in ${JSON.stringify(error.message)}`);
  return true;
};
