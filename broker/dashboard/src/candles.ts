// Owns the candles of one interval of a market: the archive's up to the stream's beginning, the stream's from there.
//
// In an interval without a candle nothing traded, and the spot price stood still or there still was none. Keeps a
// bounded number. Never fetches or draws.

import { type Candle, emptyCandle, withLive, withSpot } from "./candle";
import { type Interval, lengthMs, startMs } from "./interval";
import type { Picodollars } from "./price";

/** Greatest number of bars. The archive gives as many candles at most. */
export const MOST_BARS = 1_500;

/** A candle as it is drawn. */
export interface Bar {
  atMs: number;
  /** Null is a gap: no offer had room, the market was not open, or the page does not know. */
  price: { open: Picodollars; high: Picodollars; low: Picodollars; close: Picodollars } | null;
  gbSeconds: number;
}

export class Candles {
  /** By the beginnings of their intervals, in any order. */
  #candles = new Map<number, Candle>();
  #liveFromMs = Number.NEGATIVE_INFINITY;

  constructor(readonly interval: Interval) {}

  /** Begins the stream's part with the spot price of a snapshot. */
  begin(atMs: number, spot: Picodollars | null): void {
    this.#liveFromMs = startMs(this.interval, atMs);
    this.spotAt(atMs, spot);
  }

  /** Replaces all candles before the stream's beginning by the archive's. */
  load(past: readonly Candle[]): void {
    const live = [...this.#candles.values()].filter((candle) => candle.atMs >= this.#liveFromMs);
    this.#candles = new Map(past.map((candle) => [candle.atMs, candle]));
    for (const candle of live) {
      const before = this.#candles.get(candle.atMs);
      this.#candles.set(candle.atMs, before === undefined ? candle : withLive(before, candle));
    }
    this.#forgetOldest();
  }

  /** Takes the spot price as of a time; null if no offer has room, or the price is unknown from here on. */
  spotAt(atMs: number, spot: Picodollars | null): void {
    this.#set(withSpot(this.#around(atMs), spot));
  }

  /** Adds the volume of a trade, which may be a late one. */
  tradeAt(atMs: number, gbSeconds: number): void {
    const candle = this.#around(atMs);
    this.#set({ ...candle, gbSeconds: candle.gbSeconds + gbSeconds });
  }

  /** Returns a bar for each interval from the first candle to `untilMs`, the newest `MOST_BARS` of them. */
  bars(untilMs: number): Bar[] {
    if (this.#candles.size === 0) return [];
    const starts = [...this.#candles.keys()].sort((left, right) => left - right);
    const last = Math.max(startMs(this.interval, untilMs), starts.at(-1) ?? 0);
    const first = Math.max(starts[0] ?? 0, last - (MOST_BARS - 1) * lengthMs(this.interval));
    let standing = this.#closeBefore(first, starts);
    const bars: Bar[] = [];
    for (let atMs = first; atMs <= last; atMs += lengthMs(this.interval)) {
      const candle = this.#candles.get(atMs) ?? emptyCandle(atMs);
      bars.push(barOf(candle, standing));
      if (candle.close !== undefined) standing = candle.close;
    }
    return bars;
  }

  #around(atMs: number): Candle {
    const start = startMs(this.interval, atMs);
    return this.#candles.get(start) ?? emptyCandle(start);
  }

  #set(candle: Candle): void {
    this.#candles.set(candle.atMs, candle);
    this.#forgetOldest();
  }

  /** Keeps one candle more than bars: the price before the first bar. */
  #forgetOldest(): void {
    while (this.#candles.size > MOST_BARS + 1) this.#candles.delete(Math.min(...this.#candles.keys()));
  }

  /** Returns the price that stands at the beginning of the first bar. */
  #closeBefore(firstMs: number, starts: readonly number[]): Picodollars | null {
    let standing: Picodollars | null = null;
    for (const atMs of starts) {
      const close = atMs < firstMs ? this.#candles.get(atMs)?.close : undefined;
      if (close !== undefined) standing = close;
    }
    return standing;
  }
}

/** Draws a candle. One that ends without a price has its body at the open, and the gap begins after it. */
function barOf({ atMs, range, close, gbSeconds }: Candle, standing: Picodollars | null): Bar {
  if (range !== null) return { atMs, price: { ...range, close: close ?? range.open }, gbSeconds };
  const flat = close === undefined ? standing : close;
  return { atMs, price: flat === null ? null : { open: flat, high: flat, low: flat, close: flat }, gbSeconds };
}
