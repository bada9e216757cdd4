// Files in parts: cut as the command line cuts them, and a host that knows no ranges.
import { createHash } from "node:crypto";
import { createServer } from "node:http";

/** The parts by their names, and the list of them. */
export function split(bytes, size) {
  const files = new Map();
  const parts = [];
  for (let at = 0; at < bytes.length; at += size) {
    const part = bytes.subarray(at, at + size);
    const sha256 = createHash("sha256").update(part).digest("hex");
    const name = `x.shore.${sha256.slice(0, 16)}.part`;
    parts.push({ name, bytes: part.length, sha256 });
    files.set(name, part);
  }
  return { files, list: { format: "nearshore parts", version: 1, file_bytes: bytes.length, part_bytes: size, parts } };
}

/** Serves `list` at `url` and the `files` beside it, for pages of any origin; `log` holds the names that were asked for, `answers` by name what to say instead, once each. */
export async function serveParts() {
  const state = { files: new Map(), list: {}, log: [], answers: new Map(), refuse: false };
  const server = createServer((request, response) => {
    if (state.refuse) return void request.socket.destroy();
    const name = request.url.slice(1).split("?")[0];
    state.log.push(name);
    const own = state.answers.get(name)?.shift();
    const body = own?.body ?? (name === "x.shore.json" ? Buffer.from(JSON.stringify(state.list)) : state.files.get(name));
    // Whatever range is asked for, all of the file is sent.
    response.writeHead(own?.status ?? (body ? 200 : 404), { "access-control-allow-origin": "*" });
    if (!own?.silent) response.end(body);
    else response.flushHeaders();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(state, {
    url: `http://127.0.0.1:${server.address().port}/x.shore.json`,
    server,
    /** Serves this file, and forgets what was asked. */
    reset: (bytes, size) => Object.assign(state, split(bytes, size), { log: [], answers: new Map(), refuse: false }),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  });
}
