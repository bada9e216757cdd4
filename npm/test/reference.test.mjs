// The reference of the package says what its types say.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { PLACE, reference } from "../api.mjs";

test("docs/api.md is that of the types as they are: run `node npm/api.mjs`", () => {
  const made = reference();
  // Every member was understood, and every link leads somewhere.
  assert.doesNotMatch(made, /undefined \||\{@link|\| `undefined`/);
  const anchors = new Set([...made.matchAll(/^#+ (.*)$/gm)].map(([, title]) => title.toLowerCase().replace(/[^a-z ]/g, "").replaceAll(" ", "-")));
  for (const [, anchor] of made.matchAll(/\]\(#([^)]*)\)/g)) assert.ok(anchors.has(anchor), anchor);
  assert.ok(made.length < 300_000);
  assert.equal(readFileSync(PLACE, "utf8"), made);
});
