// Owns the server-sent event stream of one market and its reconnecting. Never interprets the events.

import { type Link, SILENCE_MS, broken, reconnectDelayMs, silent } from "./link";

export const EVENTS = ["snapshot", "delta", "trade", "state", "heartbeat"] as const;
export type EventName = (typeof EVENTS)[number];

export interface StreamListener {
  /** Takes an event. Returns `gap` if events are missing before it: the stream then restarts with a new snapshot. */
  heard(name: EventName, body: unknown): "taken" | "gap";
  linkChanged(link: Link): void;
}

/** Opens the stream and keeps it open until the returned function is called. */
export function openStream(market: string, listener: StreamListener): () => void {
  let source: EventSource | undefined;
  let link: Link = { state: "connecting" };
  let attempt = 0;
  let lastHeardMs = Date.now();
  let silenceTimer: number | undefined;
  let reconnectTimer: number | undefined;

  function setLink(next: Link): void {
    link = next;
    listener.linkChanged(link);
  }

  function connect(): void {
    source?.close();
    window.clearTimeout(reconnectTimer);
    source = new EventSource(`v1/stream?${new URLSearchParams({ markets: market })}`);
    for (const name of EVENTS) source.addEventListener(name, (event) => hear(name, event));
    source.addEventListener("error", failed);
    expectWithin(SILENCE_MS);
  }

  function hear(name: EventName, event: MessageEvent<string>): void {
    lastHeardMs = Date.now();
    expectWithin(SILENCE_MS);
    if (take(name, event.data) === "gap") {
      reconnectLater();
      return;
    }
    // An event after the snapshot proves that the stream holds: gaps after every snapshot must still back off.
    if (name !== "snapshot") attempt = 0;
    if (link.state !== "live") setLink({ state: "live" });
  }

  function take(name: EventName, data: string): "taken" | "gap" {
    try {
      return listener.heard(name, JSON.parse(data));
    } catch (error) {
      console.warn("an event that the page cannot read; it asks for a new snapshot", error);
      return "gap";
    }
  }

  function failed(): void {
    // The browser retries by itself, except when the broker answered with an error.
    if (source?.readyState === EventSource.CLOSED) reconnectLater();
    else setLink(broken(link, Date.now()));
  }

  function reconnectLater(): void {
    source?.close();
    window.clearTimeout(silenceTimer);
    window.clearTimeout(reconnectTimer);
    reconnectTimer = window.setTimeout(connect, reconnectDelayMs(attempt++));
    setLink(broken(link, Date.now()));
  }

  function expectWithin(silenceMs: number): void {
    window.clearTimeout(silenceTimer);
    silenceTimer = window.setTimeout(() => {
      setLink(silent(link, lastHeardMs));
      connect();
    }, silenceMs);
  }

  listener.linkChanged(link);
  connect();
  return () => {
    source?.close();
    window.clearTimeout(silenceTimer);
    window.clearTimeout(reconnectTimer);
  };
}
