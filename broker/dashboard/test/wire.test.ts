import { expect, test } from "vitest";
import { parseDelta, parseMarkets, parseSnapshot, parseStateEvent, parseTradeEvent } from "../src/wire";
import { bid, offer, trade } from "./fixtures";

const snapshot = {
  market: "local/wasm",
  sequence: 9,
  state: "open",
  bands: { low: "0.000001", high: "0.0001" },
  spot_price: null,
  offers: [offer({})],
  bids: [bid({})],
  trades: [trade({})],
};

test("a snapshot is read as sent, without unused fields", () => {
  expect(parseSnapshot({ ...snapshot, checksum: 7 })).toEqual(snapshot);
});

test("a trade tells the market's new spot price", () => {
  const event = { ...trade({}), market: "local/wasm", spot_price: "0.00002" };
  expect(parseTradeEvent({ ...event, match_sequence: 3 })).toEqual(event);
});

test("a state is told with its price bands, or without", () => {
  const event = { market: "local/wasm", state: "halted", bands: { low: "0.000001", high: "0.0001" } };
  expect(parseStateEvent({ ...event, self_dealing: false })).toEqual(event);
  expect(parseStateEvent({ ...event, bands: null }).bands).toBeNull();
});

test.each([
  ["a list", () => parseMarkets({})],
  ["a list", () => parseDelta({ market: "local/wasm", prev_seq: 1, seq: 2, offers: [] })],
  ["a decimal", () => parseSnapshot({ ...snapshot, bids: [bid({ price: "cheap" })] })],
  ["text", () => parseSnapshot({ ...snapshot, state: 1 })],
  ["an integer", () => parseDelta({ market: "local/wasm", prev_seq: 1.5, seq: 2, offers: [], bids: [] })],
  ["a time", () => parseTradeEvent({ ...trade({ at: "soon" }), market: "local/wasm", spot_price: null })],
  ["a decimal", () => parseSnapshot({ ...snapshot, spot_price: "2e-5" })],
  [
    "a decimal",
    () => {
      const offers = [offer({ price: "0.0000000000001" })];
      return parseDelta({ market: "local/wasm", prev_seq: 1, seq: 2, offers, bids: [] });
    },
  ],
  ["a decimal", () => parseTradeEvent({ ...trade({ gb_seconds: "many" }), market: "local/wasm", spot_price: null })],
])("refuses what is not %s", (expected, parse) => {
  expect(parse).toThrow(`not ${expected}`);
});
