// Owns the facts beside the spot price.

import type { Book } from "./book";
import { timeWithMs } from "./clock";
import { grouped } from "./decimal";
import { byId, providerName } from "./dom";
import { type Step, capacityOf } from "./merit-order";
import { NAME_IN_TABLE } from "./middle-cut";
import { colourClass } from "./palette";
import { parsePrice, perMillion } from "./price";
import type { Trade } from "./wire";

const FACTS = ["fact-marginal", "fact-free", "fact-offers", "fact-last-price", "fact-last-trade"];

export function renderFacts({ lastPrice }: Book, steps: readonly Step[], lastTrade: Trade | undefined): void {
  const { freeMb, totalMb } = capacityOf(steps);
  byId("fact-marginal").replaceChildren(...marginalWords(steps));
  byId("fact-free").textContent = `${grouped(freeMb)} of ${grouped(totalMb)} MB`;
  byId("fact-offers").textContent = String(steps.length);
  byId("fact-last-price").textContent = lastPrice === null ? "–" : perMillion(parsePrice(lastPrice));
  byId("fact-last-price").title = lastPrice === null ? "" : `${lastPrice} USD per GB-s`;
  byId("fact-last-trade").textContent = lastTrade === undefined ? "–" : timeWithMs(lastTrade.at);
}

export function clearFacts(): void {
  for (const id of FACTS) byId(id).replaceChildren("–");
}

function marginalWords(steps: readonly Step[]): (Node | string)[] {
  const marginal = steps.find((step) => step.marginal);
  if (marginal === undefined) return [steps.length === 0 ? "–" : "none: all in use"];
  const { provider } = marginal.offer;
  return [perMillion(marginal.price), " ", providerName(provider, colourClass(provider), NAME_IN_TABLE)];
}
