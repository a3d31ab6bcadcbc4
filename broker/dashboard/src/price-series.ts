// Owns the making of the price chart and its series: scales, formats, labels of times. Holds no data.

import {
  type AutoscaleInfo,
  CandlestickSeries,
  HistogramSeries,
  type IChartApi,
  type IPriceLine,
  type ISeriesApi,
  LineStyle,
  TickMarkType,
  type Time,
  createChart,
} from "lightweight-charts";
import { dateAndTime, timeOfDay } from "./clock";
import { LIST_PRICE, LIST_PRICE_NAME, withListPrice } from "./list-price";
import { PER_MILLION_DECIMALS, coordinate } from "./price";

interface Margins {
  top: number;
  bottom: number;
}

export function chartIn(container: HTMLElement): IChartApi {
  return createChart(container, {
    autoSize: true,
    layout: { attributionLogo: false, fontSize: 11 },
    localization: { timeFormatter: (time: Time) => dateAndTime(Number(time) * 1000) },
    timeScale: { tickMarkFormatter: tickMark, timeVisible: true, secondsVisible: true, minBarSpacing: 0.2 },
    rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.1, bottom: 0.24 } },
    // The wheel and a vertical drag scroll the page, not the chart.
    handleScroll: { mouseWheel: false, pressedMouseMove: true, horzTouchDrag: true, vertTouchDrag: false },
    handleScale: { mouseWheel: false, pinch: true },
  });
}

/** Adds the band: as high as the chart where the value is 1. */
export function bandOn(chart: IChartApi): ISeriesApi<"Histogram"> {
  const series = histogramOn(chart, "closed", { top: 0, bottom: 0 });
  series.applyOptions({ autoscaleInfoProvider: () => ({ priceRange: { minValue: 0, maxValue: 1 } }) });
  return series;
}

/** Adds the volume, below the candles. */
export function volumeOn(chart: IChartApi): ISeriesApi<"Histogram"> {
  return histogramOn(chart, "volume", { top: 0.82, bottom: 0 });
}

/** Adds the candles. Their axis reaches to the list price if that is near. */
export function candlesOn(chart: IChartApi): ISeriesApi<"Candlestick"> {
  return chart.addSeries(CandlestickSeries, {
    borderVisible: false,
    priceFormat: {
      type: "custom",
      minMove: 10 ** -PER_MILLION_DECIMALS,
      formatter: (value: number) => value.toFixed(PER_MILLION_DECIMALS),
    },
    autoscaleInfoProvider: (original: () => AutoscaleInfo | null) => {
      const own = original();
      return own?.priceRange ? { ...own, priceRange: withListPrice(own.priceRange) } : own;
    },
  });
}

export function listPriceOn(candles: ISeriesApi<"Candlestick">): IPriceLine {
  const price = coordinate(LIST_PRICE);
  return candles.createPriceLine({ price, title: LIST_PRICE_NAME, lineStyle: LineStyle.Dashed, lineWidth: 1 });
}

/** Adds a histogram with a scale of its own, between these shares of the chart's height. */
function histogramOn(chart: IChartApi, scale: string, scaleMargins: Margins) {
  const series = chart.addSeries(HistogramSeries, {
    priceScaleId: scale,
    lastValueVisible: false,
    priceLineVisible: false,
  });
  series.priceScale().applyOptions({ scaleMargins });
  return series;
}

/** Returns the label of a time; the library's own labels serve for days and longer. */
function tickMark(time: Time, type: TickMarkType): string | null {
  const label = timeOfDay(Number(time) * 1000);
  if (type === TickMarkType.TimeWithSeconds) return label;
  return type === TickMarkType.Time ? label.slice(0, 5) : null;
}
