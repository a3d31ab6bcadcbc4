// Owns the trades that the page knows of, oldest first, each once. Never draws.

import type { Trade } from "./wire";

/** What the chart can show; the tape needs fewer. */
const MOST_TRADES = 2_000;

export class TradeLog {
  #trades: Trade[] = [];

  /** Oldest first. */
  get trades(): readonly Trade[] {
    return this.#trades;
  }

  get latest(): Trade | undefined {
    return this.#trades.at(-1);
  }

  /** Takes a trade in at its place by sequence; one that is already known changes nothing. */
  add(trade: Trade): void {
    if (this.latest === undefined || trade.sequence > this.latest.sequence) {
      this.#trades.push(trade);
      if (this.#trades.length > MOST_TRADES) this.#trades.shift();
    } else {
      this.merge([trade]);
    }
  }

  /** Takes in trades of any order. */
  merge(trades: readonly Trade[]): void {
    const bySequence = new Map(this.#trades.map((trade) => [trade.sequence, trade]));
    for (const trade of trades) bySequence.set(trade.sequence, trade);
    this.#trades = [...bySequence.values()].sort((left, right) => left.sequence - right.sequence).slice(-MOST_TRADES);
  }
}
