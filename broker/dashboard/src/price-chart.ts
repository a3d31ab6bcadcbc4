// Owns the drawing of the price chart: candles, volume below, the list price, and a band while the market is not open.
// Follows the latest bar until it is dragged. Never computes a bar.

import { ColorType, type IChartApi, type IPriceLine, type ISeriesApi, type UTCTimestamp } from "lightweight-charts";
import { type DrawnBar, firstDifference } from "./drawn-bars";
import { bandOn, candlesOn, chartIn, listPriceOn, volumeOn } from "./price-series";

/** Number of bars in view while the chart follows the latest: at most, and the room that a few of them get. */
const FOLLOWED_BARS = { most: 120, least: 40 };
const FREE_BARS_RIGHT = 2;

export class PriceChart {
  readonly #chart: IChartApi;
  /** Behind the others. */
  readonly #closed: ISeriesApi<"Histogram">;
  readonly #volume: ISeriesApi<"Histogram">;
  readonly #candles: ISeriesApi<"Candlestick">;
  readonly #listPrice: IPriceLine;
  #following = true;
  #drawn: readonly DrawnBar[] = [];

  constructor(container: HTMLElement) {
    this.#chart = chartIn(container);
    this.#closed = bandOn(this.#chart);
    this.#volume = volumeOn(this.#chart);
    this.#candles = candlesOn(this.#chart);
    this.#listPrice = listPriceOn(this.#candles);
    // The chart takes its new width after this event.
    this.#chart.timeScale().subscribeSizeChange(() => queueMicrotask(() => this.follow(this.#following)));
    this.#applyTheme();
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#applyTheme());
  }

  draw(bars: readonly DrawnBar[]): void {
    const from = firstDifference(this.#drawn, bars);
    if (from === Math.max(this.#drawn.length, bars.length)) return;
    const last = this.#drawn.length - 1;
    const continues = last >= 0 && from >= last && bars[last]?.time === this.#drawn[last]?.time;
    if (continues) for (const bar of bars.slice(from)) this.#update(bar);
    else this.#replace(bars);
    this.#drawn = bars;
    // Without a price now, the axis must not show the last one.
    const hasPrice = bars.at(-1)?.price != null;
    this.#candles.applyOptions({ lastValueVisible: hasPrice, priceLineVisible: hasPrice });
    if (this.#following) this.#showLatest();
  }

  follow(following: boolean): void {
    this.#following = following;
    if (following) this.#showLatest();
  }

  #update(bar: DrawnBar): void {
    this.#closed.update(closedPoint(bar));
    this.#volume.update(volumePoint(bar));
    this.#candles.update(candlePoint(bar));
  }

  /** Sets all bars. A view that was dragged stays at its time. */
  #replace(bars: readonly DrawnBar[]): void {
    const view = this.#chart.timeScale().getVisibleLogicalRange();
    this.#closed.setData(bars.map(closedPoint));
    this.#volume.setData(bars.map(volumePoint));
    this.#candles.setData(bars.map(candlePoint));
    if (view === null || this.#following) return;
    const shift = barsBetween(this.#drawn, bars);
    this.#chart.timeScale().setVisibleLogicalRange({ from: view.from - shift, to: view.to - shift });
  }

  #showLatest(): void {
    const count = this.#drawn.length;
    if (count === 0) return;
    const shown = Math.min(Math.max(count, FOLLOWED_BARS.least), FOLLOWED_BARS.most);
    const range = { from: count - shown - 0.5, to: count - 1 + FREE_BARS_RIGHT };
    this.#chart.timeScale().setVisibleLogicalRange(range);
  }

  #applyTheme(): void {
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string) => style.getPropertyValue(name).trim();
    this.#chart.applyOptions({
      layout: {
        background: { type: ColorType.Solid, color: colour("--panel") },
        textColor: colour("--text-dim"),
        fontFamily: colour("--font"),
      },
      grid: { vertLines: { color: colour("--grid") }, horzLines: { color: colour("--grid") } },
      timeScale: { borderColor: colour("--line") },
      crosshair: {
        vertLine: { color: colour("--text-dim"), labelBackgroundColor: colour("--label") },
        horzLine: { color: colour("--text-dim"), labelBackgroundColor: colour("--label") },
      },
    });
    const [up, down] = [colour("--up"), colour("--down")];
    this.#candles.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down });
    this.#volume.applyOptions({ color: colour("--volume") });
    this.#closed.applyOptions({ color: colour("--closed") });
    this.#listPrice.applyOptions({ color: colour("--list-price") });
  }
}

function candlePoint({ time, price }: DrawnBar) {
  if (price === null) return { time: time as UTCTimestamp };
  const [open, high, low, close] = price;
  return { time: time as UTCTimestamp, open, high, low, close };
}

function volumePoint({ time, gbSeconds }: DrawnBar) {
  return gbSeconds > 0 ? { time: time as UTCTimestamp, value: gbSeconds } : { time: time as UTCTimestamp };
}

/** Never without a value: the chart follows the latest value, also through a long gap of the price. */
function closedPoint({ time, closed }: DrawnBar) {
  const point = { time: time as UTCTimestamp, value: Number(closed) };
  return closed ? point : { ...point, color: "transparent" };
}

/** Returns how many bars later a drawing begins than the one before it, of the same interval. */
function barsBetween(before: readonly DrawnBar[], after: readonly DrawnBar[]): number {
  const [first, second] = after;
  if (before[0] === undefined || first === undefined || second === undefined) return 0;
  return (first.time - before[0].time) / (second.time - first.time);
}
