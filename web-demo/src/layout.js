// What lies where in a `.shore` file, read off its first 16 KiB as they pass by. Nothing of it is written down here but the numbers of
// core/FORMAT.md, so the picture is of the file that is served.

const DIRECTORY = 4096;
const ENTRY = 64;
const SECTIONS_MAX = 192;
const HOT = 1;

/** Sections that searches read, by number; whatever is hot is read when the file is opened. */
const GROUPS = { 1: "start", 9: "codes", 3: "records", 19: "payload", 18: "columns", 22: "columns", 23: "columns", 24: "columns", 25: "columns" };

/** Groups in the order in which they are read, with what a person may want to know. */
export const GROUP_TEXTS = {
  start: ["Header and map", "clusters; read once"],
  codes: ["Codes", "a bit a dimension, of near clusters"],
  records: ["Records", "a byte a dimension, of near rows"],
  payload: ["Payload", "words and definitions of hits"],
  columns: ["Column", "parts of speech, once they are asked for"],
  rest: ["Not needed here", "for other searches"],
};

/** `{ fileBytes, sections }`, where a section is `{ group, offset, bytes }` and they ascend; undefined without a header. */
export function layoutOf(bytes) {
  if (bytes.byteLength < DIRECTORY) return undefined;
  const view = new DataView(bytes);
  const u64 = (at) => Number(view.getBigUint64(at, true));
  const fileBytes = u64(32);
  const count = Math.min(view.getUint32(12, true), SECTIONS_MAX, Math.floor((bytes.byteLength - DIRECTORY) / ENTRY));
  const sections = [{ group: "start", offset: 0, bytes: 16_384 }];
  for (let at = DIRECTORY, i = 0; i < count; i++, at += ENTRY) {
    const blocks = Math.ceil(u64(at + 16) / view.getUint32(at + 28, true));
    const hot = (view.getUint16(at + 2, true) & HOT) !== 0;
    sections.push({ group: hot ? "start" : GROUPS[view.getUint16(at, true)] ?? "rest", offset: u64(at + 8), bytes: blocks * view.getUint32(at + 32, true) });
  }
  return { fileBytes, sections: sections.sort((a, b) => a.offset - b.offset) };
}

/** The group of the byte at `offset`: that of the section that begins last before it. */
export function groupAt({ sections }, offset) {
  return sections.findLast((section) => section.offset <= offset).group;
}
