// A file as a log wants it: read, written and flushed at once. In a browser it is the platform's own synchronous handle.
import { NearshoreError, sentence } from "../errors.js";

/** What is used of `FileSystemSyncAccessHandle`. */
export interface Handle {
  read(into: Uint8Array, options: { at: number }): number;
  /** Bytes written: fewer than given where there is no room. */
  write(from: Uint8Array, options: { at: number }): number;
  truncate(bytes: number): void;
  getSize(): number;
  /** Returns once what was written would survive the machine's end. */
  flush(): void;
  close(): void;
}

/** All bytes from `at`, or up to `bytes` of them. */
export function readFrom(handle: Handle, at: number, bytes = handle.getSize() - at): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(Math.max(bytes, 0));
  let done = 0;
  while (done < all.length) {
    const read = handle.read(all.subarray(done), { at: at + done });
    if (read <= 0) break;
    done += read;
  }
  return all.subarray(0, done);
}

/** Writes all of these bytes; throws an error of ours where there is no room for them. */
export function writeTo(handle: Handle, at: number, bytes: Uint8Array): void {
  guarded(() => {
    let done = 0;
    while (done < bytes.length) {
      const written = handle.write(done === 0 ? bytes : bytes.subarray(done), { at: at + done });
      // Chromium's private windows say 2^32 - 8 where there is no room: their error, taken for a length.
      if (!(written > 0 && written <= bytes.length - done)) throw new NearshoreError("quota", FULL);
      done += written;
    }
  });
}

/** Does something with files; what fails is an error of ours. */
export function guarded<T>(work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    if (thrown instanceof NearshoreError) throw thrown;
    const { name, code } = thrown as { name?: string; code?: string };
    const full = name === "QuotaExceededError" || code === "ENOSPC" || code === "EDQUOT";
    throw new NearshoreError(full ? "quota" : "network", full ? FULL : `the kept index's files failed: ${sentence(thrown)}`, { cause: thrown });
  }
}

const FULL = "there is no room left to keep this change: nothing was changed; delete what is not needed, or make room on the disk";
