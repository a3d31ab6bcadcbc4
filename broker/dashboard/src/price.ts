// Owns prices: exact picodollars (10^-12 USD) and their text. Never fetches or draws.

import { fixedDecimal, parseDecimal } from "./decimal";

/** Picodollars per GB-s, or per request. */
export type Picodollars = bigint;

const PICODOLLAR_SCALE = 12;
/** One picodollar for one GB-s is 10^-6 dollars for a million. */
const PER_MILLION_SCALE = 6;

/** Decimals of a price per million in tables and on axes. */
export const PER_MILLION_DECIMALS = 4;

export function parsePrice(text: string): Picodollars {
  return parseDecimal(text, PICODOLLAR_SCALE);
}

export function comparePrices(left: Picodollars, right: Picodollars): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Returns dollars for a million GB-s (or requests), rounded to four places. */
export function perMillion(price: Picodollars): string {
  return fixedDecimal(price, PER_MILLION_SCALE, PER_MILLION_DECIMALS);
}

/** Returns a price's coordinate on an axis, in dollars per million. Never for text. */
export function coordinate(price: Picodollars): number {
  return Number(price) / 10 ** PER_MILLION_SCALE;
}

/** Splits a price into its leading zeros and its digits. */
export function splitLeadingZeros(text: string): [zeros: string, digits: string] {
  const zeros = /^0\.0*(?=[1-9])/.exec(text)?.[0] ?? "";
  return [zeros, text.slice(zeros.length)];
}

export interface Change {
  direction: "up" | "down" | "none";
  /** Signed, in dollars per million. */
  difference: string;
  /** Signed, with two decimals; null from a price of 0. */
  percent: string | null;
}

export function changeBetween(from: Picodollars, to: Picodollars): Change {
  const difference = to - from;
  const direction = difference > 0n ? "up" : difference < 0n ? "down" : "none";
  const sign = difference > 0n ? "+" : "";
  return {
    direction,
    difference: sign + perMillion(difference),
    percent: from === 0n ? null : sign + fixedDecimal((difference * 1_000_000n) / from, 4, 2),
  };
}
