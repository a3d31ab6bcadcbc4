// Owns the times in which the market was not open, as far as the page heard of them. Never draws.

interface Span {
  fromMs: number;
  /** Infinite while it lasts. */
  toMs: number;
}

const MOST_SPANS = 200;

export class ClosedTimes {
  readonly #spans: Span[] = [];

  /** Takes the market's state as of a time. */
  stateAt(atMs: number, state: string): void {
    const isClosed = this.#spans.at(-1)?.toMs === Number.POSITIVE_INFINITY;
    if (state === "open") this.endAt(atMs);
    else if (!isClosed) this.#begin(atMs);
  }

  /** Ends the present span, if there is one: the market opened, or the page no longer hears of it. */
  endAt(atMs: number): void {
    const last = this.#spans.at(-1);
    if (last !== undefined) last.toMs = Math.min(last.toMs, atMs);
  }

  #begin(fromMs: number): void {
    this.#spans.push({ fromMs, toMs: Number.POSITIVE_INFINITY });
    if (this.#spans.length > MOST_SPANS) this.#spans.shift();
  }

  /** Returns true if the market was not open at some time in `fromMs..toMs`. */
  overlap(fromMs: number, toMs: number): boolean {
    return this.#spans.some((span) => span.fromMs < toMs && fromMs < span.toMs);
  }
}
