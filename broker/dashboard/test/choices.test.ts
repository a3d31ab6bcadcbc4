import { expect, test } from "vitest";
import { chosenMarket } from "../src/market-list";
import { COLOURS, colourOf } from "../src/palette";

const markets = ["eu-1/wasm", "local/wasm"].map((market) => ({ market, state: "open" }));

test.each([
  ["#local/wasm", "local/wasm"],
  ["#local%2Fwasm", "local/wasm"],
  ["#gone/wasm", "eu-1/wasm"],
  ["#%", "eu-1/wasm"],
  ["", "eu-1/wasm"],
])("the hash %j chooses %s", (hash, market) => {
  expect(chosenMarket(markets, hash)).toBe(market);
});

test("no markets, no choice", () => {
  expect(chosenMarket([], "#local/wasm")).toBeUndefined();
});

test("a provider keeps its colour, and few providers all differ", () => {
  const taken = new Map<string, number>();
  const names = Array.from({ length: COLOURS }, (_, index) => `provider-${index}`);
  const colours = names.map((name) => colourOf(name, taken));
  expect(new Set(colours).size).toBe(COLOURS);
  expect(colourOf("one-more", taken)).toBeLessThan(COLOURS);
  expect(names.map((name) => colourOf(name, taken))).toEqual(colours);
});

test("without a clash the order of providers does not matter", () => {
  const alone = colourOf("edge-1", new Map());
  const taken = new Map([["edge-2", (alone + 1) % COLOURS]]);
  expect(colourOf("edge-1", taken)).toBe(alone);
});

test("a provider whose colour is taken gets the next one", () => {
  const alone = colourOf("edge-1", new Map());
  expect(colourOf("edge-1", new Map([["edge-2", alone]]))).toBe((alone + 1) % COLOURS);
});
