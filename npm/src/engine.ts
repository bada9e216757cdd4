// The engine's side of a file that is here as a whole, and of what is built. Loaded inline, or as a module worker, where it serves messages.
import { Engine } from "./instance.js";
import { serveHere } from "./serve.js";

export { Engine };

serveHere((module) => new Engine(module));
