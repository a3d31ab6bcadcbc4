// Owns offers, bids, trades, deltas and times for the tests, which spell out only their own fields.

import type { BidLevel, Delta, Offer, Trade } from "../src/wire";

export function offer(fields: Partial<Offer>): Offer {
  return {
    offer: "o-1",
    provider: "edge-1",
    price: "0.0000206667",
    capacity_mb: 1024,
    free_mb: 1024,
    per_gb_second: "0.0000166667",
    per_request: "0.0000002",
    ...fields,
  };
}

export function bid(fields: Partial<BidLevel>): BidLevel {
  return { price: "0.000008", memory_mb: 128, bids: 1, ...fields };
}

export function delta(fields: Partial<Delta>): Delta {
  return {
    market: "local/wasm",
    prev_seq: 7,
    seq: 9,
    at: "2026-11-23T10:00:00.041123Z",
    spot_price: null,
    offers: [],
    bids: [],
    ...fields,
  };
}

export function trade(fields: Partial<Trade>): Trade {
  return {
    sequence: 1,
    at: "2026-11-23T10:00:00.041Z",
    provider: "edge-1",
    price: "0.0000206667",
    memory_mb: 128,
    gb_seconds: "0.005125",
    ...fields,
  };
}

/** Returns the time of a clock like `10:00:00.5` on the day of the tests. */
export function ms(clock: string): number {
  return Date.parse(`2026-11-23T${clock}Z`);
}
