// Owns the difference between the broker's clock and the browser's, which may be wrong. Reads no clock itself.

/** Difference beyond which one of the clocks was set, and not only a message late. */
const SET_MS = 2_000;

export class ServerClock {
  #aheadMs: number | undefined;

  /** Takes the time in a message that just came. It may have aged on its way: the greatest lead holds. */
  heard(serverMs: number, nowMs: number): void {
    const aheadMs = serverMs - nowMs;
    this.#aheadMs = Math.max(this.#aheadMs ?? aheadMs, aheadMs);
  }

  /** Takes the time of an answer, in whole seconds: it corrects a lead measured before a clock was set. */
  answered(serverMs: number, nowMs: number): void {
    if (this.#aheadMs !== undefined && serverMs - nowMs < this.#aheadMs - SET_MS) this.#aheadMs = undefined;
    this.heard(serverMs, nowMs);
  }

  /** Returns the broker's time at a time of the browser; the browser's own until the broker told one. */
  at(nowMs: number): number {
    return nowMs + (this.#aheadMs ?? 0);
  }
}
