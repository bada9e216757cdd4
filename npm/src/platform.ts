// What kind of place this runs in. Asked when needed, never on import.
import { NearshoreError, sentence } from "./errors.js";
import type { FileHandleLike } from "./types.js";

/** A module of Node, where there is Node (or Deno, or Bun): asked for at run time, so that no bundler stumbles over it. */
export function builtin<K extends keyof Builtins>(name: K): Builtins[K] | undefined {
  const process = (globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } }).process;
  return process?.getBuiltinModule?.(name) as Builtins[K] | undefined;
}

/** The file system, where `text` names a file in it: Node, and no address but that of a file. */
export const fileSystemOf = (text: string): Builtins["node:fs"] | undefined =>
  /^(?!file:)[a-z][a-z0-9+.-]+:/i.test(text) || typeof document !== "undefined" ? undefined : builtin("node:fs");

/** Opens a file by its path, or by its address. */
export const openFile = (fs: Builtins["node:fs"], text: string): ReturnType<Builtins["node:fs"]["promises"]["open"]> =>
  fs.promises.open(text.startsWith("file:") ? new URL(text) : text).catch((thrown: unknown) => {
    throw new NearshoreError("network", `the file cannot be opened: ${sentence(thrown)}`, { cause: thrown });
  });

/** Bytes of an open file; fewer where it ends before them. */
export async function readAt(handle: FileHandleLike, offset: number, bytes: number): Promise<Uint8Array> {
  const chunk = new Uint8Array(bytes);
  let done = 0;
  while (done < bytes) {
    const { bytesRead } = await handle.read(chunk, done, bytes - done, offset + done);
    if (!(bytesRead > 0)) break;
    done += bytesRead;
  }
  return chunk.subarray(0, done);
}

/** The little of Node that is used. */
interface Builtins {
  "node:fs": {
    promises: {
      readFile(path: URL): Promise<Uint8Array<ArrayBuffer>>;
      open(path: string | URL): Promise<{
        read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ bytesRead: number }>;
        stat(): Promise<{ size: number }>;
        close(): Promise<void>;
      }>;
    };
    constants: { O_RDWR: number; O_CREAT: number };
    mkdirSync(path: string, options: { recursive: boolean }): unknown;
    rmSync(path: string, options: { force: boolean }): void;
    rmdirSync(path: string): void;
    renameSync(from: string, to: string): void;
    linkSync(from: string, to: string): void;
    readFileSync(path: string, encoding: "utf8"): string;
    writeFileSync(path: string, text: string, options: { flag: string }): void;
    openSync(path: string, flags: number | string, mode?: number): number;
    readSync(descriptor: number, into: Uint8Array, offset: number, length: number, position: number): number;
    writeSync(descriptor: number, from: Uint8Array, offset: number, length: number, position: number): number;
    ftruncateSync(descriptor: number, bytes: number): void;
    fstatSync(descriptor: number): { size: number };
    statSync(path: string): { mtimeMs: number };
    fsyncSync(descriptor: number): void;
    closeSync(descriptor: number): void;
  };
}

/** A page, as opposed to Node or a worker: the place whose thread should stay free. */
export const inPage = (): boolean => typeof document !== "undefined" && typeof window !== "undefined" && typeof Worker !== "undefined";
