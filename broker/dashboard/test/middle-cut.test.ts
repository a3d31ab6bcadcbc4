import { expect, test } from "vitest";
import { middleCut } from "../src/middle-cut";

test.each([
  ["edge-1", 14, "edge-1"],
  ["fourteen-chars", 14, "fourteen-chars"],
  ["aws-lambda-us-east-1", 14, "aws-lam…east-1"],
  ["aws-lambda-us-east-1", 7, "aws…t-1"],
  ["aws-lambda-us-east-1", 0, "a…1"],
  ["🛰🛰🛰🛰🛰🛰", 5, "🛰🛰…🛰🛰"],
])("%s in %i characters is %s", (name, most, cut) => {
  expect(middleCut(name, most)).toBe(cut);
});
