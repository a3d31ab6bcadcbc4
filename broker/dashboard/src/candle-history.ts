// Owns the fetching of a market's candles from the archive: each interval once, when it is first drawn, and again after
// a break of the stream. Never draws.

import { candleFrom } from "./candle";
import { MOST_BARS } from "./candles";
import type { Interval } from "./interval";
import type { MarketPrices } from "./market-prices";
import { type CandleRow, parseCandles } from "./wire";

const TIMEOUT_MS = 10_000;
const RETRY_MS = 5_000;

export class CandleHistory {
  /** Intervals that are loaded, or will be. */
  readonly #asked = new Set<Interval>();
  /** Aborts the fetches of the present snapshot. */
  #fetches = new AbortController();

  constructor(
    readonly market: string,
    readonly prices: MarketPrices,
    /** Called after every attempt, and when the next one is due. */
    readonly changed: () => void,
  ) {}

  /** Forgets what is loaded: the stream began anew. */
  restart(): void {
    this.close();
    this.#fetches = new AbortController();
    this.#asked.clear();
  }

  close(): void {
    this.#fetches.abort();
  }

  /** Loads the candles of an interval, unless they are there or on their way. */
  want(interval: Interval): void {
    if (this.#asked.has(interval) || this.#fetches.signal.aborted) return;
    this.#asked.add(interval);
    void this.#load(interval, this.#fetches.signal);
  }

  async #load(interval: Interval, aborted: AbortSignal): Promise<void> {
    try {
      const signal = AbortSignal.any([aborted, AbortSignal.timeout(TIMEOUT_MS)]);
      const candles = await fetchCandles(this.market, interval, signal);
      if (aborted.aborted) return;
      this.prices.of(interval).load(candles.map(candleFrom));
    } catch (error) {
      if (aborted.aborted) return;
      console.warn("the candles before the snapshot did not load", error);
      window.setTimeout(() => this.#retry(interval, aborted), RETRY_MS);
    }
    this.changed();
  }

  #retry(interval: Interval, aborted: AbortSignal): void {
    if (aborted.aborted) return;
    this.#asked.delete(interval);
    this.changed();
  }
}

async function fetchCandles(market: string, interval: Interval, signal: AbortSignal): Promise<CandleRow[]> {
  const path = market.split("/").map(encodeURIComponent).join("/");
  const answer = await fetch(`v1/markets/${path}/candles?interval=${interval}&limit=${MOST_BARS}`, { signal });
  if (!answer.ok) throw new Error(`the broker answered ${answer.status}`);
  return parseCandles(await answer.json());
}
