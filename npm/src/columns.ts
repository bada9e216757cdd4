// Columns as users give them, checked, and as engines take them. Loaded where an index has some.
import type { BuildCall } from "./protocol.js";
import { schemaOf, schemaText, type Column } from "./schema.js";
import type { BuildOptions, ColumnType, ColumnTypes, ColumnValues, ManyColumnValues } from "./types.js";

/** Makes the error: this script has no class of errors that users know. */
type Invalid = (message: string) => Error;

/** Limits of a file: columns, and bytes of a name. */
const COLUMNS = 40;
const NAME = 96;

/** What a value of each type is. */
const EXPECTED: Record<ColumnType, string> = {
  i64: "a whole number, as a bigint beyond 2^53",
  f64: "a finite number",
  bool: "true or false",
  string: "a string",
};

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const shown = (value: unknown): string => (typeof value === "string" ? JSON.stringify(value) : typeof value === "bigint" ? `${value}n` : String(value));
const noun = (value: unknown): string => (value === null ? "null" : `of type ${typeof value}`);

/** What there is to know of the columns of an index. */
export interface Columns {
  readonly types: ColumnTypes;
  /** Values of rows as the engine takes them. */
  values(columns: ManyColumnValues, rows: number): Uint8Array;
}

/** What is said of columns where there are none. */
export function none(invalid: Invalid): never {
  throw invalid("this index has no columns: say them when it is made, with `columns` of Index.create");
}

/** The columns of a schema. */
export function columnsOf(schema: string, invalid: Invalid): Columns {
  const list = schemaOf(schema);
  return { types: Object.fromEntries(list), values: (columns, rows) => encoded(list, columns, rows, invalid) };
}

/** The schema of an index that is made with these columns, in their order. */
export const schemaOfTypes = (types: ColumnTypes, invalid: Invalid): string => schemaText(checked(types, invalid));

/** The columns of rows that are built from, those of which a type is said first, and the values. Undefined without any. */
export function columnsOfRows({ columns = {}, columnTypes = {} }: BuildOptions, rows: number, invalid: Invalid): (Columns & { built: BuildCall["columns"] }) | undefined {
  const schema = schemaText(checked({ ...columnTypes, ...typesOf(columns, checked(columnTypes, invalid, "columnTypes"), rows, invalid) }, invalid));
  if (schema === "") return undefined;
  const all = columnsOf(schema, invalid);
  return { ...all, built: { schema, values: all.values(columns, rows) } };
}

function checked(types: ColumnTypes, invalid: Invalid, what = "columns"): Column[] {
  if (typeof types !== "object" || types === null || Array.isArray(types)) throw invalid(`${what} is ${noun(types)}, expected their types by their names, such as { price: "f64" }`);
  const list = Object.entries(types);
  if (list.length > COLUMNS) throw invalid(`there are ${list.length} columns, expected ${COLUMNS} at most`);
  for (const [name, type] of list) {
    const { length } = bytesOf(name);
    if (length < 1 || length > NAME) throw invalid(`the name of column ${JSON.stringify(name)} has ${length} bytes, expected 1 to ${NAME}`);
    if (!Object.hasOwn(EXPECTED, type)) throw invalid(`column ${name} has the type ${shown(type)}, expected one of ${Object.keys(EXPECTED).map(shown).join(", ")}`);
  }
  return list;
}

/** Types by the values, of columns that are not among those `said`. */
function typesOf(columns: ManyColumnValues, said: readonly Column[], rows: number, invalid: Invalid): ColumnTypes {
  demandRows(columns, rows, invalid);
  const names = new Set(byRow(columns) ? columns.flatMap((row) => Object.keys(row ?? {})) : Object.keys(columns));
  for (const [name] of said) names.delete(name);
  return Object.fromEntries([...names].map((name) => [name, isFloats(columns, name) ? "f64" : typeOf(name, valuesOf(columns, name, rows, invalid), rows, invalid)]));
}

/** Whether the values of a column lie in an array of floats, whatever they are. */
const isFloats = (columns: ManyColumnValues, name: string): boolean => !byRow(columns) && /^Float/.test(Object.prototype.toString.call(columns[name]).slice(8));

/** The type of some values: that of the first; of numbers `f64` as soon as one is no whole number. */
function typeOf(name: string, valueOf: (row: number) => unknown, rows: number, invalid: Invalid): ColumnType {
  let type: ColumnType | undefined;
  for (let row = 0; row < rows; row++) {
    const value = valueOf(row);
    if (value === undefined || value === null) continue;
    const whole = typeof value === "bigint" || Number.isSafeInteger(value);
    if (type === undefined) type = typeof value === "string" ? "string" : typeof value === "boolean" ? "bool" : whole ? "i64" : "f64";
    if (type !== "i64") return type;
    if (typeof value === "number" && !whole) return "f64";
  }
  if (type === undefined) throw invalid(`column ${name} has no value in any row, so its type is not known: say it in columnTypes`);
  return type;
}

