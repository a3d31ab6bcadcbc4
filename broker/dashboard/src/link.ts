// Owns the state of the page's connection, as a value. Never touches a socket or a clock.

export type Link =
  | { state: "connecting" }
  | { state: "live" }
  | { state: "reconnecting"; sinceMs: number }
  | { state: "stale"; sinceMs: number };

/** Timeout of the stream: three of the broker's heartbeats, which come every 5 s. */
export const SILENCE_MS = 15_000;

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 8_000;

/** Breaks a link. One that is broken already keeps its beginning. */
export function broken(link: Link, nowMs: number): Link {
  return { state: "reconnecting", sinceMs: sinceOf(link) ?? nowMs };
}

/** Makes a live link stale since it was last heard. A broken one stays broken. */
export function silent(link: Link, lastHeardMs: number): Link {
  return link.state === "reconnecting" ? link : { state: "stale", sinceMs: sinceOf(link) ?? lastHeardMs };
}

/** Returns the back-off before attempt number `attempt`, from 0. */
export function reconnectDelayMs(attempt: number): number {
  return Math.min(FIRST_DELAY_MS * 2 ** attempt, LONGEST_DELAY_MS);
}

function sinceOf(link: Link): number | undefined {
  return "sinceMs" in link ? link.sinceMs : undefined;
}
