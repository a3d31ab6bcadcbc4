import { expect, test } from "vitest";
import { ServerClock } from "../src/server-clock";

test("before any word the time is the browser's", () => {
  expect(new ServerClock().at(5_000)).toBe(5_000);
});

test("a late message does not set the clock back", () => {
  const clock = new ServerClock();
  clock.heard(61_000, 1_000);
  clock.heard(61_500, 4_000);
  expect(clock.at(5_000)).toBe(65_000);
});

test("a better measure of the lead replaces the answer's whole seconds", () => {
  const clock = new ServerClock();
  clock.answered(61_000, 1_900);
  clock.heard(62_000, 2_000);
  clock.answered(62_000, 2_900);
  expect(clock.at(5_000)).toBe(65_000);
});

test("an answer corrects the lead after a clock was set", () => {
  const clock = new ServerClock();
  clock.heard(61_000, 1_000);
  clock.answered(62_000, 62_000);
  expect(clock.at(70_000)).toBe(70_000);
});
