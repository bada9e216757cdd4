// Files that come from elsewhere than one address or from memory: by a list of parts, from a file system, from a source of the caller's. Loaded
// where one of these is opened, a digest is given, or a host does not answer at once.
export { demand } from "./parts/digest.js";
export { insist } from "./parts/insist.js";
export { readerOf, streamOf } from "./parts/open.js";
