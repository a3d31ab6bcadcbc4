// Owns the intervals of candles that the page offers. They begin at whole multiples of their length since 1970, UTC.

/** In the words of the broker's API. */
export type Interval = "1s" | "1m" | "1h";

export const INTERVALS: readonly Interval[] = ["1s", "1m", "1h"];

const LENGTHS_MS = { "1s": 1_000, "1m": 60_000, "1h": 3_600_000 };

export function lengthMs(interval: Interval): number {
  return LENGTHS_MS[interval];
}

/** Returns the beginning of the interval around a time. */
export function startMs(interval: Interval, atMs: number): number {
  return atMs - (atMs % lengthMs(interval));
}
