// The compiled engines: found, fetched and compiled once a page, then shared by every index.
import { own } from "./engines.js";
import { NearshoreError, sentence, unsupported } from "./errors.js";
import { builtin } from "./platform.js";
import type { EngineKind, Kind } from "./protocol.js";

/** Where the engine is: its address, its bytes, or itself, compiled. */
export type Wasm = string | URL | ArrayBuffer | Uint8Array | WebAssembly.Module;

/** How an engine is to be had. */
export interface InitOptions {
  /**
   * One of the package's `.wasm` files. The reader serves `open` from now on, the lazy engine `open` of files in tiles, those of filters and of
   * columns what their names say, a full engine all but those; where several are used, call `init` for each, the full one first.
   */
  wasm?: Wasm;
}

const engines: Partial<Record<EngineKind, Promise<WebAssembly.Module>>> = {};
let initialising: Promise<void> | undefined;

/**
 * Says where an engine is, or loads the reader ahead of time. Only needed where the package's own files cannot be found (a bundler that
 * does not copy them, a platform that wants modules imported); call it before the first index is opened.
 */
export async function init(options: InitOptions = {}): Promise<void> {
  if (options.wasm === undefined) {
    await engineModule("reader");
    return;
  }
  const done = compile(options.wasm).then((module) => {
    const has = (call: string): boolean => WebAssembly.Module.exports(module).some(({ name }) => name === `engine_${call}`);
    const kind = has("schema") ? "columns" : has("build") ? "full" : !has("feed") ? "reader" : has("search") ? "filter" : "lazy";
    if (kind === "full") delete engines.reader;
    engines[kind] = Promise.resolve(module);
  });
  initialising = done;
  try {
    await done;
  } finally {
    if (initialising === done) initialising = undefined;
  }
}

/** @internal The compiled engine for a purpose. A failure is not kept: the next call tries again. */
export async function engineModule(of: Kind): Promise<WebAssembly.Module> {
  const kind = of.endsWith("-columns") ? "columns" : of === "kept" ? "full" : (of as EngineKind);
  await initialising;
  if (kind === "reader" && !engines.reader && engines.full) return engines.full;
  const current = (engines[kind] ??= compile(own(kind)));
  current.catch(() => {
    if (engines[kind] === current) delete engines[kind];
  });
  return current;
}

async function compile(wasm: Wasm): Promise<WebAssembly.Module> {
  try {
    if (wasm instanceof WebAssembly.Module) return wasm;
    if (wasm instanceof ArrayBuffer || ArrayBuffer.isView(wasm)) return await WebAssembly.compile(wasm as BufferSource);
    return await compileFrom(new URL(wasm, globalThis.document?.baseURI ?? import.meta.url));
  } catch (thrown) {
    if (thrown instanceof NearshoreError) throw thrown;
    throw unsupported(`the engine cannot be compiled here (${sentence(thrown)}); a content security policy needs 'wasm-unsafe-eval'`);
  }
}

async function compileFrom(url: URL): Promise<WebAssembly.Module> {
  const fail = (why: string, cause?: unknown): never => {
    throw new NearshoreError("network", `the engine cannot be had from ${url.href} (${why}); copy the package's .wasm files next to the script, or use init({ wasm })`, { cause });
  };
  const failed = (thrown: unknown): never => fail(sentence(thrown), thrown);
  const fs = url.protocol === "file:" ? builtin("node:fs") : undefined;
  if (fs) return WebAssembly.compile(await fs.promises.readFile(url).catch(failed));
  const response = await fetch(url, { credentials: "same-origin" }).catch(failed);
  if (!response.ok) fail(`status ${response.status}`);
  // A server that does not know the type of .wasm files makes streaming fail; the bytes are good all the same.
  if (response.headers.get("content-type")?.startsWith("application/wasm")) return WebAssembly.compileStreaming(response);
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes[0] !== 0 || bytes[1] !== 0x61) fail("no WebAssembly");
  return WebAssembly.compile(bytes);
}
