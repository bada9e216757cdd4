// The package's own engines: files beside this script. In `engines.workerd.js` modules that are imported.
import type { Wasm } from "./module.js";
import type { EngineKind } from "./protocol.js";

/** @internal The engine for a purpose, each address written out so that bundlers find and copy all of them. */
export function own(kind: EngineKind): Wasm {
  if (kind === "full") return simd() ? new URL("./nearshore-simd.wasm", import.meta.url) : new URL("./nearshore.wasm", import.meta.url);
  if (kind === "lazy") return simd() ? new URL("./nearshore-lazy-simd.wasm", import.meta.url) : new URL("./nearshore-lazy.wasm", import.meta.url);
  if (kind === "columns") return simd() ? new URL("./nearshore-columns-simd.wasm", import.meta.url) : new URL("./nearshore-columns.wasm", import.meta.url);
  if (kind === "filter") return simd() ? new URL("./nearshore-filter-simd.wasm", import.meta.url) : new URL("./nearshore-filter.wasm", import.meta.url);
  return simd() ? new URL("./nearshore-reader-simd.wasm", import.meta.url) : new URL("./nearshore-reader.wasm", import.meta.url);
}

/** The smallest module that needs simd128: `i32.const 0, i8x16.splat, i8x16.popcnt, drop`. */
const SIMD_PROBE = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, 11, 1, 9, 0, 65, 0, 253, 15, 253, 98, 26, 11];

const simd = (): boolean => WebAssembly.validate(new Uint8Array(SIMD_PROBE));
