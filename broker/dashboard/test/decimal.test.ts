import { expect, test } from "vitest";
import { fixedDecimal, parseDecimal } from "../src/decimal";

test.each([
  ["0", 12, 0n],
  ["0.0000206667", 12, 20_666_700n],
  ["12", 2, 1_200n],
  ["-0.5", 1, -5n],
  ["123456789012345678.000000000001", 12, 123456789012345678000000000001n],
])("reads %s with scale %i exactly", (text, scale, value) => {
  expect(parseDecimal(text, scale)).toBe(value);
});

test.each(["", "1.", ".5", "1e-5", "+1", " 1", "0.0000000000001", "NaN"])("refuses %j as a price", (text) => {
  expect(() => parseDecimal(text, 12)).toThrow("not a decimal");
});

test.each([
  [20_666_700n, 6, 4, "20.6667"],
  [5n, 1, 0, "1"],
  [4n, 1, 0, "0"],
  [999_950n, 6, 4, "1.0000"],
  [-999_950n, 6, 4, "−1.0000"],
  [-1n, 6, 4, "0.0000"],
  [1_234_567n, 0, 0, "1,234,567"],
  [1_234_567_890n, 6, 2, "1,234.57"],
  [5n, 0, 2, "5.00"],
])("writes %s of scale %i with %i places as %s", (value, scale, decimals, text) => {
  expect(fixedDecimal(value, scale, decimals)).toBe(text);
});
