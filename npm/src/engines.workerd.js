// The package's own engines where nothing may be compiled at run time: modules that are compiled with the script that imports them. In place
// of `engines.ts` in the package's export for `workerd`, whose isolates all have SIMD. The full engine is a reader as well.
import columns from "./nearshore-columns-simd.wasm";
import filter from "./nearshore-filter-simd.wasm";
import full from "./nearshore-simd.wasm";
import lazy from "./nearshore-lazy-simd.wasm";

export const own = (kind) => ({ lazy, filter, columns })[kind] ?? full;
