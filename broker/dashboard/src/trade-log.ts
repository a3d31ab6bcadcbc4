// Owns the known trades, oldest first, each once. Never draws.

import type { Trade } from "./wire";

/** Greatest number of trades: as many as the chart shows; the tape needs fewer. */
const MOST_TRADES = 2_000;

export class TradeLog {
  #trades: Trade[] = [];

  /** Trades, oldest first. */
  get trades(): readonly Trade[] {
    return this.#trades;
  }

  get latest(): Trade | undefined {
    return this.#trades.at(-1);
  }

  /** Adds a trade in order of its sequence. A known one changes nothing. */
  add(trade: Trade): void {
    if (this.latest === undefined || trade.sequence > this.latest.sequence) {
      this.#trades.push(trade);
      if (this.#trades.length > MOST_TRADES) this.#trades.shift();
    } else {
      this.merge([trade]);
    }
  }

  /** Adds trades in any order. */
  merge(trades: readonly Trade[]): void {
    const bySequence = new Map(this.#trades.map((trade) => [trade.sequence, trade]));
    for (const trade of trades) bySequence.set(trade.sequence, trade);
    this.#trades = [...bySequence.values()].sort((left, right) => left.sequence - right.sequence).slice(-MOST_TRADES);
  }
}
