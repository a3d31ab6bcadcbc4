// Owns what the page knows of its connection, as a value. Never touches a socket or a clock.

export type Link =
  | { state: "connecting" }
  | { state: "live" }
  | { state: "reconnecting"; sinceMs: number }
  | { state: "stale"; sinceMs: number };

/** The broker sends a heartbeat about every 5 s; three missed are silence. */
export const SILENCE_MS = 15_000;

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 8_000;

/** A broken link keeps the time since when it has been broken. */
export function broken(link: Link, nowMs: number): Link {
  return { state: "reconnecting", sinceMs: sinceOf(link) ?? nowMs };
}

/** Silence makes a live link stale from the moment it was last heard; a broken one stays broken. */
export function silent(link: Link, lastHeardMs: number): Link {
  return link.state === "reconnecting" ? link : { state: "stale", sinceMs: sinceOf(link) ?? lastHeardMs };
}

/** How long to wait before attempt number `attempt`, from 0. */
export function reconnectDelayMs(attempt: number): number {
  return Math.min(FIRST_DELAY_MS * 2 ** attempt, LONGEST_DELAY_MS);
}

function sinceOf(link: Link): number | undefined {
  return "sinceMs" in link ? link.sinceMs : undefined;
}
