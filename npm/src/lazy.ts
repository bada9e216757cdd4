// The engine's side of a file that is read in parts. Loaded inline, or as a module worker, where it serves messages.
import { LazyEngine } from "./lazy/engine.js";
import { serveHere } from "./serve.js";

export { LazyEngine as Engine };

serveHere((module) => new LazyEngine(module));