/** Refuses what is no object by row, or by column. */
function demandRows(columns: ManyColumnValues, rows: number, invalid: Invalid): void {
  if (typeof columns !== "object" || columns === null) throw invalid(`columns is ${noun(columns)}, expected values by the names of their columns`);
  if (!byRow(columns)) return;
  if (columns.length !== rows) throw invalid(`columns has ${columns.length} entries, expected ${rows}, one a vector`);
  columns.forEach((row, i) => {
    if (typeof row !== "object") throw invalid(`columns of row ${i} is ${noun(row)}, expected values by the names of their columns`);
  });
}

const byRow = (columns: ManyColumnValues): columns is readonly (ColumnValues | null)[] => Array.isArray(columns);

/** What gives the value of a column in a row. */
function valuesOf(columns: ManyColumnValues, name: string, rows: number, invalid: Invalid): (row: number) => unknown {
  if (byRow(columns)) return (row) => (columns[row] && Object.hasOwn(columns[row], name) ? columns[row][name] : undefined);
  const list = Object.hasOwn(columns, name) ? columns[name] : undefined;
  if (list === undefined) return () => undefined;
  if (typeof list !== "object" || typeof list?.length !== "number") throw invalid(`column ${name} is ${noun(list)}, expected a list of values`);
  if (list.length !== rows) throw invalid(`column ${name} has ${list.length} values, expected ${rows}, one a vector`);
  return (row) => list[row];
}

/** Values of rows as the engine takes them: see its `columns`. */
function encoded(schema: readonly Column[], columns: ManyColumnValues, rows: number, invalid: Invalid): Uint8Array<ArrayBuffer> {
  demandRows(columns, rows, invalid);
  const known = new Set(schema.map(([name]) => name));
  const demandKnown = (of: object, where: string): void => {
    for (const name of Object.keys(of)) if (!known.has(name)) throw invalid(`${where}there is no column ${name}, there are: ${[...known].join(", ")}`);
  };
  if (byRow(columns)) columns.forEach((row, i) => demandKnown(row ?? {}, `row ${i}: `));
  else demandKnown(columns, "");
  const parts = schema.flatMap(([name, type]) => partsOf(name, type, valuesOf(columns, name, rows, invalid), rows, invalid));
  const padded = ({ byteLength }: Part): number => Math.ceil(byteLength / 8) * 8;
  const out = new Uint8Array(parts.reduce((sum, part) => sum + padded(part), 0));
  let at = 0;
  for (const part of parts) {
    out.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), at);
    at += padded(part);
  }
  return out;
}

type Part = Uint8Array | BigInt64Array | BigUint64Array | Float64Array;

/** The parts of one column: which rows have no value, the values, and of strings their text. */
function partsOf(name: string, type: ColumnType, valueOf: (row: number) => unknown, rows: number, invalid: Invalid): Part[] {
  const nulls = new Uint8Array(Math.ceil(rows / 64) * 8);
  /** Gives every value there is to `take`, which says whether it is of the type. */
  const each = (take: (value: unknown, row: number) => boolean): void => {
    for (let row = 0; row < rows; row++) {
      const value = valueOf(row);
      if (value === undefined || value === null) nulls[row >> 3]! |= 1 << (row & 7);
      else if (!take(value, row)) throw invalid(`column ${name} of row ${row} is ${shown(value)}, expected ${EXPECTED[type]}, or null`);
    }
  };
  if (type === "string") {
    const [texts, ends] = [[] as Uint8Array[], new BigUint64Array(rows)];
    let end = 0;
    each((value, row) => {
      if (typeof value !== "string") return false;
      const text = bytesOf(value);
      texts.push(text);
      ends[row] = BigInt((end += text.length));
      return true;
    });
    // The text of a row without a value is empty.
    for (let row = 1; row < rows; row++) if (ends[row]! < ends[row - 1]!) ends[row] = ends[row - 1]!;
    const text = new Uint8Array(end);
    texts.reduce((at, part) => (text.set(part, at), at + part.length), 0);
    return [nulls, ends, text];
  }
  const values = type === "i64" ? new BigInt64Array(rows) : type === "f64" ? new Float64Array(rows) : new Uint8Array(rows);
  each((value, row) => {
    if (type === "i64") {
      const whole = typeof value === "bigint" ? BigInt.asIntN(64, value) === value : Number.isSafeInteger(value);
      if (whole) (values as BigInt64Array)[row] = BigInt(value as number | bigint);
      return whole;
    }
    const right = type === "f64" ? Number.isFinite(value) : typeof value === "boolean";
    if (right) (values as Float64Array)[row] = Number(value);
    return right;
  });
  return [nulls, values];
}
