import { expect, test } from "vitest";
import { applyDelta, bookFrom } from "../src/book";
import { offer } from "./fixtures";

const market = "local/wasm";

function book() {
  const offers = [offer({ offer: "o-1" }), offer({ offer: "o-2" })];
  return bookFrom({ market, sequence: 7, state: "open", spot_price: null, offers, trades: [] });
}

test("a delta that follows replaces, adds and removes offers", () => {
  const changed = book();
  const offers = [offer({ offer: "o-1", free_mb: 0 }), offer({ offer: "o-2", capacity_mb: 0 }), offer({ offer: "o-3" })];
  expect(applyDelta(changed, { market, prev_seq: 7, seq: 9, offers })).toBe("applied");
  expect([...changed.offers.keys()]).toEqual(["o-1", "o-3"]);
  expect(changed.offers.get("o-1")?.free_mb).toBe(0);
  expect(changed.sequence).toBe(9);
});

test.each([6, 8])("a delta that follows %i is a gap after 7 and changes nothing", (prev_seq) => {
  const unchanged = book();
  expect(applyDelta(unchanged, { market, prev_seq, seq: 10, offers: [offer({ offer: "o-9" })] })).toBe("gap");
  expect(unchanged).toEqual(book());
});
