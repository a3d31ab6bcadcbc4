import { expect, test } from "vitest";
import { ClosedTimes } from "../src/closed-times";

function overlaps(closed: ClosedTimes): boolean[] {
  return [0, 10, 20, 30, 40].map((fromMs) => closed.overlap(fromMs, fromMs + 10));
}

test("a closed time ends with the next open state", () => {
  const closed = new ClosedTimes();
  closed.stateAt(0, "open");
  closed.stateAt(15, "halted");
  closed.stateAt(22, "cancel_only");
  closed.stateAt(30, "open");
  expect(overlaps(closed)).toEqual([false, true, true, false, false]);
});

test("a halt lasts until the page hears otherwise", () => {
  const closed = new ClosedTimes();
  closed.stateAt(15, "halted");
  expect(overlaps(closed)).toEqual([false, true, true, true, true]);
});

test("a halt is known until the connection ends", () => {
  const closed = new ClosedTimes();
  closed.stateAt(5, "halted");
  closed.endAt(10);
  closed.stateAt(40, "open");
  expect(overlaps(closed)).toEqual([true, false, false, false, false]);
});
