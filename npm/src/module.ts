// The compiled engine: found, fetched and compiled once a page, then shared by every index.
import { NearshoreError, sentence, unsupported } from "./errors.js";
import { builtin } from "./platform.js";

/** Where the engine is: its address, its bytes, or itself, compiled. */
export type Wasm = string | URL | ArrayBuffer | Uint8Array | WebAssembly.Module;

/** How the engine is to be had. */
export interface InitOptions {
  /** One of the package's two `.wasm` files. */
  wasm?: Wasm;
}

let compiled: Promise<WebAssembly.Module> | undefined;

/**
 * Says where the engine is, or loads it ahead of time. Only needed where the package's own files cannot be found (a bundler that does
 * not copy them, a platform that wants modules imported); call it before the first index is opened.
 */
export async function init(options: InitOptions = {}): Promise<void> {
  if (options.wasm !== undefined) compiled = compile(options.wasm);
  await engineModule();
}

/** @internal The compiled engine. A failure is not kept: the next call tries again. */
export function engineModule(): Promise<WebAssembly.Module> {
  compiled ??= compile(simd() ? new URL("./nearshore-simd.wasm", import.meta.url) : new URL("./nearshore.wasm", import.meta.url));
  const current = compiled;
  current.catch(() => {
    if (compiled === current) compiled = undefined;
  });
  return current;
}

/** The smallest module that needs simd128: `i32.const 0, i8x16.splat, i8x16.popcnt, drop`. */
const SIMD_PROBE = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, 11, 1, 9, 0, 65, 0, 253, 15, 253, 98, 26, 11];

const simd = (): boolean => WebAssembly.validate(new Uint8Array(SIMD_PROBE));

async function compile(wasm: Wasm): Promise<WebAssembly.Module> {
  try {
    if (wasm instanceof WebAssembly.Module) return wasm;
    if (wasm instanceof ArrayBuffer || ArrayBuffer.isView(wasm)) return await WebAssembly.compile(wasm as BufferSource);
    return await compileFrom(new URL(wasm, globalThis.document?.baseURI ?? import.meta.url));
  } catch (thrown) {
    if (thrown instanceof NearshoreError) throw thrown;
    throw unsupported(`the WebAssembly engine cannot be compiled here (${sentence(thrown)}); a content security policy needs 'wasm-unsafe-eval'`);
  }
}

const HINT = "copy the package's .wasm files next to the script, or say where they are with init({ wasm })";

async function compileFrom(url: URL): Promise<WebAssembly.Module> {
  const fs = url.protocol === "file:" ? builtin("node:fs") : undefined;
  if (fs) {
    const bytes = await fs.promises.readFile(url).catch((thrown: unknown) => {
      throw new NearshoreError("network", `the engine cannot be read (${sentence(thrown)}); ${HINT}`, { cause: thrown });
    });
    return WebAssembly.compile(bytes);
  }
  const response = await fetch(url, { credentials: "same-origin" }).catch((thrown: unknown) => {
    throw new NearshoreError("network", `the engine cannot be fetched from ${url.href} (${sentence(thrown)}); ${HINT}`, { cause: thrown });
  });
  if (!response.ok) throw new NearshoreError("network", `the engine is not at ${url.href} (status ${response.status}); ${HINT}`);
  // A server that does not know the type of .wasm files makes streaming fail; the bytes are good all the same.
  if (response.headers.get("content-type")?.startsWith("application/wasm")) return WebAssembly.compileStreaming(response);
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes[0] !== 0 || bytes[1] !== 0x61) throw new NearshoreError("network", `what is at ${url.href} is not WebAssembly; ${HINT}`);
  return WebAssembly.compile(bytes);
}
