// Owns the list price that the spot price is compared with, and its source. Never draws.
//
// AWS Lambda pricing (https://aws.amazon.com/lambda/pricing/), x86 in us-east-1, first tier (up to 6e9 GB-s a month),
// without the free tier and without egress, as of 2025-2026: 0.0000166667 USD per GB-s, 0.20 USD per million requests.
// These figures stand in data/prices/serverless_list_prices.csv, with where they were read.

import { fixedDecimal } from "./decimal";
import { type Picodollars, comparePrices, coordinate, parsePrice, perMillion } from "./price";

const PER_GB_SECOND = parsePrice("0.0000166667");
const PER_REQUEST = parsePrice("0.0000002");
/** Number of reference calls, 512 MB for 100 ms, in one GB-s. */
const REFERENCE_CALLS_PER_GB_SECOND = 20n;

/** Price of the reference call, per GB-s, like all prices of offers. */
export const LIST_PRICE: Picodollars = PER_GB_SECOND + REFERENCE_CALLS_PER_GB_SECOND * PER_REQUEST;

export const LIST_PRICE_NAME = "AWS Lambda list price";

export const LIST_PRICE_SOURCE =
  `${perMillion(LIST_PRICE)} dollars per million GB-s for calls of 512 MB and 100 ms: AWS Lambda pricing, us-east-1, ` +
  "x86, 2025-2026, first tier without the free tier and egress: 0.0000166667 USD per GB-s and 0.20 USD per million " +
  "requests";

/** Greatest ratio between the prices of a chart and the list price at which the chart still reaches to it. */
const REACH = 4;

/** Returns a price in relation to the list price, in words. */
export function againstListPrice(price: Picodollars): string {
  const order = comparePrices(price, LIST_PRICE);
  if (order === 0) return `equal to the ${LIST_PRICE_NAME}`;
  const difference = order < 0 ? LIST_PRICE - price : price - LIST_PRICE;
  const percent = fixedDecimal((difference * 1_000_000n) / LIST_PRICE, 4, 1);
  return `${percent} % ${order < 0 ? "below" : "above"} the ${LIST_PRICE_NAME}`;
}

/** Widens a chart's range to the list price, unless that would flatten the candles. */
export function withListPrice(range: { minValue: number; maxValue: number }): { minValue: number; maxValue: number } {
  const list = coordinate(LIST_PRICE);
  const { minValue, maxValue } = range;
  const isNear = list <= maxValue * REACH && minValue <= list * REACH;
  return isNear ? { minValue: Math.min(minValue, list), maxValue: Math.max(maxValue, list) } : range;
}
