import { expect, test } from "vitest";
import type { Bar } from "../src/candles";
import { ClosedTimes } from "../src/closed-times";
import { drawnBars, firstDifference } from "../src/drawn-bars";

function bar(second: number, close: bigint | null, gbSeconds = 0): Bar {
  const price = close === null ? null : { open: close, high: close, low: close, close };
  return { atMs: second * 1_000, price, gbSeconds };
}

function drawn(bars: Bar[], closed = new ClosedTimes()) {
  return drawnBars(bars, closed, "1s");
}

test("a bar lies at seconds and dollars per million GB-s", () => {
  const closed = new ClosedTimes();
  closed.stateAt(2_500, "halted");
  expect(drawn([bar(1, 20_666_700n, 0.5), bar(2, null)], closed)).toEqual([
    { time: 1, price: [20.6667, 20.6667, 20.6667, 20.6667], gbSeconds: 0.5, closed: false },
    { time: 2, price: null, gbSeconds: 0, closed: true },
  ]);
});

test.each([
  ["nothing", [bar(1, 10n), bar(2, null)], 2],
  ["the last price", [bar(1, 10n), bar(2, 10n)], 1],
  ["a volume", [bar(1, 10n, 0.5), bar(2, null)], 0],
  ["a new bar", [bar(1, 10n), bar(2, null), bar(3, null)], 2],
  ["a bar that is gone", [bar(1, 10n)], 1],
  ["the beginning", [bar(2, null), bar(3, 10n)], 0],
])("two drawings differ by %s", (_, after, index) => {
  expect(firstDifference(drawn([bar(1, 10n), bar(2, null)]), drawn(after))).toBe(index);
});
