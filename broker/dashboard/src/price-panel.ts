// Owns the price panel around its chart: the choice of the interval, the words, the way back to the latest bar.

import type { Bar } from "./candles";
import { dateAndTime } from "./clock";
import { byId, showEither } from "./dom";
import { drawnBars } from "./drawn-bars";
import { INTERVALS, type Interval } from "./interval";
import type { MarketPrices } from "./market-prices";
import { perMillion } from "./price";
import { PriceChart } from "./price-chart";

const WORDS = { "1s": "1 second", "1m": "1 minute", "1h": "1 hour" };

export class PricePanel {
  readonly #container = byId("price-chart");
  readonly #empty = byId("price-empty");
  /** Names the band of a market that was not open, while there is one. */
  readonly #closedKey = byId("price-closed");
  readonly #followButton = byId<HTMLButtonElement>("price-follow");
  readonly #chart = new PriceChart(this.#container);
  #interval: Interval = "1s";

  /** `intervalChosen` is called after each choice. */
  constructor(emptyWords: Node[], intervalChosen: () => void) {
    this.#empty.append(...emptyWords);
    for (const interval of INTERVALS) {
      buttonOf(interval).addEventListener("click", () => {
        this.#choose(interval);
        intervalChosen();
      });
    }
    this.#container.addEventListener("pointermove", (event) => {
      if (event.buttons !== 0) this.#follow(false);
    });
    this.#followButton.addEventListener("click", () => this.#follow(true));
    this.#choose(this.#interval);
  }

  get interval(): Interval {
    return this.#interval;
  }

  /** Draws the prices up to a time. */
  render(prices: MarketPrices, untilMs: number): void {
    const bars = prices.of(this.#interval).bars(untilMs);
    const hasBars = bars.some((bar) => bar.price !== null || bar.gbSeconds > 0);
    showEither(this.#container, this.#empty, hasBars);
    const drawn = drawnBars(bars, prices.closed, this.#interval);
    this.#closedKey.hidden = !drawn.some((bar) => bar.closed);
    this.#chart.draw(drawn);
    this.#container.ariaLabel = describe(bars, this.#interval);
  }

  clear(): void {
    this.#chart.draw([]);
    this.#container.hidden = true;
    this.#empty.hidden = true;
    this.#closedKey.hidden = true;
    this.#follow(true);
  }

  #choose(interval: Interval): void {
    this.#interval = interval;
    for (const each of INTERVALS) buttonOf(each).ariaPressed = String(each === interval);
    this.#follow(true);
  }

  #follow(following: boolean): void {
    this.#followButton.hidden = following;
    this.#chart.follow(following);
  }
}

function buttonOf(interval: Interval): HTMLButtonElement {
  return byId<HTMLButtonElement>(`price-interval-${interval}`);
}

/** Describes the chart for screen readers. */
function describe(bars: readonly Bar[], interval: Interval): string {
  const [first, last] = [bars[0], bars.at(-1)];
  if (first === undefined || last === undefined) return "Spot price";
  const span = `from ${dateAndTime(first.atMs)} to ${dateAndTime(last.atMs)} UTC`;
  const prices = bars.flatMap(({ price }) => (price === null ? [] : [price]));
  const lowest = prices.reduce((least, { low }) => (low < least ? low : least), prices[0]?.low ?? 0n);
  const highest = prices.reduce((most, { high }) => (high > most ? high : most), prices[0]?.high ?? 0n);
  const now = last.price === null ? "no price now" : `now ${perMillion(last.price.close)}`;
  const gaps = prices.length < bars.length ? ", with gaps where there was no price" : "";
  return (
    `Spot price in candles of ${WORDS[interval]}, ${span}${gaps}: ${now}, ` +
    `lowest ${perMillion(lowest)}, highest ${perMillion(highest)} dollars per million GB-s.`
  );
}
