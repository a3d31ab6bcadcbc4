import { expect, test } from "vitest";
import { pricePoints } from "../src/price-points";
import { TradeLog } from "../src/trade-log";
import { trade } from "./fixtures";

function sequences(log: TradeLog): number[] {
  return log.trades.map((trade) => trade.sequence);
}

test("the log keeps each trade once, oldest first", () => {
  const log = new TradeLog();
  log.add(trade({ sequence: 5 }));
  log.merge([trade({ sequence: 6 }), trade({ sequence: 4 }), trade({ sequence: 5 })]);
  log.add(trade({ sequence: 6 }));
  log.add(trade({ sequence: 3 }));
  log.add(trade({ sequence: 8 }));
  expect(sequences(log)).toEqual([3, 4, 5, 6, 8]);
});

test("the log drops the oldest beyond its bound", () => {
  const log = new TradeLog();
  for (let sequence = 1; sequence <= 2_005; sequence++) log.add(trade({ sequence }));
  expect([log.trades.length, log.trades[0]?.sequence, log.latest?.sequence]).toEqual([2_000, 6, 2_005]);
});

test("trades keep their times, simultaneous ones follow by a millisecond", () => {
  const at = ["10:00:00.041", "10:00:00.500", "10:00:00.500", "10:00:00.400", "10:00:01.000"];
  const points = pricePoints(at.map((time) => trade({ at: `2026-11-23T${time}Z` })));
  const start = Date.parse("2026-11-23T10:00:00Z");
  expect(points.map((point) => Math.round(point.time * 1000) - start)).toEqual([41, 500, 501, 502, 1000]);
});

test("a point lies at dollars per million GB-s", () => {
  expect(pricePoints([trade({ price: "0.0000206667" })])[0]?.value).toBeCloseTo(20.6667, 10);
});
