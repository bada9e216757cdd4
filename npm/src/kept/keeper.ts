// An index that outlives its page: a snapshot, a journal of what was changed since, and a root that says which of two of each hold.
import { NearshoreError, invalid } from "../errors.js";
import type { CreateCall } from "../protocol.js";
import { schemaOf } from "../schema.js";
import { crc32c } from "./crc.js";
import { guarded, readFrom, writeTo } from "./handle.js";
import { Journal } from "./journal.js";
import { FILES, type Place } from "./place.js";
import type { Change } from "./record.js";
import { demandRoom, readRoot, writeRoot, type Root } from "./root.js";

/** What a snapshot is made of. */
export interface State {
  /** The `.shore` file; none of an index without rows. */
  file: Uint8Array | undefined;
  /** Ids that hide rows of a base: first those that it has, then others. */
  hidden: BigUint64Array;
  covered: number;
}

/** Bytes of a journal that are never worth a snapshot. */
const SMALL = 256 * 1024;
/** Bytes of a journal that are worth one while changes come in, unless the index is large. */
const LARGE = 4 * 1024 * 1024;

/** The files of one index, and what holds in them. */
export class Keeper {
  #root: Root;
  #journal: Journal;
  /** After a snapshot that failed the journal has to grow to this before the next is tried. */
  #patience = 0;

  private constructor(readonly place: Place, root: Root) {
    this.#root = root;
    this.#journal = this.#journalOf(root);
  }

  /** Takes up what lies there, or begins. Nothing is read but the root. */
  static open(place: Place, call: CreateCall, over: boolean, said = true): Keeper {
    const { files } = place;
    const found = readRoot(files.root);
    if (found) {
      demandLike(found.root, call, over, said);
      const keeper = new Keeper(place, found.root);
      // A switch was cut short after it took hold, or a slot is damaged.
      if (found.stale !== undefined) writeRoot(files.root, found.root, found.stale);
      keeper.#reclaim();
      return keeper;
    }
    if (FILES.some((name) => name !== "root" && files[name].getSize() > 0)) {
      throw new NearshoreError("corrupt", "root is damaged: remove the index with Index.remove, or use another name");
    }
    const root: Root = { generation: 0, made: { ...call, seed: String(call.seed) }, over, snapshot: NOTHING };
    demandRoom(root);
    writeRoot(files.root, root);
    return new Keeper(place, root);
  }

  /** What the index was made with. */
  get made(): CreateCall {
    const { made } = this.#root;
    return { ...made, seed: BigInt(made.seed) };
  }

  /** Bytes of all files. */
  get bytes(): number {
    return FILES.reduce((sum, name) => sum + guarded(() => this.place.files[name].getSize()), 0);
  }

