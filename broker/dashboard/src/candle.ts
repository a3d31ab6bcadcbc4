// Owns one candle: the spot price and the volume of an interval, and how two of one interval are joined.

import { type Picodollars, parsePrice } from "./price";
import type { CandleRow } from "./wire";

export interface Range {
  open: Picodollars;
  high: Picodollars;
  low: Picodollars;
}

export interface Candle {
  /** Beginning of the interval. */
  atMs: number;
  /** First, greatest and least spot price; null if there was none. */
  range: Range | null;
  /** Spot price at the end: null if no offer had room, undefined if nothing is known but what stood before. */
  close: Picodollars | null | undefined;
  /** Volume, a coordinate of the chart only. */
  gbSeconds: number;
}

export function candleFrom(row: CandleRow): Candle {
  const { open, high, low, close } = row;
  return {
    atMs: Date.parse(row.at),
    range:
      open === null || high === null || low === null
        ? null
        : { open: parsePrice(open), high: parsePrice(high), low: parsePrice(low) },
    close: close === null ? null : parsePrice(close),
    gbSeconds: Number(row.gb_seconds),
  };
}

export function emptyCandle(atMs: number): Candle {
  return { atMs, range: null, close: undefined, gbSeconds: 0 };
}

/** Adds a spot price as the latest of the interval. */
export function withSpot(candle: Candle, spot: Picodollars | null): Candle {
  const range = spot === null ? null : { open: spot, high: spot, low: spot };
  return { ...candle, range: joined(candle.range, range), close: spot };
}

/**
 * Joins the archive's candle with that of the stream, which may have begun within the interval. The stream's close is
 * the later one. Both count the trades since the stream began, so that the greater volume holds.
 */
export function withLive(past: Candle, live: Candle): Candle {
  return {
    atMs: past.atMs,
    range: joined(past.range, live.range),
    close: live.close === undefined ? past.close : live.close,
    gbSeconds: Math.max(past.gbSeconds, live.gbSeconds),
  };
}

function joined(earlier: Range | null, later: Range | null): Range | null {
  if (earlier === null || later === null) return earlier ?? later;
  return {
    open: earlier.open,
    high: later.high > earlier.high ? later.high : earlier.high,
    low: later.low < earlier.low ? later.low : earlier.low,
  };
}
