import { expect, test } from "vitest";
import { broken, reconnectDelayMs, silent } from "../src/link";

test("a break is told since when it began, also after the next failed attempt", () => {
  const first = broken({ state: "live" }, 1_000);
  expect(broken(first, 5_000)).toEqual({ state: "reconnecting", sinceMs: 1_000 });
});

test("silence is told since the last event", () => {
  const stale = silent({ state: "live" }, 2_000);
  expect(stale).toEqual({ state: "stale", sinceMs: 2_000 });
  expect(silent(stale, 9_000)).toEqual(stale);
});

test("a stale link that breaks keeps its beginning", () => {
  expect(broken({ state: "stale", sinceMs: 2_000 }, 9_000)).toEqual({ state: "reconnecting", sinceMs: 2_000 });
});

test("silence does not hide that the link is broken", () => {
  expect(silent({ state: "reconnecting", sinceMs: 1_000 }, 500)).toEqual({ state: "reconnecting", sinceMs: 1_000 });
});

test("attempts back off to a bound", () => {
  expect([0, 1, 2, 3, 4, 5, 50].map(reconnectDelayMs)).toEqual([500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
});
