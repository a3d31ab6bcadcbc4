import { expect, test } from "vitest";
import { LIST_PRICE, againstListPrice, withListPrice } from "../src/list-price";
import { parsePrice } from "../src/price";

test("the list price is twenty times the reference call", () => {
  expect(LIST_PRICE).toBe(parsePrice("0.0000206667"));
});

test.each([
  ["0.000009", "56.5 % below the AWS Lambda list price"],
  ["0.0000206667", "equal to the AWS Lambda list price"],
  ["0.000031", "50.0 % above the AWS Lambda list price"],
  ["0", "100.0 % below the AWS Lambda list price"],
  ["0.00062", "2,900.0 % above the AWS Lambda list price"],
])("a spot price of %s is %s", (price, words) => {
  expect(againstListPrice(parsePrice(price))).toBe(words);
});

test.each([
  [9, 10, 9, 20.6667],
  [15, 25, 15, 25],
  [30, 40, 20.6667, 40],
  [1, 2, 1, 2],
  [100, 110, 100, 110],
])("a chart from %d to %d reaches from %d to %d", (minValue, maxValue, least, most) => {
  const { minValue: low, maxValue: high } = withListPrice({ minValue, maxValue });
  expect([low, high]).toEqual([least, most]);
});
