// A trap ends one index and no other.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Index, init } from "nearshore";
import { failure, rows, vector } from "./rows.mjs";
import { TRAP_K, trappingEngine } from "./trapping.mjs";

const DIMENSIONS = 8;
test("a trap poisons its index alone", async () => {
  await init({ wasm: await trappingEngine() });
  const vectors = rows(100, DIMENSIONS);
  const build = () => Index.build(null, vectors, { dimensions: DIMENSIONS });
  const [one, two] = await Promise.all([build(), build()]);
  const query = vector(vectors, DIMENSIONS, 9);
  assert.equal((await one.search(query, { k: 1 }))[0].id, 9);

  const trapped = failure("trapped", "open the index again", "unreachable");
  await assert.rejects(one.search(query, { k: TRAP_K }), trapped);
  for (const call of [one.search(query), one.has(1), one.save(), one.stats()]) await assert.rejects(call, trapped);

  assert.equal((await two.search(query, { k: 1 }))[0].id, 9);
  const three = await build();
  assert.equal((await three.search(query, { k: 1 }))[0].id, 9);
  await one.close();
  await assert.rejects(one.search(query), failure("closed"));
});
