// Owns the sentence that explains the spot price. Never draws.

import type { Step } from "./merit-order";
import { parsePrice } from "./price";

const REFERENCE_MB = 512;

/** Explains a market's spot price, or why there is none, by its offers in merit order. */
export function spotSentence(state: string, spotPrice: string | null, steps: readonly Step[]): string {
  if (state === "halted") return "The market is halted.";
  if (state !== "open") return "The market is closed: offers can only be cancelled.";
  if (spotPrice === null) return steps.length === 0 ? "There is no offer." : "No offer has room for a 512 MB call.";
  const cheaper = steps.filter((step) => step.price < parsePrice(spotPrice));
  const pays = "What the next 512 MB call for 100 ms would pay";
  return cheaper.length === 0 ? `${pays}.` : `${pays}: cheaper offers ${reason(cheaper)}.`;
}

/** Returns why the next call does not go to the cheaper offers: the least that is true of all of them. */
function reason(cheaper: readonly Step[]): string {
  const mostFreeMb = Math.max(...cheaper.map((step) => step.toMb - step.freeFromMb));
  if (mostFreeMb === 0) return "are full";
  return mostFreeMb < REFERENCE_MB ? "have no room for it" : "do not take it";
}
