// Where kept indexes lie in Node. Loaded only there.
export { folderPlace } from "./kept/node.js";
