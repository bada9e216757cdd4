// Columns in one text, for engines and for what is kept: of each a digit for its type, a character whose code is the length of its name in UTF-8, and
// the name.
import type { ColumnType } from "./types.js";

/** Types by their digits. */
export const TYPES: readonly ColumnType[] = ["i64", "f64", "bool", "string"];

/** One column. */
export type Column = [name: string, type: ColumnType];

export const schemaText = (columns: readonly Column[]): string =>
  columns.map(([name, type]) => TYPES.indexOf(type) + String.fromCharCode(new TextEncoder().encode(name).length) + name).join("");

/** The columns, in their order. */
export function schemaOf(text: string): Column[] {
  const bytes = new TextEncoder().encode(text);
  const columns: Column[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 2 + bytes[at + 1]!;
    columns.push([new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(at + 2, end)), TYPES[bytes[at]! - 48]!]);
    at = end;
  }
  return columns;
}
