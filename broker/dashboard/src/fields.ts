// Owns the checks of the fields of a message: each returns the field, or throws the reason. Knows no message.

import { parseDecimal } from "./decimal";
import { parsePrice } from "./price";

/** Greatest number of decimals of an amount of GB-s: 1 MB for 1 ms has 13. */
export const GB_SECONDS_SCALE = 18;

export function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

export function text(value: unknown, name: string): string {
  const found = field(value, name);
  if (typeof found !== "string") throw wrong(name, "text");
  return found;
}

export function time(value: unknown, name: string): string {
  const found = text(value, name);
  if (Number.isNaN(Date.parse(found))) throw wrong(name, "a time");
  return found;
}

export function price(value: unknown, name: string): string {
  const found = text(value, name);
  parsePrice(found);
  return found;
}

export function optionalPrice(value: unknown, name: string): string | null {
  return field(value, name) == null ? null : price(value, name);
}

export function gbSeconds(value: unknown, name: string): string {
  const found = text(value, name);
  parseDecimal(found, GB_SECONDS_SCALE);
  return found;
}

export function integer(value: unknown, name: string): number {
  const found = field(value, name);
  if (!Number.isSafeInteger(found)) throw wrong(name, "an integer");
  return found as number;
}

export function list(value: unknown, name: string): unknown[] {
  const found = field(value, name);
  if (!Array.isArray(found)) throw wrong(name, "a list");
  return found;
}

function wrong(name: string, expected: string): Error {
  return new Error(`the broker sent a \`${name}\` that is not ${expected}`);
}
