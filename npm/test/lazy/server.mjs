// A server of one file that behaves, and misbehaves, as hosts do: the first part of a path says how.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createSecureServer } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

/** A key and a certificate for localhost, signed by itself. */
export function selfSigned() {
  const folder = mkdtempSync(join(tmpdir(), "nearshore-tls-"));
  try {
    execFileSync("openssl", [
      "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
      "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", join(folder, "key"), "-out", join(folder, "cert"),
    ], { stdio: "ignore" });
    return { key: readFileSync(join(folder, "key")), cert: readFileSync(join(folder, "cert")) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What a request with a range asks of a file. */
function rangeOf(request, length) {
  const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
  return match && { from: Number(match[1]), to: Math.min(Number(match[2]), length - 1) };
}

/**
 * Every way to answer: `{ status, headers, body }`, or nothing when it has answered itself. `nth` counts the requests with the same path
 * and range, `behind` those of the path behind the first 64 KiB, from 1.
 */
const WAYS = {
  plain: ({ part }) => part,
  /** Ranges, but headers that say so are hidden, as across origins. */
  hidden: ({ part }) => ({ ...part, headers: {} }),
  weak: ({ part }) => ({ ...part, headers: { ...part.headers, etag: 'W/"1"' } }),
  whole: ({ file }) => ({ status: 200, body: file }),
  chunked: ({ file }) => ({ status: 200, body: file, headers: { "transfer-encoding": "chunked" } }),
  busy: ({ part, nth }) => (nth <= 2 ? { status: 503, headers: { "retry-after": "0" } } : part),
  later: ({ part, nth }) => (nth === 1 ? { status: 429, headers: { "retry-after": new Date(Date.now() + 1000).toUTCString() } } : part),
  down: () => ({ status: 503 }),
  forbidden: () => ({ status: 403 }),
  beyond: () => ({ status: 416 }),
  short: ({ part }) => ({ ...part, body: part.body.subarray(0, part.body.length - 10) }),
  /** Behind the head, unless it is one byte that is asked for. */
  shortbehind: ({ part, from }) => (from < 65536 || part.body.length === 1 ? part : { ...part, headers: {}, body: part.body.subarray(0, part.body.length - 10) }),
  shortonce: ({ part, nth }) => (nth === 1 ? { ...part, body: part.body.subarray(0, 5) } : part),
  long: ({ part, file, from }) => ({ ...part, headers: {}, body: file.subarray(from, from + part.body.length + 7) }),
  shifted: ({ part, file, from }) => ({ ...part, headers: {}, body: from < 65536 ? part.body : file.subarray(from - 1, from - 1 + part.body.length) }),
  /** Only the first part behind the head. */
  shiftedonce: ({ part, file, from, behind }) => ({ ...part, headers: {}, body: from < 65536 || behind > 1 ? part.body : file.subarray(from - 1, from - 1 + part.body.length) }),
  wrongrange: ({ part, from }) => ({ ...part, headers: { "content-range": `bytes ${from + 1}-${from + part.body.length}/*` } }),
  multipart: ({ part }) => ({ ...part, headers: { "content-type": "multipart/byteranges; boundary=x" } }),
  gzip: ({ part }) => ({ ...part, headers: { ...part.headers, "content-encoding": "gzip" }, body: gzipSync(part.body) }),
  /** A slice of the compressed file, with nothing that says so. */
  gzipslice: ({ part, file, from }) => ({ ...part, headers: {}, body: gzipSync(file).subarray(from, from + part.body.length) }),
  redirect: ({ host }) => ({ status: 302, headers: { location: `${host}/plain/moved` } }),
  cut: ({ response }) => void response.destroy(),
  cutonce: ({ part, response, nth }) => (nth === 1 ? void response.destroy() : part),
  stall: ({ part, response }) => void response.writeHead(206, part.headers).write(part.body.subarray(0, 3)),
  stallonce: ({ part, response, nth }) => (nth === 1 ? void response.writeHead(206, part.headers).write(part.body.subarray(0, 3)) : part),
  silent: () => undefined,
};

/**
 * Serves `file`, which may be replaced. `log` holds what was asked, `delay` the milliseconds before any answer; `open` counts the requests
 * under way, `most` the most there were; `refuse` cuts every connection, `status` answers every request.
 */
export async function serveFile(file, { secure = false } = {}) {
  const seen = new Map();
  const state = { file, log: [], delay: 0, open: 0, most: 0, aborted: 0, refuse: false };
  const handle = async (request, response) => {
    if (state.refuse) return void request.socket.destroy();
    if (state.status) return response.writeHead(state.status, { "access-control-allow-origin": "*" }).end();
    const path = new URL(request.url, "http://localhost").pathname;
    const way = path.split("/")[1];
    const key = `${path} ${request.headers.range}`;
    const nth = (seen.get(key) ?? 0) + 1;
    seen.set(key, nth);
    state.log.push({ path, range: request.headers.range, headers: request.headers });
    state.most = Math.max(state.most, ++state.open);
    response.on("close", () => {
      state.open--;
      if (!response.writableFinished) state.aborted++;
    });
    if (state.delay > 0) await new Promise((resolve) => setTimeout(resolve, state.delay));
    const { file } = state;
    const range = rangeOf(request, file.length);
    const cors = { "access-control-allow-origin": "*" };
    if (!range || !(way in WAYS)) return response.writeHead(range ? 404 : 200, { ...cors, "content-length": range ? 0 : file.length }).end(range ? "" : file);
    if (range.from > range.to) return response.writeHead(416, cors).end();
    const body = file.subarray(range.from, range.to + 1);
    if (range.from >= 65536) seen.set(path, (seen.get(path) ?? 0) + 1);
    const part = { status: 206, headers: { "content-range": `bytes ${range.from}-${range.to}/${file.length}` }, body };
    const answer = WAYS[way]({ part, file, nth, response, behind: seen.get(path), from: range.from, host: state.url });
    if (!answer) return;
    const length = answer.headers?.["transfer-encoding"] || !answer.body ? {} : { "content-length": answer.body.length };
    response.writeHead(answer.status, { ...cors, ...length, ...answer.headers }).end(answer.body);
  };
  const keys = secure ? selfSigned() : {};
  const server = secure ? createSecureServer({ ...keys, allowHTTP1: true }, handle) : createServer(handle);
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const sockets = new Set();
  server.on("connection", (socket) => sockets.add(socket.on("close", () => sockets.delete(socket))));
  return Object.assign(state, {
    url: `${secure ? "https" : "http"}://127.0.0.1:${server.address().port}`,
    cert: keys.cert,
    /** Forgets what was asked. */
    reset: () => Object.assign(state, { log: [], most: 0, aborted: 0, delay: 0 }),
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  });
}
