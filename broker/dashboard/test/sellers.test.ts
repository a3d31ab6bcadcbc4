import { expect, test } from "vitest";
import { meritOrder } from "../src/merit-order";
import { parsePrice } from "../src/price";
import { sellersOf } from "../src/sellers";
import { offer } from "./fixtures";

test("offers are grouped by seller, in merit order", () => {
  const sellers = sellersOf(
    meritOrder([
      offer({ offer: "o-1", provider: "dear", price: "0.00003", free_mb: 100, capacity_mb: 400 }),
      offer({ offer: "o-2", provider: "cheap", price: "0.00004", free_mb: 200, capacity_mb: 200 }),
      offer({ offer: "o-3", provider: "cheap", price: "0.00001", free_mb: 0, capacity_mb: 300 }),
    ]),
  );
  const rungs = sellers.map((seller) => seller.rungs.map((step) => step.offer.offer));
  expect(rungs).toEqual([["o-3", "o-2"], ["o-1"]]);
  expect(sellers.map(({ rungs: _, ...seller }) => seller)).toEqual([
    { provider: "cheap", price: parsePrice("0.00001"), freeMb: 200, capacityMb: 500, marginal: false },
    { provider: "dear", price: parsePrice("0.00003"), freeMb: 100, capacityMb: 400, marginal: true },
  ]);
});

test("no offers, no sellers", () => {
  expect(sellersOf([])).toEqual([]);
});
