// Where kept indexes lie: in the origin's private file system, or in a folder where there is Node. One holder at a time.
import { NearshoreError, aborted, invalid, sentence, shown, unsupported } from "../errors.js";
import { builtin } from "../platform.js";
import type { Handle } from "./handle.js";

/** The files of one index. */
export const FILES = ["root", "snapshot-0", "snapshot-1", "journal-0", "journal-1"] as const;

/** Files that are held until they are let go. */
export interface Place {
  readonly files: Record<(typeof FILES)[number], Handle>;
  release(): void;
}

/** @internal Open files by their names, in whose order they were opened. */
export const byName = (open: readonly Handle[]): Place["files"] => Object.fromEntries(FILES.map((name, i) => [name, open[i]!])) as unknown as Place["files"];

/** How long a holder is waited for that is about to go: the page before a reload, an index that was just closed. */
export const GRACE_MS = 1000;
/** Between tries for a file that its last holder has not let go. */
const RETRY_MS = 25;
const FOLDER = "nearshore-kept";

/** Takes hold of the index of this name; `busy` where somebody else has it, unless `wait`. */
export async function hold(name: string, wait: boolean, signal?: AbortSignal): Promise<Place> {
  demandName(name);
  const folder = folderPlace(name, wait ? Infinity : GRACE_MS, signal);
  if (folder) return folder;
  const release = await lock(name, wait, signal);
  const open: Handle[] = [];
  const close = (): void => {
    for (const handle of open) handle.close();
    release();
  };
  try {
    const folder = await (await rootFolder()).getDirectoryHandle(folderName(name), { create: true });
    for (const file of FILES) open.push(await handleOf(folder, file));
    return { files: byName(open), release: close };
  } catch (thrown) {
    close();
    throw translated(thrown, name);
  }
}

/** Removes the index of this name, if there is one. */
export async function discard(name: string): Promise<void> {
  demandName(name);
  const folder = folderPlace(name, GRACE_MS);
  if (folder) return folder.then(({ remove }) => remove()).catch(ours);
  const release = await lock(name, false);
  try {
    await (await rootFolder()).removeEntry(folderName(name), { recursive: true });
  } catch (thrown) {
    if ((thrown as Error).name !== "NotFoundError") throw translated(thrown, name);
  } finally {
    release();
  }
}

/** The folder of this name, where there is Node; its script is for Node alone, and has a class of errors of its own. */
function folderPlace(name: string, patience: number, signal?: AbortSignal): Promise<Place & { remove(): void }> | undefined {
  const fs = builtin("node:fs");
  return fs && (import(new URL("./folder.js", import.meta.url).href) as Promise<typeof import("./node.js")>).then(({ folderPlace }) => folderPlace(fs, name, patience, signal)).catch(ours);
}

function ours(thrown: unknown): never {
  const { name, code, message, cause } = thrown as NearshoreError;
  throw name === "NearshoreError" ? new NearshoreError(code, message, { cause }) : thrown;
}

function demandName(name: unknown): void {
  if (typeof name !== "string" || name === "") throw invalid(`persist is ${shown(name)}, expected a name (in Node the path of a folder)`);
}

/** Any name as one of a folder. */
const folderName = (name: string): string => `index-${encodeURIComponent(name)}`;

async function rootFolder(): Promise<FileSystemDirectoryHandle> {
  const storage = globalThis.navigator?.storage as StorageManager | undefined;
  if (!storage?.getDirectory) throw unsupported("persist needs the origin's private file system: a secure context (https, or localhost), and no private window in some browsers");
  return (await storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true });
}

/** A lock that the browser gives back when its holder ends, however it ends. */
async function lock(name: string, wait: boolean, signal?: AbortSignal): Promise<() => void> {
  const locks = globalThis.navigator?.locks as LockManager | undefined;
  if (!locks) return () => {}; // the files themselves have one holder at a time
  const control = new AbortController();
  const stop = (): void => control.abort();
  signal?.addEventListener("abort", stop);
  const timer = wait ? undefined : setTimeout(stop, GRACE_MS);
  try {
    return await new Promise<() => void>((resolve, reject) => {
      locks.request(`nearshore:${name}`, { signal: control.signal }, () => new Promise<void>((release) => resolve(release))).catch((thrown: unknown) => {
        reject(signal?.aborted ? aborted(signal) : control.signal.aborted ? busy(name) : translated(thrown, name));
      });
    });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

/** @internal */
export const busy = (name: string, holder = "another tab, or another index of this page"): NearshoreError =>
  new NearshoreError("busy", `the index kept as ${JSON.stringify(name)} is open in ${holder}: close it there, or say \`wait: true\``);

async function handleOf(folder: FileSystemDirectoryHandle, name: string): Promise<Handle> {
  const file = (await folder.getFileHandle(name, { create: true })) as unknown as { createSyncAccessHandle?(): Promise<Handle> };
  if (!file.createSyncAccessHandle) throw unsupported("persist needs a worker: leave `worker` out, and let the page's policy allow workers of its own origin");
  for (const end = performance.now() + GRACE_MS; ; ) {
    try {
      return await file.createSyncAccessHandle();
    } catch (thrown) {
      if ((thrown as Error).name !== "NoModificationAllowedError" || performance.now() > end) throw thrown;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

function translated(thrown: unknown, index: string): NearshoreError {
  if (thrown instanceof NearshoreError) return thrown;
  const { name } = thrown as Error;
  if (name === "NoModificationAllowedError") return busy(index); // where there are files, but no locks
  if (name === "QuotaExceededError") return new NearshoreError("quota", "there is no room left to keep an index", { cause: thrown });
  return unsupported(`this browser keeps no files here (${name}: ${sentence(thrown)})`);
}
