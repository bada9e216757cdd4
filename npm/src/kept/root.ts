// Which generation holds: a small file of two slots, both with the same. A switch writes the first, then the second, so that whenever it is
// cut short one of them is whole; and one that is damaged later has its like beside it. A slot is only ever written while the other one is sound,
// and on the disk.
//
// A slot: u32 checksum of what follows, u32 bytes of the text, the text, which is JSON.
import { NearshoreError, invalid } from "../errors.js";
import type { CreateCall } from "../protocol.js";
import { crc32c } from "./crc.js";
import { guarded, readFrom, writeTo, type Handle } from "./handle.js";

const SLOT = 4096;
/** Of the layout; a version of the package that knows nothing of columns must not open what has some. */
const VERSION = 1;
const WITH_COLUMNS = 2;

/** What holds. */
export interface Root {
  /** Names the files: those of its parity. */
  generation: number;
  /** What the index was made with; the seed as text. */
  made: Omit<CreateCall, "seed"> & { seed: string };
  /** Whether it goes over a base. */
  over: boolean;
  /** The snapshot that the journal goes on from: bytes of the `.shore` file, ids of the base behind it, their checksum. */
  snapshot: { bytes: number; hidden: number; covered: number; checksum: number };
}

/** Reads the slots; undefined where there is no sound one. `stale` is where the other one lies, if that is not the same. */
export function readRoot(handle: Handle): { root: Root; stale: number | undefined } | undefined {
  const [first, second] = [0, SLOT].map((at) => slotOf(guarded(() => readFrom(handle, at, Math.min(SLOT, handle.getSize() - at)))));
  const root = !second || (first && first.generation >= second.generation) ? first : second;
  return root && { root, stale: first?.generation === second?.generation ? undefined : root === first ? SLOT : 0 };
}

function slotOf(slot: Uint8Array): Root | undefined {
  if (slot.length < 8) return undefined;
  const view = new DataView(slot.buffer, slot.byteOffset);
  const end = 8 + view.getUint32(4, true);
  if (end > slot.length || view.getUint32(0, true) !== crc32c(slot.subarray(4, end))) return undefined;
  const { version, ...root } = JSON.parse(new TextDecoder().decode(slot.subarray(8, end))) as Root & { version: number };
  if (version !== VERSION && version !== WITH_COLUMNS) throw new NearshoreError("unsupported", `root was written by another version of this package (its layout is ${version}, this version knows ${VERSION} and ${WITH_COLUMNS})`);
  return root;
}

const textOf = (root: Root): Uint8Array => new TextEncoder().encode(JSON.stringify({ version: root.made.columns ? WITH_COLUMNS : VERSION, ...root }));

/** Refuses names of columns for which a slot has no room, the numbers of later roots being longer. */
export function demandRoom(root: Root): void {
  const { length } = textOf(root);
  if (length > SLOT - NUMBERS) throw invalid(`columns: their names are too long to be kept, by ${length - SLOT + NUMBERS} bytes in all`);
}

/** Bytes that a slot has for other things. */
const NUMBERS = 128;

/** Makes this root hold; or makes good the slot at `stale`, when it holds already. */
export function writeRoot(handle: Handle, root: Root, stale?: number): void {
  const text = textOf(root);
  // Always as long, so that no switch ever needs more room than there is.
  const slot = new Uint8Array(SLOT);
  slot.set(text, 8);
  const view = new DataView(slot.buffer);
  view.setUint32(4, text.length, true);
  view.setUint32(0, crc32c(slot.subarray(4, 8 + text.length)), true);
  // What was read may be in the system's memory alone, from a process that was killed before it could flush.
  if (stale !== undefined) guarded(() => handle.flush());
  for (const at of stale === undefined ? [0, SLOT] : [stale]) {
    writeTo(handle, at, slot);
    guarded(() => handle.flush());
  }
}
