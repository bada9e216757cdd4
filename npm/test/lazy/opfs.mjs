// The origin's private file system in memory: files, of which each has one synchronous handle at a time, and a size that they share.

/**
 * Installs it. `files` by name; where a handle is written beyond `room` bytes of its file, there is no more room; a file may claim a size;
 * `delay` milliseconds pass before a handle is there.
 */
export function installFiles() {
  const state = { files: new Map(), room: Infinity, time: 0, delay: 0 };
  const failure = (name) => Object.assign(new Error(name), { name });
  const grown = (file, bytes) => {
    if (bytes > Math.max(file.bytes.length, state.room)) throw failure("QuotaExceededError");
    const grown = new Uint8Array(bytes);
    grown.set(file.bytes.subarray(0, bytes));
    file.bytes = grown;
    file.lastModified = ++state.time;
  };
  const handleOf = (name) => {
    const file = state.files.get(name);
    return {
      getFile: async () => file.claims ?? new File([file.bytes], name, { lastModified: file.lastModified }),
      async createSyncAccessHandle() {
        if (state.delay > 0) await new Promise((resolve) => setTimeout(resolve, state.delay));
        if (file.taken) throw failure("NoModificationAllowedError");
        file.taken = true;
        return {
          read(into, { at }) {
            const part = file.bytes.subarray(at, at + into.length);
            into.set(part);
            return part.length;
          },
          write(from, { at }) {
            grown(file, Math.max(file.bytes.length, at + from.length));
            file.bytes.set(from, at);
            return from.length;
          },
          truncate: (bytes) => grown(file, bytes),
          getSize: () => file.bytes.length,
          close: () => (file.taken = false),
        };
      },
    };
  };
  const folder = {
    async getFileHandle(name, { create = false } = {}) {
      if (!state.files.has(name) && !create) throw failure("NotFoundError");
      if (!state.files.has(name)) state.files.set(name, { bytes: new Uint8Array(0), lastModified: ++state.time, taken: false });
      return handleOf(name);
    },
    async *keys() {
      yield* state.files.keys();
    },
    async removeEntry(name) {
      if (!state.files.has(name)) throw failure("NotFoundError");
      if (state.files.get(name).taken) throw failure("NoModificationAllowedError");
      state.files.delete(name);
    },
  };
  const storage = { getDirectory: async () => ({ getDirectoryHandle: async () => folder }) };
  Object.defineProperty(globalThis, "navigator", { value: { storage }, configurable: true });
  return state;
}
