// Owns the tape: the latest trades, newest on top, new ones highlighted.

import { timeWithMs } from "./clock";
import { arrange, byId, create, numberCell, providerName, showEither } from "./dom";
import { fixedDecimal, grouped, parseDecimal } from "./decimal";
import { GB_SECONDS_SCALE } from "./fields";
import { NAME_IN_TABLE } from "./middle-cut";
import { colourClass } from "./palette";
import { parsePrice, perMillion } from "./price";
import type { Trade } from "./wire";

const ROWS = 50;
const GB_SECONDS_DECIMALS = 6;

export class TapePanel {
  readonly #scroll = byId("tape-scroll");
  readonly #rows = byId("tape-rows");
  readonly #empty = byId("tape-empty");
  #shown = new Map<number, HTMLTableRowElement>();

  constructor(emptyWords: Node[]) {
    this.#empty.append(...emptyWords);
  }

  /** Shows trades, given oldest first. */
  render(trades: readonly Trade[]): void {
    showEither(this.#scroll, this.#empty, trades.length > 0);
    const newestShown = Math.max(...this.#shown.keys());
    const rows = new Map<number, HTMLTableRowElement>();
    for (const trade of trades.slice(-ROWS).reverse()) {
      // On the first drawing nothing counts as new.
      const fresh = this.#shown.size > 0 && trade.sequence > newestShown;
      rows.set(trade.sequence, this.#shown.get(trade.sequence) ?? row(trade, fresh));
    }
    // A row that stays is not moved, which would restart its highlight.
    arrange(this.#rows, [...rows.values()]);
    this.#shown = rows;
  }

  clear(): void {
    this.#shown.clear();
    this.#scroll.hidden = true;
    this.#empty.hidden = true;
    this.#rows.replaceChildren();
  }
}

function row(trade: Trade, fresh: boolean): HTMLTableRowElement {
  const energy = parseDecimal(trade.gb_seconds, GB_SECONDS_SCALE);
  const gbSeconds = fixedDecimal(energy, GB_SECONDS_SCALE, GB_SECONDS_DECIMALS);
  const time = create("time", { text: timeWithMs(trade.at) });
  time.dateTime = trade.at;
  const element = create(
    "tr",
    { class: fresh ? "fresh" : "" },
    create("td", { title: trade.at }, time),
    create("td", { class: "name" }, providerName(trade.provider, colourClass(trade.provider), NAME_IN_TABLE)),
    numberCell(perMillion(parsePrice(trade.price)), `${trade.price} USD per GB-s`),
    numberCell(grouped(trade.memory_mb)),
    numberCell(gbSeconds, `${trade.gb_seconds} GB-s`),
  );
  element.dataset.sequence = String(trade.sequence);
  return element;
}
