import { expect, test } from "vitest";
import { TradeLog } from "../src/trade-log";
import { trade } from "./fixtures";

function sequences(log: TradeLog): number[] {
  return log.trades.map((trade) => trade.sequence);
}

test("the log keeps each trade once, oldest first", () => {
  const log = new TradeLog();
  log.add(trade({ sequence: 5 }));
  log.merge([trade({ sequence: 6 }), trade({ sequence: 4 }), trade({ sequence: 5 })]);
  expect([6, 3, 8].map((sequence) => log.add(trade({ sequence })))).toEqual([false, true, true]);
  expect(sequences(log)).toEqual([3, 4, 5, 6, 8]);
});

test("the log drops the oldest beyond its bound", () => {
  const log = new TradeLog();
  for (let sequence = 1; sequence <= 105; sequence++) log.add(trade({ sequence }));
  expect([log.trades.length, log.trades[0]?.sequence, log.latest?.sequence]).toEqual([100, 6, 105]);
});
