// The little of a file's header that decides what to read; the engine checks the rest. The authority is core/FORMAT.md.

/** What the first bytes of a file say. */
export interface Head {
  readonly fileBytes: number;
  /** Whether it says that it is to be searched by tiles, and so in parts. */
  readonly tiles: boolean;
  /** Up to where it is read when it is opened: header, hot region, and the description of the file if it lies right behind. */
  readonly hotEnd: number;
  /** Hexadecimal digits that are others in another file. */
  readonly identity: string;
  /** The codes of all tiles, where they lie in one piece. */
  readonly codes: { offset: number; blocks: number; blockBytes: number } | undefined;
}

/** Bytes of superblock and directory. */
export const HEADER = 16_384;

const DIRECTORY = 4096;
const ENTRY = 64;
const META = 1;
const META_MAX = 131_072;
/** Sections begin less than this behind each other. */
const NEAR = 4096;
const CODES_TILES = 9;
const PLAN_TILES = 2;
const MAGIC = 0x52_4f48_5389n; // \x89SHOR

/** What bytes begin as that are no `.shore` file, for messages. */
export const foreign = ([first, second]: Uint8Array): string =>
  first === 0x1f && second === 0x8b ? " but as one compressed with gzip" : first === 0x3c ? " but as a page in HTML, which hosts send for files that are not there" : "";

/** Reads the first 104 bytes of a file, and the directory as far as it is there; undefined when it is no `.shore` file. */
export function headOf(bytes: Uint8Array): Head | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 104 || (view.getBigUint64(0, true) & 0xff_ffff_ffffn) !== MAGIC) return undefined;
  const u64 = (at: number): number => Number(view.getBigUint64(at, true));
  let hotEnd = Math.max(u64(56) + u64(64), HEADER);
  let codes: Head["codes"];
  const entries = Math.min(view.getUint32(12, true), Math.floor((bytes.length - DIRECTORY) / ENTRY));
  for (let at = DIRECTORY, i = 0; i < entries; i++, at += ENTRY) {
    const kind = view.getUint16(at, true);
    const offset = u64(at + 8);
    const blockBytes = view.getUint32(at + 32, true);
    const blocks = Math.ceil(u64(at + 16) / Math.max(view.getUint32(at + 28, true), 1));
    if (kind === CODES_TILES) codes = { offset, blocks, blockBytes };
    if (kind === META && offset - hotEnd < NEAR && blocks * blockBytes < META_MAX) hotEnd = Math.max(hotEnd, offset + blocks * blockBytes);
  }
  const identity = Array.from(bytes.subarray(80, 104), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { fileBytes: u64(32), tiles: bytes[54] === PLAN_TILES, hotEnd, identity, codes };
}
