// Owns the table of offers: a group a seller, cheapest first.

import { arrange, byId, showEither } from "./dom";
import { SellerRows } from "./seller-rows";
import type { Seller } from "./sellers";

export class OffersPanel {
  readonly #scroll = byId("offers-scroll");
  readonly #groups = byId("offers-table");
  readonly #heads = byId("offers-heads");
  readonly #empty = byId("offers-empty");
  /** By their providers. They stay as long as a provider has offers, and with them what is expanded. */
  #rows = new Map<string, SellerRows>();

  constructor(emptyWords: Node[]) {
    this.#empty.append(...emptyWords);
  }

  render(sellers: readonly Seller[]): void {
    showEither(this.#scroll, this.#empty, sellers.length > 0);
    const rows = new Map(
      sellers.map(({ provider }) => [provider, this.#rows.get(provider) ?? new SellerRows(provider)]),
    );
    for (const seller of sellers) rows.get(seller.provider)?.render(seller);
    arrange(this.#groups, [this.#heads, ...[...rows.values()].flatMap(({ head, rungs }) => [head, rungs])]);
    this.#rows = rows;
  }

  clear(): void {
    this.#rows.clear();
    this.#scroll.hidden = true;
    this.#empty.hidden = true;
    arrange(this.#groups, [this.#heads]);
  }
}
