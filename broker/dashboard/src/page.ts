// Owns the panels together: draws one watched market, at most once a frame. Asks for candles, never fetches.

import { BidsPanel } from "./bids-panel";
import type { Book } from "./book";
import { renderAge, renderConnection } from "./connection-panel";
import { byId, create } from "./dom";
import { stateWords } from "./market-list";
import { meritOrder } from "./merit-order";
import { MeritOrderPanel } from "./merit-order-panel";
import { OffersPanel } from "./offers-panel";
import { PricePanel } from "./price-panel";
import { sellersOf } from "./sellers";
import { clearFacts, renderFacts } from "./spot-facts";
import { SpotPanel } from "./spot-panel";
import { TapePanel } from "./tape-panel";
import type { Watch } from "./watch";

/** Interval in which the price chart moves on while nothing changes: the shortest of its candles. */
const TICK_MS = 1_000;

export class Page {
  readonly #spot = new SpotPanel();
  readonly #price = new PricePanel(waitForPrice(), () => this.changed());
  readonly #meritOrder = new MeritOrderPanel(waitForOffers());
  readonly #offers = new OffersPanel(waitForOffers());
  readonly #bids = new BidsPanel();
  readonly #tape = new TapePanel(tryInvoking());
  #watch: Watch | undefined;
  #frame: number | undefined;

  constructor() {
    this.#clear();
    window.setInterval(() => this.#drawPrice(), TICK_MS);
  }

  /** Empties every panel; `watch` fills them again. */
  show(watch: Watch): void {
    this.#watch = watch;
    this.#clear();
    this.changed();
  }

  /** Draws the watched market on the next frame. */
  changed(): void {
    this.#frame ??= window.requestAnimationFrame(() => {
      this.#frame = undefined;
      this.#draw();
    });
  }

  #clear(): void {
    const panels = [this.#spot, this.#price, this.#meritOrder, this.#offers, this.#bids, this.#tape];
    for (const panel of panels) panel.clear();
    clearFacts();
    byId("market-state").hidden = true;
  }

  #draw(): void {
    if (this.#watch === undefined) return;
    const { book, link, log } = this.#watch;
    renderConnection(link);
    renderAge(link, book === undefined ? undefined : this.#watch.knownUntilMs());
    if (book === undefined) return;
    const steps = meritOrder(book.offers.values());
    renderState(book);
    this.#spot.render(book, steps);
    renderFacts(book, steps, log.latest);
    this.#drawPrice();
    this.#meritOrder.render(steps);
    this.#offers.render(sellersOf(steps));
    this.#bids.render(book);
    this.#tape.render(log.trades);
  }

  #drawPrice(): void {
    if (this.#watch?.book === undefined || document.hidden) return;
    this.#watch.history.want(this.#price.interval);
    this.#price.render(this.#watch.prices, this.#watch.knownUntilMs());
  }
}

function renderState({ state, bands }: Book): void {
  const badge = byId("market-state");
  badge.hidden = false;
  badge.dataset.state = state;
  badge.textContent = stateWords(state);
  badge.title = bands === null ? "" : `offers from ${bands.low} to ${bands.high} USD per GB-s`;
}

function tryInvoking(): Node[] {
  const command = `curl --data hello ${window.location.origin}/v1/functions/echo/invocations`;
  return [document.createTextNode("No trades yet. Try: "), create("code", { text: command })];
}

function waitForPrice(): Node[] {
  return [document.createTextNode("No spot price yet. One appears when the market is open and an offer has room.")];
}

function waitForOffers(): Node[] {
  return [
    document.createTextNode("No offers now. A provider's quote appears here as soon as it is accepted. Start one: "),
    create("code", { text: "merit provider --help" }),
  ];
}
