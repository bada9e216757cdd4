// The run-time itself, over what `build.mjs` left: no server of its own, no emulator around it.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Starts workerd on a port of its choice. */
export async function start(program) {
  const child = spawn(program, ["serve", "config.capnp", "--control-fd=3"], { cwd: join(import.meta.dirname, "dist"), stdio: ["ignore", "pipe", "pipe", "pipe"] });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (said += text));
  const port = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => reject(new Error(`workerd did not start: ${said}`)));
    child.stdio[3].once("data", (line) => resolve(JSON.parse(String(line).split("\n")[0]).port));
  });
  return {
    ask: async (path) => (await fetch(`http://127.0.0.1:${port}${path}`)).json(),
    /** The most memory that the whole process had, in bytes; undefined where the system does not tell. */
    peak: () => {
      try {
        return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))[1]) * 1024;
      } catch {
        return undefined;
      }
    },
    close: () => child.kill(),
  };
}
