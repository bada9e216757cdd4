// An engine whose changes outlive it, and may hide rows of a base that lies elsewhere.
import { Engine } from "../full.js";
import { NearshoreError } from "../errors.js";
import type { AddCall, Described, KeepCall } from "../protocol.js";
import { Hidden } from "./hidden.js";
import { Keeper } from "./keeper.js";
import { discard, hold } from "./place.js";
import type { Change } from "./record.js";

/** Changes have paused when none came for so long: the time for a snapshot. */
const PAUSE_MS = 2000;

/** One live index. */
export class KeptEngine extends Engine {
  #keeper: Keeper | undefined;
  /** Whether there was one. */
  #released = false;
  #hidden: Hidden | undefined;
  /** Where what the engine reads lies, for messages. */
  #where = "";
  #timer: ReturnType<typeof setTimeout> | undefined;

  async keep({ create, said, persist, wait, over }: KeepCall, signal?: AbortSignal): Promise<Described | string> {
    if (over) this.#hidden = new Hidden();
    if (persist === undefined) return this.create(create);
    const place = await hold(persist, wait, signal);
    const index = `the index kept as ${JSON.stringify(persist)}: `;
    try {
      const keeper = Keeper.open(place, create, over, said);
      const { columns } = keeper.made;
      if (columns && !create.columns) {
        place.release();
        return columns;
      }
      const { file, hidden, covered } = keeper.snapshot();
      if (file) {
        this.#where = `${keeper.snapshotFile}: `;
        this.begin(file.length);
        this.write(file);
        this.finish();
        this.made = keeper.made;
      } else this.create(keeper.made);
      this.#hidden?.restore(hidden, covered);
      keeper.replay((change) => this.#again(change));
      this.#keeper = keeper;
    } catch (thrown) {
      place.release();
      throw within(index, thrown);
    }
    if (this.#where) this.#where = index + this.#where;
    this.#plan();
    return this.describe();
  }

  /** Damage is the snapshot's: found when it is opened, or by the first search that touches it. */
  protected override check(code: number): void {
    try {
      super.check(code);
    } catch (thrown) {
      throw ["corrupt", "truncated"].includes((thrown as NearshoreError).code) ? within(this.#where, thrown) : thrown;
    }
  }

  override describe(): Described {
    const hidden = this.#hidden;
    return { ...super.describe(), kept: this.#keeper !== undefined, ...(hidden && { over: { hidden: hidden.size, covered: hidden.covered } }) };
  }

  persisted(): number | undefined {
    return this.#keeper?.bytes;
  }

  override add(call: AddCall): void | Promise<void> {
    return this.#change({ kind: "add", call });
  }

  override delete(id: bigint): boolean | Promise<boolean> {
    if (!this.has(id)) return false;
    return this.#acknowledged(this.#change({ kind: "delete", id }));
  }

  mask({ id, inBase }: { id: bigint; inBase: boolean }): boolean | Promise<boolean> {
    if (!this.has(id) && (this.#hidden!.has(id) || !inBase)) return false;
    return this.#acknowledged(this.#change({ kind: "mask", id }));
  }

  override compact(): void {
    super.compact();
    this.#roll();
  }

  override clear(): void | Promise<void> {
    // The disk first: when that fails nothing is different.
    this.#keeper?.roll({ file: undefined, hidden: new BigUint64Array(0), covered: 0 });
    this.#hidden?.restore(new BigUint64Array(0), 0);
    return super.clear();
  }

  hides(ids: BigUint64Array): Uint8Array {
    return Uint8Array.from(ids, (id) => Number(this.#hidden!.has(id)));
  }

  hidden(): BigUint64Array {
    return this.#hidden!.ids();
  }

  cover(ids: BigUint64Array): void {
    this.#hidden!.cover(ids);
  }

  async discard(name: string): Promise<void> {
    await discard(name);
  }

  release(): void {
    this.close();
  }

  override close(): void {
    clearTimeout(this.#timer);
    const keeper = this.#keeper;
    this.#keeper = undefined;
    this.#released ||= keeper !== undefined;
    keeper?.close();
  }

  /** Writes a change and makes it; undefined, or a promise of the time when it is safe. */
  #change(change: Change): void | Promise<void> {
    const keeper = this.#keeper;
    // It must not be said to be kept.
    if (this.#released) throw new NearshoreError("closed", "the index is closed");
    if (!keeper) return this.#make(change);
    keeper.change(change, () => this.#make(change));
    this.#plan();
    return keeper.settled();
  }

  #acknowledged(safe: void | Promise<void>): true | Promise<true> {
    return safe ? safe.then(() => true) : true;
  }

  #make(change: Change): void {
    if (change.kind === "add") {
      const { call } = change;
      if (!call.replace) this.#hidden?.demandFree(call);
      super.add(call);
      this.#hidden?.hide(call.ids, call.taken);
    } else {
      super.delete(change.id);
      if (change.kind === "mask") this.#hidden?.hide([change.id], [change.id]);
    }
  }

  /** Makes a change again, when the index is opened: one that was refused, and not taken back in time, is refused again. */
  #again(change: Change): void {
    try {
      this.#make(change);
    } catch (thrown) {
      if (!(thrown instanceof NearshoreError && thrown.code === "invalid-argument")) throw thrown;
    }
  }

  /** Sees to it that the journal does not grow for ever: a snapshot once changes pause, or soon, if they have become many. */
  #plan(): void {
    const keeper = this.#keeper!;
    const now = keeper.wants(true);
    if (!now && !keeper.wants(false)) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#roll(), now ? 0 : PAUSE_MS);
    (this.#timer as { unref?(): void }).unref?.();
  }

  /** Puts a snapshot in place of the journal. Where there is no room for one the journal goes on. */
  #roll(): void {
    const keeper = this.#keeper;
    if (!keeper) return;
    try {
      const file = super.describe().rows > 0 ? (this.call("save", null) as Uint8Array) : undefined;
      keeper.roll({ file, hidden: this.#hidden?.ids() ?? new BigUint64Array(0), covered: this.#hidden?.covered ?? 0 });
    } catch {
      // All that it costs is time, when the index is opened.
    }
  }
}

/** The same error, which says where it comes from. */
function within(where: string, thrown: unknown): unknown {
  if (!(thrown instanceof NearshoreError)) return thrown;
  return new NearshoreError(thrown.code, where + thrown.message, { cause: thrown.cause });
}
