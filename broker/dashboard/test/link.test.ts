import { expect, test } from "vitest";
import { broken, reconnectDelayMs, silent } from "../src/link";

test("a failed attempt keeps the beginning of the break", () => {
  const first = broken({ state: "live" }, 1_000);
  expect(broken(first, 5_000)).toEqual({ state: "reconnecting", sinceMs: 1_000 });
});

test("a link is stale since its last event", () => {
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
