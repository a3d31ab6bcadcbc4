// Owns decimal text and its exact form, a BigInt of scaled units. Never uses a float.

/** Returns decimal `text` in units of 10^-scale. Throws on any other text, or on more than `scale` decimals. */
export function parseDecimal(text: string, scale: number): bigint {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text);
  const fraction = match?.[3] ?? "";
  if (match === null || fraction.length > scale) {
    throw new Error(`not a decimal with at most ${scale} places: ${JSON.stringify(text)}`);
  }
  const magnitude = BigInt(`${match[2]}${fraction.padEnd(scale, "0")}`);
  return match[1] === "-" ? -magnitude : magnitude;
}

/** Returns `value` (units of 10^-scale) with `decimals` places, half away from zero, thousands grouped by commas. */
export function fixedDecimal(value: bigint, scale: number, decimals: number): string {
  const magnitude = value < 0n ? -value : value;
  const rounded = rescale(magnitude, scale, decimals);
  const digits = rounded.toString().padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals).replace(/\B(?=(\d{3})+$)/g, ",");
  const sign = value < 0n && rounded !== 0n ? "−" : "";
  return decimals === 0 ? `${sign}${whole}` : `${sign}${whole}.${digits.slice(-decimals)}`;
}

/** Returns a whole number, thousands grouped by commas. */
export function grouped(count: number): string {
  return fixedDecimal(BigInt(count), 0, 0);
}

function rescale(magnitude: bigint, scale: number, decimals: number): bigint {
  if (decimals >= scale) return magnitude * 10n ** BigInt(decimals - scale);
  const divisor = 10n ** BigInt(scale - decimals);
  return (magnitude + divisor / 2n) / divisor;
}
