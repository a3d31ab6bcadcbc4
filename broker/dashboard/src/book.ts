// Owns one market's book: a snapshot and the deltas that follow it without a gap. Never holds trades or draws.

import { comparePrices, parsePrice } from "./price";
import type { Bands, BidLevel, Delta, Offer, Snapshot } from "./wire";

export interface Book {
  readonly market: string;
  readonly offers: Map<string, Offer>;
  /** Levels by their limit. */
  readonly bids: Map<string, BidLevel>;
  state: string;
  bands: Bands | null;
  /** Null while no offer has room, or while the market is not open. */
  spotPrice: string | null;
  /** Price of the latest public trade. */
  lastPrice: string | null;
  sequence: number;
}

export function bookFrom(snapshot: Snapshot): Book {
  return {
    market: snapshot.market,
    offers: new Map(snapshot.offers.filter(hasCapacity).map((offer) => [offer.offer, offer])),
    bids: new Map(snapshot.bids.filter(hasBids).map((level) => [level.price, level])),
    state: snapshot.state,
    bands: snapshot.bands,
    spotPrice: snapshot.spot_price,
    lastPrice: snapshot.last_price,
    sequence: snapshot.sequence,
  };
}

/** Replaces offers, bids and spot price by the delta's. Changes nothing after a gap: the book needs a new snapshot. */
export function applyDelta(book: Book, delta: Delta): "applied" | "gap" {
  if (delta.prev_seq !== book.sequence) return "gap";
  for (const offer of delta.offers) {
    if (hasCapacity(offer)) book.offers.set(offer.offer, offer);
    else book.offers.delete(offer.offer);
  }
  for (const level of delta.bids) {
    if (hasBids(level)) book.bids.set(level.price, level);
    else book.bids.delete(level.price);
  }
  book.spotPrice = delta.spot_price;
  book.sequence = delta.seq;
  return "applied";
}

/** Returns the levels of the bid side, dearest first. */
export function bidSide(book: Book): BidLevel[] {
  return [...book.bids.values()].sort((left, right) => comparePrices(parsePrice(right.price), parsePrice(left.price)));
}

function hasCapacity(offer: Offer): boolean {
  return offer.capacity_mb > 0;
}

function hasBids(level: BidLevel): boolean {
  return level.bids > 0;
}
