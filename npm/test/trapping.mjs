// The real engine with one change: a search for `TRAP_K` hits traps.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import binaryen from "binaryen";

export const TRAP_K = 4242;
/** `engine_ask(engine, k, ...)`. */
const K_PARAMETER = 1;

/** The bytes of that engine. */
export async function trappingEngine(name = "nearshore") {
  const module = binaryen.readBinary(await readFile(new URL(`../dist/${name}-simd.wasm`, import.meta.url)));
  const exported = Array.from({ length: module.getNumExports() }, (_, i) => binaryen.getExportInfo(module.getExportByIndex(i)));
  const { value } = exported.find(({ name }) => name === "engine_ask");
  const ask = module.getFunction(value);
  const { params, results } = binaryen.getFunctionInfo(ask);
  assert.equal(binaryen.expandType(params)[K_PARAMETER], binaryen.i32);
  const trap = module.if(module.i32.eq(module.local.get(K_PARAMETER, binaryen.i32), module.i32.const(TRAP_K)), module.unreachable());
  binaryen.Function.setBody(ask, module.block(null, [trap, binaryen.Function.getBody(ask)], results));
  const bytes = module.emitBinary();
  module.dispose();
  return bytes;
}
