// Owns the rows of one seller in the table of offers: its own, and one a rung, shown on demand.

import { grouped } from "./decimal";
import { create, numberCell, providerName } from "./dom";
import type { Step } from "./merit-order";
import { NAME_IN_TABLE } from "./middle-cut";
import { colourClass } from "./palette";
import { parsePrice, perMillion } from "./price";
import type { Seller } from "./sellers";

let made = 0;

export class SellerRows {
  /** Its own row. */
  readonly head: HTMLTableSectionElement;
  readonly rungs = create("tbody", { class: "rungs" });
  /** Kept, with the focus it may have, while the cells change. */
  readonly #toggle = create("button");
  readonly #row: HTMLTableRowElement;
  readonly #price = numberCell("");
  readonly #free = numberCell("");
  #expanded = false;
  #seller: Seller | undefined;

  constructor(provider: string) {
    const name = create("th", { class: "name" }, providerName(provider, colourClass(provider), NAME_IN_TABLE));
    name.scope = "row";
    this.#row = create("tr", {}, name, create("td", { class: "number" }, this.#toggle), this.#price, this.#free);
    this.#row.dataset.provider = provider;
    this.head = create("tbody", {}, this.#row);
    this.rungs.id = `rungs-${++made}`;
    this.#toggle.type = "button";
    this.#toggle.setAttribute("aria-controls", this.rungs.id);
    this.#toggle.addEventListener("click", () => this.#expand(!this.#expanded));
    this.#expand(false);
  }

  render(seller: Seller): void {
    this.#seller = seller;
    const count = seller.rungs.length;
    this.#row.classList.toggle("is-marginal", seller.marginal);
    this.#toggle.textContent = String(count);
    this.#toggle.ariaLabel = `${count} ${count === 1 ? "rung" : "rungs"} of ${seller.provider}`;
    this.#price.textContent = perMillion(seller.price);
    this.#price.title = `from ${seller.rungs[0]?.offer.price} USD per GB-s`;
    this.#free.textContent = `${grouped(seller.freeMb)} / ${grouped(seller.capacityMb)}`;
    this.#renderRungs();
  }

  #expand(expanded: boolean): void {
    this.#expanded = expanded;
    this.#toggle.ariaExpanded = String(expanded);
    this.rungs.hidden = !expanded;
    this.#renderRungs();
  }

  #renderRungs(): void {
    this.rungs.replaceChildren(...(this.#expanded ? (this.#seller?.rungs ?? []) : []).map(rungRow));
  }
}

function rungRow(step: Step): HTMLTableRowElement {
  const { offer } = step;
  const title =
    `offer ${offer.offer}${step.marginal ? ", the marginal offer" : ""}: ` +
    `${offer.per_gb_second} USD per GB-s and ${offer.per_request} USD per request`;
  const [perGbSecond, perRequest] = [offer.per_gb_second, offer.per_request].map(parsePrice).map(perMillion);
  const tariff = create("th", { class: "name", title, text: `${perGbSecond}/GB-s + ${perRequest}/request` });
  tariff.scope = "row";
  tariff.colSpan = 2;
  const element = create(
    "tr",
    { class: step.marginal ? "is-marginal" : "" },
    tariff,
    numberCell(perMillion(step.price), `${offer.price} USD per GB-s`),
    numberCell(`${grouped(step.toMb - step.freeFromMb)} / ${grouped(offer.capacity_mb)}`),
  );
  element.dataset.offer = offer.offer;
  return element;
}
