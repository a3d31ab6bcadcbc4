// Owns the page's start and life: the list of markets, and the choice of the watched one.

import { byId } from "./dom";
import { chosenMarket, fetchMarkets, renderMarketChoice } from "./market-list";
import { Page } from "./page";
import { ServerClock } from "./server-clock";
import { type Watch, watchMarket } from "./watch";
import type { MarketSummary } from "./wire";

const REFRESH_MS = 15_000;
const RETRY_MS = 3_000;

const clock = new ServerClock();
const page = new Page();
let markets: MarketSummary[] = [];
let watch: Watch | undefined;

byId<HTMLSelectElement>("market").addEventListener("change", (event) => {
  window.location.hash = (event.target as HTMLSelectElement).value;
});
window.addEventListener("hashchange", watchChosen);
void refreshMarkets();

async function refreshMarkets(): Promise<void> {
  let again = REFRESH_MS;
  try {
    markets = await fetchMarkets(clock);
    notify(markets.length === 0 ? "No market is open yet. One opens when a provider quotes in it." : null);
    watchChosen();
  } catch (error) {
    again = RETRY_MS;
    console.warn("the list of markets did not load", error);
    // The connection's state says enough once a market is watched.
    if (watch === undefined) {
      notify("The broker does not answer. The page keeps trying; see whether `merit up` still runs.");
    }
  }
  if (markets.length === 0) again = RETRY_MS;
  window.setTimeout(() => void refreshMarkets(), again);
}

function watchChosen(): void {
  const chosen = chosenMarket(markets, window.location.hash);
  renderMarketChoice(markets, chosen);
  if (chosen === undefined || chosen === watch?.market) return;
  watch?.close();
  watch = watchMarket(chosen, clock, () => page.changed());
  page.show(watch);
}

function notify(words: string | null): void {
  const notice = byId("notice");
  notice.hidden = words === null;
  if (words !== null && notice.textContent !== words) notice.textContent = words;
}
