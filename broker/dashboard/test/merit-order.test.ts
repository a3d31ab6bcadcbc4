import { expect, test } from "vitest";
import { capacityOf, meritOrder } from "../src/merit-order";
import { offer } from "./fixtures";

const offers = [
  offer({ offer: "o-10", price: "0.00003", capacity_mb: 100, free_mb: 100 }),
  offer({ offer: "o-9", price: "0.00003", capacity_mb: 200, free_mb: 50 }),
  offer({ offer: "o-1", price: "0.000009", capacity_mb: 400, free_mb: 0 }),
];

test("offers stand cheapest first, ties by name, end to end", () => {
  const steps = meritOrder(offers);
  expect(steps.map(({ offer, fromMb, freeFromMb, toMb }) => [offer.offer, fromMb, freeFromMb, toMb])).toEqual([
    ["o-1", 0, 400, 400],
    ["o-9", 400, 550, 600],
    ["o-10", 600, 600, 700],
  ]);
});

test("prices are compared as numbers, not as text", () => {
  const steps = meritOrder([offer({ offer: "a", price: "0.1" }), offer({ offer: "b", price: "0.09" })]);
  expect(steps.map((step) => step.offer.offer)).toEqual(["b", "a"]);
});

test("the marginal offer is the cheapest with free capacity", () => {
  expect(meritOrder(offers).filter((step) => step.marginal).map((step) => step.offer.offer)).toEqual(["o-9"]);
});

test("a full market has no marginal offer", () => {
  expect(meritOrder([offer({ free_mb: 0 })]).some((step) => step.marginal)).toBe(false);
});

test("free capacity never exceeds the capacity", () => {
  expect(capacityOf(meritOrder([offer({ capacity_mb: 100, free_mb: 300 })]))).toEqual({ freeMb: 100, totalMb: 100 });
});

test("no offers make an empty curve", () => {
  expect(capacityOf(meritOrder([]))).toEqual({ freeMb: 0, totalMb: 0 });
});
