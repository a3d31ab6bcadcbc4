// Owns the merit order: offers from the cheapest up, laid end to end over capacity. Never draws.

import { type Picodollars, comparePrices, parsePrice } from "./price";
import type { Offer } from "./wire";

/** One offer's stretch of the curve. The used part lies before the free part. */
export interface Step {
  offer: Offer;
  price: Picodollars;
  fromMb: number;
  freeFromMb: number;
  toMb: number;
  /** True for the cheapest offer with free capacity, which serves the next call. */
  marginal: boolean;
}

export function meritOrder(offers: Iterable<Offer>): Step[] {
  const priced = [...offers].map((offer) => ({ offer, price: parsePrice(offer.price) }));
  priced.sort((left, right) => comparePrices(left.price, right.price) || byName(left.offer, right.offer));

  let fromMb = 0;
  let foundMarginal = false;
  return priced.map(({ offer, price }) => {
    const toMb = fromMb + offer.capacity_mb;
    const freeMb = Math.min(Math.max(offer.free_mb, 0), offer.capacity_mb);
    const marginal = !foundMarginal && freeMb > 0;
    foundMarginal ||= marginal;
    const step = { offer, price, fromMb, freeFromMb: toMb - freeMb, toMb, marginal };
    fromMb = toMb;
    return step;
  });
}

export interface Capacity {
  freeMb: number;
  totalMb: number;
}

export function capacityOf(steps: readonly Step[]): Capacity {
  return {
    freeMb: steps.reduce((sum, step) => sum + step.toMb - step.freeFromMb, 0),
    totalMb: steps.at(-1)?.toMb ?? 0,
  };
}

function byName(left: Offer, right: Offer): number {
  return left.offer.localeCompare(right.offer, "en", { numeric: true });
}
