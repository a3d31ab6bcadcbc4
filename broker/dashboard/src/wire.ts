// Owns the shapes of the broker's messages and their reading. Never keeps state.

import { field, gbSeconds, integer, list, optionalPrice, price, text, time } from "./fields";

export interface Offer {
  offer: string;
  provider: string;
  price: string;
  capacity_mb: number;
  free_mb: number;
  per_gb_second: string;
  per_request: string;
}

/** The deferred bids that rest at one limit. */
export interface BidLevel {
  price: string;
  memory_mb: number;
  bids: number;
}

/** The least and the greatest price of an offer. */
export interface Bands {
  low: string;
  high: string;
}

export interface Trade {
  sequence: number;
  at: string;
  provider: string;
  price: string;
  memory_mb: number;
  gb_seconds: string;
}

export interface MarketSummary {
  market: string;
  state: string;
}

export interface Snapshot {
  market: string;
  sequence: number;
  state: string;
  bands: Bands | null;
  spot_price: string | null;
  last_price: string | null;
  offers: Offer[];
  bids: BidLevel[];
  /** Newest first. */
  trades: Trade[];
}

export interface Delta {
  market: string;
  prev_seq: number;
  seq: number;
  at: string;
  spot_price: string | null;
  offers: Offer[];
  /** Levels as they are now; without bids: gone. */
  bids: BidLevel[];
}

export interface TradeEvent extends Trade {
  market: string;
  last_price: string | null;
}

export interface StateEvent {
  market: string;
  at: string;
  state: string;
  bands: Bands | null;
  spot_price: string | null;
}

/** Spot prices and volume of one interval. */
export interface CandleRow {
  at: string;
  open: string | null;
  high: string | null;
  low: string | null;
  /** Null if no offer had room at the end. */
  close: string | null;
  gb_seconds: string;
}

export function parseMarkets(body: unknown): MarketSummary[] {
  return list(body, "markets").map((market) => ({ market: text(market, "market"), state: text(market, "state") }));
}

export function parseCandles(body: unknown): CandleRow[] {
  return list(body, "candles").map(candle);
}

export function parseSnapshot(body: unknown): Snapshot {
  return {
    market: text(body, "market"),
    sequence: integer(body, "sequence"),
    state: text(body, "state"),
    bands: bands(body),
    spot_price: optionalPrice(body, "spot_price"),
    last_price: optionalPrice(body, "last_price"),
    offers: list(body, "offers").map(offer),
    bids: list(body, "bids").map(bidLevel),
    trades: list(body, "trades").map(trade),
  };
}

export function parseDelta(body: unknown): Delta {
  return {
    market: text(body, "market"),
    prev_seq: integer(body, "prev_seq"),
    seq: integer(body, "seq"),
    at: time(body, "at"),
    spot_price: optionalPrice(body, "spot_price"),
    offers: list(body, "offers").map(offer),
    bids: list(body, "bids").map(bidLevel),
  };
}

export function parseTradeEvent(body: unknown): TradeEvent {
  return { ...trade(body), market: text(body, "market"), last_price: optionalPrice(body, "last_price") };
}

export function parseStateEvent(body: unknown): StateEvent {
  return {
    market: text(body, "market"),
    at: time(body, "at"),
    state: text(body, "state"),
    bands: bands(body),
    spot_price: optionalPrice(body, "spot_price"),
  };
}

/** Returns the broker's time in a heartbeat. */
export function parseHeartbeat(body: unknown): string {
  return time(body, "at");
}

function bidLevel(value: unknown): BidLevel {
  return { price: price(value, "price"), memory_mb: integer(value, "memory_mb"), bids: integer(value, "bids") };
}

function bands(value: unknown): Bands | null {
  const found = field(value, "bands");
  return found == null ? null : { low: price(found, "low"), high: price(found, "high") };
}

function offer(value: unknown): Offer {
  return {
    offer: text(value, "offer"),
    provider: text(value, "provider"),
    price: price(value, "price"),
    capacity_mb: integer(value, "capacity_mb"),
    free_mb: integer(value, "free_mb"),
    per_gb_second: price(value, "per_gb_second"),
    per_request: price(value, "per_request"),
  };
}

function trade(value: unknown): Trade {
  return {
    sequence: integer(value, "sequence"),
    at: time(value, "at"),
    provider: text(value, "provider"),
    price: price(value, "price"),
    memory_mb: integer(value, "memory_mb"),
    gb_seconds: gbSeconds(value, "gb_seconds"),
  };
}

function candle(value: unknown): CandleRow {
  return {
    at: time(value, "at"),
    open: optionalPrice(value, "open"),
    high: optionalPrice(value, "high"),
    low: optionalPrice(value, "low"),
    close: optionalPrice(value, "close"),
    gb_seconds: gbSeconds(value, "gb_seconds"),
  };
}
