// Owns the price chart's points: one a trade, at times that only grow. Never draws.

import { coordinate, parsePrice } from "./price";
import type { Trade } from "./wire";

export interface PricePoint {
  /** Seconds since 1970 with milliseconds as the fraction. */
  time: number;
  /** Dollars per million GB-s. */
  value: number;
}

/** Turns trades, oldest first, into points. One no later than its predecessor is put a millisecond after it. */
export function pricePoints(trades: readonly Trade[]): PricePoint[] {
  let lastMs = Number.NEGATIVE_INFINITY;
  return trades.map((trade) => {
    lastMs = Math.max(Date.parse(trade.at), lastMs + 1);
    return { time: lastMs / 1000, value: coordinate(parsePrice(trade.price)) };
  });
}
