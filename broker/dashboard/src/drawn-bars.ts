// Owns the bars in the price chart's coordinates, and where two drawings of them differ. Knows no chart.

import type { Bar } from "./candles";
import type { ClosedTimes } from "./closed-times";
import { type Interval, lengthMs } from "./interval";
import { coordinate } from "./price";

export interface DrawnBar {
  /** Beginning in seconds since 1970. */
  time: number;
  /** Open, high, low and close in dollars per million GB-s; null is a gap. */
  price: readonly [number, number, number, number] | null;
  gbSeconds: number;
  /** True if the market was not open at some time of the interval. */
  closed: boolean;
}

export function drawnBars(bars: readonly Bar[], closed: ClosedTimes, interval: Interval): DrawnBar[] {
  return bars.map(({ atMs, price, gbSeconds }) => ({
    time: atMs / 1_000,
    price:
      price === null
        ? null
        : [coordinate(price.open), coordinate(price.high), coordinate(price.low), coordinate(price.close)],
    gbSeconds,
    closed: closed.overlap(atMs, atMs + lengthMs(interval)),
  }));
}

/** Returns the index of the first bar that differs; the length of the longer drawing if none does. */
export function firstDifference(before: readonly DrawnBar[], after: readonly DrawnBar[]): number {
  const length = Math.max(before.length, after.length);
  for (let index = 0; index < length; index++) {
    const [left, right] = [before[index], after[index]];
    if (left === undefined || right === undefined || !equal(left, right)) return index;
  }
  return length;
}

function equal(left: DrawnBar, right: DrawnBar): boolean {
  return (
    left.time === right.time &&
    left.gbSeconds === right.gbSeconds &&
    left.closed === right.closed &&
    (left.price === null || right.price === null
      ? left.price === right.price
      : left.price.every((value, index) => value === right.price?.[index]))
  );
}
