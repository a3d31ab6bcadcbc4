// Owns the table of offers, in merit order.

import { byId, create, numberCell, providerName, showEither } from "./dom";
import { fixedDecimal } from "./decimal";
import type { Step } from "./merit-order";
import { NAME_IN_TABLE } from "./middle-cut";
import { colourClass } from "./palette";
import { parsePrice, perMillion } from "./price";

export class OffersPanel {
  readonly #scroll = byId("offers-scroll");
  readonly #rows = byId("offers-rows");
  readonly #empty = byId("offers-empty");

  constructor(emptyWords: Node[]) {
    this.#empty.append(...emptyWords);
  }

  render(steps: readonly Step[]): void {
    showEither(this.#scroll, this.#empty, steps.length > 0);
    this.#rows.replaceChildren(...steps.map(row));
  }

  clear(): void {
    this.#scroll.hidden = true;
    this.#empty.hidden = true;
    this.#rows.replaceChildren();
  }
}

function row(step: Step): HTMLTableRowElement {
  const { offer } = step;
  const freeMb = fixedDecimal(BigInt(step.toMb - step.freeFromMb), 0, 0);
  const capacityMb = fixedDecimal(BigInt(offer.capacity_mb), 0, 0);
  const title = `offer ${offer.offer}${step.marginal ? ", the marginal offer" : ""}`;
  const provider = providerName(offer.provider, colourClass(offer.provider), NAME_IN_TABLE);
  const name = create("th", { class: "name", title }, provider);
  name.scope = "row";
  const element = create(
    "tr",
    { class: step.marginal ? "is-marginal" : "" },
    name,
    numberCell(perMillion(step.price), `${offer.price} USD per GB-s`),
    numberCell(perMillion(parsePrice(offer.per_gb_second)), `${offer.per_gb_second} USD per GB-s`),
    numberCell(perMillion(parsePrice(offer.per_request)), `${offer.per_request} USD per request`),
    numberCell(`${freeMb} / ${capacityMb}`),
  );
  element.dataset.offer = offer.offer;
  return element;
}
