// Owns the shapes of the broker's messages and the checks on them. Never keeps state.

import { parseDecimal } from "./decimal";
import { parsePrice } from "./price";

/** Greatest number of decimals of an amount of GB-s: 1 MB for 1 ms has 13. */
export const GB_SECONDS_SCALE = 18;

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
  offers: Offer[];
  bids: BidLevel[];
  /** Newest first. */
  trades: Trade[];
}

export interface Delta {
  market: string;
  prev_seq: number;
  seq: number;
  offers: Offer[];
  /** Levels as they are now; without bids: gone. */
  bids: BidLevel[];
}

export interface TradeEvent extends Trade {
  market: string;
  spot_price: string | null;
}

export interface StateEvent {
  market: string;
  state: string;
  bands: Bands | null;
}

export function parseMarkets(body: unknown): MarketSummary[] {
  return list(body, "markets").map((market) => ({ market: text(market, "market"), state: text(market, "state") }));
}

export function parseTrades(body: unknown): Trade[] {
  return list(body, "trades").map(trade);
}

export function parseSnapshot(body: unknown): Snapshot {
  return {
    market: text(body, "market"),
    sequence: integer(body, "sequence"),
    state: text(body, "state"),
    bands: bands(body),
    spot_price: optionalPrice(body, "spot_price"),
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
    offers: list(body, "offers").map(offer),
    bids: list(body, "bids").map(bidLevel),
  };
}

export function parseTradeEvent(body: unknown): TradeEvent {
  return { ...trade(body), market: text(body, "market"), spot_price: optionalPrice(body, "spot_price") };
}

export function parseStateEvent(body: unknown): StateEvent {
  return { market: text(body, "market"), state: text(body, "state"), bands: bands(body) };
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
  const at = text(value, "at");
  if (Number.isNaN(Date.parse(at))) throw wrong("at", "a time");
  return {
    sequence: integer(value, "sequence"),
    at,
    provider: text(value, "provider"),
    price: price(value, "price"),
    memory_mb: integer(value, "memory_mb"),
    gb_seconds: gbSeconds(value, "gb_seconds"),
  };
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function text(value: unknown, name: string): string {
  const found = field(value, name);
  if (typeof found !== "string") throw wrong(name, "text");
  return found;
}

function price(value: unknown, name: string): string {
  const found = text(value, name);
  parsePrice(found);
  return found;
}

function optionalPrice(value: unknown, name: string): string | null {
  return field(value, name) == null ? null : price(value, name);
}

function gbSeconds(value: unknown, name: string): string {
  const found = text(value, name);
  parseDecimal(found, GB_SECONDS_SCALE);
  return found;
}

function integer(value: unknown, name: string): number {
  const found = field(value, name);
  if (!Number.isSafeInteger(found)) throw wrong(name, "an integer");
  return found as number;
}

function list(value: unknown, name: string): unknown[] {
  const found = field(value, name);
  if (!Array.isArray(found)) throw wrong(name, "a list");
  return found;
}

function wrong(name: string, expected: string): Error {
  return new Error(`the broker sent a \`${name}\` that is not ${expected}`);
}
