// Owns the table of the bid side: resting deferred bids, best limit first.

import { type Book, bidSide } from "./book";
import { grouped } from "./decimal";
import { byId, create, numberCell } from "./dom";
import { parsePrice, perMillion } from "./price";
import type { BidLevel } from "./wire";

export class BidsPanel {
  readonly #body = byId("bids");
  readonly #rows = byId("bids-rows");

  render(book: Book): void {
    const levels = bidSide(book);
    this.#body.hidden = levels.length === 0;
    this.#rows.replaceChildren(...levels.map(row));
  }

  clear(): void {
    this.#body.hidden = true;
    this.#rows.replaceChildren();
  }
}

function row(level: BidLevel): HTMLTableRowElement {
  const element = create(
    "tr",
    {},
    numberCell(perMillion(parsePrice(level.price)), `${level.price} USD per GB-s`),
    numberCell(grouped(level.memory_mb)),
    numberCell(grouped(level.bids)),
  );
  element.dataset.limit = level.price;
  return element;
}
