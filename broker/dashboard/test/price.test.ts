import { expect, test } from "vitest";
import { changeBetween, parsePrice, perMillion, splitLeadingZeros } from "../src/price";

test("a price per GB-s reads as dollars per million GB-s", () => {
  expect(perMillion(parsePrice("0.0000206667"))).toBe("20.6667");
});

test.each([
  ["0.0000206667", ["0.0000", "206667"]],
  ["0.5", ["0.", "5"]],
  ["1.05", ["", "1.05"]],
  ["0", ["", "0"]],
])("the zeros of %s are set apart from its digits", (text, parts) => {
  expect(splitLeadingZeros(text)).toEqual(parts);
});

test.each([
  ["0.00002", "0.000025", { direction: "up", difference: "+5.0000", percent: "+25.00" }],
  ["0.00002", "0.000019", { direction: "down", difference: "−1.0000", percent: "−5.00" }],
  ["0.00002", "0.00002", { direction: "none", difference: "0.0000", percent: "0.00" }],
  ["0", "0.00002", { direction: "up", difference: "+20.0000", percent: null }],
])("the change from %s to %s has its sign", (from, to, change) => {
  expect(changeBetween(parsePrice(from), parsePrice(to))).toEqual(change);
});
