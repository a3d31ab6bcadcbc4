// Owns the shortening of names: both ends of a name tell it from others, the middle seldom does.

/** Greatest number of characters of a provider's name in a column of a table, and in a line of text. */
export const NAME_IN_TABLE = 14;
export const NAME_IN_TEXT = 24;

/** Returns a name of at most `most` characters, the middle replaced by an ellipsis if it is longer. */
export function middleCut(name: string, most: number): string {
  const characters = [...name];
  if (characters.length <= most) return name;
  const kept = Math.max(most - 1, 2);
  const start = characters.slice(0, Math.ceil(kept / 2));
  return `${start.join("")}…${characters.slice(characters.length - Math.floor(kept / 2)).join("")}`;
}
