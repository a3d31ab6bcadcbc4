// Owns one market's book: a snapshot and the deltas that follow it without a gap. Never holds trades or draws.

import type { Delta, Offer, Snapshot } from "./wire";

export interface Book {
  readonly market: string;
  readonly offers: Map<string, Offer>;
  state: string;
  spotPrice: string | null;
  sequence: number;
}

export function bookFrom(snapshot: Snapshot): Book {
  return {
    market: snapshot.market,
    offers: new Map(snapshot.offers.filter(hasCapacity).map((offer) => [offer.offer, offer])),
    state: snapshot.state,
    spotPrice: snapshot.spot_price,
    sequence: snapshot.sequence,
  };
}

/** Puts the delta's offers in place of the old ones. After a gap it changes nothing: the book needs a new snapshot. */
export function applyDelta(book: Book, delta: Delta): "applied" | "gap" {
  if (delta.prev_seq !== book.sequence) return "gap";
  for (const offer of delta.offers) {
    if (hasCapacity(offer)) book.offers.set(offer.offer, offer);
    else book.offers.delete(offer.offer);
  }
  book.sequence = delta.seq;
  return "applied";
}

function hasCapacity(offer: Offer): boolean {
  return offer.capacity_mb > 0;
}
