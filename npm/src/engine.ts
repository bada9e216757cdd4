// The engine's side of whole files, and of what is built. Loaded inline, or as a module worker, where it serves messages.
import { Engine } from "./full.js";
import { serveHere } from "./serve.js";

export { Engine };

serveHere((module) => new Engine(module));
