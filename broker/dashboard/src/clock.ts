// Owns the text of times: UTC, everywhere on the page.

/** Returns a time like `10:00:00.041`. */
export function timeWithMs(at: number | string): string {
  return new Date(at).toISOString().slice(11, 23);
}

/** Returns a time like `10:00:00`. */
export function timeOfDay(at: number | string): string {
  return new Date(at).toISOString().slice(11, 19);
}

/** Returns a time like `2026-11-23 10:00:00`. */
export function dateAndTime(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 19).replace("T", " ");
}
