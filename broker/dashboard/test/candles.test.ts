import { expect, test } from "vitest";
import { candleFrom } from "../src/candle";
import { type Bar, Candles, MOST_BARS } from "../src/candles";
import { MarketPrices } from "../src/market-prices";
import { ms } from "./fixtures";

/** Makes a candle of the archive; a price is in picodollars. */
function past(clock: string, [open, high, low, close]: (number | null)[], gbSeconds = 0) {
  const text = (price: number | null | undefined) => (price == null ? null : `0.${String(price).padStart(12, "0")}`);
  return candleFrom({
    at: new Date(ms(clock)).toISOString(),
    open: text(open),
    high: text(high),
    low: text(low),
    close: text(close),
    gb_seconds: String(gbSeconds),
  });
}

/** Writes a bar short: time, open, high, low and close, volume. */
function short({ atMs, price, gbSeconds }: Bar): string {
  const time = new Date(atMs).toISOString().slice(11, 19);
  const prices = price === null ? "gap" : [price.open, price.high, price.low, price.close].join(" ");
  return `${time} ${prices}${gbSeconds > 0 ? ` +${gbSeconds}` : ""}`;
}

function seconds(candles: Candles, until: string): string[] {
  return candles.bars(ms(until)).map(short);
}

test("no candles make no bars", () => {
  expect(new Candles("1s").bars(ms("10:00:00"))).toEqual([]);
});

test("intervals without a candle repeat the last close", () => {
  const candles = new Candles("1s");
  candles.load([past("10:00:00", [9, 12, 8, 10], 0.5), past("10:00:02", [11, 11, 11, 11])]);
  expect(seconds(candles, "10:00:03.9")).toEqual([
    "10:00:00 9 12 8 10 +0.5",
    "10:00:01 10 10 10 10",
    "10:00:02 11 11 11 11",
    "10:00:03 11 11 11 11",
  ]);
});

test("without a close a gap lasts until the next price", () => {
  const candles = new Candles("1s");
  candles.load([
    past("10:00:00", [9, 12, 8, null]),
    past("10:00:02", [null, null, null, null], 0.5),
    past("10:00:03", [20, 20, 20, 20]),
  ]);
  expect(seconds(candles, "10:00:04")).toEqual([
    "10:00:00 9 12 8 9",
    "10:00:01 gap",
    "10:00:02 gap +0.5",
    "10:00:03 20 20 20 20",
    "10:00:04 20 20 20 20",
  ]);
});

test("spot prices and trades of the stream make candles", () => {
  const candles = new Candles("1s");
  candles.begin(ms("10:00:00.5"), 10n);
  candles.spotAt(ms("10:00:01.1"), 12n);
  candles.spotAt(ms("10:00:01.2"), 8n);
  candles.spotAt(ms("10:00:01.3"), 9n);
  candles.tradeAt(ms("10:00:01.4"), 0.25);
  candles.tradeAt(ms("10:00:02.0"), 0.5);
  expect(seconds(candles, "10:00:02")).toEqual([
    "10:00:00 10 10 10 10",
    "10:00:01 12 12 8 9 +0.25",
    "10:00:02 9 9 9 9 +0.5",
  ]);
});

test("an outage in the stream is a gap", () => {
  const candles = new Candles("1s");
  candles.begin(ms("10:00:00"), 10n);
  candles.spotAt(ms("10:00:01"), null);
  candles.spotAt(ms("10:00:03"), 11n);
  expect(seconds(candles, "10:00:03")).toEqual([
    "10:00:00 10 10 10 10",
    "10:00:01 gap",
    "10:00:02 gap",
    "10:00:03 11 11 11 11",
  ]);
});

test("a late trade adds to its own interval", () => {
  const candles = new Candles("1s");
  candles.begin(ms("10:00:00"), 10n);
  candles.spotAt(ms("10:00:02"), 20n);
  candles.tradeAt(ms("10:00:01.9"), 0.5);
  candles.tradeAt(ms("10:00:00.9"), 0.25);
  expect(seconds(candles, "10:00:02")).toEqual([
    "10:00:00 10 10 10 10 +0.25",
    "10:00:01 10 10 10 10 +0.5",
    "10:00:02 20 20 20 20",
  ]);
});

test("history is joined where the stream began", () => {
  const candles = new Candles("1m");
  candles.begin(ms("10:01:30"), 10n);
  candles.spotAt(ms("10:01:40"), 30n);
  candles.tradeAt(ms("10:01:41"), 1);
  candles.tradeAt(ms("10:02:10"), 2);
  candles.load([past("10:00:00", [5, 5, 5, 5], 8), past("10:01:00", [7, 20, 6, 10], 4)]);
  candles.tradeAt(ms("10:01:59"), 0.5);
  expect(seconds(candles, "10:02:30")).toEqual([
    "10:00:00 5 5 5 5 +8",
    "10:01:00 7 30 6 30 +4.5",
    "10:02:00 30 30 30 30 +2",
  ]);
});

test("history after a break fills what was missed", () => {
  const prices = new MarketPrices();
  prices.begin(ms("10:00:00"), 10n, "open");
  prices.lostAt(ms("10:00:01.5"));
  prices.begin(ms("10:00:04"), 40n, "open");
  const candles = prices.of("1s");
  expect(seconds(candles, "10:00:04")).toEqual([
    "10:00:00 10 10 10 10",
    "10:00:01 gap",
    "10:00:02 gap",
    "10:00:03 gap",
    "10:00:04 40 40 40 40",
  ]);
  candles.load([past("10:00:00", [10, 10, 10, 10]), past("10:00:02", [20, 20, 20, 20], 0.5)]);
  expect(seconds(candles, "10:00:04")).toEqual([
    "10:00:00 10 10 10 10",
    "10:00:01 10 10 10 10",
    "10:00:02 20 20 20 20 +0.5",
    "10:00:03 20 20 20 20",
    "10:00:04 40 40 40 40",
  ]);
});

test("every interval follows the stream, whichever is shown", () => {
  const prices = new MarketPrices();
  prices.begin(ms("10:59:58"), 10n, "open");
  prices.spotAt(ms("10:59:59"), 20n);
  prices.tradeAt(ms("11:00:00"), 0.5);
  const drawn = (["1s", "1m", "1h"] as const).map((interval) => seconds(prices.of(interval), "11:00:00"));
  expect(drawn).toEqual([
    ["10:59:58 10 10 10 10", "10:59:59 20 20 20 20", "11:00:00 20 20 20 20 +0.5"],
    ["10:59:00 10 20 10 20", "11:00:00 20 20 20 20 +0.5"],
    ["10:00:00 10 20 10 20", "11:00:00 20 20 20 20 +0.5"],
  ]);
});

test("the newest bars are kept, from the price before them", () => {
  const candles = new Candles("1s");
  candles.begin(ms("10:00:00"), 10n);
  const bars = candles.bars(ms("12:00:00"));
  expect([bars.length, bars[0]?.price?.close]).toEqual([MOST_BARS, 10n]);
  const end = 2 * MOST_BARS;
  for (let second = 1; second <= end; second++) candles.spotAt(ms("10:00:00") + second * 1_000, BigInt(second));
  const [first, ...rest] = candles.bars(ms("10:00:00") + end * 1_000);
  expect([first?.price?.close, rest.length]).toEqual([BigInt(MOST_BARS + 1), MOST_BARS - 1]);
});

test("a price from a broker ahead of the page's clock is drawn", () => {
  const candles = new Candles("1s");
  candles.spotAt(ms("10:00:05"), 10n);
  expect(seconds(candles, "10:00:03")).toEqual(["10:00:05 10 10 10 10"]);
});
