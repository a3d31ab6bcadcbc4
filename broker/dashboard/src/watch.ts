// Owns the state of the watched market: book, trades, link. Never draws.

import { type Book, applyDelta, bookFrom } from "./book";
import type { Link } from "./link";
import { type EventName, openStream } from "./stream";
import { TradeLog } from "./trade-log";
import { parseDelta, parseSnapshot, parseStateEvent, parseTradeEvent, parseTrades } from "./wire";

const HISTORY_LIMIT = 200;
const HISTORY_TIMEOUT_MS = 10_000;

export interface Watch {
  readonly market: string;
  readonly log: TradeLog;
  /** Undefined until the first snapshot. */
  book: Book | undefined;
  link: Link;
  close(): void;
}

/** Watches `market`; `changed` is called after every change, also of the link. */
export function watchMarket(market: string, changed: () => void): Watch {
  const closed = new AbortController();
  const watch: Watch = {
    market,
    log: new TradeLog(),
    book: undefined,
    link: { state: "connecting" },
    close() {
      closed.abort();
      closeStream();
    },
  };
  const closeStream = openStream(market, {
    heard(name, body) {
      const taken = take(watch, name, body);
      if (name === "snapshot") void loadHistory(watch, closed.signal).then(changed);
      changed();
      return taken;
    },
    linkChanged(link) {
      watch.link = link;
      changed();
    },
  });
  return watch;
}

function take(watch: Watch, name: EventName, body: unknown): "taken" | "gap" {
  switch (name) {
    case "heartbeat":
      return "taken";
    case "snapshot": {
      const snapshot = parseSnapshot(body);
      if (snapshot.market !== watch.market) return "taken";
      watch.book = bookFrom(snapshot);
      watch.log.merge(snapshot.trades);
      return "taken";
    }
    case "delta": {
      const delta = parseDelta(body);
      if (delta.market !== watch.market) return "taken";
      return watch.book !== undefined && applyDelta(watch.book, delta) === "applied" ? "taken" : "gap";
    }
    case "trade": {
      const trade = parseTradeEvent(body);
      if (trade.market !== watch.market) return "taken";
      watch.log.add(trade);
      if (watch.book !== undefined) watch.book.spotPrice = trade.spot_price ?? watch.book.spotPrice;
      return "taken";
    }
    case "state": {
      const change = parseStateEvent(body);
      if (change.market === watch.market && watch.book !== undefined) {
        watch.book.state = change.state;
        watch.book.bands = change.bands;
      }
      return "taken";
    }
  }
}

/** Fetches more trades than a snapshot carries. Without them the page shows the snapshot's. */
async function loadHistory(watch: Watch, closed: AbortSignal): Promise<void> {
  const [region, class_] = watch.market.split("/").map(encodeURIComponent);
  try {
    const answer = await fetch(`v1/markets/${region}/${class_}/trades?limit=${HISTORY_LIMIT}`, {
      signal: AbortSignal.any([closed, AbortSignal.timeout(HISTORY_TIMEOUT_MS)]),
    });
    if (answer.ok) watch.log.merge(parseTrades(await answer.json()));
  } catch (error) {
    if (!closed.aborted) console.warn("the trades before the snapshot did not load", error);
  }
}
