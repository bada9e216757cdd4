// A disk that can end at any step: what was flushed is there, what was only written may be, in parts.

const SECTOR = 64;

/** Files by name, each with what is safe and what was done since. */
export class SimulatedDisk {
  files = new Map();
  /** Writes, truncations and flushes so far; at `end` the machine ends, in the middle of that step. */
  steps = 0;
  end = Infinity;
  ended = false;
  /** Bytes that all files together may have. */
  room = Infinity;

  /** A file as the package takes it. */
  handle(name) {
    if (!this.files.has(name)) this.files.set(name, { safe: new Uint8Array(0), since: [] });
    const file = this.files.get(name);
    const now = () => file.since.reduce(done, file.safe);
    const step = (torn) => {
      if (this.ended) throw new Error("the machine has ended");
      if (++this.steps < this.end) return;
      this.ended = true;
      torn?.();
      throw new Error("the machine ends");
    };
    return {
      read(into, { at }) {
        const part = now().subarray(at, at + into.length);
        into.set(part);
        return part.length;
      },
      write: (from, { at }) => {
        const others = [...this.files.values()].reduce((sum, { safe, since }) => sum + since.reduce(done, safe).length, 0) - now().length;
        if (others + Math.max(now().length, at + from.length) > this.room) throw Object.assign(new Error("no room"), { name: "QuotaExceededError" });
        step(() => file.since.push({ at, bytes: from.slice(0, Math.floor(from.length / 2)) }));
        file.since.push({ at, bytes: from.slice() });
        return from.length;
      },
      truncate(size) {
        step();
        file.since.push({ size });
      },
      getSize: () => now().length,
      flush() {
        step();
        file.safe = now();
        file.since = [];
      },
      close() {},
    };
  }

  /** What a new start finds: all that was written (the process ended), or by `keeps` some sectors of it (the power went). */
  after(keeps) {
    const disk = new SimulatedDisk();
    for (const [name, { safe, since }] of this.files) {
      const parts = keeps ? since.flatMap(sectors).filter(keeps) : since;
      disk.files.set(name, { safe: parts.reduce(done, safe).slice(), since: [] });
    }
    return disk;
  }

  place() {
    const names = ["root", "snapshot-0", "snapshot-1", "journal-0", "journal-1"];
    return { files: Object.fromEntries(names.map((name) => [name, this.handle(name)])), release() {} };
  }
}

function done(file, { at, bytes, size }) {
  const after = new Uint8Array(size ?? Math.max(file.length, at + bytes.length));
  after.set(file.subarray(0, after.length));
  if (bytes) after.set(bytes, at);
  return after;
}

function sectors(step) {
  if (!step.bytes) return [step];
  const parts = [];
  for (let from = 0; from < step.bytes.length; from += SECTOR) parts.push({ at: step.at + from, bytes: step.bytes.subarray(from, from + SECTOR) });
  return parts;
}
