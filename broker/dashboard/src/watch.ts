// Owns the state of the watched market: book, trades, prices, link. Never draws.

import { type Book, applyDelta, bookFrom } from "./book";
import { CandleHistory } from "./candle-history";
import type { Link } from "./link";
import { MarketPrices } from "./market-prices";
import { parsePrice } from "./price";
import type { ServerClock } from "./server-clock";
import { type EventName, openStream } from "./stream";
import { TradeLog } from "./trade-log";
import { parseDelta, parseHeartbeat, parseSnapshot, parseStateEvent, parseTradeEvent } from "./wire";

export interface Watch {
  readonly market: string;
  readonly log: TradeLog;
  readonly prices: MarketPrices;
  readonly history: CandleHistory;
  /** Undefined until the first snapshot. */
  book: Book | undefined;
  link: Link;
  /** Returns the broker's time up to which the page knows the market: now, or that of the last event. */
  knownUntilMs(): number;
  close(): void;
}

/** Watches `market`; `changed` is called after every change, also of the link. */
export function watchMarket(market: string, clock: ServerClock, changed: () => void): Watch {
  let heardMs = Date.now();
  const prices = new MarketPrices();
  const watch: Watch = {
    market,
    log: new TradeLog(),
    prices,
    history: new CandleHistory(market, prices, changed),
    book: undefined,
    link: { state: "connecting" },
    knownUntilMs: () => clock.at(watch.link.state === "live" ? Date.now() : heardMs),
    close() {
      watch.history.close();
      closeStream();
    },
  };
  const closeStream = openStream(market, {
    heard(name, body) {
      if (name === "heartbeat") clock.heard(Date.parse(parseHeartbeat(body)), Date.now());
      const taken = take(watch, name, body, { nowMs: clock.at(Date.now()), heardMs: clock.at(heardMs) });
      if (taken === "taken") heardMs = Date.now();
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

/** The broker's time now, and when the event before was heard. */
interface Times {
  nowMs: number;
  heardMs: number;
}

function take(watch: Watch, name: EventName, body: unknown, times: Times): "taken" | "gap" {
  switch (name) {
    case "heartbeat":
      return "taken";
    case "snapshot":
      takeSnapshot(watch, body, times);
      return "taken";
    case "delta":
      return takeDelta(watch, body);
    case "trade":
      takeTrade(watch, body);
      return "taken";
    case "state":
      takeState(watch, body);
      return "taken";
  }
}

/** Begins anew. The time since the last event is unknown until the archive tells it. */
function takeSnapshot(watch: Watch, body: unknown, { nowMs, heardMs }: Times): void {
  const snapshot = parseSnapshot(body);
  if (snapshot.market !== watch.market) return;
  if (watch.book !== undefined) watch.prices.lostAt(heardMs);
  watch.book = bookFrom(snapshot);
  watch.log.merge(snapshot.trades);
  watch.prices.begin(nowMs, optional(snapshot.spot_price), snapshot.state);
  watch.history.restart();
}

function takeDelta(watch: Watch, body: unknown): "taken" | "gap" {
  const delta = parseDelta(body);
  if (delta.market !== watch.market) return "taken";
  if (watch.book === undefined || applyDelta(watch.book, delta) === "gap") return "gap";
  watch.prices.spotAt(Date.parse(delta.at), optional(delta.spot_price));
  return "taken";
}

function takeTrade(watch: Watch, body: unknown): void {
  const trade = parseTradeEvent(body);
  if (trade.market !== watch.market) return;
  if (watch.book !== undefined) watch.book.lastPrice = trade.last_price;
  // A stream that resumes within a change repeats it.
  if (watch.log.add(trade)) watch.prices.tradeAt(Date.parse(trade.at), Number(trade.gb_seconds));
}

function takeState(watch: Watch, body: unknown): void {
  const change = parseStateEvent(body);
  if (change.market !== watch.market || watch.book === undefined) return;
  watch.book.state = change.state;
  watch.book.bands = change.bands;
  watch.book.spotPrice = change.spot_price;
  watch.prices.stateAt(Date.parse(change.at), change.state);
  watch.prices.spotAt(Date.parse(change.at), optional(change.spot_price));
}

function optional(price: string | null): bigint | null {
  return price === null ? null : parsePrice(price);
}
