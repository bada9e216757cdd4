// What kind of place this runs in. Asked when needed, never on import.

/** A module of Node, where there is Node (or Deno, or Bun): asked for at run time, so that no bundler stumbles over it. */
export function builtin<K extends keyof Builtins>(name: K): Builtins[K] | undefined {
  const process = (globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } }).process;
  return process?.getBuiltinModule?.(name) as Builtins[K] | undefined;
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
  };
}

/** A page, as opposed to Node or a worker: the place whose thread should stay free. */
export const inPage = (): boolean => typeof document !== "undefined" && typeof window !== "undefined" && typeof Worker !== "undefined";
