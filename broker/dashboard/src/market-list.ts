// Owns the list of markets, the choice among them, and the choice's place in the URL's hash.

import { byId, create } from "./dom";
import type { ServerClock } from "./server-clock";
import { type MarketSummary, parseMarkets } from "./wire";

const FETCH_TIMEOUT_MS = 10_000;

/** Fetches the markets, and tells `clock` the time of the answer. Throws if the broker does not answer with them. */
export async function fetchMarkets(clock: ServerClock): Promise<MarketSummary[]> {
  const answer = await fetch("v1/markets", { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
  const answeredMs = Date.parse(answer.headers.get("date") ?? "");
  if (!Number.isNaN(answeredMs)) clock.answered(answeredMs, Date.now());
  if (!answer.ok) throw new Error(`the broker answered ${answer.status}`);
  return parseMarkets(await answer.json());
}

/** Returns the market named by the hash, if it exists, else the first. */
export function chosenMarket(markets: readonly MarketSummary[], hash: string): string | undefined {
  const named = markets.find(({ market }) => `#${market}` === decodedHash(hash));
  return (named ?? markets[0])?.market;
}

export function renderMarketChoice(markets: readonly MarketSummary[], chosen: string | undefined): void {
  const select = byId<HTMLSelectElement>("market");
  const words = markets.map(({ market, state }) => (state === "open" ? market : `${market} (${stateWords(state)})`));
  const shown = [...select.options].map((option) => option.text);
  if (shown.join("\n") !== words.join("\n")) {
    select.replaceChildren(
      ...markets.map(({ market }, index) => {
        const option = create("option", { text: words[index] ?? market });
        option.value = market;
        return option;
      }),
    );
  }
  select.disabled = markets.length === 0;
  if (chosen !== undefined) select.value = chosen;
}

/** Returns a state as words: `cancel_only` as `cancel only`. */
export function stateWords(state: string): string {
  return state.replaceAll("_", " ");
}

function decodedHash(hash: string): string {
  try {
    return decodeURIComponent(hash);
  } catch {
    return hash;
  }
}
