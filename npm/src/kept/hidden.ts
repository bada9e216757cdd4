// Ids whose rows in the base are not found any more, because they were deleted or have another vector here.
import { invalid } from "../errors.js";
import type { AddCall } from "../protocol.js";

/** They only become more, until all is cleared: the id of a row that was added and deleted again hides nothing, and costs as little. */
export class Hidden {
  /** Each with whether the base has it, as far as is known. */
  readonly #ids = new Map<bigint, boolean>();
  #covered = 0;

  get size(): number {
    return this.#ids.size;
  }

  /** How many of them the base has. */
  get covered(): number {
    return this.#covered;
  }

  has(id: bigint): boolean {
    return this.#ids.has(id);
  }

  /** Hides these; `taken` are those of them that the base has. */
  hide(ids: Iterable<bigint>, taken: Iterable<bigint> = []): void {
    const there = new Set(taken);
    for (const id of ids) {
      if (this.#ids.has(id)) continue;
      this.#ids.set(id, there.has(id));
      if (there.has(id)) this.#covered++;
    }
  }

  /** Refuses an id that the base has, and nothing hides. */
  demandFree({ ids, taken }: AddCall): void {
    const id = taken?.find((id) => !this.#ids.has(id));
    if (id !== undefined) throw invalid(`row ${ids.indexOf(id)}: id ${id} is taken, by a row of the base: update or delete it first`);
  }

  /** All, those that the base has first. */
  ids(): BigUint64Array {
    const all = [...this.#ids];
    return BigUint64Array.from([...all.filter(([, there]) => there), ...all.filter(([, there]) => !there)], ([id]) => id);
  }

  /** Takes up what {@link Hidden.ids} gave, of which the first `covered` are the base's. */
  restore(ids: BigUint64Array, covered: number): void {
    this.#ids.clear();
    ids.forEach((id, at) => this.#ids.set(id, at < covered));
    this.#covered = covered;
  }

  /** Says which of them the base has. */
  cover(ids: Iterable<bigint>): void {
    const there = new Set(ids);
    this.#covered = 0;
    for (const id of this.#ids.keys()) {
      this.#ids.set(id, there.has(id));
      if (there.has(id)) this.#covered++;
    }
  }
}
