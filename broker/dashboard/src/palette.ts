// Owns which of the page's colours a provider has: the same one for as long as the page is open, in every panel.

export const COLOURS = 10;

const assigned = new Map<string, number>();

/** The class that sets `--series`. The name decides; where two names meet, the later one takes the next free colour. */
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
