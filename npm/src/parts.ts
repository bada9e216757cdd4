// Files that come from elsewhere than one address or from memory: by a list of parts, from a file system, from a source of the caller's. Loaded
// where one of these is opened, or a digest is given.
export { demand } from "./parts/digest.js";
export { readerOf, streamOf } from "./parts/open.js";
