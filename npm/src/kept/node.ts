// A folder of the file system, where there is Node: the same files, and one that says who holds them.
import { NearshoreError, aborted, sentence } from "../errors.js";
import type { builtin } from "../platform.js";
import { guarded, type Handle } from "./handle.js";
import { FILES, busy, byName, type Place } from "./place.js";

type FileSystem = NonNullable<ReturnType<typeof builtin<"node:fs">>>;

/** Milliseconds by which two readings of one process's start may differ. */
const START_SLACK_MS = 5000;
const RETRY_MS = 50;
const LOCK = "lock";

/** What this process is: its number may have been another's. */
interface Holder {
  pid: number;
  start: number;
  token: string;
}

/** Tokens of the locks that this realm holds: clocks that step may make its own start look like another's. */
const held = new Set<string>();
/** A lock without a holder was not written to its end, if it is older than this. */
const UNWRITTEN_MS = 5000;

/** Takes hold of the folder, which is made if need be. */
export async function folderPlace(fs: FileSystem, folder: string, patience: number, signal?: AbortSignal): Promise<Place & { remove(): void }> {
  const within = (name: string): string => `${folder}/${name}`;
  try {
    fs.mkdirSync(folder, { recursive: true });
  } catch (thrown) {
    throw new NearshoreError("network", `the folder ${folder} cannot be made: ${sentence(thrown)}`, { cause: thrown });
  }
  const token = `${Math.random()}-${Date.now()}`;
  for (const end = performance.now() + patience; ; ) {
    const holder = guarded(() => take(fs, within(LOCK), token));
    if (!holder) break;
    if (performance.now() > end) throw busy(folder, `process ${holder.pid} (${within(LOCK)} says so)`);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    if (signal?.aborted) throw aborted(signal);
  }
  const open: FileHandle[] = [];
  const shut = (): void => {
    for (const handle of open.splice(0)) handle.close();
  };
  const release = (): void => {
    shut();
    if (held.delete(token) && holderOf(textOf(fs, within(LOCK)))?.token === token) fs.rmSync(within(LOCK), { force: true });
  };
  try {
    for (const name of FILES) open.push(guarded(() => new FileHandle(fs, within(name))));
  } catch (thrown) {
    release();
    throw thrown;
  }
  syncFolder(fs, folder);
  // The lock goes last: whoever waits for it finds nothing to open.
  const remove = (): void => {
    shut();
    guarded(() => {
      for (const name of FILES) fs.rmSync(within(name), { force: true });
    });
    release();
    try {
      fs.rmdirSync(folder);
    } catch {
      // It holds something else as well.
    }
  };
  return { files: byName(open), release, remove };
}

/** Makes the lock; who has it, where somebody alive does. */
function take(fs: FileSystem, path: string, token: string): Holder | undefined {
  const me = JSON.stringify({ pid: process().pid, start: Math.round(Date.now() - process().uptime() * 1000), token } satisfies Holder);
  for (;;) {
    if (make(fs, path, me)) {
      held.add(token);
      return undefined;
    }
    const text = textOf(fs, path);
    const holder = holderOf(text);
    if (holder ? alive(holder) : isYoung(fs, path)) return holder ?? NOBODY;
    // Its holder is gone. Moved away before it is removed: if it has become another's meanwhile, that one gets it back.
    const aside = `${path}-${process().pid}-${Math.random()}`;
    try {
      fs.renameSync(path, aside);
      if (textOf(fs, aside) !== text) fs.linkSync(aside, path);
    } catch (thrown) {
      // Somebody else was faster; or this folder is not to be written, and will not be.
      if (!["ENOENT", "EEXIST"].includes((thrown as { code?: string }).code ?? "")) throw thrown;
    }
    fs.rmSync(aside, { force: true });
  }
}

/** Who holds a lock that is being written. */
const NOBODY: Holder = { pid: 0, start: 0, token: "" };

/** Makes the lock with its text in it, in one step where the file system has links; false if there is one. */
function make(fs: FileSystem, path: string, text: string): boolean {
  const whole = `${path}-${process().pid}-${Math.random()}`;
  const code = (thrown: unknown): string | undefined => (thrown as { code?: string }).code;
  fs.writeFileSync(whole, text, { flag: "wx" });
  try {
    fs.linkSync(whole, path);
    return true;
  } catch (thrown) {
    if (code(thrown) === "EEXIST") return false;
  } finally {
    fs.rmSync(whole, { force: true });
  }
  try {
    fs.writeFileSync(path, text, { flag: "wx" });
    return true;
  } catch (thrown) {
    if (code(thrown) !== "EEXIST") throw thrown;
    return false;
  }
}

function isYoung(fs: FileSystem, path: string): boolean {
  try {
    return Math.abs(Date.now() - fs.statSync(path).mtimeMs) < UNWRITTEN_MS;
  } catch {
    return false;
  }
}

function textOf(fs: FileSystem, path: string): string {
  try {
    return fs.readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function holderOf(text: string): Holder | undefined {
  try {
    return JSON.parse(text) as Holder;
  } catch {
    return undefined; // it ended while it wrote this
  }
}

function alive({ pid, start, token }: Holder): boolean {
  const own = process();
  if (pid === own.pid) return held.has(token) || Math.abs(Date.now() - own.uptime() * 1000 - start) < START_SLACK_MS;
  try {
    own.kill(pid, 0);
    return true;
  } catch (thrown) {
    return (thrown as { code?: string }).code === "EPERM";
  }
}

const process = (): NodeProcess => (globalThis as unknown as { process: NodeProcess }).process;

interface NodeProcess {
  pid: number;
  uptime(): number;
  kill(pid: number, signal: number): void;
}

/** A new file survives the machine's end when its folder is flushed too. */
function syncFolder(fs: FileSystem, folder: string): void {
  try {
    const descriptor = fs.openSync(folder, "r");
    try {
      fs.fsyncSync(descriptor);
    } finally {
      fs.closeSync(descriptor);
    }
  } catch {
    // Not every platform lets folders be opened.
  }
}

class FileHandle implements Handle {
  readonly #descriptor: number;

  constructor(readonly fs: FileSystem, path: string) {
    const { O_RDWR, O_CREAT } = fs.constants;
    this.#descriptor = fs.openSync(path, O_RDWR | O_CREAT, 0o600);
  }

  read(into: Uint8Array, { at }: { at: number }): number {
    return this.fs.readSync(this.#descriptor, into, 0, Math.min(into.length, MOST), at);
  }

  write(from: Uint8Array, { at }: { at: number }): number {
    return this.fs.writeSync(this.#descriptor, from, 0, Math.min(from.length, MOST), at);
  }

  truncate(bytes: number): void {
    this.fs.ftruncateSync(this.#descriptor, bytes);
  }

  getSize(): number {
    return this.fs.fstatSync(this.#descriptor).size;
  }

  flush(): void {
    this.fs.fsyncSync(this.#descriptor);
  }

  close(): void {
    this.fs.closeSync(this.#descriptor);
  }
}

/** Bytes that Node reads or writes at a time. */
const MOST = 1 << 30;
