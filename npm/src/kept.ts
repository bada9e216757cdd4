// The engine's side of an index that is kept, or goes over a base. Loaded inline, or as a module worker, where it serves messages.
import { KeptEngine } from "./kept/engine.js";
import { serveHere } from "./serve.js";

export { KeptEngine as Engine };

serveHere((module) => new KeptEngine(module));
