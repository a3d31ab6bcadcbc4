import { expect, test } from "vitest";
import { applyDelta, bidSide, bookFrom } from "../src/book";
import { bid, delta, offer } from "./fixtures";

const snapshot = {
  market: "local/wasm",
  sequence: 7,
  state: "open",
  bands: null,
  spot_price: "0.00001",
  last_price: "0.00002",
  offers: [offer({ offer: "o-1" }), offer({ offer: "o-2" })],
  bids: [bid({ price: "0.000008" }), bid({ price: "0.000009" })],
  trades: [],
};

test("the next delta replaces, adds and removes offers", () => {
  const changed = bookFrom(snapshot);
  const offers = [
    offer({ offer: "o-1", free_mb: 0 }),
    offer({ offer: "o-2", capacity_mb: 0 }),
    offer({ offer: "o-3" }),
  ];
  expect(applyDelta(changed, delta({ offers }))).toBe("applied");
  expect([...changed.offers.keys()]).toEqual(["o-1", "o-3"]);
  expect(changed.offers.get("o-1")?.free_mb).toBe(0);
  expect(changed.sequence).toBe(9);
});

test.each(["0.00003", null])("the spot price is the delta's, %s; the last price stays", (spot_price) => {
  const changed = bookFrom(snapshot);
  applyDelta(changed, delta({ spot_price }));
  expect([changed.spotPrice, changed.lastPrice]).toEqual([spot_price, "0.00002"]);
});

test.each([6, 8])("a delta after %i is a gap after 7 and changes nothing", (prev_seq) => {
  const unchanged = bookFrom(snapshot);
  expect(applyDelta(unchanged, delta({ prev_seq, offers: [offer({ offer: "o-9" })] }))).toBe("gap");
  expect(unchanged).toEqual(bookFrom(snapshot));
});

test("a delta replaces, adds and removes bid levels, dearest first", () => {
  const changed = bookFrom(snapshot);
  const bids = [
    bid({ price: "0.000008", bids: 0, memory_mb: 0 }),
    bid({ price: "0.000009", bids: 5 }),
    bid({ price: "0.00001" }),
  ];
  expect(applyDelta(changed, delta({ bids }))).toBe("applied");
  expect(bidSide(changed).map(({ price, bids }) => [price, bids])).toEqual([
    ["0.00001", 1],
    ["0.000009", 5],
  ]);
});
