// A trap ends one index and no other.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { Index, init, open } from "nearshore";
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

test("a trap of the engine that filters names it, and ends the index that it was for", async () => {
  await init({ wasm: await trappingEngine("nearshore-filter") });
  const folder = new URL("../../tests/conformance/", import.meta.url);
  const [{ queries }, whole, tiles] = await Promise.all(["filters.json", "filters.shore", "filters-tiles.shore"].map((name) => readFile(new URL(name, folder)))).then(([json, ...files]) => [JSON.parse(json), ...files.map((file) => new Uint8Array(file))]);
  const [query] = queries;
  const filter = "price < 50";
  for (const [source, options] of [[whole, {}], [tiles, {}], [new Blob([tiles]), { mode: "lazy" }]]) {
    const [one, two] = await Promise.all([open(source, options), open(source, options)]);
    assert.equal((await one.search(query, { filter, k: 5 })).length, 5);
    const trapped = failure("trapped", "engine for filters of this index stopped", "unreachable", "open the index again");
    const under = [one.search(query, { filter, k: TRAP_K }), one.search(query, { filter })];
    await assert.rejects(under[0], trapped);
    await under[1].catch(trapped); // it may have been faster
    for (const call of [one.search(query), one.search(query, { filter }), one.has(7), one.stats()]) await assert.rejects(call, trapped);
    assert.equal((await two.search(query, { filter, k: 5 })).length, 5);
    await Promise.all([one.close(), two.close()]);
  }
});
