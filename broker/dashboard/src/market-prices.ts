// Owns the course of a market's spot price, volume and state, in every interval at once. Never fetches or draws.

import { Candles } from "./candles";
import { ClosedTimes } from "./closed-times";
import { INTERVALS, type Interval } from "./interval";
import type { Picodollars } from "./price";

export class MarketPrices {
  readonly closed = new ClosedTimes();
  readonly #candles = new Map(INTERVALS.map((interval) => [interval, new Candles(interval)]));

  of(interval: Interval): Candles {
    const candles = this.#candles.get(interval);
    if (candles === undefined) throw new Error(`no candles of ${interval}`);
    return candles;
  }

  /** Begins with a snapshot. */
  begin(atMs: number, spot: Picodollars | null, state: string): void {
    for (const candles of this.#candles.values()) candles.begin(atMs, spot);
    this.closed.stateAt(atMs, state);
  }

  /** Leaves price and state unknown from a time on, until the next snapshot. */
  lostAt(atMs: number): void {
    this.spotAt(atMs, null);
    this.closed.endAt(atMs);
  }

  spotAt(atMs: number, spot: Picodollars | null): void {
    for (const candles of this.#candles.values()) candles.spotAt(atMs, spot);
  }

  tradeAt(atMs: number, gbSeconds: number): void {
    for (const candles of this.#candles.values()) candles.tradeAt(atMs, gbSeconds);
  }

  stateAt(atMs: number, state: string): void {
    this.closed.stateAt(atMs, state);
  }
}
