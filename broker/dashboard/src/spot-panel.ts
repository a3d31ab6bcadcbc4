// Owns the spot price, its change since the page opened, and the facts beside it.

import type { Book } from "./book";
import { timeOfDay, timeWithMs } from "./clock";
import { byId, create, providerName } from "./dom";
import { fixedDecimal } from "./decimal";
import { type Step, capacityOf } from "./merit-order";
import { NAME_IN_TABLE } from "./middle-cut";
import { colourClass } from "./palette";
import { type Picodollars, changeBetween, parsePrice, perMillion, splitLeadingZeros } from "./price";
import type { Trade } from "./wire";

interface Opening {
  price: Picodollars;
  atMs: number;
}

export class SpotPanel {
  readonly #price = byId("spot-price");
  readonly #perMillion = byId("spot-per-million");
  readonly #change = byId("spot-change");
  /** First price of each market while the page is open. */
  readonly #openings = new Map<string, Opening>();
  #shown: { market: string; spotPrice: string | null } | undefined;

  render(book: Book, steps: readonly Step[], lastTrade: Trade | undefined): void {
    this.#renderPrice(book);
    renderFacts(steps, lastTrade);
    const price = book.spotPrice === null ? "" : `${perMillion(parsePrice(book.spotPrice))} `;
    document.title = `${price}${book.market} · Merit`;
  }

  clear(): void {
    this.#shown = undefined;
    this.#price.replaceChildren();
    this.#perMillion.replaceChildren();
    this.#change.replaceChildren();
    for (const id of ["fact-marginal", "fact-free", "fact-offers", "fact-last-trade"]) byId(id).replaceChildren("–");
  }

  #renderPrice({ market, spotPrice }: Book): void {
    const before = this.#shown;
    if (before?.market === market && before.spotPrice === spotPrice) return;
    this.#shown = { market, spotPrice };
    if (spotPrice === null) {
      this.#price.title = "";
      this.#price.replaceChildren(create("span", { class: "none", text: "No price yet" }));
      this.#perMillion.replaceChildren();
      this.#change.textContent = "The first trade sets it.";
      return;
    }
    const price = parsePrice(spotPrice);
    this.#price.title = `${spotPrice} USD per GB-s`;
    this.#price.replaceChildren(...priceText(spotPrice));
    const unit = create("span", { class: "unit", text: " per million GB-s" });
    this.#perMillion.replaceChildren(`$${perMillion(price)}`, unit);
    this.#renderChange(market, price);
    if (before?.market === market && before.spotPrice !== null) {
      flash(this.#price, changeBetween(parsePrice(before.spotPrice), price).direction);
    }
  }

  #renderChange(market: string, price: Picodollars): void {
    let opening = this.#openings.get(market);
    if (opening === undefined) {
      opening = { price, atMs: Date.now() };
      this.#openings.set(market, opening);
    }
    const { direction, difference, percent } = changeBetween(opening.price, price);
    const arrow = { up: "▲ ", down: "▼ ", none: "" }[direction];
    const amount = percent === null ? difference : `${difference} (${percent} %)`;
    this.#change.replaceChildren(
      create("span", { class: direction, text: direction === "none" ? "unchanged" : arrow + amount }),
      ` since the page opened at ${timeOfDay(opening.atMs)} UTC`,
    );
  }
}

function priceText(spotPrice: string): Node[] {
  const [zeros, digits] = splitLeadingZeros(spotPrice);
  return [
    create("span", { class: "amount" }, create("span", { class: "zeros", text: `$${zeros}` }), digits),
    create("span", { class: "unit", text: " per GB-s" }),
  ];
}

function renderFacts(steps: readonly Step[], lastTrade: Trade | undefined): void {
  const marginal = steps.find((step) => step.marginal);
  const { freeMb, totalMb } = capacityOf(steps);
  byId("fact-marginal").replaceChildren(
    ...(marginal === undefined
      ? [steps.length === 0 ? "–" : "none: all in use"]
      : [perMillion(marginal.price), " ", providerName(marginal.offer.provider, colourClass(marginal.offer.provider), NAME_IN_TABLE)]),
  );
  byId("fact-free").textContent = `${megabytes(freeMb)} of ${megabytes(totalMb)} MB`;
  byId("fact-offers").textContent = String(steps.length);
  byId("fact-last-trade").textContent = lastTrade === undefined ? "–" : timeWithMs(lastTrade.at);
}

function megabytes(count: number): string {
  return fixedDecimal(BigInt(count), 0, 0);
}

/** Restarts the short highlight, which the style sheet omits for reduced motion. */
function flash(element: HTMLElement, direction: "up" | "down" | "none"): void {
  element.classList.remove("flash-up", "flash-down");
  if (direction === "none") return;
  void element.offsetWidth;
  element.classList.add(`flash-${direction}`);
}
