// Owns the colours of providers: one each, in every panel, as long as the page is open.

export const COLOURS = 10;

const assigned = new Map<string, number>();

/** Returns the class that sets `--series`. The name decides; if its colour is taken, the next free one does. */
export function colourClass(provider: string): string {
  return `series-${colourOf(provider, assigned)}`;
}

export function colourOf(provider: string, taken: Map<string, number>): number {
  const known = taken.get(provider);
  if (known !== undefined) return known;
  const wished = hash(provider) % COLOURS;
  const used = new Set(taken.values());
  let colour = wished;
  while (used.size < COLOURS && used.has(colour)) colour = (colour + 1) % COLOURS;
  taken.set(provider, colour);
  return colour;
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let state = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) state = Math.imul(state ^ byte, 0x01000193) >>> 0;
  return state;
}
