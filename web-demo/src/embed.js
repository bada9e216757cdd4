// From words to a vector: the mean of all definitions, plus the sum of the words' own vectors over the root of their number, at unit length. The page embeds what is typed with it, and words.mjs every definition, so both mean the same.

export const DIMENSIONS = 384;

/** Bytes of a word's row in `words.i8`: a scale (f32, little-endian), then its numbers as i8. */
export const ROW_BYTES = 4 + DIMENSIONS;

/** The words of a text, in order; whatever else it holds is left out. */
export function words(text) {
  return text.toLowerCase().match(/[a-z]+(?:'[a-z]+)?/g) ?? [];
}

/** Endings of words that are rare themselves, and what stands in their place in words that are not: fixes, fix; hoping, hope; tapped, tap. */
const ENDINGS = [
  [/'s$/, ""], [/s$/, ""], [/es$/, ""], [/ies$/, "y"], [/(?:ed|ing)$/, "e"], [/(?:ed|ing)$/, ""], [/(.)\1(?:ed|ing|er|est)$/, "$1"],
  [/i(?:er|est|ly)$/, "y"], [/(?:er|est|ly)$/, ""],
];

/** The word itself, where `has` says that it is known, else what it is an inflection of; undefined where neither is known. */
export function knownForm(word, has) {
  if (has(word)) return word;
  for (const [ending, instead] of ENDINGS) {
    const form = word.replace(ending, instead);
    if (form !== word && form.length > 2 && has(form)) return form;
  }
  return undefined;
}

/** The numbers of a row. */
export function numbersOf(row) {
  const scale = new DataView(row.buffer, row.byteOffset).getFloat32(0, true);
  return Float32Array.from(new Int8Array(row.buffer, row.byteOffset + 4, DIMENSIONS), (number) => number * scale);
}

/** The vector of a text with these words, each the numbers of its row; of a word that occurs twice twice. */
export function embed(mean, known) {
  const vector = Float32Array.from(mean);
  const weight = 1 / Math.sqrt(Math.max(known.length, 1));
  for (const numbers of known) {
    for (let i = 0; i < DIMENSIONS; i++) vector[i] += weight * numbers[i];
  }
  const length = Math.hypot(...vector);
  return vector.map((number) => number / length);
}
