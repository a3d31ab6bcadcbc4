// Owns the spot price: its amount, its change since the page opened, what it means, and its relation to the list price.

import type { Book } from "./book";
import { timeOfDay } from "./clock";
import { byId, create } from "./dom";
import { LIST_PRICE_SOURCE, againstListPrice } from "./list-price";
import type { Step } from "./merit-order";
import { type Picodollars, changeBetween, parsePrice, perMillion, splitLeadingZeros } from "./price";
import { spotSentence } from "./spot-sentence";

interface Opening {
  price: Picodollars;
  atMs: number;
}

export class SpotPanel {
  readonly #price = byId("spot-price");
  readonly #perMillion = byId("spot-per-million");
  readonly #change = byId("spot-change");
  readonly #sentence = byId("spot-sentence");
  readonly #listPrice = byId("spot-list-price");
  /** First price of each market while the page is open. */
  readonly #openings = new Map<string, Opening>();
  #shown: { market: string; spotPrice: string | null } | undefined;

  constructor() {
    this.#listPrice.title = LIST_PRICE_SOURCE;
  }

  render(book: Book, steps: readonly Step[]): void {
    this.#renderPrice(book);
    this.#sentence.textContent = spotSentence(book.state, book.spotPrice, steps);
    const price = book.spotPrice === null ? "" : `${perMillion(parsePrice(book.spotPrice))} `;
    document.title = `${price}${book.market} · Merit`;
  }

  clear(): void {
    this.#shown = undefined;
    const parts = [this.#price, this.#perMillion, this.#change, this.#sentence, this.#listPrice];
    for (const part of parts) part.replaceChildren();
  }

  #renderPrice({ market, spotPrice }: Book): void {
    const before = this.#shown;
    if (before?.market === market && before.spotPrice === spotPrice) return;
    this.#shown = { market, spotPrice };
    if (spotPrice === null) {
      this.#price.title = "";
      this.#price.replaceChildren(create("span", { class: "none", text: "No price now" }));
      for (const part of [this.#perMillion, this.#change, this.#listPrice]) part.replaceChildren();
      return;
    }
    const price = parsePrice(spotPrice);
    this.#price.title = `${spotPrice} USD per GB-s`;
    this.#price.replaceChildren(...priceText(spotPrice));
    const unit = create("span", { class: "unit", text: " per million GB-s" });
    this.#perMillion.replaceChildren(`$${perMillion(price)}`, unit);
    this.#listPrice.textContent = againstListPrice(price);
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

/** Restarts the short highlight, which the style sheet omits for reduced motion. */
function flash(element: HTMLElement, direction: "up" | "down" | "none"): void {
  element.classList.remove("flash-up", "flash-down");
  if (direction === "none") return;
  void element.offsetWidth;
  element.classList.add(`flash-${direction}`);
}
