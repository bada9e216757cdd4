// What page and build of the words share: words out of text, their known forms, vectors; and the dictionary as it is parsed.

import assert from "node:assert/strict";
import { test } from "node:test";
import { readDictionary } from "../dictionary.mjs";
import { DIMENSIONS, ROW_BYTES, embed, knownForm, numbersOf, words } from "../src/embed.js";

test("words are lower case, without digits and signs, with their apostrophes", () => {
  assert.deepEqual(words("Someone who's 3 times—REPAIRED shoes!"), ["someone", "who's", "times", "repaired", "shoes"]);
  assert.deepEqual(words("1984 ..."), []);
});

test("a word that is not known is read as what it is an inflection of", () => {
  const known = new Set(["fix", "hope", "hop", "tap", "baby", "quiet", "happy", "spider", "shoes", "shoe"]);
  const cases = { fixes: "fix", hoping: "hope", hopping: "hop", tapped: "tap", babies: "baby", quietest: "quiet", happily: "happy", "spider's": "spider", shoes: "shoes", xyz: undefined };
  for (const [word, form] of Object.entries(cases)) assert.equal(knownForm(word, (word) => known.has(word)), form, word);
});

test("a text's vector is the mean, plus its words' over the root of their number, at unit length", () => {
  const axis = (at) => Float32Array.from({ length: DIMENSIONS }, (_, i) => Number(i === at));
  const vector = embed(axis(0), [axis(1), axis(1), axis(2), axis(3)]);
  const expected = [1, 1, 0.5, 0.5].map((number) => number / Math.sqrt(2.5));
  expected.forEach((number, i) => assert.ok(Math.abs(vector[i] - number) < 1e-6, `${i}: ${vector[i]}`));
  assert.deepEqual([...embed(axis(0), [])], [...axis(0)]);
});

test("a row is a scale and whole numbers", () => {
  const row = Buffer.alloc(ROW_BYTES);
  row.writeFloatLE(0.5, 0);
  row.writeInt8(-31, 4);
  row.writeInt8(4, ROW_BYTES - 1);
  const numbers = numbersOf(row);
  assert.deepEqual([numbers.length, numbers[0], numbers[1], numbers.at(-1)], [DIMENSIONS, -15.5, 0, 2]);
});

test("the dictionary has every meaning once, without examples, and its most used part is what it says", async () => {
  const all = await readDictionary();
  assert.equal(all.length, 117_791);
  assert.equal(new Set(all.map(({ id }) => id)).size, all.length);
  const breathe = all.find(({ id }) => id === 200_001_740);
  assert.deepEqual(breathe, { id: 200_001_740, lemma: "breathe, take a breath, respire, suspire", pos: "verb", definition: "draw air into, and expel out of, the lungs" });
  const few = await readDictionary(100);
  assert.equal(few.length, 100);
  assert.ok(few.some(({ lemma, pos }) => lemma.split(", ").includes("be") && pos === "verb"));
});