  /** The name of the last snapshot's file. */
  get snapshotFile(): string {
    return nameOf("snapshot", this.#root);
  }

  /** The last snapshot. */
  snapshot(): State {
    const { bytes, hidden, covered, checksum } = this.#root.snapshot;
    const all = guarded(() => readFrom(this.#snapshotOf(this.#root), 0));
    const ids = all.slice(bytes, bytes + hidden * 8);
    if (all.length < bytes + hidden * 8 || crc32c(ids) !== checksum) throw new NearshoreError("corrupt", `${this.snapshotFile} is damaged or cut short`);
    return { file: bytes > 0 ? all.subarray(0, bytes) : undefined, hidden: new BigUint64Array(ids.buffer), covered };
  }

  /** Gives every change since the snapshot to `make`. */
  replay(make: (change: Change) => void): void {
    this.#journal.replay(make);
  }

  /** Writes a change, then makes it. When either fails nothing is different; otherwise it is safe once {@link Keeper.settled} resolves. */
  change<T>(change: Change, make: () => T): T {
    this.#journal.append(change);
    try {
      return make();
    } catch (thrown) {
      try {
        this.#journal.takeBack();
      } catch (worse) {
        // What ended the engine itself is worse still.
        if (thrown instanceof NearshoreError) throw worse;
      }
      throw thrown;
    }
  }

  settled(): Promise<void> {
    return this.#journal.settled();
  }

  /** Whether a snapshot would spare much: `now`, while changes come in, or once they pause. */
  wants(now: boolean): boolean {
    const { bytes } = this.#root.snapshot;
    return this.#journal.bytes > Math.max(this.#patience, now ? Math.max(LARGE, bytes / 2) : Math.max(SMALL, bytes / 16));
  }

  /** Begins a new journal behind this state. When it fails all goes on as before. */
  roll({ file, hidden, covered }: State): void {
    const ids = new Uint8Array(hidden.buffer, hidden.byteOffset, hidden.byteLength);
    const next: Root = {
      ...this.#root,
      generation: this.#root.generation + 1,
      snapshot: { bytes: file?.length ?? 0, hidden: hidden.length, covered, checksum: crc32c(ids) },
    };
    const [snapshot, journal] = [this.#snapshotOf(next), this.#journalOf(next)];
    try {
      // Changes that nobody waits for yet go with the snapshot.
      this.#journal.flush();
      guarded(() => journal.handle.truncate(0));
      guarded(() => snapshot.truncate(0));
      if (file) writeTo(snapshot, 0, file);
      writeTo(snapshot, file?.length ?? 0, ids);
      guarded(() => {
        snapshot.flush();
        journal.handle.flush();
      });
    } catch (thrown) {
      this.#patience = this.#journal.bytes * 2;
      try {
        // What was written takes the room that changes need.
        guarded(() => snapshot.truncate(0));
        guarded(() => journal.handle.truncate(0));
      } catch {
        // The next snapshot writes over it.
      }
      throw thrown;
    }
    try {
      writeRoot(this.place.files.root, next);
    } catch (thrown) {
      // Whichever of the two holds now has everything so far; nothing may come behind.
      throw this.#journal.end(thrown as NearshoreError);
    }
    this.#root = next;
    this.#journal = journal;
    this.#patience = 0;
    this.#reclaim();
  }

  /** Lets go of the files; what was changed just now is safe before. */
  close(): void {
    try {
      this.#journal.flush();
    } catch {
      // Whoever waits for it hears of it.
    }
    this.place.release();
  }

  /** Gives back the room of what does not hold any more. */
  #reclaim(): void {
    const old = { ...this.#root, generation: this.#root.generation + 1 };
    for (const kind of ["snapshot", "journal"] as const) {
      try {
        this.place.files[nameOf(kind, old)].truncate(0);
      } catch {
        // Room is all that it costs.
      }
    }
  }

  #snapshotOf(root: Root): Place["files"]["root"] {
    return this.place.files[nameOf("snapshot", root)];
  }

  #journalOf(root: Root): Journal {
    const name = nameOf("journal", root);
    return new Journal(this.place.files[name], root.generation, name);
  }
}

/** The file that holds of two. */
const nameOf = <K extends "snapshot" | "journal">(kind: K, { generation }: Root): `${K}-${0 | 1}` => `${kind}-${generation % 2 === 0 ? 0 : 1}`;

const NOTHING = { bytes: 0, hidden: 0, covered: 0, checksum: crc32c(new Uint8Array(0)) };

/** What is kept must be what is asked for; how it is linked was decided when it was made. */
function demandLike({ made, over }: Root, call: CreateCall, wanted: boolean, said: boolean): void {
  const demand = (name: string, given: unknown, there: unknown, way = ""): void => {
    if (given !== there) throw invalid(`${name} is ${given}, and ${there} in what is kept under this name: ${way}use another name, or give up what is kept with Index.remove`);
  };
  for (const name of ["dimensions", "metric", "element"] as const) demand(name, call[name], made[name]);
  // Whatever their order.
  const words = ({ columns = "" }: { columns?: string }): string => (columns ? JSON.stringify(Object.fromEntries(schemaOf(columns).sort(([a], [b]) => (a < b ? -1 : 1)))) : "none");
  if (said) demand("columns", words(call), words(made), "leave `columns` out to go on with those, ");
  if (over !== wanted) throw invalid(`what is kept under this name was made ${over ? "over a base, which has to be given" : "without a base"}`);
}
