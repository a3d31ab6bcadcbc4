// Owns the grouping of offers by seller, cheapest seller first. Never draws.

import type { Step } from "./merit-order";
import type { Picodollars } from "./price";

/** A provider with its rungs in the market. */
export interface Seller {
  provider: string;
  /** Price of its cheapest rung. */
  price: Picodollars;
  /** In merit order. */
  rungs: Step[];
  freeMb: number;
  capacityMb: number;
  /** True if the marginal offer is one of its rungs. */
  marginal: boolean;
}

/** Groups offers, given in merit order. */
export function sellersOf(steps: readonly Step[]): Seller[] {
  const sellers = new Map<string, Seller>();
  for (const step of steps) {
    const { provider } = step.offer;
    const seller = sellers.get(provider) ?? firstOf(provider, step.price);
    sellers.set(provider, seller);
    seller.rungs.push(step);
    seller.freeMb += step.toMb - step.freeFromMb;
    seller.capacityMb += step.toMb - step.fromMb;
    seller.marginal ||= step.marginal;
  }
  return [...sellers.values()];
}

function firstOf(provider: string, price: Picodollars): Seller {
  return { provider, price, rungs: [], freeMb: 0, capacityMb: 0, marginal: false };
}
