// Owns the known trades, oldest first, each once. Never draws.

import type { Trade } from "./wire";

/** Greatest number of trades: as many as a snapshot carries, so that a known one is never new; the tape needs fewer. */
const MOST_TRADES = 100;

export class TradeLog {
  #trades: Trade[] = [];

  /** Trades, oldest first. */
  get trades(): readonly Trade[] {
    return this.#trades;
  }

  get latest(): Trade | undefined {
    return this.#trades.at(-1);
  }

  /** Adds a trade in order of its sequence. Returns false, and changes nothing, if it is known. */
  add(trade: Trade): boolean {
    if (this.#trades.some((known) => known.sequence === trade.sequence)) return false;
    this.merge([trade]);
    return true;
  }

  /** Adds trades in any order. */
  merge(trades: readonly Trade[]): void {
    const bySequence = new Map(this.#trades.map((trade) => [trade.sequence, trade]));
    for (const trade of trades) bySequence.set(trade.sequence, trade);
    this.#trades = [...bySequence.values()].sort((left, right) => left.sequence - right.sequence).slice(-MOST_TRADES);
  }
}
