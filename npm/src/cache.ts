// The cache of files in parts in a Cache of the caller's. Loaded only where one is given.
export { diskOf, shelvesOf } from "./lazy/cache.js";
