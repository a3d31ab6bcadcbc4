// Owns the price chart: a stepped line, a point a trade, that follows the latest until it is dragged.

import {
  ColorType,
  type IChartApi,
  type ISeriesApi,
  LineSeries,
  LineType,
  TickMarkType,
  type Time,
  type UTCTimestamp,
  createChart,
} from "lightweight-charts";
import { timeOfDay, timeWithMs } from "./clock";
import { byId, showEither } from "./dom";
import { PER_MILLION_DECIMALS, parsePrice, perMillion } from "./price";
import { pricePoints } from "./price-points";
import type { Trade } from "./wire";

/** Number of trades in view while the chart follows the latest. */
const FOLLOWED_TRADES = 200;
/** Greatest number of trades with a mark on each point. */
const MARKED_TRADES = 60;
const FREE_BARS_RIGHT = 2;

export class PricePanel {
  readonly #container = byId("price-chart");
  readonly #empty = byId("price-empty");
  readonly #followButton = byId<HTMLButtonElement>("price-follow");
  readonly #chart: IChartApi;
  readonly #series: ISeriesApi<"Line">;
  #following = true;
  #drawn: { latest: number; count: number } | undefined;

  constructor(emptyWords: Node[]) {
    this.#empty.append(...emptyWords);
    this.#chart = createChart(this.#container, {
      autoSize: true,
      layout: { attributionLogo: false, fontSize: 11 },
      localization: { timeFormatter: (time: Time) => timeWithMs(Number(time) * 1000) },
      timeScale: { tickMarkFormatter: tickMark, timeVisible: true, secondsVisible: true, minBarSpacing: 0.2 },
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.12, bottom: 0.12 } },
      // The wheel and a vertical drag scroll the page, not the chart.
      handleScroll: { mouseWheel: false, pressedMouseMove: true, horzTouchDrag: true, vertTouchDrag: false },
      handleScale: { mouseWheel: false, pinch: true },
    });
    this.#series = this.#chart.addSeries(LineSeries, {
      lineWidth: 2,
      lineType: LineType.WithSteps,
      priceFormat: {
        type: "custom",
        minMove: 10 ** -PER_MILLION_DECIMALS,
        formatter: (value: number) => value.toFixed(PER_MILLION_DECIMALS),
      },
    });
    this.#applyTheme();
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#applyTheme());
    this.#container.addEventListener("pointermove", (event) => {
      if (event.buttons !== 0) this.#follow(false);
    });
    this.#followButton.addEventListener("click", () => this.#follow(true));
  }

  render(trades: readonly Trade[]): void {
    showEither(this.#container, this.#empty, trades.length > 0);
    const latest = trades.at(-1);
    if (latest === undefined) return;
    if (this.#drawn?.latest === latest.sequence && this.#drawn.count === trades.length) return;
    this.#drawn = { latest: latest.sequence, count: trades.length };
    const points = pricePoints(trades);
    this.#series.setData(points.map(({ time, value }) => ({ time: time as UTCTimestamp, value })));
    this.#series.applyOptions({ pointMarkersVisible: points.length <= MARKED_TRADES });
    this.#container.ariaLabel =
      `Price of the last ${trades.length} trades, ` +
      `latest ${perMillion(parsePrice(latest.price))} dollars per million GB-s ` +
      `at ${timeWithMs(latest.at)} UTC. The tape lists them.`;
    if (this.#following) this.#showLatest(points.length);
  }

  clear(): void {
    this.#drawn = undefined;
    this.#series.setData([]);
    this.#container.hidden = true;
    this.#empty.hidden = true;
    this.#follow(true);
  }

  #follow(following: boolean): void {
    this.#following = following;
    this.#followButton.hidden = following;
    if (following && this.#drawn !== undefined) this.#showLatest(this.#drawn.count);
  }

  #showLatest(count: number): void {
    const from = Math.max(0, count - FOLLOWED_TRADES) - 0.5;
    this.#chart.timeScale().setVisibleLogicalRange({ from, to: count - 1 + FREE_BARS_RIGHT });
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
    this.#series.applyOptions({ color: colour("--accent"), priceLineColor: colour("--accent") });
  }
}

/** Returns the label of a time; the library's own labels serve for days and longer. */
function tickMark(time: Time, type: TickMarkType): string | null {
  return type === TickMarkType.Time || type === TickMarkType.TimeWithSeconds ? timeOfDay(Number(time) * 1000) : null;
}
