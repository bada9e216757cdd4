// A condition given as objects, in the language that engines read: docs/filters.md. Loaded when a search is first given one.
import { shown } from "./errors.js";
import type { Condition } from "./types.js";

const SIGNS: Record<string, string> = { eq: "=", ne: "!=", lt: "<", lte: "<=", gt: ">", gte: ">=" };

/** Makes the error: this script has no class of errors that users know. */
type Invalid = (message: string) => Error;

/** The condition as text; objects may lie so deep in each other as the language allows. */
export function textOf(condition: Condition, invalid: Invalid, depth = 0): string {
  if (depth > 64) throw invalid("filter: more than 64 conditions within conditions");
  if (typeof condition === "string") return `(${condition})`;
  if (typeof condition !== "object" || condition === null) throw invalid(`filter is ${shown(condition)}, expected a string, or an object such as { column: "price", lt: 20 }`);
  const parts = Object.entries(condition).filter(([, value]) => value !== undefined);
  for (const key of ["and", "or", "not"]) {
    const inner: unknown = (condition as Record<string, unknown>)[key];
    if (inner === undefined) continue;
    if (parts.length > 1) throw invalid(`filter: \`${key}\` stands alone in its object`);
    if (key === "not") return `not ${textOf(inner as Condition, invalid, depth + 1)}`;
    if (!Array.isArray(inner) || inner.length === 0) throw invalid(`filter: \`${key}\` is ${shown(inner)}, expected a list of at least one condition`);
    return `(${inner.map((part) => textOf(part as Condition, invalid, depth + 1)).join(` ${key} `)})`;
  }
  const { column } = condition as { column?: unknown };
  if (typeof column !== "string") throw invalid("filter: a condition has a `column` with its name, or `and`, `or` or `not` alone");
  const name = `\`${column.replaceAll("`", "``")}\``;
  const tests = parts.filter(([key]) => key !== "column").map(([key, value]) => testOf(column, name, key, value, invalid));
  if (tests.length === 0) throw invalid(`filter: column ${column}: expected a comparison such as lt: 20`);
  return `(${tests.join(" and ")})`;
}

function testOf(column: string, name: string, key: string, value: unknown, invalid: Invalid): string {
  const wrong = (expected: string): Error => invalid(`filter: column ${column}, \`${key}\` is ${shown(value)}, expected ${expected}`);
  const one = (value: unknown): string => {
    if (typeof value === "string") return `"${value.replaceAll('"', '""')}"`;
    if (typeof value === "boolean" || typeof value === "bigint" || (typeof value === "number" && Number.isFinite(value))) return String(value);
    throw wrong(value === null ? "a value; for rows without one there is is_null: true" : "a string, a finite number or a boolean");
  };
  if (key in SIGNS) return `${name} ${SIGNS[key]} ${one(value)}`;
  if (key === "is_null") {
    if (typeof value !== "boolean") throw wrong("true or false");
    return `${name} is ${value ? "" : "not "}null`;
  }
  if (key !== "in" && key !== "not_in") throw wrong("one of eq, ne, lt, lte, gt, gte, in, not_in, is_null");
  if (!Array.isArray(value)) throw wrong("a list of values");
  if (value.length > 0) return `${name} ${key === "in" ? "in" : "not in"} (${value.map(one).join(", ")})`;
  // Nothing is in an empty list, and every value is outside of it.
  return key === "in" ? `(${name} is null and ${name} is not null)` : `${name} is not null`;
}
