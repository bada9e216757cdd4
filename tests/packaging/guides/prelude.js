// What the guides' pieces of code take for granted: a model, texts, a host.

/** The same text, the same direction; texts that share words lie nearer to each other. No model at all. */
globalThis.embed = (text) => {
  const vector = new Float32Array(384);
  for (const word of text.toLowerCase().match(/[a-z]+/g) ?? [""]) {
    let state = [...word].reduce((sum, letter) => Math.imul(sum, 31) + letter.charCodeAt(0), 7);
    for (let at = 0; at < 384; at++) {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      vector[at] += state / 2 ** 31;
    }
  }
  return vector;
};
globalThis.texts = ["milk", "bread and salt", "a harbour at low tide", "how to sharpen a knife", "rain on Sunday"];
globalThis.host = globalThis.process?.env.HOST;
