import { expect, test } from "vitest";
import {
  parseCandles,
  parseDelta,
  parseHeartbeat,
  parseMarkets,
  parseSnapshot,
  parseStateEvent,
  parseTradeEvent,
} from "../src/wire";
import { bid, delta, offer, trade } from "./fixtures";

const snapshot = {
  market: "local/wasm",
  sequence: 9,
  state: "open",
  bands: { low: "0.000001", high: "0.0001" },
  spot_price: null,
  last_price: "0.00002",
  offers: [offer({})],
  bids: [bid({})],
  trades: [trade({})],
};

test("a snapshot is read as sent, without unused fields", () => {
  expect(parseSnapshot({ ...snapshot, checksum: 7 })).toEqual(snapshot);
});

test("a delta has a spot price and a time", () => {
  expect(parseDelta({ ...delta({ spot_price: "0.00002" }), checksum: 7 })).toEqual(delta({ spot_price: "0.00002" }));
});

test("a trade tells the market's new last price", () => {
  const event = { ...trade({}), market: "local/wasm", last_price: "0.00002" };
  expect(parseTradeEvent({ ...event, match_sequence: 3 })).toEqual(event);
});

test("a state is told with its price bands, or without", () => {
  const at = "2026-11-23T10:00:00.041123Z";
  const bands = { low: "0.000001", high: "0.0001" };
  const event = { market: "local/wasm", at, state: "halted", bands, spot_price: null };
  expect(parseStateEvent({ ...event, self_dealing: false })).toEqual(event);
  expect(parseStateEvent({ ...event, bands: null }).bands).toBeNull();
});

test("a candle is read as sent, without unused fields", () => {
  const priced = { open: "0.00001", high: "0.00003", low: "0.00001", close: "0.00002", gb_seconds: "0.005125" };
  const candles = [
    { at: "2026-11-23T10:00:00Z", ...priced },
    { at: "2026-11-23T10:00:01Z", open: null, high: null, low: null, close: null, gb_seconds: "0" },
  ];
  expect(parseCandles({ candles: candles.map((candle) => ({ ...candle, trades: 3 })) })).toEqual(candles);
});

test.each([
  ["a list", () => parseMarkets({})],
  ["a list", () => parseDelta({ ...delta({}), bids: undefined })],
  ["a decimal", () => parseSnapshot({ ...snapshot, bids: [bid({ price: "cheap" })] })],
  ["text", () => parseSnapshot({ ...snapshot, state: 1 })],
  ["an integer", () => parseDelta({ ...delta({}), prev_seq: 1.5 })],
  ["a time", () => parseDelta({ ...delta({}), at: "soon" })],
  ["text", () => parseHeartbeat({})],
  ["a time", () => parseTradeEvent({ ...trade({ at: "soon" }), market: "local/wasm", last_price: null })],
  ["a decimal", () => parseSnapshot({ ...snapshot, spot_price: "2e-5" })],
  ["a decimal", () => parseDelta(delta({ offers: [offer({ price: "0.0000000000001" })] }))],
  ["a decimal", () => parseTradeEvent({ ...trade({ gb_seconds: "many" }), market: "local/wasm", last_price: null })],
])("refuses what is not %s", (expected, parse) => {
  expect(parse).toThrow(`not ${expected}`);
});
