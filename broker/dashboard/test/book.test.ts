import { expect, test } from "vitest";
import { applyDelta, bidSide, bookFrom } from "../src/book";
import { bid, offer } from "./fixtures";

const market = "local/wasm";

function book() {
  const offers = [offer({ offer: "o-1" }), offer({ offer: "o-2" })];
  const bids = [bid({ price: "0.000008" }), bid({ price: "0.000009" })];
  return bookFrom({ market, sequence: 7, state: "open", bands: null, spot_price: null, offers, bids, trades: [] });
}

test("the next delta replaces, adds and removes offers", () => {
  const changed = book();
  const offers = [
    offer({ offer: "o-1", free_mb: 0 }),
    offer({ offer: "o-2", capacity_mb: 0 }),
    offer({ offer: "o-3" }),
  ];
  expect(applyDelta(changed, { market, prev_seq: 7, seq: 9, offers, bids: [] })).toBe("applied");
  expect([...changed.offers.keys()]).toEqual(["o-1", "o-3"]);
  expect(changed.offers.get("o-1")?.free_mb).toBe(0);
  expect(changed.sequence).toBe(9);
});

test.each([6, 8])("a delta after %i is a gap after 7 and changes nothing", (prev_seq) => {
  const unchanged = book();
  expect(applyDelta(unchanged, { market, prev_seq, seq: 10, offers: [offer({ offer: "o-9" })], bids: [] })).toBe("gap");
  expect(unchanged).toEqual(book());
});

test("a delta replaces, adds and removes bid levels, dearest first", () => {
  const changed = book();
  const bids = [
    bid({ price: "0.000008", bids: 0, memory_mb: 0 }),
    bid({ price: "0.000009", bids: 5 }),
    bid({ price: "0.00001" }),
  ];
  expect(applyDelta(changed, { market, prev_seq: 7, seq: 9, offers: [], bids })).toBe("applied");
  expect(bidSide(changed).map(({ price, bids }) => [price, bids])).toEqual([
    ["0.00001", 1],
    ["0.000009", 5],
  ]);
});
