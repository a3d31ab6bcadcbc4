// Owns offers, bids and trades for the tests, which spell out only their own fields.

import type { BidLevel, Offer, Trade } from "../src/wire";

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
